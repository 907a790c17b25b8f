import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openContentStore } from './content-store.ts'

test('a name that another process gives is told', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ebb-images-'))
  try {
    const store = await openContentStore(folder)
    let told = false
    using _ = store.onTagged(() => (told = true))
    const other = await openContentStore(folder)
    const { digest } = await other.put('text/plain', Buffer.from('x'))
    await other.tag('hello', digest, 0)
    for (let i = 0; !told; i++) {
      assert.ok(i < 10_000, 'nobody told')
      await store.list()
    }
    assert.equal(await store.find('hello'), digest)
  } finally {
    await rm(folder, { recursive: true })
  }
})
