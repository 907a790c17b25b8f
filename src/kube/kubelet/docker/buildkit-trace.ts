/**
 * BuildKit's news of a build (moby/buildkit api/services/control, StatusResponse: protobuf in base64) as lines for a
 * terminal: what begins, what was cached, what failed, and the output of commands.
 */

/** A field: number, and a varint's value or the bytes. */
type Field = readonly [number: number, value: number | Uint8Array]

/** Reads one message's fields; what can't be read ends it. */
function* fields(bytes: Uint8Array): Generator<Field> {
  let at = 0
  const varint = (): number => {
    let value = 0
    let scale = 1
    for (;;) {
      const byte = bytes[at++]
      if (byte === undefined) return Number.NaN
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
      scale *= 128
    }
  }
  while (at < bytes.length) {
    const key = varint()
    const number = Math.floor(key / 8)
    switch (key % 8) {
      case 0:
        yield [number, varint()]
        break
      case 1:
        at += 8
        break
      case 2: {
        const length = varint()
        if (!(length <= bytes.length - at)) return
        yield [number, bytes.subarray(at, at + length)]
        at += length
        break
      }
      case 5:
        at += 4
        break
      default:
        return
    }
  }
}

const textOf = (value: number | Uint8Array | undefined): string =>
  value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : ''

const maxSteps = 10_000

/** Tells what is new in each message. */
export function buildKitReader(say: (line: string) => void): (base64: string) => void {
  /** By digest of the step: its number, once it was named. */
  const steps = new Map<string, number>()
  const ended = new Set<string>()
  const partial = new Map<string, string>()

  const step = (bytes: Uint8Array) => {
    const found = new Map(fields(bytes))
    const id = textOf(found.get(1))
    const name = textOf(found.get(3))
    const started = found.has(5)
    if (started && !steps.has(id) && steps.size < maxSteps) {
      steps.set(id, steps.size + 1)
      say(`#${steps.get(id)} ${name}`)
    }
    const error = textOf(found.get(7))
    if (!found.has(6) || ended.has(id) || !steps.has(id)) return
    ended.add(id)
    if (error !== '') say(`#${steps.get(id)} ERROR: ${error}`)
    else if (found.get(4) === 1) say(`#${steps.get(id)} CACHED`)
  }

  const log = (bytes: Uint8Array) => {
    const found = new Map(fields(bytes))
    const id = textOf(found.get(1))
    const all = ((partial.get(id) ?? '') + textOf(found.get(4))).split(/\r?\n/)
    partial.set(id, (all.pop() ?? '').slice(-4096))
    for (const line of all) say(`#${steps.get(id) ?? 0} ${line}`)
  }

  return (base64) => {
    for (const [number, value] of fields(Buffer.from(base64, 'base64'))) {
      if (!(value instanceof Uint8Array)) continue
      if (number === 1) step(value)
      if (number === 3) log(value)
    }
  }
}
