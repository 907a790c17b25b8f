import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { SimClock } from '../../testing/sim-clock.ts'
import { all, eventLogContract, texts, type LogUnderTest } from './event-log.contract.ts'
import { LogFullError } from './event-log.ts'
import type { Damage } from './segment.ts'
import { openSegmentLog, type SegmentLog, type SegmentLogOptions } from './segment-log.ts'

interface Place extends LogUnderTest {
  readonly directory: string
  readonly clock: SimClock
  readonly damages: Damage[]
  open(more?: Partial<SegmentLogOptions>): Promise<SegmentLog>
  /** Files of segments, the oldest first. */
  files(): Promise<readonly string[]>
}

async function place(): Promise<Place> {
  const directory = await mkdtemp(join(tmpdir(), 'ebb-log-'))
  const clock = new SimClock()
  const damages: Damage[] = []
  return {
    directory,
    clock,
    damages,
    open: (more) =>
      openSegmentLog({ directory, clock, onDamage: (damage) => damages.push(damage), ...more }),
    files: async () =>
      (await readdir(directory))
        .filter((name) => name.endsWith('.log'))
        .toSorted()
        .map((name) => join(directory, name)),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  }
}

eventLogContract('segments on disk', place)

const append = async (log: SegmentLog, ...events: readonly string[]) => {
  for (const each of events) await log.append(Buffer.from(each))
}

test('wherever a crash cuts the last write, what was whole is there and the log goes on', async () => {
  await using at = await place()
  let whole: Buffer
  {
    await using log = await at.open()
    await append(log, 'first', 'second')
  }
  const [file = ''] = await at.files()
  const { size } = await stat(file)
  whole = await readFile(file)
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 29 }),
      fc.uint8Array({ maxLength: 40 }),
      async (cut, garbage) => {
        const torn = Buffer.concat([whole.subarray(0, size - cut), garbage])
        // Chance may write what was cut off.
        fc.pre(!torn.subarray(0, size).equals(whole))
        await writeFile(file, torn)
        {
          await using log = await at.open()
          assert.deepEqual(await all(log), ['first'])
          assert.equal(await log.append(Buffer.from('again')), 2)
        }
        const damages = at.damages.length
        await using log = await at.open()
        assert.deepEqual(await all(log), ['first', 'again'])
        assert.equal(at.damages.length, damages, 'what was torn is gone')
      },
    ),
    { numRuns: 40, examples: [[1, Uint8Array.of(100)]] },
  )
})

test('a damaged event costs itself and no other; its subscribers go on', async () => {
  await using at = await place()
  {
    await using log = await at.open()
    await using _ = await log.subscribe('s')
    await append(log, 'one', 'two', 'three')
  }
  const [file = ''] = await at.files()
  const bytes = await readFile(file)
  bytes.writeUInt8(0, bytes.indexOf('two'))
  await writeFile(file, bytes)
  await using log = await at.open()
  assert.deepEqual(await all(log), ['one', 'three'])
  assert.equal(at.damages.length, 1)
  await using subscription = await log.subscribe('s')
  assert.deepEqual(texts(await subscription.take(9)), ['one', 'three'])
  subscription.settle(1)
  subscription.settle(3)
  assert.equal(subscription.floor, 4)
})

test('a segment whose head was never written is begun anew', async () => {
  await using at = await place()
  {
    await using log = await at.open({ segmentBytes: 1 })
    await append(log, 'one', 'two')
  }
  const files = await at.files()
  assert.equal(files.length, 2)
  await truncate(files[1] ?? '', 7)
  await using log = await at.open()
  assert.deepEqual(await all(log), ['one'])
  assert.equal(await log.append(Buffer.from('two')), 2)
})

test('a place of a subscription that was cut short leaves the one before', async () => {
  await using at = await place()
  {
    await using log = await at.open()
    await using subscription = await log.subscribe('default/a.b')
    await append(log, 'one', 'two', 'three')
    for (const sequence of [1, 2]) {
      subscription.settle(sequence)
      await subscription.flush()
    }
  }
  const newest = join(at.directory, 'cursors', 'default%2Fa%2Eb.a')
  const text = await readFile(newest, 'utf8')
  assert.match(text, /"floor":3/)
  await writeFile(newest, text.slice(0, 20))
  await using log = await at.open()
  assert.deepEqual(log.subscriptions(), ['default/a.b'])
  await using subscription = await log.subscribe('default/a.b')
  assert.equal(subscription.floor, 2)
})

