import assert from 'node:assert/strict'
import { test } from 'node:test'
import { constants, createDeflate, createInflate } from 'node:zlib'
import fc from 'fast-check'
import {
  dictionary,
  formatHeaders,
  HeaderReader,
  HeaderWriter,
  parseHeaders,
} from './header-block.ts'

test('the dictionary is the one every SPDY/3 peer has', () => {
  let [a, b] = [1, 0]
  for (const byte of dictionary) {
    a = (a + byte) % 65_521
    b = (b + a) % 65_521
  }
  assert.equal((b * 65_536 + a).toString(16), 'e3c6a7c2')
})

/** Compresses as real clients do: with the dictionary, one context, flushed after each block. */
function compressor() {
  const deflate = createDeflate({ dictionary })
  const parts: Buffer[] = []
  deflate.on('data', (part: Buffer) => parts.push(part))
  return async (block: Buffer): Promise<Buffer> => {
    deflate.write(block)
    await new Promise<void>((resolve) => deflate.flush(constants.Z_SYNC_FLUSH, () => resolve()))
    return Buffer.concat(parts.splice(0))
  }
}

test('blocks compressed in one context are read one after the other', async () => {
  const compress = compressor()
  const reader = new HeaderReader()
  for (let i = 0; i < 3; i++) {
    const headers = new Map([
      ['streamtype', 'data'],
      ['port', '8080'],
      ['requestid', String(i)],
    ])
    assert.deepEqual(await reader.read(await compress(formatHeaders(headers))), headers)
  }
  reader.close()
})

test('what is written can be inflated by a reader with or without the dictionary', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.dictionary(fc.stringMatching(/^[a-z-]{1,20}$/), fc.string({ maxLength: 200 }), {
          maxKeys: 5,
        }),
        { minLength: 1, maxLength: 4 },
      ),
      async (blocks) => {
        const writer = new HeaderWriter()
        const reader = new HeaderReader()
        for (const block of blocks) {
          const headers = new Map(Object.entries(block))
          assert.deepEqual(await reader.read(writer.write(headers)), headers)
        }
        reader.close()
      },
    ),
    { numRuns: 30 },
  )
  const plain = createInflate()
  plain.end(new HeaderWriter().write(new Map([['a', 'b']])))
  const [part] = await plain.take(1).toArray()
  assert.deepEqual(parseHeaders(part as Buffer), new Map([['a', 'b']]))
  plain.on('error', () => {}).destroy()
})

test('bombs and rubbish are refused', async () => {
  const compress = compressor()
  const bomb = await compress(Buffer.alloc(10 << 20))
  assert.ok(bomb.length < 65_536)
  await assert.rejects(new HeaderReader().read(bomb), /more than 65536 bytes/)
  await assert.rejects(new HeaderReader().read(Buffer.from('rubbish')))
  const tooMany = formatHeaders(new Map(Array.from({ length: 101 }, (_, i) => [`h${i}`, ''])))
  assert.throws(() => parseHeaders(tooMany), /101 headers/)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      try {
        assert.ok(parseHeaders(Buffer.from(bytes)).size <= 100)
      } catch (error) {
        assert.match(String(error), /header/)
      }
    }),
  )
})
