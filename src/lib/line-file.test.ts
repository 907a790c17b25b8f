import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimClock } from '../testing/sim-clock.ts'
import { LineFile } from './line-file.ts'

test('lines are gathered and written in order', async () => {
  const clock = new SimClock()
  const written: string[] = []
  const file = new LineFile({
    clock,
    write: async (bytes) => void written.push(bytes.toString()),
  })
  file.add('a\n')
  file.add('b\n')
  assert.deepEqual(written, [])
  await clock.advance(100)
  file.add('c\n')
  await clock.advance(100)
  assert.deepEqual(written, ['a\nb\n', 'c\n'])
})

test('what comes faster than it can be written is dropped and counted; a failed write loses its lines alone', async () => {
  const clock = new SimClock()
  const written: string[] = []
  let broken = true
  const file = new LineFile({
    clock,
    capacity: 5,
    write: async (bytes) => {
      if (broken) throw new Error('no space left on device')
      written.push(bytes.toString())
    },
  })
  file.add('lost\n')
  await clock.advance(100)
  broken = false
  file.add('kept\n')
  file.add('much\n')
  await clock.advance(100)
  assert.deepEqual(written, ['kept\n1 lines were dropped: they came too fast\n'])
})
