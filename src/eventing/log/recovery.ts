/**
 * What lies in the folder of a log when it is opened, mended of what a crash left: its files, the last of which can be
 * grown again, and where each subscription was. What was promised before is kept, and no sequence is given twice.
 */
import { dirname, join } from 'node:path'
import { CursorFile, subscriptionOf } from './cursor-file.ts'
import type { Disk } from './disk.ts'
import { firstOf, Segment, type Damage } from './segment.ts'

export interface Recovered {
  /** The oldest first; at least one. */
  readonly segments: Segment[]
  /** The lowest sequence each subscription has not settled. */
  readonly floors: Map<string, number>
}

export interface RecoveryOptions {
  /** Made when it is missing. */
  readonly directory: string
  readonly disk: Disk
  /** Hears of what is not as it was written. */
  readonly onDamage: (damage: Damage) => void
}

/** Leaves no file open when it throws, as it may be tried again and again. Throws what the disk says. */
export async function recover({ directory, disk, onDamage }: RecoveryOptions): Promise<Recovered> {
  await makeFolders(disk, directory)
  const segments: Segment[] = []
  try {
    await openSegments(disk, directory, segments, onDamage)
    // A process that was killed may have left what is not safe from a crash of the machine, and counts from now on.
    await Promise.all([
      disk.syncFolder(directory),
      disk.syncFolder(join(directory, 'cursors')),
      segments.at(-1)?.sync(),
    ])
    const { floors, highest } = await placesIn(disk, directory, onDamage)
    await numberBeyond(highest, segments, disk, directory)
    return { segments, floors }
  } catch (error) {
    for (const segment of segments) await segment.close().catch(() => {})
    throw error
  }
}

/** A file in a folder whose own name was not synced is lost with it. */
async function makeFolders(disk: Disk, directory: string): Promise<void> {
  const made = await disk.makeFolder(join(directory, 'cursors'))
  // Its first file comes after this.
  if (made === undefined && (await disk.list(directory)).some((name) => firstOf(name))) return
  const uppermost = dirname(made ?? '/')
  for (let at = directory; ; at = dirname(at)) {
    // Nobody knows who made those above, and this process need not be allowed to read them.
    if (made !== undefined || at === directory) await disk.syncFolder(at)
    else await disk.syncFolder(at).catch(() => {})
    if (at === uppermost || at === dirname(at)) return
  }
}

/** The lowest sequence each subscription has not settled, and the highest that any of them knows of. */
async function placesIn(
  disk: Disk,
  directory: string,
  onDamage: (damage: Damage) => void,
): Promise<{ readonly floors: Map<string, number>; readonly highest: number }> {
  const floors = new Map<string, number>()
  let highest = 0
  for (const file of await disk.list(join(directory, 'cursors'))) {
    const name = subscriptionOf(file)
    if (name === undefined || floors.has(name)) continue
    const cursor = await new CursorFile(disk, join(directory, 'cursors'), name).read()
    // A place that can't be read is the beginning: seen twice is better than not at all.
    if (!cursor) onDamage({ file: join(directory, 'cursors', file), fromByte: 0 })
    floors.set(name, cursor?.floor ?? 1)
    highest = Math.max(highest, cursor?.highest ?? 0)
  }
  return { floors, highest }
}

/**
 * Sequences that places of subscriptions know of are not given again, whatever damage took from the end of the log: the
 * next events would be taken for those that were settled.
 */
async function numberBeyond(
  known: number,
  segments: Segment[],
  disk: Disk,
  directory: string,
): Promise<void> {
  const newest = segments.at(-1)
  if (!newest || newest.last >= known) return
  const next = await Segment.create(disk, directory, known + 1)
  if (newest.last < newest.first) {
    segments.pop()
    await newest.close()
    await disk.remove(newest.path)
  }
  segments.push(next)
  await disk.syncFolder(directory)
}

/** Into `segments`, the oldest first. */
async function openSegments(
  disk: Disk,
  directory: string,
  segments: Segment[],
  onDamage: (damage: Damage) => void,
): Promise<void> {
  const firsts = (await disk.list(directory))
    .map(firstOf)
    .filter((first) => first !== undefined)
    .toSorted((a, b) => a - b)
  for (const [i, first] of firsts.entries()) {
    const next = firsts[i + 1]
    const last = next === undefined ? undefined : next - 1
    segments.push(await Segment.open(disk, directory, first, last, onDamage))
  }
  const newest = segments.at(-1)
  if (!newest) {
    segments.push(await Segment.create(disk, directory, 1))
    await disk.syncFolder(directory)
    return
  }
  const damages = await newest.scan()
  if (damages.some(({ fromByte }) => fromByte === 0)) {
    // Its head was never written: it is empty, or not to be grown.
    if (newest.last >= newest.first)
      segments.push(await Segment.create(disk, directory, newest.last + 1))
    else {
      await newest.close()
      await disk.remove(newest.path)
      segments[segments.length - 1] = await Segment.create(disk, directory, newest.first)
    }
    await disk.syncFolder(directory)
  } else if (damages.some(({ toByte }) => toByte === undefined)) await newest.cut()
}
