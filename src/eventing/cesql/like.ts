/** LIKE: `%` stands for any run of characters, `_` for one. No pattern makes it slow: a run is never looked at twice. */

interface Part {
  readonly kind: 'any' | 'one' | 'is'
  readonly character: string
}

/** A test for the pattern; a backslash takes `%` and `_` their meaning. */
export function likePattern(pattern: string): (text: string) => boolean {
  const { parts } = compile(pattern)
  return (text) => {
    const characters = Array.from(text)
    let at = 0
    let part = 0
    let star = -1
    let starAt = 0
    while (at < characters.length) {
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

function compile(pattern: string): { readonly parts: readonly Part[] } {
  const characters = Array.from(pattern)
  const parts: Part[] = []
  for (let i = 0; i < characters.length; i++) {
    const character = characters[i] ?? ''
    const next = characters[i + 1]
    if (character === '\\' && (next === '%' || next === '_')) {
      parts.push({ kind: 'is', character: next })
      i++
    } else if (character === '%') {
      if (parts.at(-1)?.kind !== 'any') parts.push({ kind: 'any', character })
    } else if (character === '_') parts.push({ kind: 'one', character })
    else parts.push({ kind: 'is', character })
  }
  return { parts }
}
