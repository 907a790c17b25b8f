/** Events and their ways, for people. Pure. */
import type { Backlog } from '../../eventing/broker/following/backlog.ts'
import type { Fate, Way } from '../../eventing/broker/following/way.ts'
import type { SeenEvent } from '../../eventing/broker/following/selection.ts'
import type { Refusal } from '../../eventing/broker/delivery/filters.ts'
import type { Step } from '../../eventing/broker/following/journal.ts'

export type Attributes = Readonly<Record<string, unknown>>

export const attributesOf = ({ event }: SeenEvent): Attributes =>
  typeof event === 'object' && event !== null ? { ...event } : {}

export const idOf = (found: SeenEvent): string => {
  const { id } = attributesOf(found)
  return typeof id === 'string' ? id : ''
}

const unruly = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu
const codeOf = (sign: string): string => (sign.codePointAt(0) ?? 0).toString(16)

/** What senders wrote may not steer the terminal: control characters are shown as `\\x1b`. */
export const plain = (text: string): string =>
  text.replaceAll(unruly, (found) => `\\x${codeOf(found).padStart(2, '0')}`)

/** An event as JSON on several lines, which stays JSON and may not steer the terminal either. */
export const jsonText = (value: unknown): readonly string[] =>
  JSON.stringify(value, null, 2)
    .split('\n')
    .map((line) => line.replaceAll(unruly, (found) => `\\u${codeOf(found).padStart(4, '0')}`))

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

/** A dead letter as the API shows it. */
export interface ShownLetter extends SeenEvent {
  readonly number: number
  /** Uid of the Trigger or Subscription. */
  readonly subscription: string
  /** Absent when that is gone. */
  readonly name?: string
  readonly reason: Readonly<Record<string, string>>
}

export const letterColumns = ['N', 'TIME', 'WHERE', 'ID', 'TYPE', 'FOR', 'REASON'] as const

export function letterRow(letter: ShownLetter, place: string): readonly string[] {
  const [time = '', where = '', id = '', type = ''] = eventRow(letter, place)
  const name = letter.name ?? `(gone: ${letter.subscription})`
  return [String(letter.number), time, where, id, type, name, reasonText(letter)]
}

const shownOfAnswer = 200
/** How the note of an attempt without an answer begins. */
const unanswered = 'dispatch error: '

/** Why nobody took it: `http://a/ answered 500 "no"`. */
export function reasonText({ reason }: ShownLetter): string {
  const { knativeerrordest = '', knativeerrorcode = '', knativeerrordata = '' } = reason
  const said = Buffer.from(knativeerrordata, 'base64').toString('utf8').trim()
  if (said.startsWith(unanswered))
    return plain(`${knativeerrordest}: ${said.slice(unanswered.length)}`)
  const shown = said === '' ? '' : ` ${JSON.stringify(said.slice(0, shownOfAnswer))}`
  return plain(`${knativeerrordest} answered ${knativeerrorcode}${shown}`)
}

export const backlogColumns = [
  'WHERE',
  'FOR',
  'BEHIND',
  'RETRYING',
  'SINCE',
  'KEEPS',
  'LOG',
  'DEAD LETTERS',
] as const

/** A row a Trigger or Subscription; one in all where nobody listens. */
export function backlogRows(found: Backlog, place: string): readonly (readonly string[])[] {
  const { bytes, limitBytes, deadLetters, subscriptions } = found
  const percent = Math.floor((bytes / limitBytes) * 100)
  const log = `${sizeText(bytes)} of ${sizeText(limitBytes)} (${percent} %)`
  const own = [log, String(deadLetters)]
  if (subscriptions.length === 0) return [[place, '(nobody)', '', '', '', '', ...own]]
  return subscriptions.map(({ name, backlog, retrying, oldestMs, heldBytes }) => [
    place,
    name,
    String(backlog),
    String(retrying),
    oldestMs === undefined ? '' : dayText(oldestMs),
    sizeText(heldBytes),
    ...own,
  ])
}

/** `1.5 MiB`. */
function sizeText(bytes: number): string {
  const power = bytes < 1024 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), 3)
  return `${Number((bytes / 1024 ** power).toPrecision(3))} ${['B', 'KiB', 'MiB', 'GiB'][power]}`
}

