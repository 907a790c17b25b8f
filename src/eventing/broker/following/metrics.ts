/**
 * What the engine counts, in Prometheus' text format; durations under the name of Knative's broker
 * (knative.dev/eventing `pkg/broker/filter/stats_reporter.go`). Labels are names of objects and statuses, so there are
 * as many series as the user has objects, and a few times more.
 */
import type { Channel } from '../channel.ts'

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
