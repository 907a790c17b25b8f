/** Events and their ways, for people. Pure. */
import type { Fate, SeenEvent, Way } from '../eventing/broker/following/following.ts'
import type { Refusal } from '../eventing/broker/delivery/filters.ts'
import type { Step } from '../eventing/broker/following/journal.ts'

export type Attributes = Readonly<Record<string, unknown>>

export const attributesOf = ({ event }: SeenEvent): Attributes =>
  typeof event === 'object' && event !== null ? { ...event } : {}

/** What senders wrote may not steer the terminal: control characters are shown as `\\x1b`. */
export const plain = (text: string): string =>
  text.replaceAll(
    /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu,
    (found) => `\\x${(found.codePointAt(0) ?? 0).toString(16).padStart(2, '0')}`,
  )

const word = (value: unknown): string =>
  plain(typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value))

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

export const eventColumns = ['TIME', 'WHERE', 'ID', 'TYPE', 'SOURCE', 'SUBJECT'] as const

/** What `list` and `tail` show of an event; `place` is where it came to. */
export function eventRow(found: SeenEvent, place: string): readonly string[] {
  const { id, type, source, subject } = attributesOf(found)
  return [
    dayText(found.atMs),
    `${place}#${found.sequence}`,
    word(id),
    word(type),
    word(source),
    word(subject),
  ]
}

/** Rows below one another, at least as wide as `widths`; nothing stands behind the last word of a line. */
export function tableText(
  rows: readonly (readonly string[])[],
  widths: readonly number[] = [],
): readonly string[] {
  const most: number[] = [...widths]
  for (const row of rows)
    for (const [i, cell] of row.entries()) most[i] = Math.max(most[i] ?? 0, cell.length)
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(most[i] ?? 0))
      .join('   ')
      .trimEnd(),
  )
}

/** A Trigger that the event engine was not told of, and why. */
export interface Absent {
  readonly name: string
  readonly why: string
}

/** Of the Broker or Channel of a way. */
export type AbsentAt = (way: Way) => readonly Absent[]

/** The ways of events and of all that came of them, as a tree. `ways`: the oldest first. */
export function traceText(ways: readonly Way[], absentAt: AbsentAt = () => []): readonly string[] {
  const bySpan = new Map<string, Way[]>()
  const spans = new Set(ways.flatMap(({ fates }) => fates.map(({ span }) => span)))
  const roots: Way[] = []
  for (const way of ways) {
    const { parent } = way.trace
    if (parent !== undefined && spans.has(parent))
      bySpan.set(parent, [...(bySpan.get(parent) ?? []), way])
    else roots.push(way)
  }
  return roots.flatMap((way) => wayText(way, absentAt, (span) => bySpan.get(span) ?? []))
}

/** One event: where it came in, and what became of it at each subscription. */
export function wayText(
  way: Way,
  absentAt: AbsentAt = () => [],
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
      ...childrenOf(fate.span).map((child) => wayText(child, absentAt, childrenOf)),
    ]),
  ])
  for (const { name, why } of absentAt(way))
    parts.push([`${noun} ${name}: did not get it, as it is not ready: ${plain(why)}`])
  if (parts.length === 0) parts.push([`nobody listens: there is no ${noun}`])
  return [...head, ...branches(parts)]
}

function fateText(noun: string, fate: Fate): string {
  const { uid, name, state, refusal, subscriber, steps, gone } = fate
  if (uid === 'replay') return 'sent again by hand'
  const who = gone ? `a ${noun} that is gone (uid ${uid})` : `${noun} ${name}`
  const to = subscriber === undefined ? '' : ` → ${subscriber}`
  switch (state) {
    case 'refused':
      return `${who}: refused, ${refusal ? refusalText(refusal) : 'by its filter'}`
    case 'before':
      return `${who}: not for it, the event came before it was made`
    case 'waiting':
      return `${who}: waits for its turn${subscriber === undefined ? ', as the subscriber does not resolve' : to}`
    case 'trying':
      return `${who}: is being tried${to}`
    case 'done': {
      if (steps.length === 0) return `${who}: done, what was noted of it is not kept${to}`
      const buried = steps.findLast(({ phase }) => phase !== 'replay' && phase !== undefined)
      return buried?.phase === 'deadLetter'
        ? `${who}: given up, is in the dead-letter sink${to}`
        : `${who}: done${to}`
    }
    case 'parked':
      return `${who}: given up, kept as a dead letter${to}`
    case 'discarded':
      return `${who}: given up, the dead letter was let go${to}`
  }
}

function refusalText({ term, wanted, found, problem }: Refusal): string {
  if (term.endsWith('.any')) return `none of ${term} holds`
  if (term.endsWith('.not')) return `${term} does not hold`
  if (problem !== undefined) return plain(`${term} can not be said, ${problem}: ${wanted}`)
  if (term.endsWith('.cesql')) return plain(`${term} is ${found ?? 'not true'}: ${wanted}`)
  const has = found === undefined ? 'has none' : `has ${JSON.stringify(found)}`
  return plain(`${term} wants ${JSON.stringify(wanted)}, the event ${has}`)
}

function stepsText(steps: readonly Step[]): readonly (readonly string[])[] {
  const counts = new Map<string, number>()
  return steps.flatMap((step) => {
    switch (step.kind) {
      case 'attempt': {
        const phase = phases[step.phase ?? 'subscriber']
        const count = (counts.get(phase) ?? 0) + 1
        counts.set(phase, count)
        const said =
          step.status === undefined ? plain(step.error ?? 'no answer') : String(step.status)
        const more =
          step.status !== undefined && step.error !== undefined ? `, ${plain(step.error)}` : ''
        const where = phase === phases.subscriber ? '' : ` to ${step.url ?? ''}`
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

const phases = {
  subscriber: 'attempt',
  reply: 'reply attempt',
  deadLetter: 'dead-letter attempt',
  replay: 'sent again',
}

/** Each part below a line of the tree. */
function branches(parts: readonly (readonly string[])[]): readonly string[] {
  return parts.flatMap((part, i) => {
    const isLast = i === parts.length - 1
    return part.map((line, j) =>
      j === 0 ? `${isLast ? '└─' : '├─'} ${line}` : `${isLast ? '  ' : '│ '} ${line}`,
    )
  })
}
