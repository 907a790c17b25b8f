/**
 * The YAML that is written inside ConfigMap values: nested maps and lists of scalars in block or flow style, and
 * comments. Small and synchronous on purpose: admission reads these values, and the whole YAML library is a heavy
 * thing to load for three lines. What it does not know it refuses.
 */
export type YamlValue = string | number | boolean | null | readonly YamlValue[] | YamlMap
export interface YamlMap {
  readonly [key: string]: YamlValue
}

interface Line {
  readonly indent: number
  readonly text: string
  readonly number: number
}

const maxDepth = 20

/** Throws an Error `yaml: line N: …`. Empty text is null. */
export function parseSmallYaml(source: string): YamlValue {
  const lines: Line[] = []
  for (const [i, raw] of source.split(/\r?\n/).entries()) {
    const text = withoutComment(raw).trimEnd()
    if (text.trim() === '' || text === '---') continue
    const indent = text.length - text.trimStart().length
    if (text.slice(0, indent).includes('\t')) fail(i + 1, 'a tab cannot be used to indent')
    lines.push({ indent, text: text.trimStart(), number: i + 1 })
  }
  const [first] = lines
  if (!first) return null
  const reader = { lines, at: 0 }
  const value = block(reader, first.indent, 0)
  const rest = lines[reader.at]
  if (rest) fail(rest.number, 'did not find the expected indentation')
  return value
}

function fail(line: number, why: string): never {
  throw new Error(`yaml: line ${line}: ${why}`)
}

function withoutComment(line: string): string {
  let quote = ''
  for (let i = 0; i < line.length; i++) {
    const character = line[i] ?? ''
    if (quote) {
      if (character === quote) quote = ''
    } else if (character === '"' || character === "'") quote = character
    else if (character === '#' && (i === 0 || /\s/.test(line[i - 1] ?? ''))) return line.slice(0, i)
  }
  return line
}

function block(reader: { lines: Line[]; at: number }, indent: number, depth: number): YamlValue {
  const first = reader.lines[reader.at]
  if (!first) return null
  if (depth > maxDepth) fail(first.number, 'nested too deeply')
  if (isItem(first.text)) return items(reader, indent, depth)
  if (!keyOf(first.text)) {
    reader.at++
    return flow(first.text, first.number)
  }
  const map: [string, YamlValue][] = []
  const seen = new Set<string>()
  for (let line = first; line && line.indent === indent; line = reader.lines[reader.at] as Line) {
    const key = keyOf(line.text)
    if (!key) fail(line.number, 'could not find expected ":"')
    if (seen.has(key.name)) fail(line.number, `key "${key.name}" already set in map`)
    seen.add(key.name)
    reader.at++
    map.push([key.name, valueOf(reader, line, key.rest, depth)])
  }
  return Object.fromEntries(map)
}

function valueOf(
  reader: { lines: Line[]; at: number },
  line: Line,
  rest: string,
  depth: number,
): YamlValue {
  if (rest !== '') return flow(rest, line.number)
  const next = reader.lines[reader.at]
  if (!next) return null
  if (next.indent > line.indent || (next.indent === line.indent && isItem(next.text)))
    return block(reader, next.indent, depth + 1)
  return null
}

const isItem = (text: string): boolean => text === '-' || text.startsWith('- ')

function items(reader: { lines: Line[]; at: number }, indent: number, depth: number): YamlValue {
  const list: YamlValue[] = []
  for (;;) {
    const line = reader.lines[reader.at]
    if (!line || line.indent !== indent || !isItem(line.text)) return list
    const text = line.text.slice(1)
    const inner = text.trimStart()
    if (inner === '') {
      reader.at++
      list.push(valueOf(reader, line, '', depth))
      continue
    }
    // `- key: value` begins a map whose keys stand where the first one does.
    reader.lines[reader.at] = {
      indent: indent + 1 + text.length - inner.length,
      text: inner,
      number: line.number,
    }
    list.push(block(reader, indent + 1 + text.length - inner.length, depth + 1))
  }
}

