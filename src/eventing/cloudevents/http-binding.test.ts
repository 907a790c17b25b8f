import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CloudEvent as PeerEvent, HTTP } from 'cloudevents'
import fc from 'fast-check'
import { CloudEventError, type CloudEvent } from './cloud-event.ts'
import { decodeMessage, encodeBinary, encodeStructured, modeOf } from './http-binding.ts'

const plain = {
  'ce-specversion': '1.0',
  'ce-id': '1',
  'ce-source': '/orders',
  'ce-type': 'dev.example.order',
}
const binary = (headers: Record<string, string>, body = '') => ({
  headers: Object.entries(headers),
  body: Buffer.from(body),
})
const structured = (json: unknown, type = 'application/cloudevents+json') => ({
  headers: [['content-type', type]] as const,
  body: Buffer.from(typeof json === 'string' ? json : JSON.stringify(json)),
})
const json = { specversion: '1.0', id: '1', source: '/orders', type: 'dev.example.order' }
const only = (message: Parameters<typeof decodeMessage>[0]): CloudEvent => {
  const [event, ...others] = decodeMessage(message)
  assert.ok(event && others.length === 0)
  return event
}

test('binary: headers are attributes, the body is data', () => {
  const event = only(
    binary(
      { ...plain, 'ce-comexample': 'x', 'ce-subject': '', 'content-type': 'text/plain' },
      'hello',
    ),
  )
  assert.deepEqual(event, {
    attributes: { ...json, comexample: 'x', datacontenttype: 'text/plain' },
    data: Buffer.from('hello'),
  })
  assert.deepEqual(only(binary(plain)), { attributes: json })
})

test('structured: data goes in and out as the text it stands in', () => {
  const data = '{"a": 1.0000000000000000001, "a":2 , "x":["}"]}'
  const text = `{"data" : ${data}, "n":7, "flag":true, "empty":null, ${JSON.stringify(json).slice(1)}`
  const event = only(structured(text))
  assert.deepEqual(event.attributes, {
    ...json,
    n: 7,
    flag: true,
    datacontenttype: 'application/json',
  })
  assert.equal(event.data?.toString(), data)
  const binaryOut = encodeBinary(event)
  assert.equal(binaryOut.body.toString(), data)
  assert.ok(binaryOut.headers.some(([name, value]) => name === 'ce-n' && value === '7'))
  const again = only(encodeStructured(event))
  assert.deepEqual(again, event)
})

test('structured: bytes, text, and values that are false are all data', () => {
  const data = (more: object) => only(structured({ ...json, ...more })).data?.toString()
  assert.equal(data({ data_base64: 'aGk=' }), 'hi')
  assert.equal(data({ data: 'hi', datacontenttype: 'text/plain' }), 'hi')
  assert.equal(data({ data: 'hi' }), '"hi"')
  assert.equal(data({ data: 0 }), '0')
  assert.equal(data({ data: false }), 'false')
  assert.equal(data({ data: null }), 'null')
  assert.equal(data({ data: null, datacontenttype: 'text/plain' }), undefined)
  assert.equal(data({}), undefined)
  assert.equal(data({ specversion: '0.3', data: 'aGk=', datacontentencoding: 'base64' }), 'hi')
})

test('batched: each element is an event', () => {
  const events = decodeMessage(
    structured([json, { ...json, id: '2', data: [1] }], 'application/cloudevents-batch+json'),
  )
  assert.deepEqual(
    events.map(({ attributes, data }) => [attributes['id'], data?.toString()]),
    [
      ['1', undefined],
      ['2', '[1]'],
    ],
  )
  assert.deepEqual(decodeMessage(structured([], 'application/cloudevents-batch+json')), [])
})