test('a place that was changed on the disk is not believed', async () => {
  await using at = await place()
  {
    await using log = await at.open()
    await using subscription = await log.subscribe('s')
    await append(log, 'one', 'two', 'three', 'four')
    subscription.settle(1)
    await subscription.flush()
    subscription.settle(2)
    await subscription.flush()
  }
  const folder = join(at.directory, 'cursors')
  for (const name of await readdir(folder)) {
    const text = await readFile(join(folder, name), 'utf8')
    await writeFile(join(folder, name), text.replace('"floor":3', '"floor":4'))
  }
  {
    await using log = await at.open()
    await using subscription = await log.subscribe('s')
    assert.equal(subscription.floor, 2)
  }
  // With none that can be read, twice is better than not at all.
  for (const name of await readdir(folder)) await writeFile(join(folder, name), 'nothing')
  await using log = await at.open()
  await using subscription = await log.subscribe('s')
  assert.equal(subscription.floor, 1)
})

test('what a subscription has not settled stays with all of its file, open or not', async () => {
  await using at = await place()
  await using log = await at.open({ segmentBytes: 90, maxBytes: 0 })
  await using subscription = await log.subscribe('s')
  await append(log, 'one', 'two', 'three', 'four', 'five', 'six')
  const files = (await at.files()).length
  assert.ok(files > 1)
  subscription.settle(1)
  await log.retain()
  assert.deepEqual([log.oldest, (await at.files()).length], [1, files])
  await subscription[Symbol.asyncDispose]()
  await log.retain()
  assert.deepEqual(await all(log), ['one', 'two', 'three', 'four', 'five', 'six'])
})

test('retention removes what is old or too much, and never what is not settled', async () => {
  await using at = await place()
  await using log = await at.open({ segmentBytes: 1, maxAgeMs: 1000, maxBytes: 1 << 20 })
  await using subscription = await log.subscribe('s')
  await append(log, 'one', 'two', 'three')
  await at.clock.advance(2000)
  await log.retain()
  assert.equal(log.oldest, 1)
  subscription.settle(1)
  await log.retain()
  assert.equal(log.oldest, 2)
  assert.deepEqual(await all(log), ['two', 'three'])
  assert.equal((await at.files()).length, 2)
  subscription.settle(2)
  log.keep({ maxAgeMs: 3_600_000 })
  await log.retain()
  assert.equal(log.oldest, 2)
  log.keep({ maxAgeMs: 3_600_000, maxBytes: 0 })
  await log.retain()
  assert.equal(log.oldest, 3)
})

test('little is kept beyond what is to be kept, however large a file may be', async () => {
  await using at = await place()
  await using log = await at.open({ maxAgeMs: 3_600_000, maxBytes: 8 << 20 })
  const event = 'x'.repeat(64 << 10)
  for (let i = 0; i < 320; i++) await append(log, event)
  await log.retain()
  assert.ok(log.bytes > 5 << 20 && log.bytes < 11 << 20, `${log.bytes} bytes`)
  // A few now and then, for hours.
  for (let i = 0; i < 30; i++) {
    await at.clock.advance(600_000)
    await append(log, 'x')
  }
  await log.retain()
  assert.ok(log.newest - log.oldest < 9, `${log.newest - log.oldest + 1} events are there`)
  // And none any more.
  await at.clock.advance(3_600_001)
  await log.retain()
  await append(log, 'next')
  await log.retain()
  assert.deepEqual(await all(log), ['next'])
  assert.equal(log.newest, 351)
})

