import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { IdRing } from './following/id-ring.ts'
import { parentOf, spanOf, traceIdOf, traceOf, traceOfB3, traceOfDelivery } from './trace.ts'

const place = { channel: 'b', sequence: 7 }
const parent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00'

test('a trace that a sender began goes on, its delivery a span of its own', () => {
  const trace = traceOf(parent, 'vendor=x')
  assert.equal(traceIdOf(place, trace), '4bf92f3577b34da6a3ce929d0e0e4736')
  assert.equal(parentOf(trace), '00f067aa0ba902b7')
  assert.deepEqual(traceOfDelivery(place, 't', trace), {
    parent: `00-4bf92f3577b34da6a3ce929d0e0e4736-${spanOf(place, 't')}-00`,
    state: 'vendor=x',
  })
})

test('an event without a trace begins one, always the same', () => {
  const first = traceOfDelivery(place, 't', undefined)
  assert.deepEqual(first, traceOfDelivery({ ...place }, 't', undefined))
  assert.deepEqual(traceOf(first.parent, undefined), first)
  assert.equal(traceIdOf(place, traceOf(first.parent, undefined)), traceIdOf(place, undefined))
  assert.notEqual(spanOf(place, 't'), spanOf({ ...place, sequence: 8 }, 't'))
})

test('B3 says the same in other headers', () => {
  const b3 = (id: string, span: string, ...more: (readonly [string, string])[]) =>
    traceOfB3([['x-b3-traceid', id], ['x-b3-spanid', span], ...more])?.parent
  const span = '00f067aa0ba902b7'
  assert.equal(b3('4bf92f3577b34da6a3ce929d0e0e4736', span, ['x-b3-sampled', '0']), parent)
  assert.equal(b3('A3CE929D0E0E4736', span), `00-${'0'.repeat(16)}a3ce929d0e0e4736-${span}-01`)
  for (const sampled of ['1', 'true', 'd'])
    assert.match(b3(span, span, ['x-b3-sampled', sampled]) ?? '', /-01$/)
  for (const id of ['', 'x', '0'.repeat(16), 'a'.repeat(31)])
    assert.equal(b3(id, span), undefined, id)
  assert.equal(traceOfB3([['x-b3-traceid', span]]), undefined)
})

test('what is no traceparent is none', () => {
  for (const bad of [
    undefined,
    '',
    'x',
    parent.toUpperCase(),
    parent.replace('00-', 'ff-'),
    `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`,
    `00-4bf92f3577b34da6a3ce929d0e0e4736-${'0'.repeat(16)}-01`,
    `${parent}${'-x'.repeat(200)}`,
  ])
    assert.equal(traceOf(bad, undefined), undefined, bad)
})

test('a ring of ids knows where each recent id stands, also over gaps', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 3 }), fc.nat(50))), (steps) => {
      const ring = new IdRing()
      const known: (readonly [sequence: number, id: string])[] = []
      let sequence = 0
      for (const [step, id] of steps) {
        sequence += step
        ring.note(sequence, `e${id}`)
        known.push([sequence, `e${id}`])
      }
      for (const [at, id] of known) if (at >= ring.first) assert.ok(ring.find(id).includes(at))
    }),
    { numRuns: 50 },
  )
  const ring = new IdRing()
  for (let i = 1; i <= 70_000; i++) ring.note(i, String(i))
  assert.deepEqual(
    [ring.find('70000'), ring.find('1'), ring.last - ring.first + 1],
    [[70_000], [], 65_536],
  )
})
