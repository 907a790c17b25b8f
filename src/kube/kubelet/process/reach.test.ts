import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { barrier } from './reach.ts'

test('the uppermost folder that keeps a user out is named', (t) => {
  const top = mkdtempSync(join(tmpdir(), 'ebb-reach-'))
  t.after(() => rmSync(top, { recursive: true }))
  const path = join(top, 'a', 'b')
  mkdirSync(path, { recursive: true })
  const { uid, gid } = statSync(top)
  const other = { uid: uid + 1, gid: gid + 1 }
  assert.equal(barrier(path, other), top)
  assert.equal(barrier(path, { uid: 0, gid: 0 }), undefined)
  chmodSync(top, 0o710)
  assert.equal(barrier(path, other), top)
  assert.equal(barrier(path, { uid: uid + 1, gid }), undefined)
  chmodSync(top, 0o711)
  assert.equal(barrier(path, other), undefined)
  chmodSync(join(top, 'a'), 0o700)
  assert.equal(barrier(path, other), join(top, 'a'))
  assert.equal(barrier(join(top, 'missing'), other), undefined)
})