/** `key: rest`, or undefined when the text is no key. */
function keyOf(text: string): { name: string; rest: string } | undefined {
  const quote = text[0]
  if (quote === '{' || quote === '[') return undefined
  let colon = -1
  if (quote === '"' || quote === "'") {
    const end = text.indexOf(quote, 1)
    colon = end < 0 ? -1 : end + 1
    if (text[colon] !== ':') return undefined
  } else {
    do colon = text.indexOf(':', colon + 1)
    while (colon >= 0 && colon + 1 < text.length && text[colon + 1] !== ' ')
  }
  if (colon <= 0) return undefined
  return {
    name: scalarText(scalar(text.slice(0, colon).trimEnd())),
    rest: text.slice(colon + 1).trim(),
  }
}

function scalar(text: string): YamlValue {
  if (text.startsWith('"') && text.endsWith('"') && text.length > 1) {
    try {
      return String(JSON.parse(text))
    } catch {
      return text.slice(1, -1)
    }
  }
  if (text.startsWith("'") && text.endsWith("'") && text.length > 1)
    return text.slice(1, -1).replaceAll("''", "'")
  if (/^(true|True|TRUE)$/.test(text)) return true
  if (/^(false|False|FALSE)$/.test(text)) return false
  if (/^(null|Null|NULL|~|)$/.test(text)) return null
  if (/^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/.test(text)) return Number(text)
  return text
}

/** Flow style (`{a: b}`, `[a, b]`) or a scalar, on one line. */
function flow(text: string, line: number): YamlValue {
  let at = 0
  const space = () => {
    while (text[at] === ' ') at++
  }
  /** In single quotes, two of them stand for one. */
  const isEscapedQuote = (quote: string) => quote === "'" && text[at + 1] === "'"
  const word = (stops: string): string => {
    const start = at
    const quote = text[at]
    if (quote === '"' || quote === "'") {
      at++
      while (at < text.length && (text[at] !== quote || isEscapedQuote(quote)))
        at += text[at] === quote || (text[at] === '\\' && quote === '"') ? 2 : 1
      if (at >= text.length) fail(line, 'found unexpected end of stream')
      at++
      return text.slice(start, at)
    }
    while (at < text.length && !stops.includes(text[at] ?? '')) at++
    return text.slice(start, at).trim()
  }
  const value = (depth: number, stops: string): YamlValue => {
    if (depth > maxDepth) fail(line, 'nested too deeply')
    space()
    const open = text[at]
    if (open !== '{' && open !== '[') return scalar(word(stops))
    at++
    const list: YamlValue[] = []
    const entries: [string, YamlValue][] = []
    for (;;) {
      space()
      if (text[at] === (open === '{' ? '}' : ']')) {
        at++
        return open === '{' ? Object.fromEntries(entries) : list
      }
      if (at >= text.length)
        fail(line, `did not find expected ',' or '${open === '{' ? '}' : ']'}'`)
      if (open === '[') list.push(value(depth + 1, ',]'))
      else {
        const name = scalarText(scalar(word(':,}')))
        space()
        if (text[at] === ':') {
          at++
          entries.push([name, value(depth + 1, ',}')])
        } else entries.push([name, null])
      }
      space()
      if (text[at] === ',') at++
    }
  }
  const result = value(0, '')
  space()
  if (at < text.length) fail(line, `unexpected ${JSON.stringify(text.slice(at))}`)
  if (typeof result === 'string' && /^[&*!|>%@`]/.test(text)) fail(line, `unexpected ${text[0]}`)
  return result
}

/** The value as a map, or undefined when it is none. */
export const asMap = (value: YamlValue | undefined): YamlMap | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as YamlMap)
    : undefined

/** A scalar as text, `''` for null; lists and maps as JSON. */
export const scalarText = (value: YamlValue): string =>
  typeof value === 'object' ? (value === null ? '' : JSON.stringify(value)) : String(value)
