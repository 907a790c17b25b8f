/**
 * Hot path. Names of fields to be sent, each known once for all connections: its lower-case spelling, its place in the static
 * table, and how its values are to be coded. Heads spell names in many ways; all spellings lead to the same object.
 */
import { staticTable } from './static-table.ts'

export const Coding = {
  /** Into the table: it will come again. */
  indexed: 0,
  /** Each value is another: the table would only churn. */
  plain: 1,
  /** A secret: must not be guessed by how well it compresses (RFC 7541 7.1.3). */
  never: 2,
  /** Belongs to one HTTP/1.1 hop: not sent at all (RFC 9113 8.2.2). */
  omitted: 3,
} as const
export type Coding = (typeof Coding)[keyof typeof Coding]

export interface FieldName {
  /** In lower case. */
  readonly text: string
  /** 0 = none. */
  readonly staticIndex: number
  readonly coding: Coding
}

const codings: Readonly<Record<string, Coding>> = {
  connection: Coding.omitted,
  'keep-alive': Coding.omitted,
  'proxy-connection': Coding.omitted,
  'transfer-encoding': Coding.omitted,
  upgrade: Coding.omitted,
  'http2-settings': Coding.omitted,
  host: Coding.omitted,
  authorization: Coding.never,
  'proxy-authorization': Coding.never,
  cookie: Coding.never,
  'set-cookie': Coding.never,
  ':path': Coding.plain,
  age: Coding.plain,
  'content-length': Coding.plain,
  'content-range': Coding.plain,
  etag: Coding.plain,
  forwarded: Coding.plain,
  'grpc-timeout': Coding.plain,
  'if-match': Coding.plain,
  'if-modified-since': Coding.plain,
  'if-none-match': Coding.plain,
  'last-modified': Coding.plain,
  location: Coding.plain,
  range: Coding.plain,
  'server-timing': Coding.plain,
  traceparent: Coding.plain,
  tracestate: Coding.plain,
  'x-b3-spanid': Coding.plain,
  'x-b3-traceid': Coding.plain,
  'x-request-id': Coding.plain,
}

const staticIndexes = new Map<string, number>()
for (let i = staticTable.length - 1; i > 0; i--) staticIndexes.set(staticTable[i]!.name, i)

/** Spellings are other people's: when there are so many of them, all but our own are forgotten. */
const maxSpellings = 4096
const longestRemembered = 128
const bySpelling = new Map<string, FieldName>()

function make(text: string): FieldName {
  return {
    text,
    staticIndex: staticIndexes.get(text) ?? 0,
    coding: codings[text] ?? Coding.indexed,
  }
}

const own = new Map(
  [...staticIndexes.keys(), ...Object.keys(codings)].map((name) => [name, make(name)]),
)
for (const [text, name] of own) bySpelling.set(text, name)

/** How many spellings are remembered. */
export const rememberedSpellings = (): number => bySpelling.size

/** The name in any spelling. */
export function fieldName(spelling: string): FieldName {
  const known = bySpelling.get(spelling)
  if (known !== undefined) return known
  const text = spelling.toLowerCase()
  let name = bySpelling.get(text)
  if (name === undefined) {
    name = make(text)
    if (text !== spelling) remember(text, name)
  }
  remember(spelling, name)
  return name
}

function remember(spelling: string, name: FieldName): void {
  if (spelling.length > longestRemembered) return
  if (bySpelling.size >= maxSpellings) {
    bySpelling.clear()
    for (const [text, known] of own) bySpelling.set(text, known)
  }
  bySpelling.set(spelling, name)
}
