import assert from 'node:assert/strict'
import { test } from 'node:test'
import { validateDataPlane } from './data-plane-annotations.ts'

const complaints = (key: string, value: string) =>
  [...validateDataPlane({ [`ebb.dev/${key}`]: value })].map(({ message, paths }) => [
    message,
    ...paths,
  ])

test('values that mean nothing are refused with what they may be', () => {
  for (const value of ['cookie', 'cookie:a_b', 'header:X-User'])
    assert.deepEqual(complaints('session-affinity', value), [])
  for (const value of [
    '',
    'pod',
    'header:',
    'header:a b',
    'cookie:a;b',
    `header:${'x'.repeat(65)}`,
  ])
    assert.deepEqual(complaints('session-affinity', value), [
      [`invalid value: ${value}`, 'ebb.dev/session-affinity'],
    ])
  assert.deepEqual(complaints('long-lived-streams', 'false'), [])
  assert.deepEqual(complaints('long-lived-streams', 'yes'), [
    ['invalid value: yes', 'ebb.dev/long-lived-streams'],
  ])
})
