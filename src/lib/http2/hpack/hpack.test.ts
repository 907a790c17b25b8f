import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Http2Error, ErrorCode } from '../error.ts'
import { HpackDecoder } from './decoder.ts'
import { HpackEncoder } from './encoder.ts'
import { codeLength, huffmanDecode, huffmanEncode, huffmanLength } from './huffman.ts'
import { Kind } from './kinds.ts'
import { fieldName, rememberedSpellings } from './names.ts'

type Pair = [name: string, value: string]

function decode(decoder: HpackDecoder, block: Buffer | string): Pair[] {
  const bytes = typeof block === 'string' ? Buffer.from(block.replaceAll(' ', ''), 'hex') : block
  const pairs: Pair[] = []
  decoder.decode(bytes, 0, bytes.length, { field: (name, value) => pairs.push([name, value]) })
  return pairs
}

const refuses = (block: string, tableBytes = 4096) =>
  assert.throws(
    () => decode(new HpackDecoder(tableBytes), block),
    (error) => error instanceof Http2Error && error.code === ErrorCode.compressionError,
    block,
  )

const asked: Pair[] = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':path', '/'],
  [':authority', 'www.example.com'],
]
const date = 'Mon, 21 Oct 2013 20:13:21 GMT'
const answered: Pair[] = [
  [':status', '302'],
  ['cache-control', 'private'],
  ['date', date],
  ['location', 'https://www.example.com'],
]
const requests: [Pair[], number][] = [
  [asked, 57],
  [[...asked, ['cache-control', 'no-cache']], 110],
  [
    [
      [':method', 'GET'],
      [':scheme', 'https'],
      [':path', '/index.html'],
      [':authority', 'www.example.com'],
      ['custom-key', 'custom-value'],
    ],
    164,
  ],
]
const responses: [Pair[], number][] = [
  [answered, 222],
  [[[':status', '307'], ...answered.slice(1)], 222],
  [
    [
      [':status', '200'],
      ['cache-control', 'private'],
      ['date', 'Mon, 21 Oct 2013 20:13:22 GMT'],
      ['location', 'https://www.example.com'],
      ['content-encoding', 'gzip'],
      ['set-cookie', 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'],
    ],
    215,
  ],
]

/** RFC 7541 C.3 to C.6: blocks of one connection after another, and the table's size after each. */
const sequences: [
  name: string,
  tableBytes: number,
  blocks: string[],
  expected: [Pair[], number][],
][] = [
  [
    'C.3 requests',
    4096,
    [
      '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '8286 84be 5808 6e6f 2d63 6163 6865',
      '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
    ],
    requests,
  ],
  [
    'C.4 requests, Huffman',
    4096,
    [
      '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
      '8286 84be 5886 a8eb 1064 9cbf',
      '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
    ],
    requests,
  ],
  [
    'C.5 responses, evicting',
    256,
    [
      '4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '4803 3330 37c1 c0bf',
      '88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31',
    ],
    responses,
  ],
  [
    'C.6 responses, Huffman, evicting',
    256,
    [
      '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3',
      '4883 640e ffc1 c0bf',
      '88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07',
    ],
    responses,
  ],
]

for (const [name, tableBytes, blocks, expected] of sequences)
  test(`RFC 7541 ${name}`, () => {
    const decoder = new HpackDecoder(tableBytes)
    for (const [i, block] of blocks.entries()) {
      const [pairs, size] = expected[i]!
      assert.deepEqual(decode(decoder, block), pairs)
      assert.equal(decoder.tableBytes, size)
    }
  })

test('RFC 7541 C.2: each representation of a field', () => {
  const decoder = new HpackDecoder(4096)
  const literal = '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572'
  assert.deepEqual(decode(decoder, literal), [['custom-key', 'custom-header']])
  assert.equal(decoder.tableBytes, 55)
  assert.deepEqual(decode(decoder, '040c 2f73 616d 706c 652f 7061 7468'), [
    [':path', '/sample/path'],
  ])
  assert.deepEqual(decode(decoder, '1008 7061 7373 776f 7264 0673 6563 7265 74'), [
    ['password', 'secret'],
  ])
  assert.deepEqual(decode(decoder, '82'), [[':method', 'GET']])
  assert.equal(decoder.tableBytes, 55)
})

test('the Huffman code is complete', () => {
  const sum = codeLength.reduce((total, bits) => total + 2 ** -bits, 0)
  assert.equal(codeLength.length, 257)
  assert.equal(sum, 1)
})

test('what is no HPACK is refused', () => {
  const cases: Record<string, string> = {
    'index 0': '80',
    'index beyond the table': 'be',
    'name index beyond the table': '7f00 01 61',
    'an integer that never ends': 'ff ffffffffffffffff',
    'an integer beyond 2^28': 'ff ffffffff7f',
    'an integer that is cut off': 'ff 80',
    'a string longer than the block': '00 05 6161',
    'a string without its value': '00 01 61',
    'a table size above the setting': '3f e2 1f',
    'a table size after a field': '82 20',
    'three table sizes': '20 20 20',
    'Huffman padding of 8 bits': '00 01 61 82 1fff',
    'Huffman padding with a zero': '00 01 61 81 1e',
    'the Huffman end-of-string symbol': '00 01 61 84 ffffffff',
    'the end-of-string symbol after a letter': '00 01 61 85 1fffffffff',
  }
  for (const block of Object.values(cases)) refuses(block)
  // The same with proper padding is fine.
  assert.deepEqual(decode(new HpackDecoder(4096), '00 01 61 81 1f'), [['a', 'a']])
  assert.deepEqual(decode(new HpackDecoder(4096), '20 3f e1 1f 82'), [[':method', 'GET']])
})

test('names and values that no field may have are told by their kind, also when they come from the table', () => {
  const kinds = (block: Buffer, decoder = new HpackDecoder(4096)): number[] => {
    const found: number[] = []
    decoder.decode(block, 0, block.length, { field: (_name, _value, kind) => found.push(kind) })
    return found
  }
  const literal = (name: string, value: string) =>
    Buffer.concat([
      Buffer.from([0x40, name.length]),
      Buffer.from(name, 'latin1'),
      Buffer.from([value.length]),
      Buffer.from(value, 'latin1'),
    ])
  for (const [name, value] of [
    ['Upper', 'x'],
    ['', 'x'],
    ['a b', 'x'],
    ['a:', 'x'],
    ['a', 'x\r\ny'],
    ['a', 'x\0'],
    ['a', ' x'],
    ['a', 'x\t'],
    ['é', 'x'],
  ] as const) {
    const decoder = new HpackDecoder(4096)
    assert.deepEqual(
      kinds(literal(name, value), decoder),
      [Kind.malformed],
      JSON.stringify([name, value]),
    )
    assert.deepEqual(kinds(Buffer.from([0xbe]), decoder), [Kind.malformed])
  }
  assert.deepEqual(kinds(literal(':protocol', 'websocket')), [Kind.unknownPseudo])
  assert.deepEqual(kinds(literal('a', 'é x')), [0])
})

const visible = Array.from({ length: 224 }, (_, i) => String.fromCharCode(32 + i)).filter(
  (c) => c !== '\x7f',
)
const value = fc
  .string({ unit: fc.constantFrom(...visible), maxLength: 200 })
  .map((text) => text.trim())
const name = fc.oneof(
  fc.constantFrom(
    'content-type',
    'x-request-id',
    'date',
    'cookie',
    'authorization',
    'vary',
    'etag',
    'x-a',
  ),
  fc.string({
    unit: fc.constantFrom(...Array.from('abcdefghijklmnopqrstuvwxyz0123456789-_')),
    minLength: 1,
    maxLength: 40,
  }),
)

test('what the encoder writes the decoder reads, table sizes changing on the way', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          fields: fc.array(
            fc.tuple(name, fc.oneof(value, fc.constantFrom('a', 'b', 'text/plain'))),
            { maxLength: 30 },
          ),
          resize: fc.option(fc.nat(4096), { nil: undefined, freq: 4 }),
        }),
        { minLength: 1, maxLength: 12 },
      ),
      (blocks) => {
        const encoder = new HpackEncoder(4096)
        const decoder = new HpackDecoder(4096)
        for (const { fields, resize } of blocks) {
          if (resize !== undefined) encoder.resize(resize)
          const into = Buffer.alloc(100_000)
          let at = encoder.begin(into, 0)
          const allowed: number = at
          at = encoder.status(200, into, at)
          for (const [fieldName, fieldValue] of fields) {
            const before = at
            at = encoder.field(fieldName, fieldValue, into, at)
            assert.ok(at - before <= fieldName.length + fieldValue.length + 12)
          }
          assert.ok(allowed <= 12)
          const sent = fields.filter(
            ([one]) => one !== 'upgrade' && one !== 'host' && one !== 'connection',
          )
          assert.deepEqual(decode(decoder, into.subarray(0, at)), [[':status', '200'], ...sent])
          assert.equal(decoder.tableBytes, encoder.tableBytes)
        }
      },
    ),
    { numRuns: 80 },
  )
})

