/** Query parameters and DeleteOptions bodies as `RequestOptions`. */
import type { PropagationPolicy, RequestOptions } from '../../api/protocol.ts'
import { badRequest } from '../../api/status-error.ts'
import { invalidOption } from './option-errors.ts'
import type { OptionsKind } from './option-errors.ts'
import { fieldsOf } from '../values.ts'

const fieldManagerLimit = 128

/** Throws BadRequest for numbers that are none and Invalid for values that the parameter does not take. */
export function readOptions(query: URLSearchParams, kind: OptionsKind): RequestOptions {
  const text = (name: string): Record<string, string> => {
    const value = query.get(name)
    return value === null || value === '' ? {} : { [name]: value }
  }
  const whole = (name: string): Record<string, number> => {
    const value = query.get(name)
    if (value === null || value === '') return {}
    if (!/^-?\d{1,15}$/.test(value))
      throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(value)}: invalid syntax`)
    return { [name]: Number(value) }
  }
  const flag = (name: string): Record<string, boolean> => {
    const value = query.get(name)
    return value === null ? {} : { [name]: isTrue(value) }
  }
  const options = {
    ...text('labelSelector'),
    ...text('fieldSelector'),
    ...whole('limit'),
    ...text('continue'),
    ...text('resourceVersion'),
    ...text('resourceVersionMatch'),
    ...flag('allowWatchBookmarks'),
    ...flag('sendInitialEvents'),
    ...whole('timeoutSeconds'),
    ...fieldManager(query.get('fieldManager') ?? '', kind),
    ...fieldValidation(query.get('fieldValidation') ?? '', kind),
    ...flag('force'),
    ...whole('gracePeriodSeconds'),
    ...propagation(query.get('propagationPolicy') ?? undefined, query.get('orphanDependents')),
    ...dryRun(query.getAll('dryRun'), kind),
  }
  return options
}

/** Kubernetes reads everything but these as true, also a parameter without a value. */
export const isTrue = (value: string): boolean => value !== 'false' && value !== '0'

function fieldManager(value: string, kind: OptionsKind): RequestOptions {
  if (value.length > fieldManagerLimit)
    throw invalidOption(
      kind,
      'fieldManager',
      `Too long: may not be more than ${fieldManagerLimit} bytes`,
      'FieldValueTooLong',
    )
  let position = 0
  for (const character of value) {
    if (/[\p{C}\p{Zl}\p{Zp}]/u.test(character))
      throw invalidOption(
        kind,
        'fieldManager',
        `Invalid value: ${JSON.stringify(value)}: invalid character ${codePoint(character)} (at position ${position})`,
      )
    position += Buffer.byteLength(character)
  }
  return value === '' ? {} : { fieldManager: value }
}

/** `U+000A`. */
const codePoint = (character: string): string =>
  `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`

function fieldValidation(value: string, kind: OptionsKind): RequestOptions {
  switch (value) {
    case '':
      return {}
    case 'Ignore':
    case 'Warn':
    case 'Strict':
      return { fieldValidation: value }
    default:
      throw invalidOption(
        kind,
        'fieldValidation',
        `Unsupported value: ${JSON.stringify(value)}: supported values: "", "Ignore", "Strict", "Warn"`,
        'FieldValueNotSupported',
      )
  }
}

function propagation(policy: unknown, orphan: unknown): RequestOptions {
  if (policy !== undefined && policy !== null) {
    if (!isPolicy(policy))
      throw invalidOption(
        'DeleteOptions',
        'propagationPolicy',
        `Unsupported value: ${JSON.stringify(policy)}: supported values: "Background", "Foreground", "Orphan", "nil"`,
        'FieldValueNotSupported',
      )
    return { propagationPolicy: policy }
  }
  if (orphan === undefined || orphan === null) return {}
  const orphans = typeof orphan === 'string' ? isTrue(orphan) : orphan === true
  return { propagationPolicy: orphans ? 'Orphan' : 'Background' }
}

const isPolicy = (value: unknown): value is PropagationPolicy =>
  value === 'Orphan' || value === 'Background' || value === 'Foreground'

function dryRun(values: readonly unknown[], kind: OptionsKind): RequestOptions {
  const wrong = values.find((value) => value !== 'All' && value !== '')
  if (wrong !== undefined)
    throw invalidOption(
      kind,
      'dryRun',
      `Unsupported value: ${JSON.stringify(wrong)}: supported values: "All"`,
      'FieldValueNotSupported',
    )
  return values.includes('All') ? { dryRun: true } : {}
}

/** A DeleteOptions body over the query: the body wins. */
export function withDeleteOptions(options: RequestOptions, body: unknown): RequestOptions {
  const fields = fieldsOf(body)
  const { gracePeriodSeconds, propagationPolicy, orphanDependents } = fields
  if (
    gracePeriodSeconds !== undefined &&
    gracePeriodSeconds !== null &&
    !Number.isInteger(gracePeriodSeconds)
  )
    throw badRequest(
      'DeleteOptions in version "v1" cannot be handled as a DeleteOptions: json: cannot unmarshal value into Go struct field DeleteOptions.gracePeriodSeconds of type int64',
    )
  const { uid, resourceVersion } = fieldsOf(fields['preconditions'])
  const preconditions = {
    ...(typeof uid === 'string' && { uid }),
    ...(typeof resourceVersion === 'string' && { resourceVersion }),
  }
  const listed: readonly unknown[] = Array.isArray(fields['dryRun']) ? fields['dryRun'] : []
  return {
    ...options,
    ...(typeof gracePeriodSeconds === 'number' && { gracePeriodSeconds }),
    ...propagation(propagationPolicy, orphanDependents),
    ...dryRun(listed, 'DeleteOptions'),
    ...(Object.keys(preconditions).length > 0 && { preconditions }),
  }
}
