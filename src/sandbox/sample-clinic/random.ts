/**
 * A number in [0, 1) that depends on `key` alone.
 *
 * No generator is handed around: what one resource draws does not shift what the others draw, so each stays as it is
 * when more are added or a day passes.
 */
export function randomOf(key: string): number {
  let hash = 0x811c9dc5; // FNV-1a, then murmur3's finalizer to spread neighbouring keys
  for (let index = 0; index < key.length; index++) {
    hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}

/** An integer from `min` to `max`, both included. */
export function integerOf(key: string, { min, max }: { min: number; max: number }): number {
  return min + Math.floor(randomOf(key) * (max - min + 1));
}

export function shuffled<T>(key: string, items: readonly T[]): T[] {
  return items.map((item, index) => ({ item, rank: randomOf(`${key}/${index}`) }))
    .toSorted((a, b) => a.rank - b.rank)
    .map(({ item }) => item);
}
