/** Sets of completion indexes as a Job writes them: `0-2,5` (batch/v1). */

/** More than this a text of a status is not believed to name. */
const most = 100_000

export function parseIndexes(text: string | undefined): Set<number> {
  const indexes = new Set<number>()
  for (const part of (text ?? '').split(',')) {
    const [, low, high = low] = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(part) ?? []
    if (low === undefined) continue
    for (let i = Number(low); i <= Number(high) && indexes.size < most; i++) indexes.add(i)
  }
  return indexes
}

export function indexesText(indexes: Iterable<number>): string {
  const sorted = [...indexes].toSorted((a, b) => a - b)
  const ranges: [number, number][] = []
  for (const index of sorted) {
    const last = ranges.at(-1)
    if (last && index === last[1] + 1) last[1] = index
    else if (last?.[1] !== index) ranges.push([index, index])
  }
  // Two in a row are a list and not a range, as upstream writes it.
  return ranges
    .map(([low, high]) =>
      low === high ? `${low}` : high === low + 1 ? `${low},${high}` : `${low}-${high}`,
    )
    .join(',')
}
