/** Counts that several workers share: nothing is taken twice, nothing stays taken, nobody waits for ever. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SharedLock, SharedTable, tableWords } from './shared-table.ts'
import { createMemory, WorkerMemory } from './worker-memory.ts'

const size = { workers: 3, revisions: 64, pods: 64, splits: 64 }
const memories = () => {
  const buffer = createMemory(size)
  return [0, 1, 2].map((worker) => new WorkerMemory(buffer, size, worker)) as [
    WorkerMemory,
    WorkerMemory,
    WorkerMemory,
  ]
}

test('places by key: the same for all who use it, free when nobody does, never two keys at one', () => {
  const step = fc.record({
    worker: fc.nat({ max: 2 }),
    key: fc.nat({ max: 11 }),
    action: fc.constantFrom('acquire', 'release', 'forget'),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const capacity = 8
      const words = new Int32Array(1 + tableWords(capacity))
      const table = new SharedTable(words, 1, capacity, new SharedLock(words, 0))
      const users = new Map<number, { place: number; workers: Set<number> }>()
      for (const { worker, key, action } of steps) {
        const known = users.get(key)
        if (action === 'acquire') {
          let fresh = false
          const place = table.acquire(worker, `key-${key}`, () => (fresh = true))
          if (known) assert.equal(place, known.place)
          else if (users.size === capacity) assert.equal(place, -1)
          else {
            assert.ok(place >= 0 && [...users.values()].every((other) => other.place !== place))
            assert.ok(fresh)
            users.set(key, { place, workers: new Set() })
          }
          users.get(key)?.workers.add(worker)
        } else if (action === 'release' && known?.workers.has(worker)) {
          table.release(worker, known.place)
          known.workers.delete(worker)
        } else if (action === 'forget') {
          table.forget(worker)
          for (const user of users.values()) user.workers.delete(worker)
        }
        for (const [other, { workers }] of users) if (workers.size === 0) users.delete(other)
      }
    }),
  )
})

test('slots are taken up to the limit by all together; what a dead worker held comes back', () => {
  const [a, b, c] = memories()
  const pod = a.acquirePod('pod')
  assert.equal(b.acquirePod('pod'), pod)
  assert.deepEqual([a.take(pod, 2), b.take(pod, 2), a.take(pod, 2)], [true, true, false])
  a.forget()
  assert.equal(b.occupied(pod), 1)
  b.give(pod)
  b.releasePod(pod)
  assert.equal(c.acquirePod('pod'), pod, 'free, so found again')
  assert.equal(c.occupied(pod), 0)
})

test('a bell that rings is heard once for each revision, by the one whose turn it is', async () => {
  const [a, b, c] = memories()
  const heard: string[] = []
  const first = b.acquireRevision('first', () => heard.push('first'))
  const second = b.acquireRevision('second', () => heard.push('second'))
  b.listen()
  b.startWaiting(first)
  c.acquireRevision('first', () => {})
  c.startWaiting(first)
  assert.deepEqual(
    [a.nextInTurn(first), a.nextInTurn(first), a.nextInTurn(first)],
    [1, 2, 1],
    'in turn',
  )
  assert.equal(a.nextInTurn(second), -1)
  a.ring(1, first)
  a.ring(1, first)
  a.ring(1, second)
  while (heard.length < 2) await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(heard.toSorted(), ['first', 'second'])
  b.close()
})

test('one sequence for all; whoever comes first changes its weights, the others find them changed', () => {
  const [a, b] = memories()
  const [one, other] = [a.counter('split'), b.counter('split')]
  assert.deepEqual([one.next(), other.next(), one.next(), other.peek()], [0, 1, 2, 3])
  for (const counter of [one, other]) counter.change(0, 7, () => 10)
  for (const counter of [one, other]) counter.change(7, 9, () => 10)
  assert.equal(one.peek(), 13)
  const later = b.counter('split')
  assert.equal(later.next(), 13)
  a.release('split')
  b.release('split')
  assert.equal(a.counter('split').peek(), 0, 'a new split of that name begins anew')
})
