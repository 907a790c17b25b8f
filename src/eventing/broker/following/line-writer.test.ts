import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { LineWriter } from './line-writer.ts'

async function* texts(length: number, count: number) {
  for (let i = 0; i < count; i++) yield 'x'.repeat(length)
}

/** Takes nothing until it is told to. */
function reader() {
  let isWilling = false
  const taken: string[] = []
  const waiting: (() => void)[] = []
  const to = new Writable({
    highWaterMark: 1,
    write(chunk: Buffer, _encoding, done) {
      taken.push(chunk.toString())
      if (isWilling) done()
      else waiting.push(done)
    },
  })
  return {
    to,
    taken,
    goOn() {
      isWilling = true
      for (const done of waiting.splice(0)) done()
    },
  }
}

test('readers who take nothing are let go when they hold too much together; the others go on', async () => {
  const writer = new LineWriter(1_000)
  const { signal } = new AbortController()
  const [slow, other, late] = [reader(), reader(), reader()]
  const first = writer.write(slow.to, texts(2_000, 2), signal)
  await new Promise((resolve) => setImmediate(resolve))
  await writer.write(other.to, texts(10, 1), signal)
  assert.ok(other.to.destroyed, 'it took nothing while there was no room')
  slow.goOn()
  await first
  assert.equal(slow.taken.length, 2)
  assert.ok(slow.to.writableEnded)
  // There is room again, also after one that has gone.
  const gone = new AbortController()
  const left = writer.write(late.to, texts(900, 1), gone.signal)
  await new Promise((resolve) => setImmediate(resolve))
  gone.abort()
  await assert.rejects(left, { name: 'AbortError' })
  const next = reader()
  const last = writer.write(next.to, texts(900, 1), signal)
  await new Promise((resolve) => setImmediate(resolve))
  assert.ok(!next.to.destroyed)
  next.goOn()
  await last
})
