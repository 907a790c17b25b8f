/** Valid traffic. Each request has an id of its own that stands in its target, its headers and all over its body, so that whatever is mixed up is seen. */
import { randomInt, type Random } from '../../src/lib/random.ts'
import { frame } from '../../src/lib/http2/http2.fixture.ts'
import { preface } from '../../src/lib/http2/frames.ts'
import { pick } from './bytes.ts'

export interface SentRequest {
  readonly id: string
  readonly method: string
  readonly target: string
  readonly body: string
  readonly style: Style
}

/** How the pod is to answer. */
const styles = [
  'length',
  'chunked',
  'trailers',
  'empty',
  'hints',
  'early',
  'close',
  'slow',
] as const
export type Style = (typeof styles)[number]

/** Which pod: of HTTP/1, of HTTP/2, or one that answers nonsense. */
export const pods = ['/h1', '/h2', '/raw'] as const

const letters = 'abcdefghijklmnopqrstuvwxyz0123456789'
const word = (random: Random, length: number): string => {
  let text = ''
  for (let i = 0; i < length; i++) text += letters[randomInt(random, letters.length)]
  return text
}

let count = 0
/** 16 letters: no two are alike, none is part of another text by chance. */
const newId = (random: Random): string =>
  `q${(count++).toString(36).padStart(7, '0')}${word(random, 8)}`

export function newRequest(random: Random, pod: (typeof pods)[number]): SentRequest {
  const id = newId(random)
  const method = pick(random, ['GET', 'GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD'])
  const size = pick(random, [0, 0, 1, 100, 5000, 100_000])
  const length = size < 2 ? size : randomInt(random, size)
  const query = random.next() < 0.3 ? `?${word(random, 5)}=%20${word(random, 3)}` : ''
  return {
    id,
    method,
    target: `${pod}/${id}${query}`,
    body: id.repeat(Math.ceil(length / id.length)).slice(0, length),
    style: pick(random, styles),
  }
}

const token = (random: Random): string => `X-0${word(random, randomInt(random, 10))}`

/** The request in HTTP/1. `last`: the connection ends behind it. */
export function http1Bytes(random: Random, sent: SentRequest, host: string, last: boolean): Buffer {
  const { id, method, target, body, style } = sent
  const form = random.next() < 0.1 ? `http://${host}${target}` : target
  let text = `${random.next() < 0.05 ? '\r\n' : ''}${method} ${form} HTTP/1.1\r\n`
  const lines = [
    `${pick(random, ['Host', 'host', 'HOST'])}: ${host}`,
    `X-Id: ${id}`,
    `X-Style: ${style}`,
  ]
  for (let i = randomInt(random, 4); i > 0; i--)
    lines.push(
      `${token(random)}:${pick(random, ['', ' ', ' \t'])}${word(random, randomInt(random, 30))}`,
    )
  if (last) lines.push('Connection: close')
  else if (random.next() < 0.2)
    lines.push(pick(random, ['Connection: keep-alive', 'Connection: X-Gone\r\nX-Gone: 1']))
  if (random.next() < 0.1) lines.push('TE: trailers')
  let wire = body
  if (body !== '' && random.next() < 0.1) lines.push('Expect: 100-continue')
  if (random.next() < 0.5) {
    lines.push('Transfer-Encoding: chunked')
    wire = ''
    for (let at = 0; at < body.length;) {
      const piece = body.slice(at, at + 1 + randomInt(random, 3000))
      at += piece.length
      const extension = pick(random, ['', '', ';a', ';a=b', ';a="b;c\\"d"'])
      wire += `${piece.length.toString(16)}${extension}\r\n${piece}\r\n`
    }
    wire += `0\r\n${random.next() < 0.3 ? `X-Sum: ${id}\r\n` : ''}\r\n`
  } else if (body !== '' || random.next() < 0.5) lines.push(`Content-Length: ${body.length}`)
  text += `${lines.join('\r\n')}\r\n\r\n`
  return Buffer.from(text + wire, 'latin1')
}

/** A field as HPACK's literal that is not put into the table. */
function literal(name: string, value: string): Buffer {
  const text = (of: string): Buffer => {
    const bytes = Buffer.from(of, 'latin1')
    if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes])
    const rest: number[] = []
    let left = bytes.length - 127
    for (; left > 127; left >>= 7) rest.push((left & 127) | 128)
    return Buffer.concat([Buffer.from([127, ...rest, left]), bytes])
  }
  return Buffer.concat([Buffer.from([0]), text(name), text(value)])
}

/** A connection of HTTP/2 with these requests, frames of several streams mixed. */
export function http2Bytes(random: Random, requests: readonly SentRequest[], host: string): Buffer {
  const streams = requests.map(({ id, method, target, body, style }, i) => {
    const stream = 1 + 2 * i
    const fields = [
      literal(':method', method),
      literal(':scheme', 'http'),
      literal(':authority', host),
      literal(':path', target),
      literal('x-id', id),
      literal('x-style', style),
      ...(random.next() < 0.3 ? [literal('content-length', String(body.length))] : []),
    ]
    const block = Buffer.concat(fields)
    const end = body === '' ? 1 : 0
    const frames: Buffer[] = []
    if (random.next() < 0.2) {
      // Between two fields, so that ids stay in one piece on the wire.
      const middle = Buffer.concat(fields.slice(0, randomInt(random, fields.length))).length
      frames.push(
        Buffer.concat([
          frame(1, end, stream, block.subarray(0, middle)),
          frame(9, 4, stream, block.subarray(middle)),
        ]),
      )
    } else frames.push(frame(1, end | 4, stream, block))
    for (let at = 0; at < body.length;) {
      const piece = body.slice(at, at + 1 + randomInt(random, 8000))
      at += piece.length
      const ends = at === body.length
      if (ends && random.next() < 0.2)
        frames.push(
          frame(0, 0, stream, Buffer.from(piece)),
          frame(1, 5, stream, literal('x-sum', id)),
        )
      else frames.push(frame(0, ends ? 1 : 0, stream, Buffer.from(piece)))
    }
    if (random.next() < 0.1) frames.push(frame(3, 0, stream, '00000008'))
    return frames
  })
  const all = [preface, frame(4, 0, 0, '000400100000'), frame(8, 0, 0, '00ff0000'), frame(4, 1, 0)]
  let next = 0
  // Heads in order, bodies in any.
  const open: Buffer[][] = []
  while (next < streams.length || open.length > 0) {
    if (next < streams.length && (open.length === 0 || random.next() < 0.3)) {
      const [head, ...rest] = streams[next++]!
      all.push(head!)
      if (rest.length > 0) open.push(rest)
    } else {
      const at = randomInt(random, open.length)
      all.push(open[at]!.shift()!)
      if (open[at]!.length === 0) open.splice(at, 1)
    }
    const extra = randomInt(random, 20)
    if (extra === 0) all.push(frame(6, 0, 0, '0000000000000001'))
    else if (extra === 1) all.push(frame(4, 0, 0, '000400200000'))
    else if (extra === 2) all.push(frame(2, 0, 1, '0000000010'))
  }
  return Buffer.concat(all)
}
