/**
 * What the engine counts, in Prometheus' text format; durations under the name of Knative's broker (contract: metrics).
 * Labels are names of objects and statuses, so there are as many series as the user has objects, and a few times more.
 */
import type { Channel } from '../channel.ts'

/** Seconds. */
const bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
/** Statuses and types at one subscription that are told apart. */
const maxSeries = 64
/** Characters of a type that are shown. */
const longestType = 200

interface Histogram {
  /** One more than bounds, the last for what is longer; not summed up. */
  readonly counts: number[]
  seconds: number
}

/** How long something took at one subscription, by type of event and perhaps by status. */
export class Durations {
  readonly #series = new Map<string, Histogram>()

  /** `status` undefined = there is none to tell. */
  note(type: string, status: number | undefined, tookMs: number): void {
    const wanted = `${status ?? ''} ${type.slice(0, longestType)}`
    let histogram = this.#series.get(wanted)
    if (!histogram) {
      const key = this.#series.size < maxSeries ? wanted : `${status ?? ''} other`
      histogram = this.#series.get(key) ?? { counts: bounds.map(() => 0).concat(0), seconds: 0 }
      this.#series.set(key, histogram)
    }
    const seconds = tookMs / 1000
    const at = bounds.findIndex((bound) => seconds <= bound)
    const place = at < 0 ? bounds.length : at
    histogram.counts[place] = (histogram.counts[place] ?? 0) + 1
    histogram.seconds += seconds
  }

  lines(name: string, labels: string): readonly string[] {
    return [...this.#series].flatMap(([key, { counts, seconds }]) => {
      const at = key.indexOf(' ')
      const status = at > 0 ? `,http_response_status_code="${key.slice(0, at)}"` : ''
      const own = `${labels}${status},cloudevents_type="${escaped(key.slice(at + 1))}"`
      let below = 0
      return [
        ...counts.map((count, i) => {
          below += count
          return `${name}_bucket{${own},le="${bounds[i] ?? '+Inf'}"} ${below}`
        }),
        `${name}_sum{${own}} ${seconds}`,
        `${name}_count{${own}} ${below}`,
      ]
    })
  }
}

/** Types are what senders say; a line stays a line. */
const escaped = (value: string): string => value.replaceAll(/["\\]/g, '\\$&')

export function metricsText(channels: readonly Channel[]): string {
  const lines: string[] = []
  const family = (name: string, type: string, help: string, own: readonly string[]) => {
    if (own.length > 0) lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...own)
  }
  const ofChannels = (name: string, value: (channel: Channel) => number) =>
    channels.map((channel) => `${name}{${labelsOf(channel)}} ${value(channel)}`)
  const dispatchers = channels.flatMap((channel) =>
    channel.dispatchers.map((dispatcher) => {
      const { kind, name, namespace } = dispatcher.config
      const own = `${kind.toLowerCase()}="${name}",${kind.toLowerCase()}_namespace="${namespace}"`
      return { dispatcher, labels: `${labelsOf(channel)},${own}` }
    }),
  )
  type Each = (typeof dispatchers)[number]
  const ofSubscriptions = (name: string, value: (stats: Each['dispatcher']['stats']) => number) =>
    dispatchers.map(({ dispatcher, labels }) => `${name}{${labels}} ${value(dispatcher.stats)}`)
  const durations = 'kn_eventing_dispatch_duration_seconds'
  family(
    durations,
    'histogram',
    'Time that an attempt to deliver an event took; status 0 = there was no answer.',
    dispatchers.flatMap(({ dispatcher, labels }) => dispatcher.durations.lines(durations, labels)),
  )
  const waits = 'kn_eventing_process_duration_seconds'
  family(
    waits,
    'histogram',
    'Time from when an event came in to the first attempt to deliver it.',
    dispatchers.flatMap(({ dispatcher, labels }) => dispatcher.waits.lines(waits, labels)),
  )
  const counter = (
    name: string,
    help: string,
    value: (stats: Each['dispatcher']['stats']) => number,
  ) => family(name, 'counter', help, ofSubscriptions(name, value))
  counter('ebb_events_delivered_total', 'Events that their subscriber took.', (s) => s.delivered)
  counter('ebb_events_refused_total', 'Events that the filter did not want.', (s) => s.refused)
  counter('ebb_events_retried_total', 'Attempts that are made again.', (s) => s.retried)
  counter(
    'ebb_events_dead_lettered_total',
    'Events for the dead-letter sink, or kept as dead letters.',
    (s) => s.deadLettered,
  )
  const gauges = [
    ['ebb_events_backlog', 'Events that a subscription is not done with.', 'backlog'],
    ['ebb_events_waiting', 'Events that wait to be tried again.', 'deferred'],
  ] as const
  for (const [name, help, field] of gauges)
    family(
      name,
      'gauge',
      help,
      ofSubscriptions(name, (stats) => stats[field]),
    )
  const accepted = 'ebb_events_accepted_total'
  family(
    accepted,
    'counter',
    'Events that came in, since the log began.',
    ofChannels(accepted, ({ events }) => events.newest),
  )
  const bytes = 'ebb_events_log_bytes'
  family(
    bytes,
    'gauge',
    'Size of the log on disk.',
    ofChannels(bytes, ({ events }) => events.bytes),
  )
  const kept = 'ebb_events_dead_letters'
  family(
    kept,
    'gauge',
    'Dead letters that wait for somebody to decide.',
    ofChannels(kept, ({ deadLetters }) => deadLetters.count),
  )
  return `${lines.join('\n')}\n`
}

const labelsOf = ({ config: { kind, namespace, name } }: Channel): string =>
  `${kind.toLowerCase()}="${name}",namespace="${namespace}"`
