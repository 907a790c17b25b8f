import assert from 'node:assert/strict'
import { test } from 'node:test'
import { redriveIn, replayIn, selectionIn, tailIn } from './requests.ts'

const refused = (message: RegExp) => ({ name: 'RequestError', message })

test('what is misspelt is told, and does not mean everything', () => {
  assert.throws(
    () => redriveIn({ number: [3] }),
    refused(/^number is not known; there are numbers/),
  )
  assert.throws(
    () => redriveIn({ numbers: 3 }),
    refused(/^numbers: expected a list of numbers, found 3$/),
  )
  assert.throws(() => redriveIn({ numbers: ['3'] }), refused(/^numbers: expected a list/))
  assert.throws(
    () => redriveIn({ subscription: null }),
    refused(/^subscription: expected a string, found null$/),
  )
  assert.throws(() => redriveIn({ dryRun: 'yes' }), refused(/^dryRun: expected true or false/))
  assert.throws(() => redriveIn([]), refused(/^the request: expected an object, found a list$/))
  const to = { subscription: 'billing' }
  assert.throws(() => replayIn({ to, select: {} }), refused(/^select is not known/))
  assert.throws(() => replayIn({ to, selection: { since: 3 } }), refused(/^selection.since is not/))
  assert.throws(
    () => replayIn({ to: { url: 'http://a/' } }),
    refused(/^to: .*found neither or both/),
  )
  assert.throws(() => replayIn({ to: { subscription: 3 } }), refused(/^to: expected/))
  assert.throws(() => replayIn({}), refused(/^to: expected.*, found nothing$/))
  assert.throws(() => selectionIn({ constructor: 1 }), refused(/constructor is not known/))
  assert.throws(() => selectionIn({ id: 7 }), refused(/^selection.id: expected a string, found 7$/))
  const long = 'x'.repeat(10_000)
  assert.throws(() => selectionIn({ limit: long }), refused(/, found "x{59}…$/))
  assert.throws(() => selectionIn({ last: 1_000_001 }), refused(/^selection.last: at most 1000000/))
  assert.throws(
    () => selectionIn({ filter: { filters: [{ cesql: '(' }] } }),
    refused(/^selection.filter: found the end/),
  )
})

test('a filter that is misspelt, somewhere deep in it too, does not mean all events', () => {
  const refusals: readonly (readonly [unknown, RegExp])[] = [
    [{ filters: 5 }, /^selection\.filter\.filters: expected a list/],
    [{ foo: 1 }, /^selection\.filter\.foo is not known; there are filter, filters$/],
    [{ filter: { attribute: {} } }, /^selection\.filter\.filter\.attribute is not known/],
    [{ filters: [null] }, /^selection\.filter\.filters\[0\]: expected an object/],
    [{ filters: [{ exct: { type: 'a' } }] }, /filters\[0\]\.exct is not known; there are exact/],
    [{ filters: [{ exact: { type: 5 } }] }, /filters\[0\]\.exact: expected an object of strings/],
    [{ filters: [{ any: [{ not: { al: [] } }] }] }, /filters\[0\]\.any\[0\]\.not\.al is not known/],
  ]
  for (const [filter, message] of refusals)
    assert.throws(() => selectionIn({ filter }), refused(message))
  let deep: object = { exact: { type: 'a' } }
  for (let i = 0; i < 30; i++) deep = { not: deep }
  assert.throws(() => selectionIn({ filter: { filters: [deep] } }), refused(/at most 20 deep/))
  const filter = { filters: [{ all: [{ prefix: { type: 'a' } }] }] }
  assert.deepEqual(selectionIn({ filter }), { filter })
})

test('counts and places are whole numbers', () => {
  for (const name of ['limit', 'last', 'fromSequence', 'toSequence'])
    for (const value of [-1, 0.5, 1e300])
      assert.throws(
        () => selectionIn({ [name]: value }),
        refused(new RegExp(`^selection.${name}: expected a whole number, 0 or more`)),
      )
  assert.throws(() => selectionIn({ limit: 1, last: 1 }), refused(/expected limit.*or last/))
  assert.throws(() => tailIn({ last: 3 }), refused(/^selection.last is not for tail/))
  assert.deepEqual(tailIn({ limit: 3 }), { limit: 3 })
})

test('what is left out is nothing special', () => {
  const plainly = { dryRun: false, progress: false }
  assert.deepEqual(redriveIn({ numbers: [1] }), { numbers: [1], ...plainly, discard: false })
  assert.deepEqual(redriveIn({}), { ...plainly, discard: false })
  const to = { url: { url: 'http://a/', dial: [{ host: 'b', port: 1 }] } }
  assert.deepEqual(replayIn({ to }), { selection: {}, to, ...plainly })
  assert.throws(() => replayIn({ to, progress: 1 }), refused(/^progress: expected true or false/))
  assert.deepEqual(selectionIn({ id: 'x', last: 3 }), { id: 'x', last: 3 })
})
