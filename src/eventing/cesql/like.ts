/**
 * LIKE: `%` stands for any run of characters, `_` for one. Only the last `%` is ever tried again, so many of them cost
 * nothing; what is left is the length of the text times that of what follows a `%`, and that has a bound.
 */

type Part =
  | { readonly kind: 'any' }
  | { readonly kind: 'one' }
  | { readonly kind: 'is'; readonly character: string }

/** Characters that are looked at for one answer: some 0.1 s. */
const maxSteps = 20_000_000

/** A test for the pattern; a backslash takes `%` and `_` their meaning. It answers undefined when that takes too long. */
export function likePattern(pattern: string): (text: string) => boolean | undefined {
  const parts = compile(pattern)
  return (text) => {
    const characters = Array.from(text)
    let at = 0
    let part = 0
    let star = -1
    let starAt = 0
    for (let steps = 0; at < characters.length; steps++) {
      if (steps > maxSteps) return undefined
      const wanted = parts[part]
      if (wanted?.kind === 'any') {
        star = part++
        starAt = at
      } else if (wanted && (wanted.kind === 'one' || wanted.character === characters[at])) {
        part++
        at++
      } else if (star >= 0) {
        part = star + 1
        at = ++starAt
      } else return false
    }
    while (parts[part]?.kind === 'any') part++
    return part === parts.length
  }
}

function compile(pattern: string): readonly Part[] {
  const characters = Array.from(pattern)
  const parts: Part[] = []
  for (let i = 0; i < characters.length; i++) {
    const character = characters[i] ?? ''
    const next = characters[i + 1]
    if (character === '\\' && (next === '%' || next === '_')) {
      parts.push({ kind: 'is', character: next })
      i++
    } else if (character === '%') {
      if (parts.at(-1)?.kind !== 'any') parts.push({ kind: 'any' })
    } else if (character === '_') parts.push({ kind: 'one' })
    else parts.push({ kind: 'is', character })
  }
  return parts
}
