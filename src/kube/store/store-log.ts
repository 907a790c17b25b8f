/**
 * The table under the SQLite store, kine's idea: one row a change, never updated. The newest row of a key is its value;
 * rows that were superseded longer than the history limit ago are deleted, and their pages used again. Runs in the
 * store's worker: every call may wait for the disk.
 */
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { StoreCorrupt } from './store-failure.ts'

/** One change: revision, key, revision of creation, revision it supersedes (0 = none), JSON (null = deleted). */
export type Row = readonly [
  revision: number,
  key: string,
  created: number,
  previous: number,
  value: string | null,
]

/** Live objects: `keys[i]` was created at `created[i]` and is item i of the JSON array `values`. */
export interface Chunk {
  readonly keys: readonly string[]
  readonly created: readonly number[]
  readonly values: string
}

export interface StoreLogOptions {
  readonly path: string
  /** Superseded changes that are kept. */
  readonly historyLimit: number
  /** Largest size of the file in bytes; 0 = what the disk has. */
  readonly maxBytes: number
}

/** `Ebb!`, in the file's header. */
const applicationId = 0x45626221
const schemaVersion = 1
const chunkBytes = 1_000_000
/** How long to wait for a process that is just ending. */
const lockWaitMs = 500
/** Revisions compacted in one go, so that a commit behind it does not wait long. */
const compactionStep = 2_000

export class StoreLog {
  readonly #db: DatabaseSync
  readonly #historyLimit: number
  readonly #insert
  #compacted = 0
  #newest = 0

