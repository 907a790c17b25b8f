import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { SimClock } from '../../testing/sim-clock.ts'
import { openSqliteStore } from './sqlite-store.ts'
import { storeContract, thing, type StoreOptions } from './store.contract.ts'
import { StoreCorrupt, StoreFull, StoreLocked, StoreUnavailable } from './store-failure.ts'
import { Compacted } from './store.ts'

let folder = ''
let files = 0
const newPath = () => join(folder, `${++files}`, 'store.db')
before(() => (folder = mkdtempSync(join(tmpdir(), 'ebb-store-'))))
after(() => rmSync(folder, { recursive: true, force: true }))

const open = (options?: StoreOptions) => openSqliteStore({ path: newPath(), ...options })
storeContract('sqlite', open, 10)

describe('sqlite store', () => {
  test('what was written is there after opening again, and revisions go on', async () => {
    const path = newPath()
    let page
    {
      await using store = await openSqliteStore({ path })
      store.put('things/default/a', thing('a', { spec: { n: 1 } }))
      store.put('things/default/b', thing('b'))
      store.put('things/default/a', thing('a', { spec: { n: 2 } }))
      store.delete('things/default/b')
      store.put('things/other/c', thing('c', { text: 'ü\u2028"\n' }))
      page = store.list('')
    }
    await using store = await openSqliteStore({ path })
    assert.deepEqual(store.list(''), page)
    assert.equal(store.revision, 5)
    assert.throws(() => Object.assign(store.get('things/default/a') ?? {}, { x: 1 }), TypeError)
    assert.throws(() => store.watch('', 4), Compacted)
    assert.equal(store.put('things/default/b', thing('b'), 0).revision, 6)
    assert.equal(store.put('things/default/a', thing('a'), 3).revision, 7)
  })

  test('only the owner can read the file', async () => {
    const path = newPath()
    await using store = await openSqliteStore({ path })
    await store.put('secrets/default/a', thing('a')).durable
    for (const file of [path, `${path}-wal`]) assert.equal(statSync(file).mode & 0o777, 0o600)
  })

  test('a second opener is refused while the first lives', async () => {
    const path = newPath()
    {
      await using _store = await openSqliteStore({ path })
      await assert.rejects(openSqliteStore({ path }), StoreLocked)
    }
    await using _again = await openSqliteStore({ path })
  })

  test('a file that is no store of ours is refused and left alone', async () => {
    const path = newPath()
    await (await openSqliteStore({ path }))[Symbol.asyncDispose]()

    const bytes = readFileSync(path)
    const damaged = Buffer.concat([Buffer.from('not a database, really'), bytes.subarray(22)])
    writeFileSync(path, damaged)
    await assert.rejects(openSqliteStore({ path }), StoreCorrupt)
    assert.deepEqual(readFileSync(path), damaged)

    const other = join(folder, 'other.db')
    const db = new DatabaseSync(other)
    db.exec('CREATE TABLE songs (title TEXT)')
    db.close()
    const before = readFileSync(other)
    await assert.rejects(openSqliteStore({ path: other }), /database of another program/)
    assert.deepEqual(readFileSync(other), before)
  })

  test('a damaged value is refused', async () => {
    const path = newPath()
    {
      await using store = await openSqliteStore({ path })
      store.put('things/default/a', thing('a'))
    }
    for (const value of ['{"apiVersion"', '[]', '{"metadata":{"resourceVersion":"x"}}', '{},{}']) {
      const db = new DatabaseSync(path)
      db.prepare('UPDATE log SET value = ?').run(value)
      db.close()
      await assert.rejects(openSqliteStore({ path }), StoreCorrupt, value)
    }
  })

  test('superseded rows go, the file stays small, and nothing alive is lost', async () => {
    const path = newPath()
    const big = 'x'.repeat(2000)
    {
      await using store = await openSqliteStore({ path, historyLimit: 100 })
      store.put('things/default/quiet', thing('quiet'))
      for (let round = 0; round < 40; round++) {
        for (let i = 0; i < 50; i++) store.put(`things/default/${i}`, thing(`${i}`, { round, big }))
        store.delete('things/default/0')
        await store.flushed()
      }
    }
    assert(statSync(path).size < 2_000_000, `${statSync(path).size} bytes`)
    const db = new DatabaseSync(path)
    const rows = Number(db.prepare('SELECT count(*) AS n FROM log').get()?.['n'])
    db.close()
    assert(rows < 50 + 300, `${rows} rows`)
    await using store = await openSqliteStore({ path })
    assert.equal(store.count('things/'), 50)
    assert.equal(store.revision, 1 + 40 * 51)
    assert.deepEqual(
      new Set(store.list('things/').items.map((item) => (item as { round?: number }).round)),
      new Set([undefined, 39]),
    )
  })

  test('a store that has shrunk gives its room back', async () => {
    const path = newPath()
    const big = 'x'.repeat(50_000)
    {
      await using store = await openSqliteStore({ path, historyLimit: 10 })
      for (let i = 0; i < 100; i++) store.put(`things/default/${i}`, thing(`${i}`, { big }))
      await store.flushed()
      assert(statSync(path).size + statSync(`${path}-wal`).size > 5_000_000)
      for (let i = 0; i < 100; i++) store.delete(`things/default/${i}`)
      for (let i = 0; i < 20; i++) await store.put('things/default/a', thing('a', { i })).durable
    }
    assert(statSync(path).size < 500_000, `${statSync(path).size} bytes`)
  })

  test('a full disk refuses writes until the changes held back are durable', async () => {
    const path = newPath()
    const clock = new SimClock()
    const health: (string | undefined)[] = []
    const big = 'x'.repeat(50_000)
    const onHealth = (failure: Error | undefined) => health.push(failure?.name)
    {
      await using store = await openSqliteStore({ path, clock, onHealth, maxBytes: 500_000 })
      const accepted: string[] = []
      const rejected: string[] = []
      for (let i = 0; rejected.length === 0; i++) {
        assert(i < 100, 'never full')
        const key = `things/default/${i}`
        const write = store.put(key, thing(`${i}`, { big }))
        await write.durable.then(
          () => accepted.push(key),
          (error) => {
            assert(error instanceof StoreFull)
            rejected.push(key)
          },
        )
      }
      assert(accepted.length > 3)
      const { revision } = store
      assert.throws(() => store.put('things/default/x', thing('x')), StoreFull)
      assert.throws(() => store.delete('things/default/0'), StoreFull)
      assert.equal(store.revision, revision)
      assert.equal(store.get('things/default/x'), undefined, 'what is refused is not visible')
      assert(store.get(rejected[0] ?? ''), 'what was visible stays so')
      await assert.rejects(store.flushed(), StoreFull)
      assert.deepEqual(health, ['StoreFull'])

      const recovered = Promise.withResolvers<void>()
      const poll = () => (store.failure ? setImmediate(poll) : recovered.resolve())
      store.limit(0)
      await clock.advance(1_000)
      poll()
      await recovered.promise
      assert.deepEqual(health, ['StoreFull', undefined])
      await store.put('things/default/x', thing('x')).durable
    }
    await using store = await openSqliteStore({ path })
    assert(store.get('things/default/x'))
    assert.equal(store.count('things/'), store.revision, 'every change of the whole run is there')
  })

  test('a store that is closed takes no writes', async () => {
    const store = await openSqliteStore({ path: newPath() })
    await store[Symbol.asyncDispose]()
    await store[Symbol.asyncDispose]()
    assert.throws(() => store.put('things/default/a', thing('a')), StoreUnavailable)
  })

  test('an object that is not JSON is refused and leaves no trace', async () => {
    await using store = await openSqliteStore({ path: newPath() })
    assert.throws(() => store.put('things/default/a', thing('a', { n: 1n })), TypeError)
    assert.equal(store.revision, 0)
    await store.put('things/default/a', thing('a')).durable
  })

  test('after kill -9 every change that was answered is there', { timeout: 60_000 }, async () => {
    const path = newPath()
    const writer = fileURLToPath(new URL('../../testing/store-writer.ts', import.meta.url))
    /** Newest answered state: key → revision, negative for a deletion. */
    const answered = new Map<string, number>()
    let highest = 0
    for (let round = 0; round < 3; round++) {
      const child = spawn(process.execPath, [writer, path], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let lines = 0
      // The count stands for a random moment: commits are of any size and at any stage then.
      const enough = [3, 60, 700][round] ?? 1
      for await (const line of createInterface(child.stdout)) {
        if (!line.endsWith(']')) continue // cut off by the kill
        const [key, revision, deleted] = JSON.parse(line) as [string, number, boolean]
        if (key === 'open') {
          assert(revision >= highest, `opened at ${revision}, ${highest} was answered`)
          continue
        }
        highest = Math.max(highest, revision)
        answered.set(key, deleted ? -revision : revision)
        if (++lines === enough) child.kill('SIGKILL')
      }
      assert(lines >= enough)
      await using store = await openSqliteStore({ path, historyLimit: 50 })
      assert(store.revision > highest, 'revisions that were seen are not given again')
      for (const [key, state] of answered) {
        const revision = Number(store.get(key)?.metadata.resourceVersion ?? 0)
        // A later change of the same key may have become durable without its answer being printed.
        const later = revision > Math.abs(state)
        if (state > 0) assert(revision >= state || revision === 0, `${key}: ${revision} < ${state}`)
        else assert(revision === 0 || later, `${key} was deleted at ${-state}, found ${revision}`)
      }
      const lost = [...answered].filter(([key, state]) => state > 0 && !store.get(key))
      // At most the one change that each of the eight writers had under way can be a deletion.
      assert(lost.length <= 8, `${lost.length} answered keys are missing`)
      answered.clear()
      for (const { metadata } of store.list('').items) {
        highest = Math.max(highest, Number(metadata.resourceVersion))
      }
    }
  })
})