test('0.1 and 0.2 become 1.0, 0.3 stays', () => {
  const first = only(
    binary(
      {
        'ce-cloudeventsversion': '0.1',
        'ce-eventid': '1',
        'ce-source': '/orders',
        'ce-eventtype': 'dev.example.order',
        'ce-eventtypeversion': '2',
        'ce-x-color-name': '"red"',
        'content-type': 'application/json',
      },
      '{}',
    ),
  )
  assert.deepEqual(first.attributes, {
    ...json,
    eventtypeversion: '2',
    colorname: 'red',
    datacontenttype: 'application/json',
  })
  const named = only(binary({ ...plain, 'ce-specversion': '0.2', 'ce-constructor': 'x' }))
  assert.equal(named.attributes['constructor'], 'x')
  const second = only(binary({ ...plain, 'ce-specversion': '"0.2"', 'ce-type': '"t"' }))
  assert.deepEqual(second.attributes, { ...json, type: 't' })
  const written = { 'ce-subject': '', 'ce-a': '%C3%A9', 'ce-b': '"\\u20ac"', 'content-type': '' }
  const third = only(binary({ ...plain, 'ce-specversion': '0.2', ...written }))
  assert.deepEqual(third.attributes, { ...json, a: 'é', b: '€' })
  const secondJson = only(
    structured({
      cloudEventsVersion: '0.1',
      eventID: '1',
      source: '/orders',
      eventType: 'dev.example.order',
      contentType: 'application/json',
      extensions: { a: 1, b: { c: 2 } },
      data: [],
    }),
  )
  assert.deepEqual(secondJson.attributes, {
    ...json,
    a: 1,
    b: '{"c":2}',
    datacontenttype: 'application/json',
  })
  assert.equal(only(binary({ ...plain, 'ce-specversion': '0.3' })).attributes['specversion'], '0.3')
})

test('what is no event is refused, and the attribute is named', () => {
  const refused = (message: Parameters<typeof decodeMessage>[0], words: RegExp) =>
    assert.throws(
      () => decodeMessage(message),
      (error) => error instanceof CloudEventError && words.test(error.message),
      String(words),
    )
  refused(binary({}), /neither a header ce-specversion/)
  for (const name of ['id', 'source', 'type']) {
    const { [`ce-${name}`]: _, ...others } = plain as Record<string, string>
    refused(binary(others), new RegExp(`^${name}: missing`))
    refused(binary({ ...plain, [`ce-${name}`]: '' }), new RegExp(`^${name}: missing`))
  }
  refused(binary({ ...plain, 'ce-specversion': '2.0' }), /^specversion: "2.0" is not known/)
  refused(binary({ ...plain, 'ce-time': 'yesterday' }), /^time: "yesterday" is not a timestamp/)
  refused(binary({ ...plain, 'ce-source': '%zz' }), /^source: .* not a URI reference/)
  for (const source of ['1:2', 'http://[::1', 'http://a b/', 'http://host:port/', '//h:x', '/s#%'])
    refused(binary({ ...plain, 'ce-source': source }), /^source: .* not a URI reference/)
  refused(binary({ ...plain, 'ce-dataschema': ':x' }), /^dataschema/)
  for (const day of ['2026-02-29', '2026-04-31', '1900-02-29'])
    refused(binary({ ...plain, 'ce-time': `${day}T00:00:00Z` }), /^time: .* is not a timestamp/)
  refused(binary({ ...plain, 'ce-subject': ' ' }), /^subject: blank/)
  refused(binary({ ...plain, 'content-type': 'a/b/c' }), /^datacontenttype/)
  refused(binary({ ...plain, 'ce-my-name': 'x' }), /not a name of an attribute/)
  refused(binary({ ...plain, 'ce-__proto__': 'x' }), /not a name of an attribute/)
  refused(binary({ ...plain, 'ce-data': 'x' }), /^data: reserved/)
  refused(binary({ ...plain, 'ce-x': '%C0%A0' }), /^x: .* not UTF-8/)
  refused(binary({ ...plain, 'ce-x': '%00' }), /^x: has a control character/)
  refused(
    { headers: [...Object.entries(plain), ['ce-id', '2']], body: Buffer.alloc(0) },
    /^id: there are two/,
  )
  const types = [
    ...Object.entries(plain),
    ['content-type', 'a/b'],
    ['content-type', 'a/c'],
  ] as const
  refused({ headers: types, body: Buffer.alloc(0) }, /^datacontenttype: there are two/)
  refused(binary({ ...plain, 'content-type': 'a/b; c=\xe9' }), /^datacontenttype: .* not UTF-8/)
  const old = { ...plain, 'ce-specversion': '0.3', 'ce-datacontentencoding': 'base64' }
  refused(binary(old, 'a*'), /^data: not base64/)
  refused(structured('{'), /^not JSON/)
  refused(structured('[]'), /is a JSON object/)
  refused(structured({ ...json, id: 1 }), /^id: must be a string/)
  refused(structured({ ...json, x: {} }), /^x: an object is no value/)
  refused(structured({ ...json, x: 1.5 }), /^x: 1.5 is not an Integer/)
  refused(structured({ ...json, X: 'a' }), /^"X": not a name/)
  refused(structured(`{"__proto__":"x",${JSON.stringify(json).slice(1)}`), /not a name/)
  refused(structured({ ...json, data: 1, data_base64: 'aA==' }), /^data: there are both/)
  for (const text of ['?', 'abcde', 'ab=', 'abc==', '='])
    refused(structured({ ...json, data_base64: text }), /^data_base64: not base64/)
  for (const data of [{ a: 1 }, [], 5, true])
    refused(structured({ ...json, datacontenttype: 'text/plain', data }), /^data: .* a string/)
  refused(structured(json, 'application/cloudevents+xml'), /JSON alone is read/)
  refused(structured(json, 'application/cloudevents+json; charset=latin1'), /are UTF-8/)
  const deep = `${'['.repeat(600)}${']'.repeat(600)}`
  refused(structured(`{"data":${deep},${JSON.stringify(json).slice(1)}`), /deeper than 512/)
  refused(structured('{}', 'application/cloudevents-batch+json'), /is a JSON array/)
})

