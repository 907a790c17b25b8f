/**
 * The ways of events: of those that are asked for, and of all that came of them, in other channels too. What was noted
 * of deliveries is read once for all.
 */
import type { Channel } from '../channel.ts'
import type { Engine } from '../engine.ts'
import { select, type Found, type Selection } from './selection.ts'
import { wayOf, type Way } from './way.ts'
import type { Step } from './journal.ts'
import { placeText, type JournalFile } from './journal-file.ts'
import { traceIdOf } from '../trace.ts'

interface Place extends Found {
  readonly channel: Channel
}

/** Looked up in the journal at a time. */
const groupSize = 1000
/** Of events held at a time. */
const maxBytes = 32 << 20

export async function* ways(
  channel: Channel,
  selection: Selection,
  journal: Pick<JournalFile, 'flush' | 'read'>,
): AsyncGenerator<Way> {
  let group: Place[] = []
  let bytes = 0
  for await (const found of select(channel, selection)) {
    group.push({ channel, ...found })
    bytes += found.logged.payload.length
    if (group.length < groupSize && bytes < maxBytes) continue
    yield* waysOf(group, journal)
    group = []
    bytes = 0
  }
  yield* waysOf(group, journal)
}

/** Events of one trace that are followed at most. */
const maxOfTrace = 1000

/**
 * Everything that belongs to the traces of the selected events, in all channels of the namespace, the oldest first. An
 * event that came of another one came after it.
 */
export async function* trace(
  engine: Pick<Engine, 'channels'>,
  channel: Channel,
  selection: Selection,
  journal: Pick<JournalFile, 'flush' | 'read'>,
): AsyncGenerator<Way> {
  const found: Place[] = []
  const wanted = new Map<string, number>()
  for await (const { logged, stored } of select(channel, selection)) {
    const id = traceIdOf({ channel: channel.config.uid, sequence: logged.sequence }, stored.trace)
    // A span that began elsewhere may have had events here before.
    const sinceMs = stored.trace ? logged.timeMs - beforeMs : logged.timeMs
    wanted.set(id, Math.min(wanted.get(id) ?? Infinity, sinceMs))
    if (wanted.size >= maxTraces) break
  }
  const inNamespace = engine.channels.filter(
    ({ config }) => config.namespace === channel.config.namespace,
  )
  let bytes = 0
  for (const [traceId, sinceMs] of wanted)
    for (const each of inNamespace) {
      if (bytes > maxBytes) break
      for await (const one of select(each, { traceId, sinceMs, limit: maxOfTrace })) {
        found.push({ channel: each, ...one })
        bytes += one.logged.payload.length
        if (bytes > maxBytes) break
      }
    }
  found.sort((a, b) => a.logged.timeMs - b.logged.timeMs || a.logged.sequence - b.logged.sequence)
  yield* waysOf(found.slice(0, maxOfTrace), journal)
}

/** Of one id there may be many. */
const maxTraces = 20
const beforeMs = 3_600_000

async function* waysOf(
  places: readonly Place[],
  journal: Pick<JournalFile, 'flush' | 'read'>,
): AsyncGenerator<Way> {
  if (places.length === 0) return
  await journal.flush()
  const steps = new Map<string, Step[]>(
    places.map(({ channel, logged }) => [`${channel.config.uid}/${logged.sequence}`, []]),
  )
  const mentioned = new Set(
    places.map(({ channel, logged }) => placeText(channel.config.uid, logged.sequence)),
  )
  for await (const step of journal.read(
    ({ channel, sequence }) => steps.has(`${channel}/${sequence}`),
    mentioned,
  ))
    steps.get(`${step.channel}/${step.sequence}`)?.push(step)
  for (const { channel, logged, stored } of places)
    yield wayOf(
      channel,
      logged,
      stored,
      steps.get(`${channel.config.uid}/${logged.sequence}`) ?? [],
    )
}
