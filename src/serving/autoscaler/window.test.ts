import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { smoothingOf, Window } from './window.ts'

const seconds = (s: number) => s * 1000

test('the average counts gaps in the middle as zero and missing seconds at the end not at all', () => {
  const pair = new Window(60_000)
  pair.record(0, 10)
  pair.record(seconds(1), 10)
  assert.equal(pair.average(seconds(1)), 10)
  assert.equal(pair.average(seconds(3)), 10)

  const gap = new Window(60_000)
  gap.record(0, 10)
  gap.record(seconds(4), 10)
  const averages = [4, 59, 60, 63, 64].map((s) => gap.average(seconds(s)))
  assert.deepEqual(averages, [4, 4, 2.5, 10, 0])
})

test('values of one second add up, whatever the milliseconds', () => {
  const window = new Window(6_000)
  window.record(100, 1)
  window.record(900, 2)
  window.record(1_000, 5)
  assert.equal(window.average(1_999), 4)
})

test('empty is a window that nobody wrote to for longer than its length', () => {
  const window = new Window(6_000)
  assert.equal(window.isEmpty(0), true)
  assert.equal(window.average(0), 0)
  window.record(seconds(10), 3)
  assert.equal(window.isEmpty(seconds(16)), false)
  assert.equal(window.average(seconds(16)), 0)
  assert.equal(window.isEmpty(seconds(17)), true)
})

test('late values count, values older than the window do not', () => {
  const window = new Window(6_000)
  window.record(seconds(10), 6)
  window.record(seconds(8), 3)
  assert.equal(window.average(seconds(10)), 3)
  window.record(seconds(4), 1_000)
  assert.equal(window.average(seconds(10)), 3)
  window.record(seconds(10), Number.NaN)
  assert.equal(window.average(seconds(10)), 3)
})

test('a gap as long as the window starts anew', () => {
  const window = new Window(6_000)
  window.record(seconds(1), 100)
  window.record(seconds(7), 4)
  assert.equal(window.average(seconds(7)), 4)
})

test('another length keeps the newest values and invents no zeros', () => {
  const window = new Window(6_000)
  for (let s = 0; s < 20; s++) window.record(seconds(s), s)
  window.resize(3_000)
  assert.equal(window.average(seconds(19)), 18)
  window.resize(10_000)
  assert.equal(window.average(seconds(19)), 18)
  window.record(seconds(20), 22)
  assert.equal(window.average(seconds(20)), (17 + 18 + 19 + 22) / 4)
})

test('the weight of the newest value', () => {
  const rounded = [6, 10, 30, 40, 42, 60].map((size) => Math.round(smoothingOf(size) * 1e6) / 1e6)
  assert.deepEqual(rounded, [0.784557, 0.601893, 0.264358, 0.205672, 0.2, 0.2])
})

test('a weighted average follows the newest values and fades with time', () => {
  const window = new Window(6_000, 'weightedExponential')
  const c = smoothingOf(6)
  window.record(0, 10)
  assert.equal(window.average(0), 10 * c)
  window.record(seconds(1), 20)
  assert.equal(window.average(seconds(1)), 20 * c + 10 * (c * (1 - c)))
  const faded = 20 * c * (1 - c) ** 2 + 10 * c * (1 - c) ** 3
  assert(Math.abs(window.average(seconds(3)) - faded) < 1e-12)
  assert.equal(window.average(seconds(7)), 0)
})

test('agrees with a plain list of the seconds', () => {
  const steps = fc.array(fc.tuple(fc.nat(8), fc.nat(1000)), { minLength: 1, maxLength: 60 })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 12 }), steps, fc.nat(20), (size, all, wait) => {
      const window = new Window(size * 1000)
      let written = new Map<number, number>()
      let first = 0
      let now = 0
      let last = -Infinity
      for (const [gap, value] of all) {
        now += gap
        if (now - last >= size) {
          written = new Map()
          first = now
        }
        last = now
        written.set(now, (written.get(now) ?? 0) + value)
        window.record(seconds(now), value)
      }
      const at = now + wait
      let total = 0
      for (const [second, value] of written) if (second > at - size) total += value
      const divisor = Math.min(last - first + 1, wait > 0 ? size - wait : size)
      const wanted = wait >= size ? 0 : total / divisor
      assert(Math.abs(window.average(seconds(at)) - wanted) < 1e-6)
    }),
  )
})