test('repeated fields shrink to a byte each; secrets and what changes never enter the table', () => {
  const encoder = new HpackEncoder(4096)
  const into = Buffer.alloc(4096)
  const write = (fieldName: string, fieldValue: string) =>
    encoder.field(fieldName, fieldValue, into, 0)
  assert.ok(write('Content-Type', 'text/plain') > 1)
  assert.equal(write('content-type', 'text/plain'), 1)
  assert.equal(write('CONTENT-TYPE', 'text/plain'), 1)
  const size = encoder.tableBytes
  write('Authorization', 'Bearer secret')
  assert.equal(into[0]! & 0xf0, 0x10)
  write('cookie', 'a=1')
  assert.equal(into[0]! & 0xf0, 0x10)
  write('X-Request-Id', '123')
  write('content-length', '13')
  assert.equal(encoder.tableBytes, size)
  assert.equal(write('Transfer-Encoding', 'chunked'), 0)
})

test('no text can break out of its field', () => {
  const into = Buffer.alloc(200)
  const end = new HpackEncoder(4096).field('x-a', 'a\r\nb\0Ċ\u{1F600}', into, 0)
  assert.deepEqual(decode(new HpackDecoder(4096), into.subarray(0, end)), [['x-a', 'a??b????']])
})

test('names in ever new spellings are forgotten again, ours are not', () => {
  const type = fieldName('content-type')
  for (let i = 0; i < 20_000; i++) {
    assert.equal(fieldName(`X-Name-${i}`).text, `x-name-${i}`)
    assert.ok(rememberedSpellings() <= 4096)
  }
  fieldName('x'.repeat(10_000))
  assert.equal(fieldName('content-type'), type)
  assert.equal(fieldName('Content-TYPE'), type)
})

