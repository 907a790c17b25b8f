/**
 * What people ask of following, as it comes: every field is looked at before anything is answered or sent. One that is
 * misspelt would mean all events, or all dead letters.
 */
import { compileFilter, type FilterSpec, type Filtering } from '../delivery/filters.ts'
import type { Destination } from '../feed.ts'
import { maxLast, type Selection } from './selection.ts'

/** `POST /channels/UID/replay`. */
export interface ReplayRequest {
  readonly selection: Selection
  readonly to: { readonly subscription: string } | { readonly url: Destination }
  readonly dryRun: boolean
  /** How far it is comes line by line, and the result as the last one. */
  readonly progress: boolean
}

/** `POST /channels/UID/redrive`. Neither numbers nor subscription = all. */
export interface RedriveRequest {
  readonly numbers?: readonly number[]
  readonly subscription?: string
  readonly dryRun: boolean
  /** They are let go instead of sent. */
  readonly discard: boolean
  /** As of a replay. */
  readonly progress: boolean
}

/** What is asked for can not be understood; the message names the field. */
export class RequestError extends Error {
  override readonly name = 'RequestError'
}

type Fields = Readonly<Record<string, unknown>>

interface Expected {
  readonly text: string
  readonly holds: (value: unknown) => boolean
}

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isNumber = (value: unknown): boolean => typeof value === 'number'

const aNumber: Expected = { text: 'a number', holds: isNumber }
const aCount: Expected = {
  text: 'a whole number, 0 or more',
  holds: (value) => Number.isSafeInteger(value) && Number(value) >= 0,
}
const aText: Expected = { text: 'a string', holds: (value) => typeof value === 'string' }
const aTruth: Expected = { text: 'true or false', holds: (value) => typeof value === 'boolean' }
const anObject: Expected = { text: 'an object', holds: isFields }
const aList: Expected = { text: 'a list', holds: (value) => Array.isArray(value) }
const numbers: Expected = {
  text: 'a list of numbers',
  holds: (value) => Array.isArray(value) && value.every(isNumber),
}

/** Characters that are shown of what was found. */
const longestShown = 60

/** What was found, for people. Of lists and objects, which may be large and deep, only that they are. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (isFields(value)) return 'an object'
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > longestShown ? `${text.slice(0, longestShown)}…` : text
}

/** `found` with these fields and no others, each of its type. Throws RequestError. */
function fieldsIn<T>(
  found: unknown,
  path: string,
  known: Readonly<Record<keyof T & string, Expected>>,
): T {
  if (!isFields(found))
    throw new RequestError(`${path || 'the request'}: expected an object, found ${shown(found)}`)
  const under = path === '' ? '' : `${path}.`
  const expected = new Map<string, Expected>(Object.entries(known))
  for (const [name, value] of Object.entries(found)) {
    const wanted = expected.get(name)
    if (!wanted)
      throw new RequestError(
        `${under}${name} is not known; there are ${[...expected.keys()].join(', ')}`,
      )
    if (!wanted.holds(value))
      throw new RequestError(`${under}${name}: expected ${wanted.text}, found ${shown(value)}`)
  }
  return found as T
}

/** Throws RequestError. */
export function selectionIn(found: unknown): Selection {
  const selection = fieldsIn<Selection>(found, 'selection', {
    fromSequence: aCount,
    toSequence: aCount,
    sinceMs: aNumber,
    untilMs: aNumber,
    limit: aCount,
    last: aCount,
    id: aText,
    idPrefix: aText,
    traceId: aText,
    filter: anObject,
  })
  if ((selection.last ?? 0) > maxLast)
    throw new RequestError(`selection.last: at most ${maxLast}; sinceMs takes any number`)
  if (selection.last !== undefined && selection.limit !== undefined)
    throw new RequestError('selection: expected limit (the first) or last, found both')
  if (selection.filter !== undefined) checkFiltering(selection.filter, 'selection.filter')
  try {
    compileFilter(selection.filter ?? {})
  } catch (error) {
    throw new RequestError(
      `selection.filter: ${error instanceof Error ? error.message : 'unknown'}`,
    )
  }
  return selection
}

/** What is followed has no end to count from. Throws RequestError. */
export function tailIn(selection: Selection): Selection {
  if (selection.last === undefined) return selection
  throw new RequestError('selection.last is not for tail: events has it; limit ends a tail')
}

const texts: Expected = {
  text: 'an object of strings',
  holds: (value) =>
    isFields(value) && Object.values(value).every((each) => typeof each === 'string'),
}

/** A dialect that is misspelt would say nothing, and so mean all events. */
function checkFiltering(found: unknown, path: string): void {
  const { filter, filters = [] } = fieldsIn<Pick<Filtering, 'filter' | 'filters'>>(found, path, {
    filter: anObject,
    filters: aList,
  })
  if (filter !== undefined) fieldsIn(filter, `${path}.filter`, { attributes: texts })
  for (const [i, each] of filters.entries()) checkFilter(each, `${path}.filters[${i}]`, 1)
}

const maxDepth = 20

function checkFilter(found: unknown, path: string, depth: number): void {
  if (depth > maxDepth) throw new RequestError(`${path}: filters are at most ${maxDepth} deep`)
  const { all, any, not } = fieldsIn<FilterSpec>(found, path, {
    exact: texts,
    prefix: texts,
    suffix: texts,
    all: aList,
    any: aList,
    not: anObject,
    cesql: aText,
  })
  for (const [i, each] of (all ?? []).entries()) checkFilter(each, `${path}.all[${i}]`, depth + 1)
  for (const [i, each] of (any ?? []).entries()) checkFilter(each, `${path}.any[${i}]`, depth + 1)
  if (not !== undefined) checkFilter(not, `${path}.not`, depth + 1)
}

/** Throws RequestError. */
export function replayIn(found: unknown): ReplayRequest {
  const {
    selection = {},
    to,
    dryRun = false,
    progress = false,
  } = fieldsIn<Partial<ReplayRequest>>(found, '', {
    selection: anObject,
    to: anObject,
    dryRun: aTruth,
    progress: aTruth,
  })
  const target: unknown = to
  const isSubscription = isFields(target) && typeof target['subscription'] === 'string'
  const url = isFields(target) ? target['url'] : undefined
  const isUrl = isFields(url) && typeof url['url'] === 'string'
  if (!to || isSubscription === isUrl)
    throw new RequestError(
      `to: expected {"subscription": NAME} or {"url": {"url": URL}}, found ${isFields(target) ? 'neither or both in it' : shown(to)}`,
    )
  return { selection: selectionIn(selection), to, dryRun, progress }
}

/** Throws RequestError. */
export function redriveIn(found: unknown): RedriveRequest {
  const {
    dryRun = false,
    discard = false,
    progress = false,
    ...which
  } = fieldsIn<Partial<RedriveRequest>>(found, '', {
    numbers,
    subscription: aText,
    dryRun: aTruth,
    discard: aTruth,
    progress: aTruth,
  })
  return { ...which, dryRun, discard, progress }
}
