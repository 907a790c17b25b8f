import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Tail } from './tail.ts'

test('what is gone from the tail is gone from memory too', () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const tail = new Tail()
  collect()
  const before = process.memoryUsage().arrayBuffers
  for (let sequence = 1; sequence <= 500; sequence++)
    tail.push([{ sequence, timeMs: 0, payload: Buffer.allocUnsafeSlow(256 << 10) }])
  collect()
  const mebibytes = (process.memoryUsage().arrayBuffers - before) / 2 ** 20
  assert.ok(mebibytes < 16, `${mebibytes} MiB of at most 8`)
  assert.equal(tail.from(1, 1), undefined)
  assert.deepEqual(
    tail.from(499, Infinity)?.map(({ sequence }) => sequence),
    [499, 500],
  )
})