test('the tables hold no more than they may, however many fields come', () => {
  const encoder = new HpackEncoder(4096)
  const decoder = new HpackDecoder(4096)
  const into = Buffer.alloc(1000)
  for (let i = 0; i < 5000; i++) {
    const end = encoder.field(i % 3 === 0 ? 'date' : `x-${i}`, `value ${i}`, into, 0)
    decode(decoder, into.subarray(0, end))
    assert.ok(encoder.tableBytes <= 4096 && decoder.tableBytes === encoder.tableBytes)
  }
})

test('Huffman: any bytes there and back; any bytes decode or are refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const text = Buffer.from(bytes).toString('latin1')
      const coded = Buffer.alloc(huffmanLength(text))
      assert.equal(huffmanEncode(text, coded, 0), coded.length)
      const back = Buffer.alloc(text.length + 1)
      assert.equal(huffmanDecode(coded, 0, coded.length, back), text.length)
      assert.equal(back.toString('latin1', 0, text.length), text)
      const any = Buffer.from(bytes)
      const room = Buffer.alloc(Math.ceil((any.length * 8) / 5) + 1)
      try {
        assert.ok(huffmanDecode(any, 0, any.length, room) <= room.length)
      } catch (error) {
        assert.ok(error instanceof Http2Error)
      }
    }),
  )
})