  /** Opens or creates the file and locks it. Throws SQLite's errors, or StoreCorrupt for a file of someone else. */
  constructor({ path, historyLimit, maxBytes }: StoreLogOptions) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    closeSync(openSync(path, 'a', 0o600)) // Secrets are in there: for the owner only. SQLite's other files follow it.
    const db = new DatabaseSync(path, { timeout: lockWaitMs })
    try {
      // These two count for a new file only: objects of two kilobytes would leave half of a smaller page empty.
      db.exec('PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL')
      // Held until the process ends, however it ends. Also spares WAL its shared memory file.
      db.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT')
      prepare(db)
      this.#db = db
      this.#historyLimit = historyLimit
      this.#insert = db.prepare('INSERT OR REPLACE INTO log VALUES (?, ?, ?, ?, ?)')
      this.#compacted = this.#meta('compacted')
      this.#newest = Math.max(
        this.#meta('revision'),
        Number(db.prepare('SELECT max(revision) AS n FROM log').get()?.['n'] ?? 0),
      )
      this.limit(maxBytes)
    } catch (thrown) {
      db.close()
      throw thrown
    }
  }

  /**
   * The revision to go on from. After a crash revisions may have been seen that no row tells of: `gap` of them are
   * skipped, so that none is ever given twice. Until `close` the log counts as crashed.
   */
  begin(gap: number): number {
    if (this.#meta('open') !== 0) this.#newest += gap
    this.#setMeta({ open: 1, revision: this.#newest })
    return this.#newest
  }

  /** The value of every key, in chunks of about a megabyte. */
  *live(): Generator<Chunk> {
    const rows = this.#db
      .prepare(
        `SELECT key, created, value FROM log
         WHERE value IS NOT NULL AND revision NOT IN (SELECT previous FROM log WHERE previous > 0)`,
      )
      .iterate()
    let keys: string[] = []
    let created: number[] = []
    let values: string[] = []
    let size = 0
    for (const row of rows) {
      keys.push(String(row['key']))
      created.push(Number(row['created']))
      const value = String(row['value'])
      values.push(value)
      size += value.length
      if (size < chunkBytes) continue
      yield { keys, created, values: `[${values.join(',')}]` }
      keys = []
      created = []
      values = []
      size = 0
    }
    if (keys.length > 0) yield { keys, created, values: `[${values.join(',')}]` }
  }

  /** Makes rows durable, all or none. Rows that came through before are no harm. */
  append(rows: readonly Row[]): void {
    const last = rows.at(-1)
    if (!last) return
    this.#transaction(() => {
      for (const row of rows) this.#insert.run(...row)
    })
    this.#newest = Math.max(this.#newest, last[0])
  }

  /** Deletes some of what is too old. True = there is more. */
  compact(): boolean {
    const due = this.#newest - this.#historyLimit
    // A step is worth its fsync only when there is something to do.
    if (due - this.#compacted < Math.min(compactionStep, Math.max(1, this.#historyLimit)))
      return false
    const from = this.#compacted
    const to = Math.min(due, from + compactionStep)
    this.#transaction(() => {
      this.#db
        .prepare(
          `DELETE FROM log WHERE revision IN
           (SELECT previous FROM log WHERE revision > ? AND revision <= ? AND previous > 0)`,
        )
        .run(from, to)
      this.#db
        .prepare('DELETE FROM log WHERE revision > ? AND revision <= ? AND value IS NULL')
        .run(from, to)
      this.#set('compacted', to)
      this.#set('revision', this.#newest)
    })
    this.#compacted = to
    this.#shrink()
    return to < due
  }

  /** Sets the largest size of the file; 0 = what the disk has. */
  limit(maxBytes: number): void {
    const pages = maxBytes > 0 ? Math.ceil(maxBytes / this.#pragma('page_size')) : 4_294_967_294
    this.#db.exec(`PRAGMA max_page_count = ${pages}`)
  }

  /** Closes; `complete` = everything that was ever visible is in the table. */
  close(complete: boolean): void {
    try {
      if (complete) this.#setMeta({ open: 0, revision: this.#newest })
    } finally {
      this.#db.close()
    }
  }

  /** Gives pages back to the file system when a quarter of the file is empty. */
  #shrink(): void {
    if (this.#pragma('freelist_count') * 4 > this.#pragma('page_count'))
      this.#db.exec('PRAGMA incremental_vacuum(1000)')
  }

  #transaction(work: () => void): void {
    this.#db.exec('BEGIN IMMEDIATE')
    try {
      work()
      this.#db.exec('COMMIT')
    } catch (thrown) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      throw thrown
    }
  }

  #pragma(name: string): number {
    return Number(this.#db.prepare(`PRAGMA ${name}`).get()?.[name] ?? 0)
  }

  #meta(name: string): number {
    return Number(
      this.#db.prepare('SELECT value FROM meta WHERE name = ?').get(name)?.['value'] ?? 0,
    )
  }

  #set(name: string, value: number): void {
    this.#db.prepare('INSERT OR REPLACE INTO meta VALUES (?, ?)').run(name, value)
  }

  #setMeta(values: Readonly<Record<string, number>>): void {
    this.#transaction(() => {
      for (const [name, value] of Object.entries(values)) this.#set(name, value)
    })
  }
}

function prepare(db: DatabaseSync): void {
  const read = (name: string) => Number(db.prepare(`PRAGMA ${name}`).get()?.[name] ?? 0)
  const found = read('application_id')
  const isNew = db.prepare('SELECT count(*) AS n FROM sqlite_schema').get()?.['n'] === 0
  if (!isNew && found !== applicationId)
    throw new StoreCorrupt('it is the database of another program')
  const version = read('user_version')
  if (!isNew && version !== schemaVersion)
    throw new StoreCorrupt(`it has format ${version}, this program reads ${schemaVersion}`)
  if (isNew) {
    db.exec(`
      PRAGMA journal_mode = WAL;
      BEGIN;
      CREATE TABLE log (
        revision INTEGER PRIMARY KEY,
        key TEXT NOT NULL,
        created INTEGER NOT NULL,
        previous INTEGER NOT NULL,
        value TEXT
      );
      CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
      PRAGMA application_id = ${applicationId};
      PRAGMA user_version = ${schemaVersion};
      COMMIT`)
  }
  // FULL: the log is synced before a commit returns, so it survives power loss.
  db.exec(
    'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 16777216',
  )
}
