/** `"…%s…".format([…])` (cel-go `ext/formatting`). */

export function formatText(format: string, values: readonly unknown[]): string {
  let next = 0
  const answer = format.replaceAll(
    /%(?:%|(?:\.(\d+))?([sdfexXob]))/g,
    (clause, digits?: string, verb?: string) => {
      if (verb === undefined) return '%'
      if (next >= values.length) throw new Error(`index ${next} out of range`)
      return formatted(
        verb,
        values[next++],
        digits === undefined ? 6 : Math.min(Number(digits), 100),
      )
    },
  )
  if (next < values.length) throw new Error('format has more arguments than clauses')
  return answer
}

function formatted(verb: string, value: unknown, digits: number): string {
  switch (verb) {
    case 'd':
      if (typeof value === 'bigint') return String(value)
      if (typeof value === 'number' && Number.isInteger(value)) return String(value)
      throw wrong(verb, value)
    case 'f':
      return number(verb, value).toFixed(digits)
    case 'e':
      return number(verb, value)
        .toExponential(digits)
        .replace(/e([+-])(\d)$/, 'e$10$2')
    case 'b':
      if (typeof value === 'boolean') return value ? '1' : '0'
      return integer(verb, value).toString(2)
    case 'o':
      return integer(verb, value).toString(8)
    case 'x':
    case 'X': {
      const text =
        typeof value === 'string'
          ? Buffer.from(value, 'utf8').toString('hex')
          : integer(verb, value).toString(16)
      return verb === 'X' ? text.toUpperCase() : text
    }
    default:
      return textOf(value)
  }
}

const wrong = (verb: string, value: unknown) =>
  new Error(`%${verb} cannot format a value of type ${value === null ? 'null' : typeof value}`)

function number(verb: string, value: unknown): number {
  if (typeof value === 'number' || typeof value === 'bigint') return Number(value)
  throw wrong(verb, value)
}

function integer(verb: string, value: unknown): bigint {
  if (typeof value === 'bigint') return value
  throw wrong(verb, value)
}

/** A value as `%s` shows it. */
export function textOf(value: unknown, depth = 0): string {
  if (depth > 20) return '...'
  if (value === null) return 'null'
  if (Array.isArray(value)) return `[${value.map((each) => textOf(each, depth + 1)).join(', ')}]`
  if (value instanceof Date) return value.toISOString().replace('.000Z', 'Z')
  if (typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype)
    return `{${Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, each]) => `${key}: ${textOf(each, depth + 1)}`)
      .join(', ')}}`
  // Texts, numbers, and the library's own types, which all say what they are.
  return `${value as string}`
}
