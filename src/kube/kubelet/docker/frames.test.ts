import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { frameContents } from './frames.ts'

const frame = (stream: number, content: Uint8Array): Buffer => {
  const head = Buffer.alloc(8)
  head[0] = stream
  head.writeUInt32BE(content.length, 4)
  return Buffer.concat([head, content])
}

async function read(chunks: readonly Uint8Array[]): Promise<string> {
  const parts: Uint8Array[] = []
  const source = async function* () {
    yield* chunks
  }
  for await (const part of frameContents(source())) parts.push(part)
  return Buffer.concat(parts).toString('latin1')
}

test('contents come out in order, however the stream is cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 2 }), fc.uint8Array({ maxLength: 40 })), {
        maxLength: 8,
      }),
      fc.array(fc.nat({ max: 400 }), { maxLength: 10 }),
      async (frames, cuts) => {
        const bytes = Buffer.concat(frames.map(([stream, content]) => frame(stream, content)))
        const points = [0, ...cuts.filter((cut) => cut < bytes.length), bytes.length].sort(
          (a, b) => a - b,
        )
        const chunks = points.slice(1).map((to, i) => bytes.subarray(points[i], to))
        const whole = Buffer.concat(frames.map(([, content]) => content)).toString('latin1')
        assert.equal(await read(chunks), whole)
      },
    ),
  )
})

test('output that is no frames is refused', async () => {
  await assert.rejects(read([Buffer.from('plain text from a terminal')]), /stream frames/)
})
