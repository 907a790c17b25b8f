/**
 * `pattern` of a schema and regular expressions in rules: RE2's search in linear time (`lib/pattern.ts`), over UTF-8.
 * What a pattern asks for beyond that library is refused by `searchPattern`; callers say so to whoever brought it.
 */
import { Pattern, PatternError } from '../../../lib/pattern.ts'

export { PatternError } from '../../../lib/pattern.ts'

export interface SearchPattern {
  /** True when the pattern is found anywhere in `text`. */
  found(text: string): boolean
}

const known = new Map<string, SearchPattern | PatternError>()
/** Each takes up to 64 KiB. */
const maxKnown = 300

/** Throws PatternError. The same object for the same source, as long as it is in use. */
export function searchPattern(source: string): SearchPattern {
  let pattern = known.get(source)
  if (!pattern) {
    if (known.size >= maxKnown) known.clear()
    pattern = compiled(source)
    known.set(source, pattern)
  }
  if (pattern instanceof PatternError) throw pattern
  return pattern
}

const anything = '(?s:.*)'

function compiled(source: string): SearchPattern | PatternError {
  try {
    const pattern = new Pattern(`${anything}(?:${latin1(source)})${anything}`)
    return { found: (text) => pattern.matches(latin1(text)) }
  } catch (thrown) {
    if (thrown instanceof PatternError) return thrown
    throw thrown
  }
}

const beyondAscii = /[^\0-\x7f]/ // oxlint-disable-line no-control-regex

/** One character a byte of UTF-8; most texts are that already. */
const latin1 = (text: string): string =>
  beyondAscii.test(text) ? Buffer.from(text, 'utf8').toString('latin1') : text
