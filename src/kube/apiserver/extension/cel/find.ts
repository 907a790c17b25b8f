/** Where a pattern is found in a text: by a matcher that only says yes or no, so in quadratic time; texts are short. */
import { Pattern, PatternError } from '../../../../lib/pattern.ts'

/** Longer texts are refused. */
const maxLength = 2048

/** The first, longest matches from left to right, at most `limit` of them. Throws PatternError. */
export function findAll(text: string, source: string, limit: number): string[] {
  if (text.length > maxLength)
    throw new PatternError(`is looked for in a text of more than ${maxLength} characters`)
  const bytes = Buffer.from(text, 'utf8').toString('latin1')
  const pattern = Buffer.from(source, 'utf8').toString('latin1')
  const whole = new Pattern(pattern)
  const begins = new Pattern(`(?:${pattern})(?s:.*)`)
  const found: string[] = []
  let at = 0
  while (at <= bytes.length && found.length < limit) {
    // Only what starts the text can stand where `^` wants it.
    if (at > 0 && source.startsWith('^')) break
    const rest = bytes.slice(at)
    if (!begins.matches(rest)) {
      at++
      continue
    }
    let end = bytes.length
    while (end > at && !whole.matches(bytes.slice(at, end))) end--
    if (end === at && !whole.matches('')) {
      at++
      continue
    }
    found.push(Buffer.from(bytes.slice(at, end), 'latin1').toString('utf8'))
    at = end === at ? at + 1 : end
  }
  return found
}
