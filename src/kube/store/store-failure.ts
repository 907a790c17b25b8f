/** What can go wrong with a store's disk. */

/** The disk did not take a change. The store refuses writes until what it holds back is durable. */
export class StoreUnavailable extends Error {
  override readonly name: string = 'StoreUnavailable'
}

/** There is no room: on the disk, below the store's own limit, or in the queue of changes that wait for the disk. */
export class StoreFull extends StoreUnavailable {
  override readonly name = 'StoreFull'
}

/** The file is damaged or not a store of ours. It is left as it was found. */
export class StoreCorrupt extends Error {
  override readonly name = 'StoreCorrupt'
}

/** Another process has the store open. */
export class StoreLocked extends Error {
  override readonly name = 'StoreLocked'
}

export type FailureKind = 'full' | 'io' | 'corrupt' | 'locked'

/** SQLite's primary result codes that mean something to us. */
const kinds: Readonly<Record<number, FailureKind>> = {
  5: 'locked', // BUSY
  6: 'locked', // LOCKED
  11: 'corrupt', // CORRUPT
  13: 'full', // FULL
  26: 'corrupt', // NOTADB
}

/** The kind of an error of node:sqlite. */
export function failureKind(thrown: unknown): FailureKind {
  if (thrown instanceof StoreCorrupt) return 'corrupt'
  const code =
    thrown instanceof Error && 'errcode' in thrown && typeof thrown.errcode === 'number'
      ? thrown.errcode
      : 0
  return kinds[code & 0xff] ?? 'io' // extended codes carry the primary one in their low byte
}

/** The error that a failure of the store at `path` is reported with. */
export function storeFailure(kind: FailureKind, path: string, detail: string): Error {
  switch (kind) {
    case 'full':
      return new StoreFull(`no room for the store ${path}: ${detail}. Free some disk space.`)
    case 'io':
      return new StoreUnavailable(`the store ${path} cannot be read or written: ${detail}`)
    case 'corrupt':
      return new StoreCorrupt(
        `the store ${path} is damaged or not a store of Ebb: ${detail}. Nothing was changed. Move the file away to begin anew, or put a backup in its place.`,
      )
    case 'locked':
      return new StoreLocked(`the store ${path} is in use by another process: ${detail}`)
  }
}
