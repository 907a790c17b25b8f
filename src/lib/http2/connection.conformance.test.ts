/**
 * What a connection answers to each thing that RFC 9113 forbids or asks for, in the manner of h2spec: a table of byte
 * sequences and the error that must come.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ErrorCode } from './error.ts'
import { preface } from './frames.ts'
import { Bench, frame } from './http2.fixture.ts'

const data = (flags: number, id: number, payload: Buffer | string = '') =>
  frame(0, flags, id, payload)
const headers = (flags: number, id: number, block: string) => frame(1, flags, id, block)
const settings = (payload: string) => frame(4, 0, 0, payload)
const literal = (name: string, value: string): string => {
  const string = (text: string) =>
    Buffer.from([text.length]).toString('hex') + Buffer.from(text, 'latin1').toString('hex')
  return `00${string(name)}${string(value)}`
}

/** GET / and POST / of the authority "a". */
const get = '828684410161'
const post = '838684410161'
const endStream = 1
const endHeaders = 4
const padded = 8
const whole = endStream | endHeaders
const open = headers(endHeaders, 1, post)
const closed = headers(whole, 1, get)
const trailer = literal('x-t', '1')
const withField = (name: string, value: string) => headers(whole, 1, get + literal(name, value))
const zeros = (bytes: number) => Buffer.alloc(bytes)

type Outcome = { connection: ErrorCode } | { stream: ErrorCode } | 'fine'
type Case = [name: string, frames: Buffer[], outcome: Outcome]

const E = ErrorCode
const connection = (code: ErrorCode): Outcome => ({ connection: code })
const stream = (code: ErrorCode): Outcome => ({ stream: code })

