/** Events and their ways, for people. Pure. */
import type { Fate, SeenEvent, Way } from '../eventing/broker/following.ts'
import type { Refusal } from '../eventing/broker/filters.ts'
import type { Step } from '../eventing/broker/journal.ts'

export type Attributes = Readonly<Record<string, unknown>>

export const attributesOf = ({ event }: SeenEvent): Attributes =>
  typeof event === 'object' && event !== null ? { ...event } : {}

const word = (value: unknown): string =>
  typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value)

/** `18:40:01.123`, of the local clock. */
export function timeText(ms: number): string {
  const date = new Date(ms)
  const two = (value: number) => String(value).padStart(2, '0')
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, '0')}`
}

const dayText = (ms: number): string => {
  const date = new Date(ms)
  const two = (value: number) => String(value).padStart(2, '0')
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${timeText(ms)}`
}

/** One line of `list` and `tail`. */
export function lineOf(found: SeenEvent, place: string): string {
  const { id, type, source, subject } = attributesOf(found)
  const about = subject === undefined ? '' : `  ${word(subject)}`
  return `${dayText(found.atMs)}  ${place}#${found.sequence}  ${word(id)}  ${word(type)}  ${word(source)}${about}`
}

/** The ways of events and of all that came of them, as a tree. `ways`: the oldest first. */
export function traceText(ways: readonly Way[]): readonly string[] {
  const bySpan = new Map<string, Way[]>()
  const spans = new Set(ways.flatMap(({ fates }) => fates.map(({ span }) => span)))
  const roots: Way[] = []
  for (const way of ways) {
    const { parent } = way.trace
    if (parent !== undefined && spans.has(parent))
      bySpan.set(parent, [...(bySpan.get(parent) ?? []), way])
    else roots.push(way)
  }
  return roots.flatMap((way) => wayText(way, (span) => bySpan.get(span) ?? []))
}

/** One event: where it came in, and what became of it at each subscription. */
export function wayText(
  way: Way,
  childrenOf: (span: string) => readonly Way[] = () => [],
): readonly string[] {
  const { id, type, source } = attributesOf(way)
  const { kind, namespace, name } = way.channel
  const head = [
    `${word(id)}  ${word(type)}  from ${word(source)}`,
    `came to ${kind} ${namespace}/${name} as #${way.sequence} at ${dayText(way.atMs)}`,
  ]
  const noun = kind === 'Broker' ? 'Trigger' : 'Subscription'
  const parts = way.fates.map((fate) => [
    fateText(noun, fate),
    ...branches([
      ...stepsText(fate.steps),
      ...childrenOf(fate.span).map((child) => wayText(child, childrenOf)),
    ]),
  ])
  if (parts.length === 0) parts.push([`nobody listens: there is no ${noun}`])
  return [...head, ...branches(parts)]
}

function fateText(noun: string, { name, state, refusal, subscriber }: Fate): string {
  const to = subscriber === undefined ? '' : ` → ${subscriber}`
  switch (state) {
    case 'refused':
      return `${noun} ${name}: refused, ${refusal ? refusalText(refusal) : 'by its filter'}`
    case 'waiting':
      return `${noun} ${name}: waits for its turn${subscriber === undefined ? ', as the subscriber does not resolve' : to}`
    case 'trying':
      return `${noun} ${name}: is being tried${to}`
    case 'done':
      return `${noun} ${name}: done${to}`
    case 'parked':
      return `${noun} ${name}: given up, kept as a dead letter${to}`
  }
}

function refusalText({ term, wanted, found }: Refusal): string {
  if (term.endsWith('.any')) return `none of ${term} holds`
  if (term.endsWith('.not')) return `${term} does not hold`
  if (term.endsWith('.cesql')) return `${term} is ${found ?? 'not true'}: ${wanted}`
  const has = found === undefined ? 'has none' : `has ${JSON.stringify(found)}`
  return `${term} wants ${JSON.stringify(wanted)}, the event ${has}`
}

function stepsText(steps: readonly Step[]): readonly (readonly string[])[] {
  const counts = new Map<string, number>()
  return steps.flatMap((step) => {
    switch (step.kind) {
      case 'attempt': {
        const phase = phases[step.phase ?? 'subscriber']
        const count = (counts.get(phase) ?? 0) + 1
        counts.set(phase, count)
        const said = step.status === undefined ? (step.error ?? 'no answer') : String(step.status)
        const more = step.status !== undefined && step.error !== undefined ? `, ${step.error}` : ''
        const where = step.phase === 'subscriber' ? '' : ` to ${step.url ?? ''}`
        const took = Math.max(step.tookMs ?? 0, 0).toFixed(0)
        return [
          [`${phase} ${count}${where}: ${said}${more}, took ${took} ms, at ${timeText(step.atMs)}`],
        ]
      }
      case 'waits':
        return [[`waits until ${timeText(step.nextMs ?? step.atMs)}`]]
      default:
        return []
    }
  })
}

const phases = { subscriber: 'attempt', reply: 'reply attempt', deadLetter: 'dead-letter attempt' }

/** Each part below a line of the tree. */
function branches(parts: readonly (readonly string[])[]): readonly string[] {
  return parts.flatMap((part, i) => {
    const isLast = i === parts.length - 1
    return part.map((line, j) =>
      j === 0 ? `${isLast ? '└─' : '├─'} ${line}` : `${isLast ? '  ' : '│ '} ${line}`,
    )
  })
}
