/** What a path of the gateway asks of requests: the text that two equal ones share, and which of two goes first. */
import type { Path, StringMatch } from '../../serving/gateway/feed.ts'

/**
 * Equal for two paths that take the same requests, however they are written. Of the ways to write a prefix none is told
 * apart: who has `/login` by segments and who has it by letters want the same.
 */
export function matchText(path: Path): string {
  const { pathType = 'literal', methods = [], headers = {}, query = {} } = path
  const isPrefix = pathType === 'literal' || pathType === 'prefix'
  const value = path.path ?? ''
  return JSON.stringify([
    isPrefix || value === '' ? 'prefix' : pathType,
    isPrefix ? value.replace(/\/+$/, '') : value,
    [...methods].toSorted(),
    entriesOf(headers, (name) => name.toLowerCase()),
    entriesOf(query, (name) => name),
    path.scheme ?? '',
  ])
}

const entriesOf = (
  matches: Readonly<Record<string, StringMatch>>,
  nameOf: (name: string) => string,
) =>
  Object.entries(matches)
    .map(([name, match]) => [
      nameOf(name),
      'exact' in match ? 'exact' : 'regex',
      'exact' in match ? match.exact : match.regex,
    ])
    .toSorted(([a = ''], [b = '']) => (a < b ? -1 : a > b ? 1 : 0))

/** For people: `path prefix /login and header foo`. */
export function describeMatch(path: Path): string {
  const { pathType = 'literal', methods = [], headers = {}, query = {} } = path
  const kind = { literal: 'prefix', prefix: 'prefix', exact: 'exactly', regex: 'like' }[pathType]
  const value = (match: StringMatch): string =>
    'exact' in match ? `: ${match.exact}` : ` like ${match.regex}`
  return [
    path.path ? `path ${kind} ${path.path}` : 'any path',
    ...(methods.length > 0 ? [`method ${methods.join(', ')}`] : []),
    ...Object.entries(headers).map(([name, match]) => `header ${name}${value(match)}`),
    ...Object.entries(query).map(([name, match]) => `query parameter ${name}${value(match)}`),
    ...(path.scheme ? [`scheme ${path.scheme}`] : []),
  ].join(' and ')
}

/**
 * Precedence of the Gateway API (HTTPRouteRule.matches): exact paths, then (where it leaves the choice) regular
 * expressions, then longer prefixes; then a method, more headers, more query parameters; at last, who
 * serves one scheme before who serves both.
 */
export type Rank = readonly [
  kind: number,
  length: number,
  method: number,
  headers: number,
  query: number,
  scheme: number,
]

export function rankOf({ path = '', pathType = 'literal', ...rest }: Path): Rank {
  const { methods = [], headers = {}, query = {}, scheme } = rest
  const kind = path === '' ? 0 : pathType === 'exact' ? 2 : pathType === 'regex' ? 1 : 0
  return [
    kind,
    path.length,
    methods.length > 0 ? 1 : 0,
    Object.keys(headers).length,
    Object.keys(query).length,
    scheme ? 1 : 0,
  ]
}

/** Negative when `a` goes first. */
export function compareRanks(a: Rank, b: Rank): number {
  for (const [i, mine] of a.entries()) {
    const difference = (b[i] ?? 0) - mine
    if (difference !== 0) return difference
  }
  return 0
}