/** Sent to a server after preface and SETTINGS. The application has not answered stream 1. */
const serverCases: Record<string, Case[]> = {
  '4.1, 4.2 frames': [
    ['an unknown type is read over', [frame(0xee, 0xff, 0, zeros(8)), closed], 'fine'],
    ['the reserved bit of an id is ignored', [headers(whole, 0x8000_0001, get)], 'fine'],
    [
      'DATA larger than the maximum',
      [open, data(0, 1, zeros(16_385))],
      connection(E.frameSizeError),
    ],
    [
      'HEADERS larger than the maximum',
      [headers(whole, 1, '00'.repeat(16_385))],
      connection(E.frameSizeError),
    ],
    ['DATA of the maximum', [open, data(endStream, 1, zeros(16_384))], 'fine'],
  ],
  '4.3 header blocks': [
    ['a broken block', [headers(whole, 1, 'ff80')], connection(E.compressionError)],
    [
      'another frame inside',
      [headers(0, 1, get), frame(2, 0, 1, zeros(5))],
      connection(E.protocolError),
    ],
    [
      'another stream inside',
      [headers(0, 1, get), frame(9, endHeaders, 3)],
      connection(E.protocolError),
    ],
    [
      'an unknown frame inside',
      [headers(0, 1, get), frame(0xee, 0, 1)],
      connection(E.protocolError),
    ],
    [
      'in pieces',
      [headers(endStream, 1, '8286'), frame(9, 0, 1, '84'), frame(9, endHeaders, 1, '410161')],
      'fine',
    ],
  ],
  '5.1 states': [
    ['idle: DATA', [data(0, 1)], connection(E.protocolError)],
    ['idle: RST_STREAM', [frame(3, 0, 1, '00000008')], connection(E.protocolError)],
    ['idle: WINDOW_UPDATE', [frame(8, 0, 1, '00000001')], connection(E.protocolError)],
    ['idle: CONTINUATION', [frame(9, endHeaders, 1, get)], connection(E.protocolError)],
    ['idle: PRIORITY', [frame(2, 0, 1, '0000000310'), closed], 'fine'],
    ['half-closed: DATA', [closed, data(0, 1, '61')], stream(E.streamClosed)],
    ['half-closed: HEADERS', [closed, headers(whole, 1, trailer)], stream(E.streamClosed)],
    [
      'half-closed: WINDOW_UPDATE, PRIORITY',
      [closed, frame(8, 0, 1, '00000001'), frame(2, 0, 1, '0000000310')],
      'fine',
    ],
    [
      'reset by the peer: DATA',
      [open, frame(3, 0, 1, '00000008'), data(0, 1, '61')],
      stream(E.streamClosed),
    ],
    [
      'reset by the peer: HEADERS',
      [open, frame(3, 0, 1, '00000008'), headers(whole, 1, trailer)],
      connection(E.streamClosed),
    ],
    [
      'reset by the peer: PRIORITY, WINDOW_UPDATE',
      [open, frame(3, 0, 1, '00000008'), frame(2, 0, 1, '0000000310'), frame(8, 0, 1, '00000001')],
      'fine',
    ],
  ],
  '5.1.1 ids': [
    ['an even one', [headers(whole, 2, get)], connection(E.protocolError)],
    [
      'a lower one than before',
      [headers(whole, 5, get), headers(whole, 3, get)],
      connection(E.protocolError),
    ],
    ['zero', [headers(whole, 0, get)], connection(E.protocolError)],
  ],
  '5.3 priorities are read over': [
    ['HEADERS with priority', [headers(whole | 32, 1, `0000000310${get}`)], 'fine'],
    [
      'HEADERS that depend on themselves',
      [headers(whole | 32, 1, `0000000110${get}`)],
      connection(E.protocolError),
    ],
    [
      'PRIORITY that depends on itself',
      [frame(2, 0, 1, '0000000110')],
      connection(E.protocolError),
    ],
    ['HEADERS too short for it', [headers(whole | 32, 1, '000000')], connection(E.frameSizeError)],
  ],
  '6.1 DATA': [
    ['on stream 0', [data(0, 0, '61')], connection(E.protocolError)],
    ['padded', [open, data(endStream | padded, 1, '02610000')], 'fine'],
    ['nothing but padding', [open, data(endStream | padded, 1, '020000')], 'fine'],
    [
      'padding as long as the payload',
      [open, data(endStream | padded, 1, '0461616161'), data(0, 1)],
      stream(E.streamClosed),
    ],
    [
      'padding longer than the payload',
      [open, data(endStream | padded, 1, '0561616161')],
      connection(E.protocolError),
    ],
    ['padded and empty', [open, data(endStream | padded, 1)], connection(E.frameSizeError)],
  ],
  '6.2 HEADERS': [
    ['padded', [headers(whole | padded, 1, `02${get}0000`)], 'fine'],
    [
      'padding longer than the payload',
      [headers(whole | padded, 1, `07${get}`)],
      connection(E.protocolError),
    ],
    ['padded and empty', [headers(whole | padded, 1, '')], connection(E.frameSizeError)],
  ],
  '6.3 PRIORITY': [
    ['on stream 0', [frame(2, 0, 0, zeros(5))], connection(E.protocolError)],
    ['of 4 bytes', [open, frame(2, 0, 1, zeros(4))], stream(E.frameSizeError)],
  ],
  '6.4 RST_STREAM': [
    ['on stream 0', [frame(3, 0, 0, '00000008')], connection(E.protocolError)],
    ['of 3 bytes', [open, frame(3, 0, 1, '000008')], connection(E.frameSizeError)],
    [
      'with a code that nobody knows',
      [open, frame(3, 0, 1, 'deadbeef'), headers(whole, 3, get)],
      'fine',
    ],
  ],
  '6.5 SETTINGS': [
    ['an answer with payload', [frame(4, 1, 0, zeros(6))], connection(E.frameSizeError)],
    ['on a stream', [frame(4, 0, 1)], connection(E.protocolError)],
    ['of 5 bytes', [frame(4, 0, 0, zeros(5))], connection(E.frameSizeError)],
    ['ENABLE_PUSH of 2', [settings('000200000002')], connection(E.protocolError)],
    ['INITIAL_WINDOW_SIZE of 2^31', [settings('000480000000')], connection(E.flowControlError)],
    ['MAX_FRAME_SIZE of 16,383', [settings('000500003fff')], connection(E.protocolError)],
    ['MAX_FRAME_SIZE of 2^24', [settings('000501000000')], connection(E.protocolError)],
    ['one that nobody knows', [settings('00ff00000001'), closed], 'fine'],
    [
      'a window that overflows by it',
      [open, frame(8, 0, 1, '7fff0000'), settings('000400010000')],
      connection(E.flowControlError),
    ],
  ],
  '6.6 to 6.8 PUSH_PROMISE, PING, GOAWAY': [
    [
      'PUSH_PROMISE of a client',
      [open, frame(5, endHeaders, 1, `00000002${get}`)],
      connection(E.protocolError),
    ],
    ['PING on a stream', [frame(6, 0, 1, zeros(8))], connection(E.protocolError)],
    ['PING of 6 bytes', [frame(6, 0, 0, zeros(6))], connection(E.frameSizeError)],
    ['an answer that nobody asked for', [frame(6, 1, 0, zeros(8)), closed], 'fine'],
    ['GOAWAY on a stream', [frame(7, 0, 1, zeros(8))], connection(E.protocolError)],
    ['GOAWAY of 7 bytes', [frame(7, 0, 0, zeros(7))], connection(E.frameSizeError)],
    ['GOAWAY', [frame(7, 0, 0, zeros(8))], 'fine'],
  ],
  '6.9 WINDOW_UPDATE': [
    ['of 0, connection', [frame(8, 0, 0, '00000000')], connection(E.protocolError)],
    ['of 0, stream', [open, frame(8, 0, 1, '00000000')], stream(E.protocolError)],
    ['of 3 bytes', [frame(8, 0, 0, '000001')], connection(E.frameSizeError)],
    ['overflow, connection', [frame(8, 0, 0, '7fffffff')], connection(E.flowControlError)],
    ['overflow, stream', [open, frame(8, 0, 1, '7fffffff')], stream(E.flowControlError)],
  ],
  '8.1, 8.2 messages': [
    ['trailers', [open, data(0, 1, '61'), headers(whole, 1, trailer)], 'fine'],
    [
      'trailers that do not end the stream',
      [open, headers(endHeaders, 1, trailer)],
      stream(E.protocolError),
    ],
    ['a pseudo-header in trailers', [open, headers(whole, 1, '82')], stream(E.protocolError)],
    ['upper case in a name', [withField('X-Upper', '1')], stream(E.protocolError)],
    ['a blank in a name', [withField('x y', '1')], stream(E.protocolError)],
    ['an empty name', [withField('', '1')], stream(E.protocolError)],
    ['a colon in a name', [withField('x:y', '1')], stream(E.protocolError)],
    ['CR LF in a value', [withField('x', 'a\r\nb: c')], stream(E.protocolError)],
    ['NUL in a value', [withField('x', 'a\0')], stream(E.protocolError)],
    ['a blank before a value', [withField('x', ' a')], stream(E.protocolError)],
    ['Connection', [withField('connection', 'close')], stream(E.protocolError)],
    ['Keep-Alive', [withField('keep-alive', '1')], stream(E.protocolError)],
    ['Proxy-Connection', [withField('proxy-connection', 'close')], stream(E.protocolError)],
    ['Transfer-Encoding', [withField('transfer-encoding', 'chunked')], stream(E.protocolError)],
    ['Upgrade', [withField('upgrade', 'h2c')], stream(E.protocolError)],
    ['TE: trailers', [withField('te', 'trailers')], 'fine'],
    ['TE: gzip', [withField('te', 'gzip')], stream(E.protocolError)],
    ['TE: trailers, gzip', [withField('te', 'trailers, gzip')], stream(E.protocolError)],
  ],
  '8.3 pseudo-headers': [
    ['one that nobody knows', [withField(':x', '1')], stream(E.protocolError)],
    [
      ':protocol, which is not on offer',
      [headers(whole, 1, `${get}${literal(':protocol', 'websocket')}`)],
      stream(E.protocolError),
    ],
    [':status', [headers(whole, 1, `${get}88`)], stream(E.protocolError)],
    [
      'after another field',
      [headers(whole, 1, `8286${literal('x', '1')}84410161`)],
      stream(E.protocolError),
    ],
    [':method twice', [headers(whole, 1, `82${get}`)], stream(E.protocolError)],
    [':path twice', [headers(whole, 1, `84${get}`)], stream(E.protocolError)],
    [':scheme twice', [headers(whole, 1, `86${get}`)], stream(E.protocolError)],
    [':authority twice', [headers(whole, 1, `${get}410161`)], stream(E.protocolError)],
    ['no :method', [headers(whole, 1, '8684410161')], stream(E.protocolError)],
    ['no :scheme', [headers(whole, 1, '8284410161')], stream(E.protocolError)],
    ['no :path', [headers(whole, 1, '8286410161')], stream(E.protocolError)],
    [
      'an empty :path',
      [headers(whole, 1, `8286${literal(':path', '')}410161`)],
      stream(E.protocolError),
    ],
    [
      'a :path without slash',
      [headers(whole, 1, `8286${literal(':path', 'a')}410161`)],
      stream(E.protocolError),
    ],
    [
      'a :path with a blank',
      [headers(whole, 1, `8286${literal(':path', '/a b')}410161`)],
      stream(E.protocolError),
    ],
    [
      'OPTIONS *',
      [headers(whole, 1, `${literal(':method', 'OPTIONS')}86${literal(':path', '*')}410161`)],
      'fine',
    ],
    ['GET *', [headers(whole, 1, `8286${literal(':path', '*')}410161`)], stream(E.protocolError)],
    ['no :authority, but Host', [headers(whole, 1, `828684${literal('host', 'a')}`)], 'fine'],
    ['neither :authority nor Host', [headers(whole, 1, '828684')], stream(E.protocolError)],
    ['Host as :authority', [withField('host', 'A')], 'fine'],
    ['Host unlike :authority', [withField('host', 'b')], stream(E.protocolError)],
    [
      'Host twice',
      [headers(whole, 1, `828684${literal('host', 'a')}${literal('host', 'a')}`)],
      stream(E.protocolError),
    ],
    [
      ':authority with userinfo',
      [headers(whole, 1, `828684${literal(':authority', 'u@a')}`)],
      stream(E.protocolError),
    ],
    [
      ':method with a blank',
      [headers(whole, 1, `${literal(':method', 'GE T')}8684410161`)],
      stream(E.protocolError),
    ],
    [
      'CONNECT',
      [headers(endHeaders, 1, `${literal(':method', 'CONNECT')}${literal(':authority', 'a:443')}`)],
      'fine',
    ],
    [
      'CONNECT with :path',
      [
        headers(
          endHeaders,
          1,
          `${literal(':method', 'CONNECT')}${literal(':authority', 'a:443')}84`,
        ),
      ],
      stream(E.protocolError),
    ],
    [
      'CONNECT without :authority',
      [headers(endHeaders, 1, literal(':method', 'CONNECT'))],
      stream(E.protocolError),
    ],
  ],
  '8.1.1 Content-Length': [
    [
      'as long as the body',
      [
        headers(endHeaders, 1, post + literal('content-length', '2')),
        data(0, 1, '61'),
        data(endStream, 1, '61'),
      ],
      'fine',
    ],
    [
      'longer',
      [headers(endHeaders, 1, post + literal('content-length', '3')), data(endStream, 1, '6161')],
      stream(E.protocolError),
    ],
    [
      'shorter',
      [headers(endHeaders, 1, post + literal('content-length', '1')), data(0, 1, '6161')],
      stream(E.protocolError),
    ],
    [
      'without a body',
      [headers(whole, 1, post + literal('content-length', '1'))],
      stream(E.protocolError),
    ],
    ['0 without a body', [headers(whole, 1, post + literal('content-length', '0'))], 'fine'],
    [
      'longer, ended by trailers',
      [
        headers(endHeaders, 1, post + literal('content-length', '3')),
        data(0, 1, '61'),
        headers(whole, 1, trailer),
      ],
      stream(E.protocolError),
    ],
    [
      'twice',
      [
        headers(
          endHeaders,
          1,
          post + literal('content-length', '1') + literal('content-length', '1'),
        ),
      ],
      stream(E.protocolError),
    ],
    [
      'no number',
      [headers(endHeaders, 1, post + literal('content-length', '+1'))],
      stream(E.protocolError),
    ],
    [
      'a huge number',
      [headers(endHeaders, 1, post + literal('content-length', '9'.repeat(30)))],
      stream(E.protocolError),
    ],
  ],
}

