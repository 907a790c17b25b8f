/**
 * Hot path for routes that use it. Changes the path of a request target and keeps its query: the Gateway API's ReplaceFullPath and
 * ReplacePrefixMatch (HTTPPathModifier), and Istio's rewrite of a literal prefix.
 */
import type { Path, PathRewrite } from '../feed.ts'

/** Request target (path and query) in, request target out. */
export type Rewrite = (target: string) => string

/** What the path had to match. */
export interface PathPrefix {
  readonly path: string
  readonly type: NonNullable<Path['pathType']>
}

/** How `rewrite` changes targets that matched `matched`. */
export function rewriter(matched: PathPrefix, { type, value }: PathRewrite): Rewrite {
  const full = absolute(encoded(value))
  // Of what a regular expression or an exact path matched, nothing is left behind the match.
  if (type === 'full' || matched.type === 'exact' || matched.type === 'regex')
    return (target) => full + queryOf(target)
  if (matched.type === 'literal') {
    const { length } = matched.path
    const start = encoded(value)
    return (target) => absolute(start + target.slice(length))
  }
  const prefixLength = withoutSlash(matched.path).length
  const start = withoutSlash(full)
  return (target) => {
    const query = queryStart(target)
    return absolute(start + target.slice(prefixLength, query)) + target.slice(query)
  }
}

const withoutSlash = (path: string): string => path.replace(/\/+$/, '')
const absolute = (path: string): string => (path.startsWith('/') ? path : `/${path}`)

function queryStart(target: string): number {
  const at = target.indexOf('?')
  return at < 0 ? target.length : at
}

const queryOf = (target: string): string => target.slice(queryStart(target))

/** What an API object says must not end the request line: anything but visible ASCII is percent-encoded. */
const encoded = (value: string): string =>
  value.replace(/[^\x21-\x7e]/gu, (character) =>
    [...Buffer.from(character, 'utf8')]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
      .join(''),
  )
