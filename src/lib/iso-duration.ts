/** ISO 8601 durations as Knative's DeliverySpec has them (`PT0.2S`, `P1DT2H`), in milliseconds. Years and months are averages. */

const second = 1000
const day = 86_400 * second
const units = [365.25 * day, 30.4375 * day, 7 * day, day, 3600 * second, 60 * second, second]
const pattern =
  /^P(?:(\d+(?:[.,]\d+)?)Y)?(?:(\d+(?:[.,]\d+)?)M)?(?:(\d+(?:[.,]\d+)?)W)?(?:(\d+(?:[.,]\d+)?)D)?(?:T(?:(\d+(?:[.,]\d+)?)H)?(?:(\d+(?:[.,]\d+)?)M)?(?:(\d+(?:[.,]\d+)?)S)?)?$/

/** Milliseconds, or undefined when `text` is none; only the last number may have a fraction. */
export function parseIsoDuration(text: string): number | undefined {
  const match = text.length > 100 ? null : pattern.exec(text)
  if (!match || text === 'P' || text.endsWith('T')) return undefined
  const numbers = match.slice(1)
  const present = numbers.filter((each) => each !== undefined)
  if (present.slice(0, -1).some((each) => /[.,]/.test(each))) return undefined
  let total = 0
  for (const [i, unit] of units.entries())
    total += Number((numbers[i] ?? '0').replace(',', '.')) * unit
  return total
}
