/**
 * Writes Kubernetes Events, after client-go's event correlator: a repeated event raises the count of the one that is
 * there, more than ten that differ only in their message are combined, and a source that shouts about one object is
 * cut off. Events are news, not truth: they are written behind everything else, and given up when that fails.
 */
import { rfc3339, type Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { randomInt, type Random } from '../../lib/random.ts'
import { Event } from '../api/event.ts'
import type { KubeObject, ObjectKey } from '../api/meta.ts'
import { hasReason } from '../api/status-error.ts'
import type { Client } from './client.ts'

interface RecordedEvent {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
}

interface EventSource {
  /** `deployment-controller`, `kubelet`: source.component and reportingComponent. */
  readonly component: string
  readonly host?: string
  /** The part of the object it is about: `spec.containers{web}`. */
  readonly fieldPath?: string
}

export interface Recorder {
  /** Notes an event about an object. Never throws and never waits; written soon after. */
  event(about: KubeObject, event: RecordedEvent, source: EventSource): void
  /** Resolves when everything noted so far was written or given up. */
  flushed(): Promise<void>
}

export interface RecorderOptions {
  readonly client: Client
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** Repeats within this time are counted instead of written anew. */
const windowMs = 600_000
/** So many events that differ only in the message are told apart; later ones are combined. */
const maxSimilar = 10
/** Events a source may write about one object at once, and how long one more takes to come back. */
const spamBurst = 25
const spamRefillMs = 300_000
/** Series remembered, as in client-go; the oldest is forgotten. */
const maxRemembered = 4_096
/** Events not yet written; the newest is dropped when they are so many. */
const maxWaiting = 2_000
const maxMessageLength = 1_024
/** Events written before everything else gets a turn. */
const burst = 16

interface Series {
  readonly key: ObjectKey
  count: number
  lastMs: number
}

interface Similar {
  messages: Set<string>
  lastMs: number
}

interface Bucket {
  tokens: number
  atMs: number
}

export function createRecorder({ client, clock, random, log }: RecorderOptions): Recorder {
  const series = new Lru<Series>()
  const similar = new Lru<Similar>()
  const buckets = new Lru<Bucket>()
  let waiting = 0
  let written = 0
  let tail: Promise<void> = Promise.resolve()

  const allowed = (key: string): boolean => {
    const nowMs = clock.now()
    const bucket = buckets.get(key) ?? { tokens: spamBurst, atMs: nowMs }
    bucket.tokens = Math.min(spamBurst, bucket.tokens + (nowMs - bucket.atMs) / spamRefillMs)
    bucket.atMs = nowMs
    buckets.set(key, bucket)
    if (bucket.tokens < 1) return false
    bucket.tokens--
    return true
  }

  /** The message to write: the event's own, or the combined one when too many similar ones came before. */
  const combine = (group: string, message: string): string => {
    const nowMs = clock.now()
    let seen = similar.get(group)
    if (!seen || nowMs - seen.lastMs > windowMs) seen = { messages: new Set(), lastMs: nowMs }
    seen.lastMs = nowMs
    similar.set(group, seen)
    if (seen.messages.has(message)) return message
    if (seen.messages.size >= maxSimilar) return `(combined from similar events): ${message}`
    seen.messages.add(message)
    return message
  }

  let last = 0n
  /** Nanoseconds in 16 hexadecimal digits, as upstream's event names end: lists, sorted by name, are in order of time. */
  const suffix = (nowMs: number): string => {
    // Other recorders write about the same objects: chance keeps the names of one millisecond apart.
    const now = BigInt(Math.floor(nowMs)) * 1_000_000n + BigInt(randomInt(random, 100_000))
    last = now > last ? now : last + 1_000n
    return last.toString(16).padStart(16, '0')
  }

  const turn = () => new Promise<void>((resolve) => void clock.after(0, resolve))

  const write = async (
    about: KubeObject,
    { type, reason, message }: RecordedEvent,
    { component, host, fieldPath }: EventSource,
  ): Promise<void> => {
    const source = `${component}/${host ?? ''}`
    const object = `${about.metadata.uid ?? ''}/${about.kind}/${about.metadata.namespace ?? ''}/${about.metadata.name}`
    if (!allowed(`${source} ${object}`)) return
    const group = `${source} ${object} ${fieldPath ?? ''} ${type} ${reason}`
    const text = combine(group, message.slice(0, maxMessageLength)).slice(0, maxMessageLength)
    const combined = text.startsWith('(combined')
    const id = combined ? group : `${group} ${text}`
    const nowMs = clock.now()
    const time = rfc3339(nowMs)

    const known = series.get(id)
    if (known && nowMs - known.lastMs <= windowMs) {
      known.count++
      known.lastMs = nowMs
      const body = { count: known.count, lastTimestamp: time, ...(combined && { message: text }) }
      try {
        await client.patch(Event, known.key, { type: 'merge', body })
        return
      } catch (error) {
        if (!hasReason(error, 'NotFound')) throw error // it has expired: begin a new one
      }
    }
    const namespace = about.metadata.namespace ?? 'default'
    const { uid, resourceVersion } = about.metadata
    const created = await client.create<Event>(Event, {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${about.metadata.name.slice(0, 236)}.${suffix(nowMs)}`, namespace },
      involvedObject: {
        apiVersion: about.apiVersion,
        kind: about.kind,
        name: about.metadata.name,
        ...(about.metadata.namespace && { namespace: about.metadata.namespace }),
        ...(uid && { uid }),
        ...(resourceVersion && { resourceVersion }),
        ...(fieldPath && { fieldPath }),
      },
      type,
      reason,
      message: text,
      source: { component, ...(host && { host }) },
      reportingComponent: component,
      reportingInstance: host ?? '',
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
    })
    series.set(id, { key: { namespace, name: created.metadata.name }, count: 1, lastMs: nowMs })
  }

  return {
    event(about, event, source) {
      if (waiting >= maxWaiting) return log.debug('too many events wait, one is dropped', { event })
      waiting++
      // One after another, in bursts behind a turn of the event loop: news must not delay what they are about.
      tail = tail
        .then(() => (written++ % burst === 0 || waiting === 1 ? turn() : undefined))
        .then(() => write(about, event, source))
        .catch((error: unknown) => log.debug('an event was not written', { error, event }))
        .then(() => void waiting--)
    },
    flushed: () => tail,
  }
}

/** A map that forgets what was not set for the longest time. */
class Lru<V> {
  readonly #entries = new Map<string, V>()

  get(key: string): V | undefined {
    return this.#entries.get(key)
  }

  set(key: string, value: V): void {
    this.#entries.delete(key)
    this.#entries.set(key, value)
    if (this.#entries.size <= maxRemembered) return
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest)
      return
    }
  }
}