test('what reads as a URI reference or a day of the calendar is one', () => {
  const sources = [
    '/s',
    'a b',
    'urn:x:y',
    'tag:x,2020:y',
    '//h/p',
    '?q',
    '#f',
    './1:2',
    'é',
    '/q?p=100%',
  ]
  for (const source of [...sources, 'http://u:p@[::1]:80/x', 'file:///x', 'mailto:a@b'])
    assert.equal(only(structured({ ...json, source })).attributes['source'], source)
  for (const day of ['2024-02-29', '2000-02-29', '2026-12-31', '2026-01-31'])
    only(structured({ ...json, time: `${day}T23:59:60.5+02:00` }))
})

test('a content type that is empty is none; one with letters beyond ASCII goes on as it came', () => {
  assert.deepEqual(only(binary({ ...plain, 'content-type': '' })), { attributes: json })
  assert.deepEqual(only(binary({ ...plain, 'content-type': '' }, 'x')), {
    attributes: json,
    data: Buffer.from('x'),
  })
  const sent = Buffer.from('text/plain; title="é"').toString('latin1')
  const event = only(binary({ ...plain, 'content-type': sent }, 'x'))
  assert.equal(event.attributes['datacontenttype'], 'text/plain; title="é"')
  const typeOf = (each: CloudEvent) =>
    encodeBinary(each).headers.find(([name]) => name === 'content-type')?.[1]
  assert.equal(typeOf(event), sent)
  assert.equal(typeOf(only(encodeStructured(event))), sent)
})

test('data are coded where an event of 0.3 says so, in any case; later versions know no such thing', () => {
  const said = { 'ce-datacontentencoding': 'Base64' }
  const old = { ...plain, ...said, 'ce-specversion': '0.3' }
  assert.deepEqual(only(binary(old, 'aGk=')), {
    attributes: { ...json, specversion: '0.3' },
    data: Buffer.from('hi'),
  })
  const of03 = { ...json, specversion: '0.3', datacontentencoding: 'BASE64', data: 'aGk=' }
  assert.equal(only(structured(of03)).data?.toString(), 'hi')
  const today = only(binary({ ...plain, ...said }, 'aGk='))
  assert.equal(today.attributes['datacontentencoding'], 'Base64')
  assert.equal(today.data?.toString(), 'aGk=')
  const inJson = only(structured({ ...of03, specversion: '1.0' }))
  assert.equal(inJson.attributes['datacontentencoding'], 'BASE64')
  assert.equal(inJson.data?.toString(), '"aGk="')
})

test('text in JSON is what its charset makes of the bytes: what is not UTF-8 stays bytes', () => {
  const body = (type: string, data: string) =>
    encodeStructured({
      attributes: { ...json, datacontenttype: type },
      data: Buffer.from(data),
    }).body.toString()
  assert.match(body('text/plain', 'é'), /"data":"é"/)
  assert.match(body('text/plain; charset="UTF-8"', 'é'), /"data":"é"/)
  assert.match(body('text/plain; charset=iso-8859-1', 'e'), /"data":"e"/)
  assert.match(body('text/plain; charset=iso-8859-1', 'é'), /"data_base64":"w6k="/)
})

