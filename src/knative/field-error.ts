/**
 * Complaints of Knative's validation: a message, the paths it is about, maybe details (knative.dev/pkg
 * `apis.FieldError`). Validators yield them; whoever wants to know gathers all.
 */

export interface FieldError {
  readonly message: string
  readonly paths: readonly string[]
  readonly details?: string
  /** Warnings are told and do not refuse. */
  readonly level?: 'warning'
}

/** What validators are. */
export type FieldErrors = Iterable<FieldError>

export const missingField = (...paths: readonly string[]): FieldError => ({
  message: 'missing field(s)',
  paths,
})

export const disallowedFields = (...paths: readonly string[]): FieldError => ({
  message: 'must not set the field(s)',
  paths,
})

/** `value` is shown as Go's `%v` would; `details` go to a line of their own. */
export const invalidValue = (
  value: string | number | boolean,
  path: string,
  details?: string,
): FieldError => ({
  message: `invalid value: ${value}`,
  paths: [path],
  ...(details !== undefined && { details }),
})

export const outOfBounds = (
  value: string | number,
  low: string | number,
  high: string | number,
  path: string,
): FieldError => ({ message: `expected ${low} <= ${value} <= ${high}`, paths: [path] })

export const missingOneOf = (...paths: readonly string[]): FieldError => ({
  message: 'expected exactly one, got neither',
  paths,
})

export const multipleOneOf = (...paths: readonly string[]): FieldError => ({
  message: 'expected exactly one, got both',
  paths,
})

export const invalidKeyName = (
  key: string,
  path: string,
  ...details: readonly string[]
): FieldError => ({
  message: `invalid key name ${JSON.stringify(key)}`,
  paths: [path],
  ...(details.length > 0 && { details: details.join(', ') }),
})

export const genericError = (message: string, ...paths: readonly string[]): FieldError => ({
  message,
  paths,
})

/** The same complaint as a warning. */
export const asWarning = (error: FieldError): FieldError => ({ ...error, level: 'warning' })

/** The complaints seen from one level further up: `via('spec.traffic[0]', …)`. */
export function* via(prefix: string, errors: FieldErrors): Generator<FieldError> {
  for (const error of errors) {
    yield { ...error, paths: error.paths.map((path) => joined(prefix, path)) }
  }
}

/** A path that begins with `[` is an index or key and gets no dot. */
const joined = (prefix: string, path: string): string =>
  path === '' ? prefix : path.startsWith('[') ? `${prefix}${path}` : `${prefix}.${path}`

/** One of `level`'s complaints each, equal ones merged, in the order Knative prints them. */
function mergeErrors(errors: FieldErrors): FieldError[] {
  const merged = new Map<string, FieldError>()
  for (const error of errors) {
    const key = JSON.stringify([error.level ?? '', error.message, error.details ?? ''])
    const before = merged.get(key)
    const paths = new Set([...(before?.paths ?? []), ...error.paths])
    merged.set(key, { ...error, paths: [...paths].sort() })
  }
  return [...merged.values()].sort(
    (a, b) => compare(a.message, b.message) || compare(a.details ?? '', b.details ?? ''),
  )
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** `message: path1, path2`, and details on a line of their own. */
function errorText({ message, paths, details }: FieldError): string {
  const shown = paths.filter((path) => path !== '')
  const text = shown.length > 0 ? `${message}: ${shown.join(', ')}` : message
  return details === undefined || details === '' ? text : `${text}\n${details}`
}

/** All refusing complaints as one text, '' when there are none; and the warnings, one text each. */
export function reportErrors(errors: FieldErrors): {
  readonly refusal: string
  readonly warnings: readonly string[]
} {
  const all = mergeErrors(errors)
  return {
    refusal: all
      .filter((error) => !error.level)
      .map(errorText)
      .join('\n'),
    warnings: all.filter((error) => error.level).map(errorText),
  }
}