function check(bench: Bench, outcome: Outcome): void {
  if (outcome === 'fine') {
    assert.equal(bench.goAwayCode, -1)
    assert.equal(bench.resetCode(1), -1)
    assert.equal(bench.connection.closed, false)
  } else if ('connection' in outcome) {
    assert.equal(bench.goAwayCode, outcome.connection)
    assert.ok(bench.connection.closed && bench.sinkClosed && bench.closedWith)
    for (const user of bench.users) assert.ok(user.ended || user.resetCode >= 0)
  } else {
    assert.equal(bench.goAwayCode, -1)
    assert.equal(bench.resetCode(1), outcome.stream)
    // The connection goes on.
    bench.send(headers(whole, 101, get))
    assert.equal(bench.users.at(-1)?.request?.target, '/')
  }
}

for (const [section, cases] of Object.entries(serverCases))
  describe(`RFC 9113 ${section}`, () => {
    for (const [name, frames, outcome] of cases)
      test(name, () => {
        check(new Bench('server').hello().send(...frames), outcome)
        // The same, a byte at a time.
        const slow = new Bench('server').hello()
        for (const byte of Buffer.concat(frames)) slow.send(Buffer.of(byte))
        check(slow, outcome)
      })
  })

describe('RFC 9113 3.4 prefaces', () => {
  test('no preface', () => {
    const bench = new Bench('server').send(Buffer.from('GET / HTTP/1.1\r\n\r\n'))
    assert.equal(bench.goAwayCode, E.protocolError)
  })
  test('another frame than SETTINGS first', () => {
    for (const first of [frame(6, 0, 0, zeros(8)), closed, frame(4, 1, 0)])
      assert.equal(new Bench('server').send(preface, first).goAwayCode, E.protocolError)
    assert.equal(new Bench('client').send(frame(6, 0, 0, zeros(8))).goAwayCode, E.protocolError)
  })
  test('a client sends the preface first, both send SETTINGS', () => {
    assert.equal(new Bench('server').frames[0]?.type, 4)
    assert.equal(new Bench('client').frames[0]?.type, 4)
  })
})

