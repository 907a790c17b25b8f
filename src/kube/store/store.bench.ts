/** The store by numbers: durable writes a second, opening, paging, and telling a hundred watchers. `npm run bench -- store`. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memoryStore } from './memory-store.ts'
import { openSqliteStore } from './sqlite-store.ts'
import type { Store } from './store.ts'

interface Row {
  readonly name: string
  readonly value: number
  readonly unit: string
}

export interface StoreBenchSize {
  /** Durable writes of each measurement. */
  readonly writes: number
  /** Objects to open and page through. */
  readonly objects: number
  readonly watchers: number
}

const large: StoreBenchSize = { writes: 20_000, objects: 60_000, watchers: 100 }

/** An object of about a kilobyte. */
const object = {
  apiVersion: 'v1',
  kind: 'Thing',
  metadata: { name: 'a', namespace: 'default', labels: { text: 'x'.repeat(900) } },
}

export async function benchStore(size: StoreBenchSize = large): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), 'ebb-bench-'))
  try {
    const rows: Row[] = []
    for (const writers of [1, 16, 64]) {
      await using store = await openSqliteStore({ path: join(folder, `${writers}.db`) })
      const count = Math.max(writers, Math.ceil(size.writes / (writers === 1 ? 8 : 1)))
      const { perSecond, worstLagMs } = await durableWrites(store, writers, count)
      rows.push({
        name: `durable 1 kB writes, ${writers} writer${writers === 1 ? '' : 's'}`,
        value: perSecond,
        unit: '/s',
      })
      if (writers === 64)
        rows.push({
          name: 'longest pause of the event loop meanwhile',
          value: worstLagMs,
          unit: 'ms',
        })
    }
    rows.push(...(await opening(join(folder, 'open.db'), size.objects)))
    rows.push(await fanOut(size))
    return rows
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function durableWrites(store: Store, writers: number, count: number) {
  let worstLagMs = 0
  let last = performance.now()
  let measuring = true
  const turn = () => {
    const now = performance.now()
    worstLagMs = Math.max(worstLagMs, now - last)
    last = now
    if (measuring) setImmediate(turn)
  }
  turn()
  const startMs = performance.now()
  await Promise.all(
    Array.from({ length: writers }, async (_, writer) => {
      for (let i = writer; i < count; i += writers)
        await store.put(`things/ns-${i % 50}/${writer}`, object).durable
    }),
  )
  const perSecond = (count / (performance.now() - startMs)) * 1000
  measuring = false
  return { perSecond, worstLagMs }
}

async function opening(path: string, objects: number): Promise<Row[]> {
  {
    await using store = await openSqliteStore({ path })
    for (let i = 0; i < objects; i++) store.put(`things/ns-${i % 50}/${i}`, object)
  }
  let startMs = performance.now()
  await using store = await openSqliteStore({ path })
  const openMs = performance.now() - startMs
  startMs = performance.now()
  let pages = 0
  for (let next: string | undefined = ''; next !== undefined; pages++)
    next = store.list('things/', { limit: 500, after: next }).next
  const pageMs = (performance.now() - startMs) / pages
  return [
    { name: `open with ${objects} objects`, value: openMs, unit: 'ms' },
    { name: `page of 500 of ${objects}`, value: pageMs * 1000, unit: 'µs' },
  ]
}

async function fanOut({ writes, watchers }: StoreBenchSize): Promise<Row> {
  await using store = memoryStore({ watchCapacity: writes })
  const changes = Math.ceil(writes / 10)
  const readers = Array.from({ length: watchers }, async () => {
    using watch = store.watch('things/', 0)
    let seen = 0
    for await (const _change of watch.changes) if (++seen === changes) return
  })
  const startMs = performance.now()
  for (let i = 0; i < changes; i++) {
    store.put(`things/default/${i % 100}`, object)
    if (i % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  await Promise.all(readers)
  const perSecond = ((changes * watchers) / (performance.now() - startMs)) * 1000
  return { name: `changes delivered to ${watchers} watchers`, value: perSecond, unit: '/s' }
}
