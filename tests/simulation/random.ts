/** Everything that may turn out one way or another is drawn from one of these: the seed is the whole history. */
export type Random = {
  /** In [0, 1). */
  next: () => number;
  chance: (probability: number) => boolean;
  /** A real number from `min` up to `max`. */
  between: (min: number, max: number) => number;
  /** An integer from `min` to `max`, both included. */
  integer: (min: number, max: number) => number;
  pick: <T>(items: readonly [T, ...T[]] | readonly T[]) => T;
};

/** Marsaglia's xorshift over 128 bits, seeded through splitmix32. */
export function createRandom(seed: number): Random {
  let state = seed | 0;
  const split = () => {
    state = (state + 0x9e3779b9) | 0;
    let word = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    word = Math.imul(word ^ (word >>> 15), 0x735a2d97);
    return (word ^ (word >>> 15)) >>> 0;
  };
  let [x, y, z, w] = [split(), split(), split(), split() | 1];
  const next = () => {
    const word = x ^ (x << 11);
    [x, y, z] = [y, z, w];
    w = (w ^ (w >>> 19) ^ word ^ (word >>> 8)) >>> 0;
    return w / 2 ** 32;
  };
  const integer = (min: number, max: number) => min + Math.floor(next() * (max - min + 1));

  return {
    next,
    chance: (probability) => probability > 0 && next() < probability,
    between: (min, max) => min + next() * (max - min),
    integer,
    pick: <T>(items: readonly T[]) => items[integer(0, items.length - 1)] as T,
  };
}

/** A UUID that looks like version 7, so that the order of ids is that of time. */
export function createIds(random: Random, now: () => number): () => string {
  const digits = (count: number) =>
    Array.from({ length: count }, () => random.integer(0, 15).toString(16)).join("");
  let count = 0;
  return () => {
    count += 1;
    const time = Math.floor(now()).toString(16).padStart(12, "0");
    const order = (count & 0xfff).toString(16).padStart(3, "0");
    return `${time.slice(0, 8)}-${time.slice(8)}-7${order}-8${digits(3)}-${digits(12)}`;
  };
}
