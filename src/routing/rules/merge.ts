/**
 * Many route objects on one host: which of them hold, which are refused because another claims the same requests, and
 * the order in which the gateway tries what holds. Pure: the same objects give the same answer in whatever order they
 * came to be known.
 */
import type { Path } from '../../serving/gateway/feed.ts'
import { byAge, type Entry, type HostRules, type Source } from './host-rules.ts'
import { compareRanks, matchText, rankOf, type Rank } from './match.ts'

/** Two objects claim the same requests of a host. */
export interface Conflict {
  /** Who has them. */
  readonly first: Source
  readonly entry: Entry
}

export interface MergedHost {
  /** In the order in which they are to be tried. */
  readonly paths: readonly Path[]
  /** Objects that are left out on this host, each with what it collides with first. */
  readonly refused: ReadonlyMap<HostRules, Conflict>
}

/** All of `rules` are for the same host and visibility. */
export function mergeHost(rules: readonly HostRules[]): MergedHost {
  const claims = new Map<string, Source>()
  const refused = new Map<HostRules, Conflict>()
  const ranked: { readonly path: Path; readonly rank: Rank }[] = []
  for (const one of rules.toSorted((a, b) => byAge(a.source, b.source))) {
    const conflict = conflictWith(one, claims)
    if (conflict) {
      refused.set(one, conflict)
      continue
    }
    for (const { path } of one.entries) claims.set(matchText(path), one.source)
    ranked.push(...rankedPaths(one))
  }
  // Sorting is stable: the older object, and within one its own order, decide last.
  const paths = ranked.toSorted((a, b) => compareRanks(a.rank, b.rank)).map(({ path }) => path)
  return { paths, refused }
}

/** The first entry that takes requests which somebody in `claims` (by `matchText`) has. */
export function conflictWith(
  rules: HostRules,
  claims: ReadonlyMap<string, Source>,
): Conflict | undefined {
  for (const entry of rules.entries) {
    const first = claims.get(matchText(entry.path))
    if (first) return { first, entry }
  }
  return undefined
}

/** The paths that count, with their ranks. An object whose order is its author's never puts a later one before an earlier. */
function rankedPaths({ entries, inOrder }: HostRules): { path: Path; rank: Rank }[] {
  const seen = new Set<string>()
  let lowest: Rank | undefined
  return entries.flatMap(({ path }) => {
    const text = matchText(path)
    if (seen.has(text)) return []
    seen.add(text)
    const own = rankOf(path)
    const rank = inOrder && lowest && compareRanks(own, lowest) < 0 ? lowest : own
    lowest = rank
    return [{ path, rank }]
  })
}
