import assert from 'node:assert/strict'
import { createServer, METHODS, type Server } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { Body, requestFraming } from './body.ts'
import { Field, fieldOf, hashStep } from './fields.ts'
import { checkPartialHead, findHeadEnd, parseRequestHead, parseResponseHead } from './head.ts'
import { HttpError } from './http-error.ts'

const request = (text: string) => {
  const bytes = Buffer.from(text, 'latin1')
  return parseRequestHead(bytes, 0, findHeadEnd(bytes, 0), 100)
}
const response = (text: string) => {
  const bytes = Buffer.from(text, 'latin1')
  return parseResponseHead(bytes, 0, findHeadEnd(bytes, 0), 100)
}
const refused = (text: string, status: number, message: RegExp) =>
  assert.throws(
    () => request(text),
    (error) => error instanceof HttpError && error.status === status && message.test(error.message),
    JSON.stringify(text),
  )

describe('request heads', () => {
  test('a plain request', () => {
    const head = request('GET /a?b=c HTTP/1.1\r\nHost: h:80\r\nX-Thing:  two words \r\n\r\n')
    assert.equal(head.method, 'GET')
    assert.equal(head.target, '/a?b=c')
    assert.equal(head.host, 'h:80')
    assert.deepEqual(head.names, ['Host', 'X-Thing'])
    assert.deepEqual(head.values, ['h:80', 'two words'])
    assert.deepEqual(head.ids, [Field.host, Field.other])
    assert.equal(head.keepAlive, true)
    assert.equal(head.contentLength, -1)
  })

  test('known fields are found in any letter case, and only by their whole name', () => {
    assert.deepEqual(
      request('GET / HTTP/1.1\r\nhOST: h\r\nk-NETWORK-probe: x\r\nK-Network-Prob: y\r\n\r\n').ids,
      [Field.host, Field.kNetworkProbe, Field.other],
    )
    let hash = 0
    for (const letter of 'host') hash = hashStep(hash, letter.charCodeAt(0))
    assert.equal(fieldOf(hash, 'tsoh'), Field.other)
  })

  test('persistence follows version and Connection', () => {
    const keepAlive = (version: string, connection: string) =>
      request(`GET / HTTP/${version}\r\nHost: h\r\n${connection}\r\n`).keepAlive
    assert.equal(keepAlive('1.1', ''), true)
    assert.equal(keepAlive('1.1', 'Connection: close\r\n'), false)
    assert.equal(keepAlive('1.1', 'Connection: close, keep-alive\r\n'), false)
    assert.equal(keepAlive('1.0', ''), false)
    assert.equal(keepAlive('1.0', 'Connection: Keep-Alive\r\n'), true)
    assert.equal(keepAlive('1.0', 'Connection: close\r\nConnection: keep-alive, x\r\n'), false)
  })

  test('Connection names fields that end here, and may ask for an upgrade', () => {
    const head = request(
      'GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, X-Secret\r\nUpgrade: websocket\r\n\r\n',
    )
    assert.equal(head.connectionUpgrade, true)
    assert.equal(head.upgrade, 'websocket')
    assert.deepEqual(head.hopNames, ['x-secret'])
  })

  test('an absolute target says the host', () => {
    const head = request('GET http://real:8080/x?y HTTP/1.1\r\nHost: other\r\n\r\n')
    assert.equal(head.host, 'real:8080')
    assert.equal(head.target, '/x?y')
    assert.equal(request('GET http://real HTTP/1.1\r\nHost: other\r\n\r\n').target, '/')
    assert.equal(request('GET http://real?q HTTP/1.1\r\nHost: other\r\n\r\n').target, '/?q')
    assert.equal(request('OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n').target, '*')
  })

  test('what could be read in two ways is refused', () => {
    const get = (lines: string) => `GET / HTTP/1.1\r\nHost: h\r\n${lines}\r\n`
    const cases: [string, number, RegExp][] = [
      [get('A: b\nC: d\r\n'), 400, /bare LF/],
      [get('A: b\rC: d\r\n'), 400, /bare CR/],
      [get('A: b\0c\r\n'), 400, /control character/],
      [get('A: b\r\n folded\r\n'), 400, /folded/],
      [get('A : b\r\n'), 400, /header name/],
      [get(': b\r\n'), 400, /header name/],
      [get('no colon\r\n'), 400, /header name/],
      [get('Host: other\r\n'), 400, /more than one Host/],
      [get('Content-Length: 1\r\nContent-Length: 1\r\n'), 400, /more than one Content-Length/],
      [get('Content-Length: 1, 1\r\n'), 400, /Content-Length/],
      [get('Content-Length: +1\r\n'), 400, /Content-Length/],
      [get('Content-Length: 0x1\r\n'), 400, /Content-Length/],
      [get('Content-Length: -1\r\n'), 400, /Content-Length/],
      [get('Content-Length: \r\n'), 400, /Content-Length/],
      [get('Content-Length: 99999999999999999999\r\n'), 400, /Content-Length/],
      [get('Content-Length: 1\r\nTransfer-Encoding: chunked\r\n'), 400, /both/],
      [get('Transfer-Encoding: chunked\r\nContent-Length: 1\r\n'), 400, /both/],
      [get('Transfer-Encoding: xchunked\r\n'), 400, /chunked/],
      [get('Transfer-Encoding: chunked, identity\r\n'), 400, /last/],
      [get('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n'), 400, /last/],
      [get('Transfer-Encoding: gzip, chunked\r\n'), 501, /only/],
      [get('Transfer-Encoding: \x0bchunked\r\n'), 400, /control character/],
      [get('Transfer-Encoding: \xa0chunked\r\n'), 400, /end in chunked/],
      [get('Expect: more\r\n'), 417, /expectation/],
      ['GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n', 400, /HTTP\/1.0/],
      ['GET / HTTP/1.1\r\n\r\n', 400, /Host is missing/],
      ['GET / HTTP/1.1\r\nHost: a b\r\n\r\n', 400, /Host/],
      ['GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', 400, /Host/],
      ['GET / HTTP/1.1\r\nHost: a@b\r\n\r\n', 400, /Host/],
      ['GET / HTTP/1.1\r\nHost: a,b\r\n\r\n', 400, /Host/],
      ['GET  / HTTP/1.1\r\nHost: h\r\n\r\n', 400, /target/],
      ['GET / x HTTP/1.1\r\nHost: h\r\n\r\n', 400, /version/],
      ['GET /\x7f HTTP/1.1\r\nHost: h\r\n\r\n', 400, /target/],
      ['GET x HTTP/1.1\r\nHost: h\r\n\r\n', 400, /target/],
      ['G@T / HTTP/1.1\r\nHost: h\r\n\r\n', 400, /request line/],
      [' GET / HTTP/1.1\r\nHost: h\r\n\r\n', 400, /request line/],
      ['GET /\r\n\r\n', 400, /target/],
      ['GET / HTTP/1.1 \r\nHost: h\r\n\r\n', 400, /version/],
      ['GET / HTTP/11\r\nHost: h\r\n\r\n', 400, /version/],
      ['GET / http/1.1\r\nHost: h\r\n\r\n', 400, /version/],
      ['CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n', 405, /CONNECT/],
      ['CONNECT /x HTTP/1.1\r\nHost: h\r\n\r\n', 405, /CONNECT/],
      ['GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n', 400, /fragment/],
      ['GET / HTTP/1.2\r\nHost: h\r\n\r\n', 505, /1\.2/],
      ['PRI * HTTP/2.0\r\n\r\n', 505, /2\.0/],
    ]
    for (const [text, status, message] of cases) refused(text, status, message)
  })

  test('too many fields are refused', () => {
    const lines = Array.from({ length: 101 }, (_, i) => `X-${i}: y\r\n`).join('')
    refused(`GET / HTTP/1.1\r\n${lines}\r\n`, 431, /more than 100/)
  })

  test('a head that can never become good is refused before it is whole', () => {
    const partial = (text: string) => () =>
      checkPartialHead(Buffer.from(text, 'latin1'), 0, text.length)
    assert.throws(partial('GET / HTTP/1.1\nHost: h\n\n'), /bare LF/)
    assert.throws(partial('GET /\0'), /NUL/)
    assert.doesNotThrow(partial('GET / HTTP/1.1\r\nHost: h\r\n'))
  })
})

