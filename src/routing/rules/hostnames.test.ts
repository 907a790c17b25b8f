import assert from 'node:assert/strict'
import { test } from 'node:test'
import { covers, intersection } from './hostnames.ts'

test('a wildcard covers names of any depth below it, and narrower wildcards', () => {
  assert.ok(covers('*.example.com', 'a.example.com'))
  assert.ok(covers('*.example.com', 'a.b.example.com'))
  assert.ok(covers('*.example.com', '*.b.example.com'))
  assert.ok(!covers('*.example.com', 'example.com'))
  assert.ok(!covers('*.example.com', '*'))
  assert.ok(!covers('a.example.com', '*.example.com'))
  assert.ok(covers('*', '*.example.com'))
})

test('of route and listener the narrower host counts', () => {
  assert.deepEqual(intersection([], undefined), ['*'])
  assert.deepEqual(intersection([], '*.example.com'), ['*.example.com'])
  assert.deepEqual(intersection(['a.example.com', 'b.org'], '*.example.com'), ['a.example.com'])
  assert.deepEqual(intersection(['*.example.com'], 'a.example.com'), ['a.example.com'])
  assert.deepEqual(intersection(['b.org'], 'a.example.com'), [])
})
