import assert from 'node:assert/strict'
import { test } from 'node:test'
import { canHear } from './signals.ts'

const status = (pids: string, { blocked = 0, caught = 0 }) =>
  `Name:\tsh\nNSpid:\t${pids}\nSigBlk:\t${hex(blocked)}\nSigIgn:\t${hex(0)}\nSigCgt:\t${hex(caught)}\n`
const hex = (mask: number) => mask.toString(16).padStart(16, '0')
const term = 15
const onTerm = 0x4000

test('the first process of a namespace hears what it handles or has blocked', () => {
  assert.equal(canHear(status('4711\t1', {}), term), false)
  assert.equal(canHear(status('4711\t1', { caught: onTerm }), term), true)
  assert.equal(canHear(status('4711\t1', { blocked: onTerm }), term), true)
  assert.equal(canHear(status('4711\t1', { caught: onTerm }), term - 1), false)
})

test('all others hear everything', () => {
  assert.equal(canHear(status('4711', {}), term), true)
  assert.equal(canHear(status('4711\t11', {}), term), true)
  assert.equal(canHear('', term), true)
})
