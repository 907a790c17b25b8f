import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { SimClock } from '../../../testing/sim-clock.ts'
import { JournalFile, placeText } from './journal-file.ts'

test('a journal that can not be moved aside leaves steps out instead of growing', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'ebb-journal-'))
  const path = join(directory, 'journal')
  await mkdir(join(`${path}.1`, 'in-the-way'), { recursive: true })
  const journal = new JournalFile({ path, clock: new SimClock(), maxBytes: 2000 })
  for (let sequence = 1; sequence <= 100; sequence++) {
    journal.note({ channel: 'c', sequence, subscription: 's', atMs: 1, kind: 'done' })
    await journal.flush()
  }
  const { size } = await stat(path)
  assert.ok(size > 500 && size <= 1000, String(size))
  await rm(directory, { recursive: true })
})

test('steps that come faster than the disk takes them are left out, and what is held has a bound', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'ebb-journal-'))
  const path = join(directory, 'journal')
  const journal = new JournalFile({ path, clock: new SimClock() })
  const step = { channel: 'c', subscription: 's', atMs: 1, kind: 'done', error: 'x'.repeat(1000) }
  for (let sequence = 1; sequence <= 8000; sequence++)
    journal.note({ ...step, kind: 'attempt', sequence })
  await journal.flush()
  const { size } = await stat(path)
  assert.ok(size <= (4 << 20) + 100, String(size))
  const kept: number[] = []
  for await (const { sequence } of journal.read(() => true)) kept.push(sequence)
  assert.ok(kept.length > 3000 && kept.length < 8000, String(kept.length))
  await rm(directory, { recursive: true })
})

test('the journal keeps within its bound and is read again, also over a line cut short', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'ebb-journal-'))
  const clock = new SimClock()
  const path = join(directory, 'journal')
  const journal = new JournalFile({ path, clock, maxBytes: 2000 })
  for (let sequence = 1; sequence <= 100; sequence++) {
    journal.note({ channel: 'c', sequence, subscription: 's', atMs: 1, kind: 'done' })
    await journal.flush()
  }
  const kept: number[] = []
  for await (const step of new JournalFile({ path, clock }).read(() => true))
    kept.push(step.sequence)
  assert.equal(kept.at(-1), 100)
  assert.ok(kept.length > 5 && kept.length < 40, String(kept.length))
  assert.deepEqual(
    kept,
    kept.map((_, i) => (kept[0] ?? 0) + i),
  )
  const bytes = (await Promise.all([path, `${path}.1`].map((file) => stat(file)))).map(
    (s) => s.size,
  )
  assert.ok((bytes[0] ?? 0) + (bytes[1] ?? 0) <= 2000, String(bytes))
  const one: number[] = []
  const places = new Set([placeText('c', 99)])
  for await (const step of new JournalFile({ path, clock }).read(() => true, places))
    one.push(step.sequence)
  assert.deepEqual(one, [99])
  await rm(directory, { recursive: true })
})