const graphemes = new Intl.Segmenter()
const wide =
  /[\p{Emoji_Presentation}\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]/u

/** Columns that it takes in a terminal: signs of East Asia and emoji take two. */
function widthOf(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length
  let width = 0
  for (const { segment } of graphemes.segment(text)) width += wide.test(segment) ? 2 : 1
  return width
}

/** Rows below one another, at least as wide as `widths`; nothing stands behind the last word of a line. */
export function tableText(
  rows: readonly (readonly string[])[],
  widths: readonly number[] = [],
): readonly string[] {
  const most: number[] = [...widths]
  for (const row of rows)
    for (const [i, cell] of row.entries()) most[i] = Math.max(most[i] ?? 0, widthOf(cell))
  return rows.map((row) =>
    row
      .map((cell, i) => cell + ' '.repeat(Math.max((most[i] ?? 0) - widthOf(cell), 0)))
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

/** Events below one another; what is deeper stands behind the tree, as a tree of its own. A loop has 255 rounds. */
const deepest = 8

/** The ways of events and of all that came of them, as a tree. `ways`: the oldest first. */
export function traceText(ways: readonly Way[], absentAt: AbsentAt = () => []): readonly string[] {
  const bySpan = new Map<string, Way[]>()
  const spans = new Set<string>()
  const trees: Way[] = []
  for (const way of ways) {
    const { parent } = way.trace
    // What came later is no parent, whatever a sender wrote into its trace.
    if (parent !== undefined && spans.has(parent))
      bySpan.set(parent, [...(bySpan.get(parent) ?? []), way])
    else trees.push(way)
    for (const { span } of way.fates) spans.add(span)
  }
  const below =
    (depth: number): Below =>
    (span) =>
      (bySpan.get(span) ?? []).map((way) => {
        if (depth < deepest) return wayText(way, absentAt, below(depth + 1))
        trees.push(way)
        return [`${word(attributesOf(way)['id'])}  goes on below`]
      })
  const lines: string[] = []
  // Grows meanwhile.
  for (const way of trees) lines.push(...wayText(way, absentAt, below(1)))
  return lines
}

/** What came of a delivery, a block of lines an event. */
type Below = (span: string) => readonly (readonly string[])[]

/** One event: where it came in, and what became of it at each subscription; who did not want it comes last. */
export function wayText(
  way: Way,
  absentAt: AbsentAt = () => [],
  below: Below = () => [],
): readonly string[] {
  const { id, type, source } = attributesOf(way)
  const { kind, namespace, name } = way.channel
  const head = [
    `${word(id)}  ${word(type)}  from ${word(source)}`,
    `came to ${kind} ${namespace}/${name} as #${way.sequence} at ${dayText(way.atMs)}`,
  ]
  const noun = kind === 'Broker' ? 'Trigger' : 'Subscription'
  const partOf = (fate: Fate) => [
    fateText(noun, fate),
    ...branches([...stepsText(fate.steps), ...below(fate.span)]),
  ]
  const isOut = ({ state }: Fate) => state === 'refused' || state === 'before'
  const parts = [
    ...way.fates.filter((fate) => !isOut(fate)).map(partOf),
    ...absentAt(way).map(({ name, why }) => [
      `${noun} ${name}: did not get it, as it is not ready: ${plain(why)}`,
    ]),
    ...way.fates.filter(isOut).map(partOf),
  ]
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
      if (steps.length === 0) return `${who}: too early for it, or its notes are gone${to}`
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

const shownTerms = 5

function refusalText({ term, wanted, found, problem, terms = [] }: Refusal): string {
  if (term.endsWith('.any')) {
    const each = terms.slice(0, shownTerms).map(refusalText)
    const more = terms.length > shownTerms ? [`and ${terms.length - shownTerms} more`] : []
    return [`none of ${term} holds`, [...each, ...more].join('; ')].filter(Boolean).join(': ')
  }
  if (term.endsWith('.not')) return `${term} does not hold`
  if (problem !== undefined) return plain(`${term} can not be evaluated, ${problem}: ${wanted}`)
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
          step.status !== undefined && step.error !== undefined ? ` (${plain(step.error)})` : ''
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
