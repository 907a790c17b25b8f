import assert from 'node:assert/strict'
import { test } from 'node:test'
import { collectGarbage } from '../../testing/garbage.ts'
import { headBytes, writeRecord } from './record.ts'
import { Tail } from './tail.ts'

/** Adds a batch of events with these texts. */
function push(tail: Tail, first: number, ...texts: readonly string[]): void {
  const records = tail.place(texts.reduce((sum, text) => sum + headBytes + text.length, 0))
  let at = 0
  for (const [i, text] of texts.entries())
    at = writeRecord(records, at, first + i, 7, Buffer.from(text))
  tail.push({ first, last: first + texts.length - 1, timeMs: 7, records })
}

const texts = (events: ReturnType<Tail['from']>) =>
  events?.map(({ sequence, payload }) => `${sequence} ${Buffer.from(payload).toString()}`)

test('events are read from any place on, up to a size, over the bounds of batches', () => {
  const tail = new Tail()
  assert.equal(tail.from(1, Infinity), undefined)
  push(tail, 3, 'three', 'four')
  push(tail, 5, 'five')
  // Numbers that damage took.
  push(tail, 8, 'eight', 'nine')
  assert.equal(tail.from(2, Infinity), undefined)
  assert.deepEqual(texts(tail.from(3, Infinity)), ['3 three', '4 four', '5 five'])
  assert.deepEqual(texts(tail.from(4, 5)), ['4 four', '5 five'])
  assert.deepEqual(texts(tail.from(9, 1)), ['9 nine'])
  assert.equal(tail.from(6, Infinity), undefined)
  assert.equal(tail.from(10, Infinity), undefined)
  // Whoever reads the same gets the same objects.
  assert.equal(tail.from(8, 1)?.[0], tail.from(8, 1)?.[0])
})

test('what is read stays as it was, however much comes behind it', () => {
  const tail = new Tail()
  push(tail, 1, 'first')
  const held = tail.from(1, 1)
  let sequence = 2
  for (; sequence < 40; sequence++) push(tail, sequence, String(sequence).repeat(200_000))
  assert.deepEqual(texts(held), ['1 first'])
  assert.equal(tail.from(1, 1), undefined)
  // Eight slabs of a mebibyte, two batches in each, the last perhaps half empty.
  const oldest = [...Array(sequence).keys()].find((each) => tail.from(each, 1)) ?? 0
  assert.ok(oldest === sequence - 16 || oldest === sequence - 15, String(oldest))
  for (let each = oldest; each < sequence; each++)
    assert.deepEqual(texts(tail.from(each, 1)), [`${each} ${String(each).repeat(200_000)}`])
  // Larger than a slab: not kept, and what follows is not taken for its next.
  push(tail, sequence, 'x'.repeat(1 << 20))
  push(tail, sequence + 1, 'after')
  assert.equal(tail.from(sequence, 1), undefined)
  assert.equal(tail.from(sequence - 1, Infinity)?.length, 1)
  assert.deepEqual(texts(tail.from(sequence + 1, 1)), [`${sequence + 1} after`])
})

test('what was read from memory that is used again stays as it was', () => {
  const tail = new Tail()
  const large = (digit: number) => String(digit).repeat(400_000)
  push(tail, 1, large(1))
  const held = tail.from(1, 1)
  for (let sequence = 2; sequence < 40; sequence++) push(tail, sequence, large(sequence % 10))
  assert.deepEqual(texts(held), [`1 ${large(1)}`])
})

test('a tail has its slabs and no more', () => {
  const tail = new Tail()
  const large = 'x'.repeat(256 << 10)
  collectGarbage()
  const before = process.memoryUsage().arrayBuffers
  for (let sequence = 1; sequence <= 500; sequence++) {
    push(tail, sequence, large)
    if (sequence % 10 === 0) tail.from(sequence, 1)
  }
  collectGarbage()
  // Slabs, and what was read last.
  const mebibytes = (process.memoryUsage().arrayBuffers - before) / 2 ** 20
  assert.ok(mebibytes < 24, `${mebibytes} MiB`)
  assert.equal(tail.from(1, 1), undefined)
})
