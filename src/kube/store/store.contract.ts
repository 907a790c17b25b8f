/** What every store does, as tests that each implementation runs. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { KubeObject } from '../api/meta.ts'
import { Compacted, RevisionMismatch, type Change, type Store } from './store.ts'

export interface StoreOptions {
  readonly historyLimit?: number
  readonly watchCapacity?: number
}

export const thing = (
  name: string,
  fields: Readonly<Record<string, unknown>> = {},
): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Thing',
  metadata: { name, namespace: 'default' },
  ...fields,
})

const names = (objects: readonly KubeObject[]) => objects.map(({ metadata }) => metadata.name)

async function take(changes: AsyncIterable<Change>, count: number): Promise<Change[]> {
  const taken: Change[] = []
  for await (const change of changes) {
    taken.push(change)
    if (taken.length === count) break
  }
  return taken
}

/** Runs the suite; `open` answers a new, empty store. `runs`: how often the model test runs. */
export function storeContract(
  name: string,
  open: (options?: StoreOptions) => Promise<Store> | Store,
  runs = 100,
): void {
  describe(`store contract: ${name}`, () => {
    test('a put is visible at once, stamped and frozen, without changing what was given', async () => {
      await using store = await open()
      const given = thing('a', { spec: { list: [{ deep: 1 }] } })
      const { object, revision, durable } = store.put('things/default/a', given)
      assert.equal(revision, 1)
      assert.equal(store.revision, 1)
      assert.equal(object.metadata.resourceVersion, '1')
      assert.equal(given.metadata.resourceVersion, undefined)
      assert.equal(store.get('things/default/a'), object)
      assert.throws(() => Object.assign(object.metadata, { name: 'b' }), TypeError)
      const { spec } = object as unknown as { spec: { list: { deep: number }[] } }
      assert.throws(() => Object.assign(spec.list[0] ?? {}, { deep: 2 }), TypeError)
      await durable
      await store.flushed()
    })

    test('expected revisions guard puts and deletes', async () => {
      await using store = await open()
      const key = 'things/default/a'
      assert.throws(() => store.put(key, thing('a'), 7), RevisionMismatch)
      store.put(key, thing('a'), 0)
      assert.throws(
        () => store.put(key, thing('a'), 0),
        (error) => error instanceof RevisionMismatch && error.current === store.get(key),
      )
      const { revision } = store.put(key, thing('a'), 1)
      assert.equal(revision, 2)
      assert.throws(() => store.delete(key, 1), RevisionMismatch)
      store.delete(key, 2)
      assert.equal(store.get(key), undefined)
      assert.throws(() => store.delete(key), RevisionMismatch)
      assert.equal(store.revision, 3, 'refused writes take no revision')
    })

    test('lists in key order, by prefix, in pages', async () => {
      await using store = await open()
      for (const key of ['pods/b/2', 'pods/a-b/1', 'pods/a/3', 'pods/a/10', 'nodes//n', 'pods/a/1'])
        store.put(key, thing(key))
      assert.deepEqual(names(store.list('pods/').items), [
        'pods/a-b/1',
        'pods/a/1',
        'pods/a/10',
        'pods/a/3',
        'pods/b/2',
      ])
      assert.deepEqual(names(store.list('pods/a/').items), ['pods/a/1', 'pods/a/10', 'pods/a/3'])
      assert.deepEqual(names(store.list('pods/a/1').items), ['pods/a/1', 'pods/a/10'])
      assert.deepEqual(names(store.list('nodes/').items), ['nodes//n'])
      assert.equal(store.count('pods/'), 5)
      assert.equal(store.count(''), 6)
      assert.equal(store.count('secrets/'), 0)

      const first = store.list('pods/', { limit: 2 })
      assert.deepEqual([names(first.items), first.remaining], [['pods/a-b/1', 'pods/a/1'], 3])
      assert(first.next)
      const second = store.list('pods/', { limit: 3, after: first.next })
      assert.deepEqual(names(second.items), ['pods/a/10', 'pods/a/3', 'pods/b/2'])
      assert.deepEqual([second.remaining, second.next], [0, undefined])
    })

    test('pages of one list do not move when others write', async () => {
      await using store = await open()
      for (const name of ['a', 'c', 'e', 'g']) store.put(`things/default/${name}`, thing(name))
      const first = store.list('things/', { limit: 2 })
      store.delete('things/default/e')
      store.put('things/default/d', thing('d'))
      store.put('things/default/g', thing('g', { spec: 'new' }))
      store.put('things/default/b', thing('b'))
      const { next: after = '', revision: at } = first
      const second = store.list('things/', { after, at, limit: 1 })
      assert.deepEqual(names(second.items), ['e'])
      assert.deepEqual([second.remaining, second.revision], [1, 4])
      const third = store.list('things/', { after: second.next ?? '', at })
      assert.deepEqual(third.items, [
        { ...thing('g'), metadata: { name: 'g', namespace: 'default', resourceVersion: '4' } },
      ])
      assert.equal(third.next, undefined)
    })

    test('a watch replays from a revision, goes on live, and ends when it is disposed', async () => {
      await using store = await open()
      store.put('things/default/a', thing('a'))
      store.put('others/default/a', thing('a'))
      store.put('things/default/a', thing('a', { spec: 1 }))
      using watch = store.watch('things/', 1)
      queueMicrotask(() => store.delete('things/default/a', 3, thing('a', { spec: 'last' })))
      const [modified, deleted] = await take(watch.changes, 2)
      assert.deepEqual(
        [modified?.type, modified?.revision, modified?.previous?.metadata.resourceVersion],
        ['MODIFIED', 3, '1'],
      )
      assert.deepEqual(deleted?.object, {
        ...thing('a', { spec: 'last' }),
        metadata: { name: 'a', namespace: 'default', resourceVersion: '4' },
      })
      assert.equal(deleted?.previous, modified?.object)

      const other = store.watch('things/', store.revision)
      const ended = take(other.changes, 1)
      other[Symbol.dispose]()
      assert.deepEqual(await ended, [])
    })

    test('a watch from the future keeps silent until then', async () => {
      await using store = await open()
      using watch = store.watch('things/', 2)
      for (const name of ['a', 'b', 'c']) store.put(`things/default/${name}`, thing(name))
      assert.deepEqual(
        (await take(watch.changes, 1)).map(({ revision }) => revision),
        [3],
      )
    })

    test('history is bounded: what is too old is Compacted', async () => {
      await using store = await open({ historyLimit: 3 })
      for (let i = 0; i < 10; i++) store.put('things/default/a', thing('a', { i }))
      assert.equal(store.compacted, 7)
      assert.throws(() => store.watch('things/', 6), Compacted)
      assert.throws(() => store.list('things/', { at: 6 }), Compacted)
      using watch = store.watch('things/', 7)
      assert.deepEqual(
        (await take(watch.changes, 3)).map(({ revision }) => revision),
        [8, 9, 10],
      )
      assert.equal(store.list('things/', { at: 7 }).items[0]?.metadata.resourceVersion, '7')
    })

    test('a watcher that does not read is ended, others are not', async () => {
      await using store = await open({ watchCapacity: 10 })
      using slow = store.watch('things/', 0)
      using quick = store.watch('things/', 0)
      const seen = take(quick.changes, 30)
      for (let i = 0; i < 30; i++) {
        store.put('things/default/a', thing('a', { i }))
        await settled()
      }
      assert.equal((await seen).length, 30)
      await assert.rejects(take(slow.changes, 1), Compacted)
    })

    test('a watcher that lags behind the history is ended', async () => {
      await using store = await open({ historyLimit: 10 })
      using slow = store.watch('things/', 0)
      for (let i = 0; i < 12; i++) store.put('things/default/a', thing('a', { i }))
      await assert.rejects(take(slow.changes, 1), Compacted)
    })

    test('listeners hear every change at once and in order, also those that listeners make', async () => {
      await using store = await open()
      const heard: string[] = []
      using _first = store.subscribe(({ type, object, revision }) => {
        heard.push(`1:${type}${revision}`)
        if (object.metadata.name === 'a' && type === 'ADDED')
          store.put('things/default/b', thing('b'))
      })
      const second = store.subscribe(({ type, revision }) => heard.push(`2:${type}${revision}`))
      store.put('things/default/a', thing('a'))
      assert.deepEqual(heard, ['1:ADDED1', '2:ADDED1', '1:ADDED2', '2:ADDED2'])
      second[Symbol.dispose]()
      store.delete('things/default/b')
      assert.deepEqual(heard.slice(4), ['1:DELETED3'])
    })

    test('closing ends the watches', async () => {
      const store = await open()
      const seen = take(store.watch('', 0).changes, 1)
      await store[Symbol.asyncDispose]()
      assert.deepEqual(await seen, [])
    })

    test('behaves as a Map with a list of changes', async () => {
      const key = fc.constantFrom('a/x/1', 'a/x/2', 'a/x-/1', 'a/y/1', 'a//1', 'b/x/1', 'ab/x/1')
      const step = fc.oneof(
        fc.record({ do: fc.constant('put' as const), key, expected: fc.option(fc.nat(12)) }),
        fc.record({ do: fc.constant('delete' as const), key, expected: fc.option(fc.nat(12)) }),
        fc.record({
          do: fc.constant('list' as const),
          prefix: fc.constantFrom('', 'a', 'a/', 'a/x', 'a/x/', 'a//', 'b/', 'c/'),
          after: fc.option(key),
          limit: fc.integer({ min: 1, max: 4 }),
          back: fc.nat(6),
        }),
      )
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
          await using store = await open({ historyLimit: 5 })
          const past: Map<string, string>[] = [new Map()]
          const changes: string[] = []
          using watch = store.watch('', 0)
          const watched: string[] = []
          const watching = (async () => {
            for await (const change of watch.changes) watched.push(shown(change))
          })()
          const heard: string[] = []
          using _listener = store.subscribe((change) => heard.push(shown(change)))
          for (const next of steps) {
            const model = past.at(-1) ?? new Map<string, string>()
            const revision = past.length
            if (next.do === 'list') {
              const at = Math.max(0, store.revision - next.back)
              const query = { limit: next.limit, at, ...(next.after && { after: next.after }) }
              if (at < store.compacted) {
                assert.throws(() => store.list(next.prefix, query), Compacted)
                continue
              }
              const all = [...(past[at] ?? new Map<string, string>())]
                .filter(([k]) => k.startsWith(next.prefix) && k > (next.after ?? ''))
                .sort(([a], [b]) => (a < b ? -1 : 1))
              const page = store.list(next.prefix, query)
              assert.deepEqual(
                page.items.map(({ metadata }) => metadata.resourceVersion),
                all.slice(0, next.limit).map(([, version]) => version),
              )
              assert.equal(page.remaining, Math.max(0, all.length - next.limit))
              assert.equal(page.next, page.remaining ? all[next.limit - 1]?.[0] : undefined)
              continue
            }
            const current = model.get(next.key)
            const fits = next.expected === null || next.expected === Number(current ?? 0)
            const write = () =>
              next.do === 'put'
                ? store.put(next.key, thing('x'), next.expected ?? undefined)
                : store.delete(next.key, next.expected ?? undefined)
            if (!fits || (next.do === 'delete' && !current)) {
              assert.throws(write, RevisionMismatch)
              continue
            }
            write()
            await settled()
            const type = next.do === 'delete' ? 'DELETED' : current ? 'MODIFIED' : 'ADDED'
            changes.push(`${type} ${next.key} ${revision} ${current ?? 'none'}`)
            const after = new Map(model)
            if (next.do === 'put') after.set(next.key, String(revision))
            else after.delete(next.key)
            past.push(after)
            assert.equal(store.count(''), after.size)
            assert.equal(store.get(next.key)?.metadata.resourceVersion, after.get(next.key))
          }
          assert.deepEqual(heard, changes)
          assert.deepEqual(watched, changes)
          await store.flushed()
          watch[Symbol.dispose]()
          await watching
        }),
        { numRuns: runs },
      )
    })
  })
}

/** Lets whoever reads a watch take what is there. */
const settled = () => new Promise((resolve) => setImmediate(resolve))

const shown = ({ type, key, revision, previous }: Change): string =>
  `${type} ${key} ${revision} ${previous?.metadata.resourceVersion ?? 'none'}`