/** Sent to a client that asked GET on stream 1 (not ended) after SETTINGS. */
const answer = '88'
const clientCases: [...Case][] = [
  ['a response', [headers(endHeaders, 1, answer), data(endStream, 1, '61')], 'fine'],
  [
    'an interim response first',
    [headers(endHeaders, 1, literal(':status', '103')), headers(whole, 1, answer)],
    'fine',
  ],
  [
    'an interim response that ends',
    [headers(whole, 1, literal(':status', '103'))],
    stream(E.protocolError),
  ],
  ['101', [headers(endHeaders, 1, literal(':status', '101'))], stream(E.protocolError)],
  ['no :status', [headers(whole, 1, literal('x', '1'))], stream(E.protocolError)],
  [':status twice', [headers(whole, 1, '8888')], stream(E.protocolError)],
  [':status that is none', [headers(whole, 1, literal(':status', '2x0'))], stream(E.protocolError)],
  ['a request pseudo-header', [headers(whole, 1, '8882')], stream(E.protocolError)],
  [
    'Connection',
    [headers(whole, 1, answer + literal('connection', 'close'))],
    stream(E.protocolError),
  ],
  ['DATA before the head', [data(0, 1, '61')], stream(E.protocolError)],
  ['DATA after the end', [headers(whole, 1, answer), data(0, 1, '61')], stream(E.streamClosed)],
  [
    'a longer Content-Length',
    [headers(endHeaders, 1, answer + literal('content-length', '2')), data(endStream, 1, '61')],
    stream(E.protocolError),
  ],
  [
    'a Content-Length without body',
    [headers(whole, 1, answer + literal('content-length', '2'))],
    stream(E.protocolError),
  ],
  [
    '204 with a body',
    [headers(endHeaders, 1, '89'), data(endStream, 1, '61')],
    stream(E.protocolError),
  ],
  ['304 with Content-Length', [headers(whole, 1, `8b${literal('content-length', '2')}`)], 'fine'],
  ['trailers', [headers(endHeaders, 1, answer), headers(whole, 1, trailer)], 'fine'],
  ['PUSH_PROMISE', [frame(5, endHeaders, 1, `00000002${get}`)], connection(E.protocolError)],
  [
    'HEADERS on a stream that nobody opened',
    [headers(whole, 3, answer)],
    connection(E.protocolError),
  ],
  ['HEADERS on an even stream', [headers(whole, 2, answer)], connection(E.protocolError)],
  [
    'RST_STREAM on a stream that nobody opened',
    [frame(3, 0, 3, '00000008')],
    connection(E.protocolError),
  ],
  ['ENABLE_PUSH of a server', [settings('000200000001')], connection(E.protocolError)],
  [
    'HEADERS long after the end are read over',
    [headers(whole, 1, answer), frame(3, 0, 1, '00000000'), headers(whole, 1, answer)],
    'fine',
  ],
]

describe('a client and what servers send', () => {
  for (const [name, frames, outcome] of clientCases)
    test(name, () => {
      const bench = new Bench('client').hello()
      const line = { method: 'GET', scheme: 'http', authority: 'a', path: '/' }
      const fields = { names: [], values: [] }
      const told: number[] = []
      const request = bench.connection.request(line, fields, false, {
        headers() {},
        informational() {},
        data() {},
        trailers() {},
        writable() {},
        reset: (code) => told.push(code),
      })
      bench.send(...frames)
      if (outcome === 'fine') {
        assert.equal(bench.goAwayCode, -1)
        assert.equal(bench.resetCode(1), -1)
      } else if ('connection' in outcome) {
        assert.equal(bench.goAwayCode, outcome.connection)
        assert.deepEqual(told, [outcome.connection])
      } else {
        assert.equal(bench.goAwayCode, -1)
        assert.equal(bench.resetCode(1), outcome.stream)
        assert.deepEqual(told, [outcome.stream])
        assert.ok(request.closed && bench.connection.canRequest)
      }
    })
})
