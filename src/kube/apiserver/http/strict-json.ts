/**
 * What `JSON.parse` does not tell: fields that stand twice, and nesting that is too deep. One pass over the text, made
 * only for bodies that have already been parsed, so it need not check the grammar.
 */

/** Paths of fields that appear more than once in their object, as `data.a` and `spec.list[0].b`; at most 50. */
export function duplicateFields(text: string): string[] {
  const found: string[] = []
  const frames: Frame[] = []
  let expectKey = false
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case 0x7b: // {
        frames.push({ keys: new Set(), key: '', index: -1 })
        expectKey = true
        break
      case 0x5b: // [
        frames.push({ keys: undefined, key: '', index: 0 })
        expectKey = false
        break
      case 0x7d: // }
      case 0x5d: // ]
        frames.pop()
        expectKey = false
        break
      case 0x2c: {
        // ,
        const frame = frames.at(-1)
        if (frame && !frame.keys) frame.index++
        expectKey = frame?.keys !== undefined
        break
      }
      case 0x22: {
        // "
        const end = endOfString(text, i)
        const frame = frames.at(-1)
        if (expectKey && frame?.keys) {
          const key: unknown = JSON.parse(text.slice(i, end + 1))
          frame.key = String(key)
          if (frame.keys.has(frame.key)) {
            if (found.length < 50) found.push(pathOf(frames))
          } else frame.keys.add(frame.key)
          expectKey = false
        }
        i = end
        break
      }
    }
  }
  return found
}

interface Frame {
  /** Absent for a list. */
  readonly keys: Set<string> | undefined
  key: string
  index: number
}

/** Index of the quote that ends the string beginning at `start`. */
function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 0x5c) i++
    else if (code === 0x22) return i
  }
  return text.length
}

const pathOf = (frames: readonly Frame[]): string =>
  frames
    .map(({ keys, key, index }) => (keys ? `.${key}` : `[${index}]`))
    .join('')
    .replace(/^\./, '')

/** True when objects and lists nest deeper than `limit`: what walks over values must not overflow the stack. */
export function nestsDeeper(text: string, limit: number): boolean {
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 0x22) i = endOfString(text, i)
    else if (code === 0x7b || code === 0x5b) {
      if (++depth > limit) return true
    } else if (code === 0x7d || code === 0x5d) depth--
  }
  return false
}
