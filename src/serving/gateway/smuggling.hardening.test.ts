/**
 * Request smuggling: one gateway, one pod whose parser is llhttp. Whatever a client sends, the pod must see exactly the requests that the gateway
 * saw, and another client's request right behind on the same connections gets its own answer.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type CheckingPod, startCheckingPod } from './checking-pod.fixture.ts'
import { Fixture, get, host } from './gateway.fixture.ts'

const smuggled = `GET /smuggled HTTP/1.1\r\nHost: ${host}\r\n\r\n`
const post = (lines: string, body = ''): string =>
  `POST /first HTTP/1.1\r\nHost: ${host}\r\n${lines}\r\n${body}`
const chunked = (body: string): string => post('Transfer-Encoding: chunked\r\n', body)
/** `line`: up to the version. */
const line = (text: string): string => `${text}\r\nHost: ${host}\r\n\r\n`

/** Refused before anything goes to the pod: the status, and what is sent in front of a smuggled request. */
const refused: Readonly<Record<string, readonly [number, string]>> = {
  // Two lengths.
  'Content-Length and Transfer-Encoding': [
    400,
    post('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'),
  ],
  'Transfer-Encoding and Content-Length': [
    400,
    post('Transfer-Encoding: chunked\r\nContent-Length: 5\r\n', '0\r\n\r\n'),
  ],
  'Transfer-Encoding and Content-Length 0': [
    400,
    post('Transfer-Encoding: chunked\r\nContent-Length: 0\r\n', '0\r\n\r\n'),
  ],
  'two Content-Lengths that differ': [400, post('Content-Length: 0\r\nContent-Length: 44\r\n')],
  'two Content-Lengths that agree': [400, post('Content-Length: 0\r\nContent-Length: 0\r\n')],
  'a list of Content-Lengths': [400, post('Content-Length: 0, 0\r\n')],
  'Content-Length 0x0': [400, post('Content-Length: 0x0\r\n')],
  'Content-Length +0': [400, post('Content-Length: +0\r\n')],
  'Content-Length -0': [400, post('Content-Length: -0\r\n')],
  'Content-Length with a blank inside': [400, post('Content-Length: 0 4\r\n')],
  'Content-Length with a comma': [400, post('Content-Length: 0,\r\n')],
  'Content-Length without value': [400, post('Content-Length:\r\n')],
  'Content-Length beyond what fits': [400, post('Content-Length: 18446744073709551616\r\n')],
  'Content-Length with a unit': [400, post('Content-Length: 0b\r\n')],
  'Content-Length with a fraction': [400, post('Content-Length: 0.0\r\n')],
  'Content-Length in other digits': [400, post('Content-Length: \xb2\r\n')],
  'Content-Length behind a vertical tab': [400, post('Content-Length:\v0\r\n')],
  'Content-Length behind a form feed': [400, post('Content-Length: \f0\r\n')],
  'Content-Length with a NUL': [400, post('Content-Length: 0\0\r\n')],
  'Content-Length with an underscore only is another field, and the body is none': [
    400,
    post('Content-Length: 1\r\nContent-Length : 0\r\n'),
  ],
  // Codings.
  'Transfer-Encoding xchunked': [400, post('Transfer-Encoding: xchunked\r\n', '0\r\n\r\n')],
  'Transfer-Encoding chunkedx': [400, post('Transfer-Encoding: chunkedx\r\n', '0\r\n\r\n')],
  'Transfer-Encoding chunked, identity': [
    400,
    post('Transfer-Encoding: chunked, identity\r\n', '0\r\n\r\n'),
  ],
  'Transfer-Encoding identity, chunked': [
    501,
    post('Transfer-Encoding: identity, chunked\r\n', '0\r\n\r\n'),
  ],
  'Transfer-Encoding gzip, chunked': [
    501,
    post('Transfer-Encoding: gzip, chunked\r\n', '0\r\n\r\n'),
  ],
  'Transfer-Encoding identity': [400, post('Transfer-Encoding: identity\r\n')],
  'Transfer-Encoding empty': [400, post('Transfer-Encoding:\r\n')],
  'Transfer-Encoding chunked twice in a line': [
    400,
    post('Transfer-Encoding: chunked, chunked\r\n', '0\r\n\r\n'),
  ],
  'Transfer-Encoding chunked twice': [
    400,
    post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'),
  ],
  'Transfer-Encoding chunked, then identity': [
    400,
    post('Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n', '0\r\n\r\n'),
  ],
  'Transfer-Encoding identity, then chunked': [
    501,
    post('Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'),
  ],
  'Transfer-Encoding with a quote': [400, post('Transfer-Encoding: "chunked"\r\n', '0\r\n\r\n')],
  'Transfer-Encoding with a parameter': [
    400,
    post('Transfer-Encoding: chunked;q=1\r\n', '0\r\n\r\n'),
  ],
  'Transfer-Encoding behind a vertical tab': [
    400,
    post('Transfer-Encoding: \vchunked\r\n', '0\r\n\r\n'),
  ],
  'Transfer-Encoding behind a NUL': [400, post('Transfer-Encoding: \0chunked\r\n', '0\r\n\r\n')],
  'Transfer-Encoding behind obs-text': [
    400,
    post('Transfer-Encoding: \xa0chunked\r\n', '0\r\n\r\n'),
  ],
  'Transfer-Encoding with a comma before it': [
    501,
    post('Transfer-Encoding: , chunked\r\n', '0\r\n\r\n'),
  ],
  'Transfer-Encoding with a comma behind it': [
    400,
    post('Transfer-Encoding: chunked,\r\n', '0\r\n\r\n'),
  ],
  'Transfer-Encoding with a blank before the colon': [
    400,
    post('Transfer-Encoding : chunked\r\n', '0\r\n\r\n'),
  ],
  'Transfer-Encoding with a tab before the colon': [
    400,
    post('Transfer-Encoding\t: chunked\r\n', '0\r\n\r\n'),
  ],
  'Transfer-Encoding behind a blank': [
    400,
    post('X: y\r\n Transfer-Encoding: chunked\r\n', '0\r\n\r\n'),
  ],
  'Transfer-Encoding folded': [400, post('Transfer-Encoding:\r\n chunked\r\n', '0\r\n\r\n')],
  'Transfer-Encoding folded with a tab': [
    400,
    post('Transfer-Encoding: x\r\n\tchunked\r\n', '0\r\n\r\n'),
  ],
  'Transfer-Encoding in HTTP/1.0': [
    400,
    `POST / HTTP/1.0\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  ],
  // Ends of lines, and other letters.
  'a bare LF before a field': [400, post('X: y\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n')],
  'a bare CR before a field': [400, post('X: y\rTransfer-Encoding: chunked\r\n', '0\r\n\r\n')],
  'CR CR LF': [400, post('X: y\r\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n')],
  'LF CR': [400, post('X: y\n\rTransfer-Encoding: chunked\r\n', '0\r\n\r\n')],
  'a head of bare LFs': [400, `GET / HTTP/1.1\nHost: ${host}\n\n`],
  'a head that ends with LF LF': [400, `GET / HTTP/1.1\r\nHost: ${host}\n\n`],
  'a request line that ends with CR alone': [400, `GET / HTTP/1.1\rHost: ${host}\r\n\r\n`],
  'a NUL in a name': [400, post('X\0Y: z\r\n')],
  'a NUL in a value': [400, post('X: a\0b\r\n')],
  'DEL in a value': [400, post('X: a\x7fb\r\n')],
  'an empty name': [400, post(': y\r\n')],
  'a field without colon': [400, post('Transfer-Encoding chunked\r\n', '0\r\n\r\n')],
  'obs-text in a name': [400, post('Transf\xe9r-Encoding: chunked\r\n', '0\r\n\r\n')],
  'a parenthesis in a name': [400, post('X(y): z\r\n')],
  'a folded first field': [400, `GET / HTTP/1.1\r\n Host: ${host}\r\n\r\n`],
  // Request lines.
  'HTTP/0.9': [400, 'GET /\r\n\r\n'],
  'HTTP/1.2': [505, line('GET / HTTP/1.2')],
  'HTTP/2.0': [505, line('GET / HTTP/2.0')],
  'HTTP/3.0': [505, line('GET / HTTP/3.0')],
  'HTTP/0.9 said': [505, line('GET / HTTP/0.9')],
  'HTTP/1.10': [400, line('GET / HTTP/1.10')],
  'HTTP/01.1': [400, line('GET / HTTP/01.1')],
  'HTTP/1,1': [400, line('GET / HTTP/1,1')],
  'http/1.1': [400, line('GET / http/1.1')],
  'two blanks before the target': [400, line('GET  / HTTP/1.1')],
  'two blanks behind the target': [400, line('GET /  HTTP/1.1')],
  'a tab for a blank': [400, line('GET\t/ HTTP/1.1')],
  'a blank before the method': [400, line(' GET / HTTP/1.1')],
  'a blank behind the version': [400, line('GET / HTTP/1.1 ')],
  'a blank in the target': [400, line('GET /a b HTTP/1.1')],
  'obs-text in the target': [400, line('GET /\xff HTTP/1.1')],
  'a NUL in the target': [400, line('GET /\0 HTTP/1.1')],
  'a fragment in the target': [400, line('GET /a#b HTTP/1.1')],
  'a fragment in an absolute target': [400, line(`GET http://${host}/a#b HTTP/1.1`)],
  'a target without slash': [400, line('GET a HTTP/1.1')],
  'an asterisk for GET': [400, line('GET * HTTP/1.1')],
  'a colon in the method': [400, line('GE:T / HTTP/1.1')],
  'no method': [400, line('/ HTTP/1.1')],
  'CONNECT to a host': [405, line(`CONNECT ${host}:80 HTTP/1.1`)],
  'CONNECT to a path': [405, line('CONNECT / HTTP/1.1')],
  'another scheme': [400, line(`GET ftp://${host}/ HTTP/1.1`)],
  'a user in an absolute target': [400, line(`GET http://user@${host}/ HTTP/1.1`)],
  'an absolute target without host': [400, line('GET http:///x HTTP/1.1')],
  'a relative host': [400, line(`GET //${host} HTTP/1.1`).replace(host, 'a b')],
  // Host.
  'no Host': [400, 'GET / HTTP/1.1\r\nX: y\r\n\r\n'],
  'no Host with an absolute target': [400, `GET http://${host}/ HTTP/1.1\r\nX: y\r\n\r\n`],
  'two Hosts': [400, post(`Host: other.example.com\r\n`)],
  'two equal Hosts': [400, post(`Host: ${host}\r\n`)],
  'a Host with a blank': [400, `GET / HTTP/1.1\r\nHost: ${host} x\r\n\r\n`],
  'a Host with a comma': [400, `GET / HTTP/1.1\r\nHost: ${host},x\r\n\r\n`],
  'a Host with a path': [400, `GET / HTTP/1.1\r\nHost: ${host}/x\r\n\r\n`],
  'a Host with a user': [400, `GET / HTTP/1.1\r\nHost: x@${host}\r\n\r\n`],
  'a Host with a blank before its colon': [400, `GET / HTTP/1.1\r\nHost : ${host}\r\n\r\n`],
  // Others.
  'an unknown expectation': [417, post('Expect: 200-ok\r\n')],
  'two expectations in one': [417, post('Expect: 100-continue, x\r\n')],
}

/** Refused while the body is read: the pod sees that its request is not whole. */
const brokenOff: Readonly<Record<string, string>> = {
  'a chunk size that overflows': chunked('10000000000000005\r\nhello\r\n0\r\n\r\n'),
  'a chunk size with many digits': chunked('00000000000005\r\nhello\r\n0\r\n\r\n'),
  'a negative chunk size': chunked('-5\r\nhello\r\n0\r\n\r\n'),
  'a positive chunk size': chunked('+5\r\nhello\r\n0\r\n\r\n'),
  'a chunk size 0x5': chunked('0x5\r\nhello\r\n0\r\n\r\n'),
  'a chunk size with an underscore': chunked('0_5\r\nhello\r\n0\r\n\r\n'),
  'a blank before a chunk size': chunked(' 5\r\nhello\r\n0\r\n\r\n'),
  'a blank behind a chunk size': chunked('5 \r\nhello\r\n0\r\n\r\n'),
  'a chunk size in words': chunked('five\r\nhello\r\n0\r\n\r\n'),
  'no chunk size': chunked('\r\nhello\r\n0\r\n\r\n'),
  'a chunk that is longer': chunked('5\r\nhello!\r\n0\r\n\r\n'),
  'a chunk that is shorter': chunked('5\r\nhell\r\n0\r\n\r\n'),
  'a chunk that ends with LF': chunked('5\r\nhello\n0\r\n\r\n'),
  'a chunk that ends with CR': chunked('5\r\nhello\r0\r\n\r\n'),
  'a size that ends with LF': chunked('5\nhello\r\n0\r\n\r\n'),
  'a size that ends with CR': chunked('5\rhello\r\n0\r\n\r\n'),
  'a last size that ends with LF': chunked('5\r\nhello\r\n0\n\r\n'),
  'a LF in an extension': chunked(`5;a\nhello\r\n0\r\n\r\n`),
  'a LF in a quoted extension': chunked(`5;a="\n"\r\nhello\r\n0\r\n\r\n`),
  'a CR in an extension': chunked('5;a\rb\r\nhello\r\n0\r\n\r\n'),
  'an extension without end of quote': chunked('5;a="b\r\nhello\r\n0\r\n\r\n'),
  'an extension with a blank': chunked('5; a\r\nhello\r\n0\r\n\r\n'),
  'an extension with a NUL': chunked('5;a=\0\r\nhello\r\n0\r\n\r\n'),
  'extensions without end': chunked(`5;${'a=b;'.repeat(5000)}\r\nhello\r\n0\r\n\r\n`),
  'small chunks with extensions without end': chunked(
    `${'1;abcdefgh\r\nx\r\n'.repeat(3000)}0\r\n\r\n`,
  ),
  'trailers without end': chunked(`0\r\n${'X: y\r\n'.repeat(20_000)}\r\n`),
  'a trailer without colon': chunked('0\r\nX\r\n\r\n'),
  'a trailer with a blank before the colon': chunked('0\r\nX : y\r\n\r\n'),
  'a folded trailer': chunked('0\r\nX: y\r\n z\r\n\r\n'),
  'a trailer with a bare LF': chunked('0\r\nX: y\nZ: z\r\n\r\n'),
  'a trailer with a NUL': chunked('0\r\nX: \0\r\n\r\n'),
  'a trailer that ends with LF': chunked('0\r\nX: y\n\r\n'),
  'an end of LF': chunked('0\r\n\n'),
  'Content-Length in the trailers': chunked('0\r\nContent-Length: 44\r\n\r\n'),
  'Transfer-Encoding in the trailers': chunked('0\r\ntransfer-encoding: chunked\r\n\r\n'),
  'Host in the trailers': chunked('0\r\nHOST: other\r\n\r\n'),
}

/** Good: what the pod sees, `method url body`. */
const passes: Readonly<Record<string, readonly [string, readonly string[]]>> = {
  'a body that looks like a request': [
    post(`Content-Length: ${smuggled.length}\r\n`, smuggled),
    [`POST /first ${smuggled}`],
  ],
  'a chunk that looks like a request': [
    chunked(`${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`),
    [`POST /first ${smuggled}`],
  ],
  'a chunk that looks like the end': [
    chunked('5\r\n0\r\n\r\n\r\n0\r\n\r\n'),
    ['POST /first 0\r\n\r\n'],
  ],
  CHUNKED: [
    post('TRANSFER-ENCODING: CHUNKED\r\n', '5\r\nhello\r\n0\r\n\r\n'),
    ['POST /first hello'],
  ],
  'chunked between tabs': [
    post('Transfer-Encoding:\tchunked \t\r\n', '5\r\nhello\r\n0\r\n\r\n'),
    ['POST /first hello'],
  ],
  'a chunk size in capitals': [chunked(`A\r\n0123456789\r\n0\r\n\r\n`), ['POST /first 0123456789']],
  'a chunk size with zeros in front': [
    chunked('005\r\nhello\r\n000\r\n\r\n'),
    ['POST /first hello'],
  ],
  extensions: [
    chunked('5;a=b;c="\\"\r";d\r\nhello\r\n0;e\r\n\r\n'.replace('\r"', '"')),
    ['POST /first hello'],
  ],
  trailers: [chunked('5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n'), ['POST /first hello']],
  'a length with zeros in front': [post('Content-Length: 005\r\n', 'hello'), ['POST /first hello']],
  'a length between blanks': [post('Content-Length:   5 \t \r\n', 'hello'), ['POST /first hello']],
  'a length with GET': [
    `GET /g HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 5\r\n\r\nhello`,
    ['GET /g hello'],
  ],
  'names that resemble': [
    post('Content_Length: 3\r\nX-Transfer-Encoding: chunked\r\nContent-Length: 5\r\n', 'hello'),
    ['POST /first hello'],
  ],
  'Connection names Content-Length': [
    post('Connection: Content-Length\r\nContent-Length: 5\r\n', 'hello'),
    ['POST /first hello'],
  ],
  'Connection names Transfer-Encoding': [
    post(
      'Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n',
      '5\r\nhello\r\n0\r\n\r\n',
    ),
    ['POST /first hello'],
  ],
  'Connection names Host': [get('/h', 'Connection: Host\r\n'), ['GET /h ']],
  'an absolute target, whatever Host says': [
    `GET http://${host}/abs?x HTTP/1.1\r\nHost: other.example.com\r\n\r\n`,
    ['GET /abs?x '],
  ],
  'an absolute target without path': [
    `GET http://${host}?x HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    ['GET /?x '],
  ],
  'OPTIONS *': [`OPTIONS * HTTP/1.1\r\nHost: ${host}\r\n\r\n`, ['OPTIONS * ']],
  'empty lines in front': [`\r\n\r\n${get('/e')}`, ['GET /e ']],
  'a pipeline': [
    get('/1') + post('Content-Length: 1\r\n', 'x') + get('/3'),
    ['GET /1 ', 'POST /first x', 'GET /3 '],
  ],
  'a second Upgrade in disguise': [
    get(
      '/u',
      'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n',
    ),
    ['GET /u '],
  ],
  'h2c among others': [
    get(
      '/u',
      'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: websocket, h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n',
    ),
    ['GET /u '],
  ],
  'h2c in another case': [get('/u', 'Connection: Upgrade\r\nUpgrade: foo , H2C\r\n'), ['GET /u ']],
  'Upgrade in HTTP/1.0': [
    `GET /u HTTP/1.0\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
    ['GET /u '],
  ],
}

describe('smuggling', { timeout: 60_000 }, () => {
  let pod: CheckingPod
  let fixture: Fixture
  let controls = 0
  before(async () => {
    pod = await startCheckingPod()
    fixture = await Fixture.start({ revision: { backends: [pod.backend] } })
  })
  after(async () => {
    await fixture[Symbol.asyncDispose]()
    await pod[Symbol.asyncDispose]()
  })

  /** Sends, ends nothing, and answers all that comes back. */
  const exchange = async (text: string): Promise<string> => {
    const client = await fixture.client()
    const all = await client.send(text).rest()
    client.socket.destroy()
    return all
  }
  /** Another client's request goes its own way, and the pod has seen nothing in between. */
  const control = async (expected: readonly string[]): Promise<void> => {
    const path = `/control-${controls++}`
    const { status, body } = await fixture.request(get(path))
    assert.deepEqual([status, body], [200, `GET ${path} 0`])
    for (const { inFlight } of fixture.gateway.view().revisions) assert.equal(inFlight, 0)
    const saw = pod.seen.splice(0).map(({ method, url, body: sent }) => `${method} ${url} ${sent}`)
    assert.deepEqual(saw, [...expected, `GET ${path} `])
    assert.deepEqual(pod.complaints.splice(0), [])
  }
  const statuses = (text: string): number[] =>
    [...text.matchAll(/HTTP\/1\.1 (\d\d\d)/g)].map(([, status]) => Number(status))

  for (const [name, [status, text]] of Object.entries(refused))
    test(`${name}: ${status}`, async () => {
      const answer = await exchange(text + smuggled)
      assert.deepEqual(statuses(answer), [status], answer)
      assert.match(answer, /\r\nConnection: close\r\n/)
      await control([])
    })

  for (const [name, text] of Object.entries(brokenOff))
    test(`${name}: the connection ends, and so does the pod's`, async () => {
      const answer = await exchange(text + smuggled)
      assert.deepEqual(statuses(answer), [400], answer)
      await control([])
    })

  for (const [name, [text, expected]] of Object.entries(passes))
    test(`${name}: passes as one`, async () => {
      const last = get('/last', 'Connection: close\r\n')
      const http10 = / HTTP\/1\.0\r/.test(text)
      const answer = await exchange(http10 ? text : text + last)
      const all = http10 ? expected : [...expected, 'GET /last ']
      assert.deepEqual(
        statuses(answer),
        all.map(() => 200),
        answer,
      )
      // A pipeline's bodies come back in its order.
      const bodies = [...answer.matchAll(/\r\n\r\n(\w+ \S+) \d+/g)].map(([, what]) => what)
      assert.deepEqual(
        bodies,
        all.map((seen) => seen.split(' ').slice(0, 2).join(' ')),
      )
      await control(all)
    })

  test('nothing of the hop, and nothing of Knative, gets through in disguise', async () => {
    await fixture.request(
      get(
        '/hop',
        'Connection: close, X-Secret\r\nX-Secret: 1\r\nKeep-Alive: 5\r\nTE: trailers, deflate\r\nProxy-Connection: x\r\n' +
          'knative-serving-revision: other\r\nK-Original-Host: evil\r\nK-Proxy-Request: activator\r\n',
      ),
    )
    const [seen] = pod.seen.splice(0)
    const names = seen!.headers.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase())
    assert.deepEqual(names.toSorted(), [
      'forwarded',
      'host',
      'te',
      'x-forwarded-for',
      'x-forwarded-proto',
      'x-request-id',
    ])
  })
})
