import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { headBytes, writeRecord } from './record.ts'
import { Tail, type Batch } from './tail.ts'

/** A batch of events with these texts. */
function batch(first: number, ...texts: readonly string[]): Batch {
  const bytes = texts.reduce((sum, text) => sum + headBytes + text.length, 0)
  const records = Buffer.allocUnsafeSlow(bytes)
  let at = 0
  for (const [i, text] of texts.entries())
    at = writeRecord(records, at, first + i, 7, Buffer.from(text))
  return { first, last: first + texts.length - 1, timeMs: 7, records }
}

const texts = (events: ReturnType<Tail['from']>) =>
  events?.map(({ sequence, payload }) => `${sequence} ${Buffer.from(payload).toString()}`)

test('events are read from any place on, up to a size, over the bounds of batches', () => {
  const tail = new Tail()
  assert.equal(tail.from(1, Infinity), undefined)
  tail.push(batch(3, 'three', 'four'))
  tail.push(batch(5, 'five'))
  // A number that damage took.
  tail.push(batch(8, 'eight', 'nine'))
  assert.equal(tail.from(2, Infinity), undefined)
  assert.deepEqual(texts(tail.from(3, Infinity)), [
    '3 three',
    '4 four',
    '5 five',
    '8 eight',
    '9 nine',
  ])
  assert.deepEqual(texts(tail.from(4, 5)), ['4 four', '5 five'])
  assert.deepEqual(texts(tail.from(9, 1)), ['9 nine'])
  assert.equal(tail.from(6, Infinity), undefined)
  assert.equal(tail.from(10, Infinity), undefined)
  // Whoever reads the same gets the same objects.
  assert.equal(tail.from(8, 1)?.[0], tail.from(8, 1)?.[0])
})

test('what is gone from the tail is gone from memory too', () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const tail = new Tail()
  const large = 'x'.repeat(256 << 10)
  collect()
  const before = process.memoryUsage().arrayBuffers
  for (let sequence = 1; sequence <= 500; sequence++) {
    tail.push(batch(sequence, large))
    tail.from(sequence, 1)
  }
  collect()
  const mebibytes = (process.memoryUsage().arrayBuffers - before) / 2 ** 20
  assert.ok(mebibytes < 16, `${mebibytes} MiB of at most 8`)
  assert.equal(tail.from(1, 1), undefined)
  assert.deepEqual(
    tail.from(499, Infinity)?.map(({ sequence }) => sequence),
    [499, 500],
  )
})
