/** Counts refusals in a row, for those who are refused a few times and then are not. */
export type RefusalCount = {
  /** Whether `who` is refused this time too. */
  refuses: (who: string, times?: number) => boolean;
  clear: () => void;
};

export function createRefusalCount(): RefusalCount {
  const counts = new Map<string, number>();
  return {
    refuses: (who, times = Infinity) => {
      if (times === Infinity) return true;
      const before = counts.get(who) ?? 0;
      if (before < times) counts.set(who, before + 1);
      else counts.delete(who);
      return before < times;
    },
    clear: () => counts.clear(),
  };
}
