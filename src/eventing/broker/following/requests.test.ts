import assert from 'node:assert/strict'
import { test } from 'node:test'
import { redriveIn, replayIn, selectionIn } from './requests.ts'

const refused = (message: RegExp) => ({ name: 'RequestError', message })

test('what is misspelt is told, and does not mean everything', () => {
  assert.throws(
    () => redriveIn({ number: [3] }),
    refused(/^number is not known; there are numbers/),
  )
  assert.throws(() => redriveIn({ numbers: 3 }), refused(/^numbers: expected a list of numbers/))
  assert.throws(() => redriveIn({ numbers: ['3'] }), refused(/^numbers: expected a list/))
  assert.throws(
    () => redriveIn({ subscription: null }),
    refused(/^subscription: expected a string/),
  )
  assert.throws(() => redriveIn({ dryRun: 'yes' }), refused(/^dryRun: expected true or false/))
  assert.throws(() => redriveIn([]), refused(/^the request: expected an object/))
  const to = { subscription: 'billing' }
  assert.throws(() => replayIn({ to, select: {} }), refused(/^select is not known/))
  assert.throws(() => replayIn({ to, selection: { since: 3 } }), refused(/^selection.since is not/))
  assert.throws(() => replayIn({ to: { url: 'http://a/' } }), refused(/^to: expected/))
  assert.throws(() => replayIn({ to: { subscription: 3 } }), refused(/^to: expected/))
  assert.throws(() => replayIn({}), refused(/^to: expected/))
  assert.throws(() => selectionIn({ constructor: 1 }), refused(/constructor is not known/))
  assert.throws(() => selectionIn({ id: 7 }), refused(/^selection.id: expected a string/))
  assert.throws(() => selectionIn({ last: 1_000_001 }), refused(/^selection.last: at most 1000000/))
  assert.throws(
    () => selectionIn({ filter: { filters: [{ cesql: '(' }] } }),
    refused(/^selection.filter: found the end/),
  )
})

test('what is left out is nothing special', () => {
  assert.deepEqual(redriveIn({ numbers: [1] }), { numbers: [1], dryRun: false, discard: false })
  assert.deepEqual(redriveIn({}), { dryRun: false, discard: false })
  const to = { url: { url: 'http://a/', dial: [{ host: 'b', port: 1 }] } }
  assert.deepEqual(replayIn({ to }), { selection: {}, to, dryRun: false })
  assert.deepEqual(selectionIn({ id: 'x', last: 3 }), { id: 'x', last: 3 })
})
