/** What the log does when the disk refuses one thing or another, and what a power cut leaves of it then. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../lib/random.ts'
import { settle, SimClock } from '../../testing/sim-clock.ts'
import { all, texts } from './event-log.contract.ts'
import { ForgetfulDisk } from './forgetful-disk.fixture.ts'
import { openSegmentLog, type SegmentLog } from './segment-log.ts'

const directory = '/data/events'
const forgetful = (seed = 1) => new ForgetfulDisk(seededRandom(seed), () => 0)
const open = (disk: ForgetfulDisk, segmentBytes = 1000): Promise<SegmentLog> =>
  openSegmentLog({ directory, disk, clock: new SimClock(), segmentBytes })
const append = (log: SegmentLog, text: string) => log.append(Buffer.from(text))
const filesOn = async (disk: ForgetfulDisk) =>
  (await disk.list(directory)).filter((name) => name.endsWith('.log'))

test('after a sync that failed nothing more is written to that file, and what was refused is not there', async () => {
  for (const refused of [['sync'], ['sync', 'truncate']] as const) {
    let disk = forgetful()
    const log = await open(disk)
    const taking = (await log.subscribe('s')).take(9)
    assert.equal(await append(log, 'kept'), 1)
    assert.deepEqual(texts(await taking), ['kept'])
    const more = (await log.subscribe('more')).take(9)
    disk.refuse = (operation) => (refused.some((each) => each === operation) ? 'EIO' : undefined)
    for (const text of ['refused', 'too']) await assert.rejects(append(log, text), /EIO/)
    // So that what is tried at once, after the answer, fails too.
    await settle(16)
    disk.refuse = () => undefined
    assert.equal(await append(log, 'next'), 2)
    assert.deepEqual(texts(await more), ['next'])
    assert.deepEqual(await all(log), ['kept', 'next'])
    assert.equal((await filesOn(disk)).length, 2)
    disk = disk.cutPower()
    assert.deepEqual(await all(await open(disk)), ['kept', 'next'])
  }
})

test('a file whose name can not be synced takes no event', async () => {
  for (let seed = 1; seed <= 8; seed++) {
    let disk = forgetful(seed)
    const log = await open(disk, 1)
    await append(log, 'first')
    disk.refuse = (operation) => (operation === 'syncFolder' ? 'EIO' : undefined)
    for (const text of ['refused', 'too']) await assert.rejects(append(log, text), /EIO/)
    disk.refuse = () => undefined
    await append(log, 'second')
    disk = disk.cutPower()
    assert.deepEqual(await all(await open(disk)), ['first', 'second'])
  }
})

test('a new subscription has its place, whenever power goes', async () => {
  for (let seed = 1; seed <= 8; seed++) {
    let disk = forgetful(seed)
    const log = await open(disk)
    await append(log, 'before')
    await log.subscribe('s')
    await append(log, 'after')
    disk = disk.cutPower()
    const subscription = await (await open(disk)).subscribe('s')
    assert.equal(subscription.floor, 2)
  }
})

test('what somebody has seen after a crash keeps its number, also when power goes then', async () => {
  for (let seed = 1; seed <= 16; seed++) {
    let disk = forgetful(seed)
    const first = await open(disk)
    await append(first, 'kept')
    append(first, 'on its way').catch(() => {})
    await settle(1 + (seed % 4))
    disk = disk.kill()
    const seen = await all(await open(disk))
    disk = disk.cutPower()
    assert.deepEqual((await all(await open(disk))).slice(0, seen.length), seen)
  }
})