describe('response heads', () => {
  test('status, reason, framing and Keep-Alive', () => {
    const head = response(
      'HTTP/1.1 404 Not \xe4 Found\r\nContent-Length: 3\r\nKeep-Alive: timeout=5, max=3\r\n\r\n',
    )
    assert.equal(head.status, 404)
    assert.equal(head.reason, 'Not \xe4 Found')
    assert.equal(head.contentLength, 3)
    assert.equal(head.keepAliveSeconds, 5)
    assert.equal(response('HTTP/1.1 200\r\n\r\n').reason, '')
    assert.equal(response('HTTP/1.0 200 OK\r\n\r\n').keepAlive, false)
    const lines = 'Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n'
    assert.equal(response(`HTTP/1.0 200 OK\r\n${lines}\r\n`).keepAlive, false)
  })

  test('a pod cannot smuggle either', () => {
    for (const text of [
      'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n',
      'HTTP/1.1 20 OK\r\n\r\n',
      'HTTP/1.1 099 OK\r\n\r\n',
      'HTTP/2 200 OK\r\n\r\n',
      'HTTP/1.1 200 O\nK\r\n\r\n',
      'nonsense\r\n\r\n',
    ])
      assert.throws(() => response(text), HttpError, text)
  })
})

test('no bytes make the parser do anything but answer or refuse', () => {
  const piece = fc.constantFrom(
    '\r\n',
    '\r',
    '\n',
    ' ',
    ':',
    'a',
    'Host: h',
    'GET / HTTP/1.1',
    '\0',
  )
  fc.assert(
    fc.property(
      fc.array(fc.oneof(piece, fc.string({ maxLength: 5 })), { maxLength: 12 }),
      (parts) => {
        const bytes = Buffer.from(`${parts.join('')}\r\n\r\n`, 'latin1')
        for (const parse of [parseRequestHead, parseResponseHead])
          try {
            parse(bytes, 0, findHeadEnd(bytes, 0), 10)
          } catch (error) {
            assert.ok(error instanceof HttpError, String(error))
          }
      },
    ),
  )
})