/** Files below `directory` that this process has open. */
async function openFiles(directory: string): Promise<readonly string[]> {
  const all = await readdir('/proc/self/fd')
  const paths = await Promise.all(all.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')))
  return paths.filter((path) => path.startsWith(directory))
}

test('a log that can not be opened leaves no file open, however often it is tried', async () => {
  await using at = await place()
  {
    await using log = await at.open()
    await append(log, 'first')
  }
  await mkdir(join(at.directory, '0000000000000009.log'))
  await assert.rejects(at.open(), { code: 'EISDIR' })
  assert.deepEqual(await openFiles(at.directory), [])
})

test('a log that may not grow says who is behind', async () => {
  await using at = await place()
  await using log = await at.open({ limitBytes: 100 })
  await using _ = await log.subscribe('slow')
  await append(log, 'x'.repeat(40))
  await assert.rejects(log.append(Buffer.alloc(40)), (error: unknown) => {
    assert.ok(error instanceof LogFullError)
    assert.match(error.message, /of at most 100: subscription slow has 1 events to go/)
    return true
  })
  await using busy = await openSegmentLog({
    directory: join(at.directory, 'busy'),
    clock: at.clock,
    maxWaitingBytes: 10,
  })
  const first = busy.append(Buffer.alloc(8))
  await assert.rejects(busy.append(Buffer.alloc(8)), /wait for the disk/)
  assert.equal(await first, 1)
})

test('what is kept for replays makes room before events are refused', async () => {
  await using at = await place()
  await using log = await at.open({ segmentBytes: 100, limitBytes: 500, maxBytes: 10_000 })
  await using subscription = await log.subscribe('s')
  for (const maxBytes of [10_000, 20_000]) {
    log.keep({ maxBytes })
    for (let i = 0; i < 40; i++) {
      await append(log, 'x'.repeat(40))
      subscription.settle(log.newest)
      // What began with a new file is over: nobody can say how long the disk takes.
      await log.retain()
    }
    assert.ok(log.bytes <= 500 && log.bytes >= 200, `${log.bytes} bytes`)
  }
})

test('what a subscription holds up is known in bytes', async () => {
  await using at = await place()
  await using log = await at.open({ segmentBytes: 100 })
  await using behind = await log.subscribe('behind')
  assert.equal(behind.heldBytes, 0)
  for (let i = 0; i < 6; i++) await append(log, 'x'.repeat(60))
  assert.equal(behind.heldBytes, log.bytes)
  for (const sequence of [1, 2, 3]) behind.settle(sequence)
  assert.ok(behind.heldBytes < 0.7 * log.bytes && behind.heldBytes > 0.3 * log.bytes)
  for (const sequence of [4, 5, 6]) behind.settle(sequence)
  assert.equal(behind.heldBytes, 0)
})

test('many senders at once share the disk, over several segments; a slow reader reads files', async () => {
  await using at = await place()
  const events = Array.from({ length: 3000 }, (_, i) => `${i} ${'x'.repeat(i % 700)}`)
  {
    await using log = await at.open({ segmentBytes: 200_000 })
    await using subscription = await log.subscribe('s', 'earliest')
    const sequences = await Promise.all(events.map((each) => log.append(Buffer.from(each))))
    assert.deepEqual(
      sequences,
      events.map((_, i) => i + 1),
    )
    const seen: string[] = []
    while (seen.length < 1500) seen.push(...texts(await subscription.take(100)))
    assert.deepEqual(seen, events.slice(0, seen.length))
  }
  await using log = await at.open({ segmentBytes: 200_000 })
  assert.deepEqual(await all(log), events)
  await using subscription = await log.subscribe('late', { sequence: 2001 })
  const seen: string[] = []
  while (seen.length < 1000) seen.push(...texts(await subscription.take(64)))
  assert.deepEqual(seen, events.slice(2000))
})

test('senders who each wait for their answer never wait for one another in vain', async () => {
  await using at = await place()
  await using log = await at.open()
  const sender = async () => {
    for (let i = 0; i < 100; i++) await log.append(Buffer.from('x'))
  }
  await Promise.all([sender(), sender(), sender()])
  assert.equal(log.newest, 300)
})

test('a disk that is full refuses events, keeps those it has, and goes on when there is room', async (t) => {
  await using at = await place()
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', at.directory])
  if (mounted.status !== 0) return t.skip('a small disk takes the right to mount')
  try {
    const filler = join(at.directory, 'filler')
    await writeFile(filler, Buffer.alloc(128 << 10))
    const kept: string[] = []
    {
      await using log = await at.open()
      let refused: unknown
      for (let i = 0; refused === undefined; i++) {
        const text = `${i} ${'x'.repeat(4000)}`
        await log.append(Buffer.from(text)).then(
          () => kept.push(text),
          (error: unknown) => (refused = error),
        )
      }
      assert.ok(refused instanceof Error && refused.message.includes('ENOSPC'))
      await assert.rejects(log.append(Buffer.alloc(8000)), /ENOSPC/)
      await rm(filler)
      await log.append(Buffer.from('after'))
      kept.push('after')
      assert.deepEqual(await all(log), kept)
    }
    await using again = await at.open()
    assert.deepEqual(await all(again), kept)
  } finally {
    spawnSync('umount', ['-l', at.directory])
  }
})

test('a place that can not be saved for a while is the last one that could, never none', async (t) => {
  await using at = await place()
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', at.directory])
  if (mounted.status !== 0) return t.skip('a small disk takes the right to mount')
  try {
    {
      await using log = await at.open()
      await using subscription = await log.subscribe('s')
      await append(log, ...Array.from({ length: 9 }, (_, i) => `${i}`))
      subscription.settle(1)
      await subscription.flush()
      await writeFile(join(at.directory, 'filler'), Buffer.alloc(1 << 20)).catch(() => {})
      for (let sequence = 2; sequence <= 6; sequence++) {
        subscription.settle(sequence)
        await subscription.flush().catch(() => {})
      }
      // Now even more than there was room for: many that wait.
      for (let sequence = 10; sequence < 10_000; sequence++)
        subscription.defer({ sequence, attempts: 1, notBeforeMs: 1 })
      for (let i = 0; i < 4; i++) await assert.rejects(subscription.flush(), /ENOSPC/)
      subscription.settle(7)
    }
    await using log = await at.open()
    await using subscription = await log.subscribe('s')
    assert.ok(subscription.floor > 1 && subscription.floor < 8, `${subscription.floor}`)
  } finally {
    spawnSync('umount', ['-l', at.directory])
  }
})

test('numbers of events that damage took from the end are not given again', async () => {
  await using at = await place()
  {
    await using log = await at.open()
    await using subscription = await log.subscribe('s')
    await append(log, 'one', 'two', 'three', 'four')
    for (const sequence of [1, 2, 4]) subscription.settle(sequence)
  }
  const [file = ''] = await at.files()
  await truncate(file, 50)
  {
    await using log = await at.open()
    await using subscription = await log.subscribe('s')
    assert.equal(await log.append(Buffer.from('five')), 5)
    assert.deepEqual(texts(await subscription.take(9)), ['five'])
    assert.deepEqual(await all(log), ['one', 'five'])
  }
  for (const each of await at.files()) await rm(each)
  await using log = await at.open()
  await using subscription = await log.subscribe('s')
  await log.append(Buffer.from('six'))
  assert.deepEqual(texts(await subscription.take(9)), ['six'])
})

test('damage in a file of the middle is told of when it is read, and costs itself alone', async () => {
  await using at = await place()
  {
    await using log = await at.open({ segmentBytes: 1 })
    await using _ = await log.subscribe('s')
    await append(log, 'one', 'two', 'three', 'four')
  }
  const [, second = '', third = ''] = await at.files()
  const bytes = await readFile(second)
  bytes.writeUInt8(0, bytes.indexOf('two'))
  await writeFile(second, bytes)
  await truncate(third, 20)
  await using log = await at.open()
  await using subscription = await log.subscribe('s')
  const seen: string[] = []
  while (seen.length < 2) {
    const events = await subscription.take(9)
    seen.push(...texts(events))
    for (const { sequence } of events) subscription.settle(sequence)
  }
  assert.deepEqual(seen, ['one', 'four'])
  assert.equal(subscription.backlog, 0)
  assert.deepEqual(new Set(at.damages.map(({ file }) => file)), new Set([second, third]))
  assert.equal(await log.append(Buffer.from('five')), 5)
})

test('files that somebody laid beside the places of subscriptions are left alone', async () => {
  await using at = await place()
  {
    await using log = await at.open()
    await (await log.subscribe('mine'))[Symbol.asyncDispose]()
  }
  for (const name of ['%.a', 'notes.txt']) await writeFile(join(at.directory, 'cursors', name), 'x')
  await using log = await at.open()
  assert.deepEqual(log.subscriptions(), ['mine'])
})
