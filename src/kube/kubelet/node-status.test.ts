import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { allocatable } from './node-status.ts'

test('what pods may use: storage is that of the file system of the data directory', () => {
  const { cpu, memory, 'ephemeral-storage': storage } = allocatable(tmpdir())
  assert.match(cpu ?? '', /^[1-9]\d*$/)
  for (const size of [memory, storage]) assert.match(size ?? '', /^[1-9]\d*Ki$/)
  assert.equal(allocatable('/nowhere/at/all')['ephemeral-storage'], '0Ki')
})
