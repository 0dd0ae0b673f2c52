import type { ImportCounts } from "./import-from-fhir.ts";

type Terminal = { write: (text: string) => unknown };

/** One line that is written over again with each page. */
export function createProgressLine(
  terminal: Terminal,
): { show: (counts: ImportCounts) => void; end: () => void } {
  const startedAt = performance.now();
  let shown = false;
  return {
    show({ pages, appointments, patients, unusable }) {
      const seconds = Math.max((performance.now() - startedAt) / 1000, 0.001);
      const rate = Math.round((appointments + patients + unusable) / seconds);
      terminal.write(
        `\r\x1b[K${pages} pages, ${appointments} appointments, ${patients} patients, ${unusable} unusable, ${rate}/s`,
      );
      shown = true;
    },
    end() {
      if (shown) terminal.write("\n");
    },
  };
}
