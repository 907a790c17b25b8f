import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, open, readFile, rm, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { writeBehind } from './write-behind.ts'

test('all bytes are there in order, whatever their pieces and however little a write takes', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'ebb-behind-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const path = join(folder, 'file')
  const bytes = randomBytes(3_000_000)
  await using file = await open(path, 'a')
  let calls = 0
  const slow = {
    async writev(chunks: readonly Uint8Array[]) {
      calls++
      const [first = new Uint8Array()] = chunks
      return await file.write(first.subarray(0, 100_000))
    },
  }
  const target = writeBehind(slow as unknown as FileHandle)
  for (let at = 0; at < bytes.length;) {
    const length = (at % 70_000) + 1
    await target.write(bytes.subarray(at, at + length))
    at += length
  }
  await target.drained()
  assert.ok((await readFile(path)).equals(bytes))
  assert.ok(calls > 30)
})

test('a disk that is full is told of, by the next write and at the end', async () => {
  const full = { writev: () => Promise.reject(new Error('ENOSPC: no space left on device')) }
  const target = writeBehind(full as unknown as FileHandle)
  await target.write(Buffer.from('x')) // taken, and lost
  await assert.rejects(target.drained(), /ENOSPC/)
  await assert.rejects(target.write(Buffer.from('y')), /ENOSPC/)
})
