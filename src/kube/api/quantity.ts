/**
 * Resource quantities (`500m`, `1.5Gi`, `1e3`): reading, comparing and the one canonical spelling in which the API
 * server stores them. Behaviour of apimachinery's `resource.Quantity`: fixed point, nothing below nano, at most
 * 2^63-1 whole units, so huge exponents cost nothing.
 */
type Format = 'decimal' | 'binary' | 'exponent'

export interface Quantity {
  /** Thousand-millionths of the unit, exact. */
  readonly nanos: bigint
  readonly format: Format
}

const decimalSuffixes = ['n', 'u', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E']
const binarySuffixes = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei']
const NANO = 1_000_000_000n
const MAX = (2n ** 63n - 1n) * NANO

const form = /^([+-]?)(\d*)(?:\.(\d*))?(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d+))?$/

/** Kubernetes' complaint about a text (or number) that is no quantity; undefined when it is one. */
export function quantityProblem(value: unknown): string | undefined {
  return parseQuantity(value) === undefined
    ? "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    : undefined
}

/** Reads a quantity; JSON numbers count too. `undefined` when it is none. */
export function parseQuantity(value: unknown): Quantity | undefined {
  const text = typeof value === 'number' ? plain(value) : value
  if (typeof text !== 'string' || text.length > 64) return undefined
  const found = form.exec(text)
  if (!found) return undefined
  const [, sign, whole = '', fraction = '', suffix = '', exponentText] = found
  if (whole === '' && fraction === '') return undefined
  const digits = BigInt(whole + fraction)
  const binary = suffix.endsWith('i') ? binarySuffixes.indexOf(suffix) : 0
  const exponent =
    exponentText === undefined
      ? binary
        ? 0
        : (decimalSuffixes.indexOf(suffix) - 3) * 3
      : Math.max(-1000, Math.min(1000, Number(exponentText)))
  // Scale to nanos, rounding up what is smaller, as Kubernetes does.
  const shift = exponent + 9 - fraction.length
  let nanos = digits * 1024n ** BigInt(binary)
  if (shift >= 0) nanos = digits === 0n ? 0n : nanos * 10n ** BigInt(shift)
  else {
    const divisor = 10n ** BigInt(-shift)
    nanos = (nanos + divisor - 1n) / divisor
  }
  if (nanos > MAX) nanos = MAX
  return {
    nanos: sign === '-' ? -nanos : nanos,
    format: exponentText !== undefined ? 'exponent' : binary ? 'binary' : 'decimal',
  }
}

/** JSON numbers without `1e21` forms that are not quantities; those are read as exponents. */
const plain = (value: number): string => (Number.isFinite(value) ? String(value) : '')

/**
 * The canonical spelling: `0.5` is `500m`, `1024Mi` is `1Gi`, `0.5Gi` is `512Mi`. What is no quantity comes back
 * as it was.
 */
export function canonicalQuantity(value: string | number): string {
  const quantity = parseQuantity(value)
  return quantity ? formatQuantity(quantity) : String(value)
}

/** A quantity as text, with the largest suffix that keeps it a whole number. */
function formatQuantity({ nanos, format }: Quantity): string {
  if (nanos === 0n) return '0'
  const binary =
    format === 'binary' && nanos % NANO === 0n && (nanos >= 1024n * NANO || nanos <= -1024n * NANO)
  if (binary) {
    let rest = nanos / NANO
    let step = 0
    while (rest % 1024n === 0n && step < binarySuffixes.length - 1) {
      rest /= 1024n
      step++
    }
    return `${rest}${binarySuffixes[step]}`
  }
  let rest = nanos
  let step = 0
  while (rest % 1000n === 0n && step < decimalSuffixes.length - 1) {
    rest /= 1000n
    step++
  }
  if (format !== 'exponent') return `${rest}${decimalSuffixes[step]}`
  const exponent = (step - 3) * 3
  return exponent === 0 ? `${rest}` : `${rest}e${exponent}`
}

/** Negative, zero or positive, as for `sort`. What is no quantity counts as zero. */
export function compareQuantities(a: string | number, b: string | number): number {
  const difference = (parseQuantity(a)?.nanos ?? 0n) - (parseQuantity(b)?.nanos ?? 0n)
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}

/** The quantity in its unit (cores, bytes) as a floating point number: `250m` is 0.25. NaN when it is none. */
export function quantityValue(value: string | number): number {
  const quantity = parseQuantity(value)
  return quantity === undefined ? Number.NaN : Number(quantity.nanos) / 1e9
}

/** The sum, in the format of the first amount that is not zero. What is no quantity counts as zero. */
export function sumQuantities(amounts: Iterable<string | number>): string {
  let nanos = 0n
  let format: Format | undefined
  for (const amount of amounts) {
    const quantity = parseQuantity(amount)
    if (!quantity || quantity.nanos === 0n) continue
    nanos += quantity.nanos
    format ??= quantity.format
  }
  return formatQuantity({ nanos, format: format ?? 'decimal' })
}