// -- the same bytes through llhttp ----------------------------------------------------------------------------------

interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: readonly string[]
  readonly body: string
}

/** What we make of a stream of requests: all of it as whole requests, or undefined. */
function ours(bytes: Buffer): Seen[] | undefined {
  const seen: Seen[] = []
  let at = 0
  try {
    while (at < bytes.length) {
      const end = findHeadEnd(bytes, at)
      if (end < 0) return undefined
      const head = parseRequestHead(bytes, at, end, 100)
      const body = new Body(requestFraming(head), head.contentLength)
      let text = ''
      at = body.advance(
        bytes,
        end,
        (chunk, from, to) => (text += chunk.toString('latin1', from, to)),
      )
      if (!body.done) return undefined
      seen.push({
        method: head.method,
        url: head.target,
        headers: head.names.flatMap((name, i) => [name, head.values[i] ?? '']),
        body: text,
      })
      if (!head.keepAlive) return at === bytes.length ? seen : undefined
    }
  } catch (error) {
    assert.ok(error instanceof HttpError, String(error))
    return undefined
  }
  return seen
}

describe('compared with llhttp', () => {
  let server: Server
  let theirs: Seen[] = []
  before(async () => {
    server = createServer({ keepAliveTimeout: 1000 }, (message, answer) => {
      let body = ''
      message.setEncoding('latin1')
      message.on('data', (text: string) => (body += text))
      message.on('end', () => {
        const { method = '', url = '', rawHeaders } = message
        theirs.push({ method, url, headers: rawHeaders, body })
        answer.end()
      })
    })
    server.listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
  })
  after(() => server.close())

  async function llhttp(bytes: Buffer): Promise<Seen[]> {
    theirs = []
    const { port } = server.address() as AddressInfo
    await new Promise<void>((resolve) => {
      const socket = connect({ port, host: '127.0.0.1' }, () => socket.end(bytes))
      socket.on('error', () => {})
      socket.on('close', () => resolve())
      socket.resume()
    })
    return theirs
  }

  const token = fc.stringMatching(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,6}$/)
  const value = fc.stringMatching(/^[!-~\u00a1-\u00ff]([ \t!-~]{0,8}[!-~])?$/)
  const ordinary = fc
    .tuple(
      token.map((name) => `X-${name}`),
      fc.constantFrom('', ' ', ' \t'),
      value,
    )
    .map(([name, blank, text]) => `${name}:${blank}${text}\r\n`)
  const chunk = fc
    .tuple(
      fc.string({ minLength: 1, maxLength: 20 }),
      fc.constantFrom('', ';a', ';a=b', ';a="b c"'),
    )
    .map(([data, extension]) => {
      const bytes = Buffer.from(data).toString('latin1')
      return `${bytes.length.toString(16)}${extension}\r\n${bytes}\r\n`
    })
  const bodied = fc.oneof(
    fc.constant(['', '']),
    fc.string({ maxLength: 20 }).map((text) => {
      const bytes = Buffer.from(text).toString('latin1')
      return [`Content-Length: ${bytes.length}\r\n`, bytes]
    }),
    fc
      .tuple(fc.array(chunk, { maxLength: 3 }), fc.constantFrom('', 'T: u\r\n'))
      .map(([chunks, trailer]) => [
        'Transfer-Encoding: chunked\r\n',
        `${chunks.join('')}0\r\n${trailer}\r\n`,
      ]),
  )
  const message = fc
    .tuple(
      fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'OPTIONS'),
      fc.stringMatching(/^\/[!-"$-~]{0,10}$/),
      fc.array(ordinary, { maxLength: 3 }),
      bodied,
    )
    .map(
      ([method, target, headers, [framing = '', body = '']]) =>
        `${method} ${target} HTTP/1.1\r\nHost: h\r\n${headers.join('')}${framing}\r\n${body}`,
    )

  test('what is good is good for both, and means the same', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 3 }), async (messages) => {
        const bytes = Buffer.from(messages.join(''), 'latin1')
        const mine = ours(bytes)
        assert.equal(mine?.length, messages.length)
        assert.deepEqual(await llhttp(bytes), mine)
      }),
      { numRuns: 60 },
    )
  })

  test('with bytes changed, whatever we still accept llhttp reads in the same way', async () => {
    const letters = '\r \n \t : , ; 0 \0 \v " - + / \x80 \x7f chunked HTTP/1.1'
    const inserted = fc.constantFrom(
      ...letters.split(' '),
      ' ',
      '\r\n',
      '\r\nContent-Length: 3',
      '\r\nTransfer-Encoding: chunked',
      '\r\nTransfer-Encoding: identity',
      '\r\n0\r\n\r\n',
      'Content-Length: 0\r\n',
    )
    const change = fc.record({
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      remove: fc.integer({ min: 0, max: 2 }),
      insert: fc.oneof(fc.constant(''), inserted),
    })
    let accepted = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(message, { minLength: 1, maxLength: 2 }),
        fc.array(change, { minLength: 1, maxLength: 2 }),
        async (messages, changes) => {
          let text = messages.join('')
          for (const { at, remove, insert } of changes) {
            const index = Math.floor(at * text.length)
            text = text.slice(0, index) + insert + text.slice(index + remove)
          }
          const bytes = Buffer.from(text, 'latin1')
          const mine = ours(bytes)
          // llhttp knows a list of methods, and leaves absolute targets as they are.
          if (!mine || mine.some(({ method }) => !METHODS.includes(method))) return
          if (/ https?:\/\//i.test(text)) return
          accepted++
          assert.deepEqual(await llhttp(bytes), mine)
        },
      ),
      { numRuns: 500 },
    )
    assert.ok(accepted > 20, `only ${accepted} were accepted`)
  })
})
