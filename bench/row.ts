/** One line of the bench table. */
export interface Row {
  readonly name: string
  /** NaN = it could not be measured here. */
  readonly value: number
  readonly unit: string
  /** What the value is held against, `<= 15 ms`; absent = shown only. */
  readonly goal?: string
}

/** The p-th percentile (0..100) of `values` by nearest rank; NaN when there are none. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return (
    sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil((p / 100) * sorted.length) - 1))] ??
    Number.NaN
  )
}

export const median = (values: readonly number[]): number => percentile(values, 50)

/** A Markdown table of the rows. */
export function table(rows: readonly Row[]): string {
  const text = (value: number, unit: string) => {
    if (Number.isNaN(value)) return 'not measured'
    return `${Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3)} ${unit}`
  }
  return [
    '| what | measured | goal |',
    '| --- | ---: | --- |',
    ...rows.map(
      ({ name, value, unit, goal = '' }) => `| ${name} | ${text(value, unit)} | ${goal} |`,
    ),
  ].join('\n')
}
