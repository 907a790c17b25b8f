/** Careful reading of what an engine answers: whatever is missing or of another type counts as empty. */

export type Json = Readonly<Record<string, unknown>>

export const record = (value: unknown): Json =>
  typeof value === 'object' && value !== null ? (value as Json) : {}

export const text = (value: unknown): string => (typeof value === 'string' ? value : '')

export const number = (value: unknown): number => (typeof value === 'number' ? value : 0)

export const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

/** The members that are texts. */
export const texts = (value: unknown): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(record(value)).filter(
      (entry): entry is [string, string] => typeof entry[1] === 'string',
    ),
  )
