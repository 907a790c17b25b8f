/**
 * Hot path. What a request must be like for a path of a rule: its path, method, headers and query (KIngress;
 * HTTPRouteMatch of the Gateway API). Prepared when the feed brings the path; a condition
 * that is not there costs one comparison.
 */
import { sameName } from '../../../lib/http1/fields.ts'
import type { RequestHead } from '../../../lib/http1/head.ts'
import { Pattern, PatternError } from '../../../lib/pattern.ts'
import type { Path, StringMatch } from '../feed.ts'

export interface RequestMatch {
  /** Nothing is asked: every request matches. */
  readonly always: boolean
  readonly pathType: NonNullable<Path['pathType']>
  /** As written; of `prefix` without its last slashes. */
  readonly path: string
  readonly pathPattern: Pattern | undefined
  readonly methods: readonly string[]
  readonly scheme: Path['scheme']
  readonly headers: readonly NamedMatch[]
  readonly query: readonly NamedMatch[]
}

interface NamedMatch {
  /** Of headers in lower case. */
  readonly name: string
  readonly exact: string
  readonly pattern: Pattern | undefined
}

/** The match of `path`. Throws PatternError, its message saying which regular expression is bad. */
export function requestMatch({
  path = '',
  pathType = 'literal',
  methods = [],
  scheme,
  headers = {},
  query = {},
}: Path): RequestMatch {
  const match = {
    pathType,
    path: pathType === 'prefix' ? path.replace(/\/+$/, '') : path,
    pathPattern: pathType === 'regex' && path !== '' ? pattern(path, 'of the path') : undefined,
    methods,
    scheme,
    headers: namedMatches(headers, (name) => name.toLowerCase(), 'header'),
    query: namedMatches(query, bytesOf, 'query parameter'),
  }
  const always =
    match.path === '' &&
    scheme === undefined &&
    methods.length + match.headers.length + match.query.length === 0
  return { ...match, always }
}

/** What says that two matches are the same one. */
export const matchText = (path: Path): string =>
  JSON.stringify([
    path.path ?? '',
    path.pathType ?? 'literal',
    path.methods ?? [],
    path.headers ?? {},
    path.query ?? {},
    ...(path.scheme ? [path.scheme] : []),
  ])

/** `scheme`: what the client speaks. */
export function matches(match: RequestMatch, head: RequestHead, scheme: 'http' | 'https'): boolean {
  if (match.always) return true
  return (
    (match.path === '' || pathMatches(match, head.target)) &&
    (match.scheme === undefined || match.scheme === scheme) &&
    (match.methods.length === 0 || match.methods.includes(head.method)) &&
    (match.headers.length === 0 || headersMatch(match.headers, head)) &&
    (match.query.length === 0 || queryMatches(match.query, head.target))
  )
}

function pathMatches({ pathType, path, pathPattern }: RequestMatch, target: string): boolean {
  const query = target.indexOf('?')
  const end = query < 0 ? target.length : query
  switch (pathType) {
    case 'literal':
      return end >= path.length && target.startsWith(path)
    case 'prefix':
      return (
        target.startsWith(path) &&
        (end === path.length || (end > path.length && target.charCodeAt(path.length) === 47))
      )
    case 'exact':
      return end === path.length && target.startsWith(path)
    case 'regex':
      return pathPattern !== undefined && pathPattern.matches(target.slice(0, end))
    default:
      return pathType satisfies never
  }
}

const valueMatches = ({ exact, pattern }: NamedMatch, value: string): boolean =>
  pattern === undefined ? value === exact : pattern.matches(value)

function headersMatch(wanted: readonly NamedMatch[], head: RequestHead): boolean {
  for (const match of wanted) {
    const value = match.name === 'host' ? head.host : joinedValue(head, match.name)
    if (value === undefined || !valueMatches(match, value)) return false
  }
  return true
}

/** All lines of a name as one value (RFC 9110 5.3). Host is not looked for here: HTTP/2 says it elsewhere. */
function joinedValue({ names, values }: RequestHead, lowerName: string): string | undefined {
  let value: string | undefined
  for (let i = 0; i < names.length; i++)
    if (sameName(names[i]!, lowerName))
      value = value === undefined ? values[i]! : `${value}, ${values[i]!}`
  return value
}

function queryMatches(wanted: readonly NamedMatch[], target: string): boolean {
  const start = target.indexOf('?')
  if (start < 0) return false
  const found = new Map<string, string>()
  for (const pair of target.slice(start + 1).split('&')) {
    const equals = pair.indexOf('=')
    const name = decoded(equals < 0 ? pair : pair.slice(0, equals))
    if (!found.has(name)) found.set(name, equals < 0 ? '' : decoded(pair.slice(equals + 1)))
  }
  return wanted.every((match) => {
    const value = found.get(match.name)
    return value !== undefined && valueMatches(match, value)
  })
}

/** Plus signs and percent signs resolved, one character a byte; what is no escape stays. */
const decoded = (text: string): string =>
  text
    .replaceAll('+', ' ')
    .replace(/%([0-9A-Fa-f]{2})/g, (_, digits: string) =>
      String.fromCharCode(Number.parseInt(digits, 16)),
    )

/** A text of an API object as it comes in requests: one character a byte. */
const bytesOf = (text: string): string => Buffer.from(text, 'utf8').toString('latin1')

function namedMatches(
  wanted: Readonly<Record<string, StringMatch>>,
  nameOf: (name: string) => string,
  what: string,
): readonly NamedMatch[] {
  return Object.entries(wanted).map(([name, match]) => ({
    name: nameOf(name),
    exact: 'exact' in match ? bytesOf(match.exact) : '',
    pattern: 'exact' in match ? undefined : pattern(match.regex, `of the ${what} "${name}"`),
  }))
}

function pattern(source: string, of: string): Pattern {
  try {
    return new Pattern(source)
  } catch (error) {
    if (!(error instanceof PatternError)) throw error
    throw new PatternError(`the regular expression ${of}, "${source}", ${error.message}`)
  }
}
