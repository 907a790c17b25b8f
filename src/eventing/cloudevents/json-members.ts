/** The members of a JSON object as the text they stand in, for what must go on byte by byte. */

/**
 * Text of each member's value by name; of two with the same name the last, as JSON.parse has it. `text` must be valid
 * JSON (parse it first) whose top is an object.
 */
export function jsonMembers(text: string): ReadonlyMap<string, string> {
  const members = new Map<string, string>()
  let at = blank(text, 0) + 1
  for (;;) {
    at = blank(text, at)
    if (text[at] !== '"') return members
    const nameEnd = stringEnd(text, at)
    const name = String(JSON.parse(text.slice(at, nameEnd)))
    const start = blank(text, blank(text, nameEnd) + 1)
    const end = valueEnd(text, start)
    members.set(name, text.slice(start, end))
    at = blank(text, end)
    if (text[at] !== ',') return members
    at++
  }
}

/** Texts of the elements of a JSON array, under the same conditions. */
export function jsonElements(text: string): readonly string[] {
  const elements: string[] = []
  let at = blank(text, blank(text, 0) + 1)
  while (at < text.length && text[at] !== ']') {
    const end = valueEnd(text, at)
    elements.push(text.slice(at, end))
    at = blank(text, end)
    if (text[at] === ',') at = blank(text, at + 1)
  }
  return elements
}

function blank(text: string, from: number): number {
  let at = from
  while (at < text.length && ' \t\n\r'.includes(text[at] ?? '')) at++
  return at
}

function stringEnd(text: string, from: number): number {
  for (let at = from + 1; at < text.length; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === '"') return at + 1
  }
  return text.length
}

function valueEnd(text: string, from: number): number {
  let depth = 0
  for (let at = from; at < text.length; at++) {
    const character = text[at] ?? ''
    if (character === '"') at = stringEnd(text, at) - 1
    else if (character === '{' || character === '[') depth++
    else if (character === '}' || character === ']') {
      if (depth === 0) return at // of what the value stands in
      depth--
    } else {
      if (depth === 0 && ', \t\n\r'.includes(character)) return at
      continue
    }
    if (depth === 0) return at + 1
  }
  return text.length
}
