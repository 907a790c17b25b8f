import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findHeadEnd, parseRequestHead, parseResponseHead } from '../../../lib/http1/head.ts'
import { headerEdit } from './header-edit.ts'
import { clientIdentity, forwardedShim, requestText, responseText } from './outgoing-head.ts'
import { directDestination, type Destination } from '../routing/route-table.ts'

const client = clientIdentity('::ffff:10.0.0.9')
const sent = (lines: string, destination: Partial<Destination> = {}) => {
  const bytes = Buffer.from(`POST /x HTTP/1.1\r\nHost: h:1\r\n${lines}\r\n`, 'latin1')
  const head = parseRequestHead(bytes, 0, findHeadEnd(bytes, 0), 50)
  const whole = { ...directDestination('n/r'), ...destination }
  return requestText(head, whole, client, () => 'id', undefined, head.chunked).split('\r\n')
}
const answered = (text: string, clientMinor: 0 | 1 = 1, keepAlive = true) => {
  const bytes = Buffer.from(`${text}\r\n`, 'latin1')
  const head = parseResponseHead(bytes, 0, findHeadEnd(bytes, 0), 50)
  return responseText(head, { clientMinor, keepAlive, upgrade: false }).split('\r\n')
}

test('a request gets X-Forwarded-*, Forwarded and an id, and keeps the rest as it is', () => {
  assert.deepEqual(sent('X-Custom: V\xe4lue\r\ncontent-length: 007\r\n'), [
    'POST /x HTTP/1.1',
    'Host: h:1',
    'Content-Length: 7',
    'X-Custom: V\xe4lue',
    'X-Forwarded-For: 10.0.0.9',
    'X-Forwarded-Proto: http',
    'Forwarded: for=10.0.0.9;proto=http',
    'X-Request-Id: id',
    '',
    '',
  ])
})

test('what a proxy before us said is carried on, but the scheme is the one that this connection has', () => {
  assert.deepEqual(
    sent(
      'X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: ::2\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: pub\r\nX-Request-Id: mine\r\n',
    ).slice(2, -2),
    [
      'X-Forwarded-Host: pub',
      'X-Request-Id: mine',
      'X-Forwarded-For: 1.1.1.1, ::2, 10.0.0.9',
      'X-Forwarded-Proto: http',
      'Forwarded: for=1.1.1.1;host=pub;proto=http, for="[::2]", for=10.0.0.9',
    ],
  )
  assert.ok(sent('Forwarded: for=x\r\n').includes('Forwarded: for=x'))
  assert.equal(
    sent('Forwarded: for=x\r\n').filter((line) => line.startsWith('Forwarded')).length,
    1,
  )
})

test("hop-by-hop fields and Knative's own end here", () => {
  const lines = sent(
    [
      'Connection: keep-alive, X-Hop, content-length, X-Forwarded-For',
      'X-Hop: 1',
      'Keep-Alive: timeout=5',
      'Proxy-Connection: x',
      'Proxy-Authorization: x',
      'TE: gzip, trailers',
      'Upgrade: h2c',
      'HTTP2-Settings: x',
      'Content-Length: 3',
      'Knative-Serving-Revision: r',
      'Knative-Serving-Namespace: n',
      'Knative-Direct-Lb: true',
      'K-Network-Hash: x',
      'K-Proxy-Request: activator',
      'K-Original-Host: evil',
      'K-Passthrough-Lb: true',
      'Knative-Serving-Tag: blue',
      '',
    ].join('\r\n'),
  )
  assert.deepEqual(lines.slice(1, -2), [
    'Host: h:1',
    'Content-Length: 3',
    'TE: trailers',
    'Knative-Serving-Tag: blue',
    'X-Forwarded-For: 10.0.0.9',
    'X-Forwarded-Proto: http',
    'Forwarded: for=10.0.0.9;proto=http',
    'X-Request-Id: id',
  ])
})

test("the route's headers replace the client's, and its host is seen", () => {
  const lines = sent('x-tag: spoofed\r\n', {
    request: headerEdit([['X-Tag', 'real']], ['x-tag']),
    host: 'other',
  })
  assert.equal(lines[1], 'Host: other')
  assert.deepEqual(
    lines.filter((line) => /x-tag/i.test(line)),
    ['X-Tag: real'],
  )
})

test('an upgrade is asked for again at the next hop', () => {
  const lines = sent('Connection: Upgrade\r\nUpgrade: websocket\r\n')
  assert.deepEqual(lines.slice(-4), ['Connection: Upgrade', 'Upgrade: websocket', '', ''])
})

test('responses lose their hop and get ours', () => {
  assert.deepEqual(
    answered(
      'HTTP/1.1 200 Fine\r\nA: b\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: x\r\nContent-Length: 2\r\n',
    ),
    ['HTTP/1.1 200 Fine', 'A: b', 'Content-Length: 2', '', ''],
  )
  assert.deepEqual(answered('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n', 0, false), [
    'HTTP/1.1 200 OK',
    'Connection: close',
    '',
    '',
  ])
  assert.deepEqual(answered('HTTP/1.1 204 No\r\nContent-Length: 0\r\n', 0), [
    'HTTP/1.1 204 No',
    'Connection: keep-alive',
    '',
    '',
  ])
})

test('the Forwarded header as Knative makes it', () => {
  assert.equal(forwardedShim('a, b', 'https', 'h'), 'for=a;host=h;proto=https, for=b')
  assert.equal(forwardedShim('', 'http', undefined), 'proto=http')
  assert.equal(forwardedShim('[::1]', undefined, undefined), 'for="[::1]"')
})
