import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeenTypes } from './seen-types.ts'

const event = (type: string, source: string, more: object = {}) => ({
  attributes: { specversion: '1.0', id: 'a', type, source, ...more },
})

test('each type, source and schema is kept once', () => {
  const types = new SeenTypes()
  for (const each of [event('a', 's'), event('a', 's'), event('b', 's'), event('a', 's')])
    types.note(each)
  types.note(event('a', 's', { dataschema: 'd' }))
  assert.deepEqual(types.list(), [
    { type: 'a', source: 's', dataschema: '' },
    { type: 'b', source: 's', dataschema: '' },
    { type: 'a', source: 's', dataschema: 'd' },
  ])
})

test('a sender that makes up types fills it and no more', () => {
  const types = new SeenTypes()
  for (let i = 0; i < 5_000; i++) types.note(event(`t${i}`, 's'))
  assert.equal(types.list().length, 1_000)
})

test('a type of a million characters is not kept', () => {
  const types = new SeenTypes()
  types.note(event('t'.repeat(1_000_000), 's'))
  types.note(event('t', 's'))
  assert.deepEqual(
    types.list().map(({ type }) => type),
    ['t'],
  )
})
