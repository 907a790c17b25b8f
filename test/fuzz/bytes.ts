/** What every fuzzer does to bytes: cuts them where it likes, and spoils some. */
import { randomInt, type Random } from '../../src/lib/random.ts'

/** One of these. */
export const pick = <T>(random: Random, values: readonly T[]): T =>
  values[randomInt(random, values.length)]!

/** The same bytes in pieces: one, many, or one byte each. */
export function cut(bytes: Buffer, random: Random): Buffer[] {
  const kind = random.next()
  if (kind < 0.3) return [bytes]
  const most = kind < 0.5 ? 3 : kind < 0.8 ? 100 : 5000
  const pieces: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    const end = at + 1 + randomInt(random, most)
    pieces.push(bytes.subarray(at, end))
    at = end
  }
  return pieces
}

/** Pieces that parsers have stumbled over. */
const nasty = [
  '\r\n',
  '\n',
  '\r',
  '\r\n\r\n',
  ' ',
  '\t',
  '\0',
  '\v',
  ':',
  ',',
  ';',
  '"',
  '#',
  '0\r\n\r\n',
  '\xa0',
  '\xff',
  'Content-Length: 3\r\n',
  'Content-Length: 0\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Transfer-Encoding: identity\r\n',
  'Transfer-Encoding : chunked\r\n',
  ' chunked',
  'Host: other\r\n',
  'Connection: close\r\n',
  'Connection: Upgrade\r\nUpgrade: h2c\r\n',
  'Expect: 100-continue\r\n',
  'HTTP/1.0',
  'ffffffffffffffff\r\n',
  '-1',
]

/** A copy with a few changes: bytes set, flipped, put in, taken out, moved, doubled; now and then cut short. */
export function mutate(bytes: Buffer, random: Random): Buffer {
  let result = Buffer.from(bytes)
  const times = 1 + randomInt(random, 4)
  for (let i = 0; i < times && result.length > 0; i++) {
    const at = randomInt(random, result.length)
    const until = Math.min(result.length, at + 1 + randomInt(random, 20))
    const before = result.subarray(0, at)
    switch (randomInt(random, 6)) {
      case 0:
        result[at] = randomInt(random, 256)
        break
      case 1:
        result[at]! ^= 1 << randomInt(random, 8)
        break
      case 2:
        result = Buffer.concat([
          before,
          Buffer.from(pick(random, nasty), 'latin1'),
          result.subarray(at),
        ])
        break
      case 3:
        result = Buffer.concat([before, result.subarray(until)])
        break
      case 4:
        result.copy(result, randomInt(random, result.length), at, until)
        break
      default:
        result = Buffer.concat([result.subarray(0, until), result.subarray(at)])
    }
  }
  return random.next() < 0.1 ? result.subarray(0, randomInt(random, result.length + 1)) : result
}