test('header values: encoded as the specification says, what others wrote goes on as it was', () => {
  const out = (value: string) =>
    encodeBinary({ attributes: { ...json, x: value } }).headers.find(([n]) => n === 'ce-x')?.[1]
  assert.equal(out('Euro € 😀'), 'Euro%20%E2%82%AC%20%F0%9F%98%80')
  const through = (text: string) => {
    const event = only(binary({ ...plain, 'ce-x': text }))
    const [, again] = encodeBinary(event).headers.find(([name]) => name === 'ce-x') ?? []
    assert.equal(again, text)
    return event.attributes['x']
  }
  assert.equal(through('Euro%20%e2%82%ac'), 'Euro €')
  assert.equal(through('a b'), 'a b')
  assert.equal(through('100%'), '100%')
  assert.equal(through('"say \\"hi\\""'), 'say "hi"')
  assert.equal(through(Buffer.from('é').toString('latin1')), 'é')
})

test('modes are told by content type first, whatever its case', () => {
  const type = (value: string) => modeOf([['content-type', value]])
  assert.equal(type('Application/CloudEvents+JSON; charset=UTF-8'), 'structured')
  assert.equal(type('application/cloudevents-batch+json'), 'batched')
  assert.equal(type('application/json'), undefined)
})

const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter((each) => {
  return !/[\p{Cc}\p{Cs}\uFDD0-\uFDEF\uFFFE\uFFFF]/u.test(each) && each.trim() !== ''
})
const anyEvent = fc
  .record({
    id: text,
    type: text,
    source: fc.webUrl(),
    extension: fc.oneof(text, fc.boolean(), fc.integer()),
    data: fc.option(fc.uint8Array(), { nil: undefined }),
    datacontenttype: fc.constantFrom('application/json', 'text/plain', 'image/png'),
  })
  .map(({ data, extension, ...attributes }): CloudEvent => ({
    attributes: { specversion: '1.0', ...attributes, extension },
    data: Buffer.from(data ?? []),
  }))

test('any event is itself again after binary and after structured', () => {
  fc.assert(
    fc.property(anyEvent, (event) => {
      const asText = { ...event.attributes, extension: String(event.attributes['extension']) }
      assert.deepEqual(only(encodeBinary(event)), { ...event, attributes: asText })
      const again = only(encodeStructured(event))
      assert.deepEqual(again.attributes, event.attributes)
      assert.deepEqual(again.data, event.data)
    }),
  )
})

test('attributes without end are refused before they are made', () => {
  const refused = (message: Parameters<typeof decodeMessage>[0], reason: RegExp) =>
    assert.throws(() => decodeMessage(message), { name: 'CloudEventError', message: reason })
  const many = (count: number) => ({
    ...json,
    ...Object.fromEntries(Array.from({ length: count }, (_, i) => [`a${i}`, 'a\\",{[,'])),
  })
  assert.equal(Object.keys(only(structured(many(990))).attributes).length, 994)
  refused(structured(many(100_000)), /more than 1000 attributes/)
  const batch = 'application/cloudevents-batch+json'
  assert.equal(decodeMessage(structured([many(990), many(990)], batch)).length, 2)
  refused(structured([json, many(100_000)], batch), /more than 1000 attributes/)
  const data = Array.from({ length: 5_000 }, (_, i) => ({ i }))
  assert.ok(only(structured({ ...json, data })).data)
  for (const name of ['type', 'source', 'a'])
    refused(
      structured({ ...json, [name]: 'é'.repeat((1 << 20) + 1) }),
      new RegExp(`${name}: attributes have more than 1048576 characters`),
    )
})

test('the reference library for JavaScript reads what we write', () => {
  const event: CloudEvent = {
    attributes: { ...json, datacontenttype: 'application/json', n: 'a' },
    data: Buffer.from('{"a":1}'),
  }
  for (const message of [encodeBinary(event), encodeStructured(event)]) {
    const read = HTTP.toEvent({
      headers: Object.fromEntries(message.headers),
      body: message.body.toString(),
    })
    assert.ok(read instanceof PeerEvent)
    assert.deepEqual([read.id, read.source, read.type, read['n']], ['1', '/orders', json.type, 'a'])
    assert.deepEqual(read.data, { a: 1 })
  }
  const written = new PeerEvent({ source: '/peer', type: 't', data: { a: 1 } })
  for (const message of [HTTP.binary(written), HTTP.structured(written)]) {
    const headers = Object.entries(message.headers).map(
      ([name, value]) => [name.toLowerCase(), String(value)] as const,
    )
    const read = only({ headers, body: Buffer.from(String(message.body)) })
    assert.deepEqual(
      [read.attributes['id'], read.attributes['source'], read.data?.toString()],
      [written.id, '/peer', '{"a":1}'],
    )
  }
})
