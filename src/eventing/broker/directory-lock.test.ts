import assert from 'node:assert/strict'
import { mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { lockDirectory } from './directory-lock.ts'

test('a directory has one holder, by whichever of its names, until that one lets go', async () => {
  const root = await mkdtemp(join(tmpdir(), 'ebb-lock-'))
  try {
    await symlink(root, join(root, 'again'))
    const held = await lockDirectory(root)
    assert.ok(held)
    assert.equal(await lockDirectory(join(root, 'again')), undefined)
    await held[Symbol.asyncDispose]()
    const next = await lockDirectory(join(root, 'again'))
    assert.ok(next)
    await next[Symbol.asyncDispose]()
  } finally {
    await rm(root, { recursive: true })
  }
})
