import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openContentStore } from '../../../image/content-store.ts'
import { openImages } from '../images/images.ts'
import { ImageError } from '../runtime.ts'
import { withEngineImages } from './engine-images.ts'

const image = Buffer.from('{"os":"linux"}')
/** An engine's id of an image is the digest of its config. */
const id = `sha256:${createHash('sha256').update(image).digest('hex')}`
const engine = {
  async image(reference: string) {
    const known = ['docker.io/library/built:v1', id].includes(reference)
    return known ? { id, config: { Cmd: ['/server'], Env: ['A=b'], User: 'node' } } : undefined
  },
}

test("a name that only the engine knows is the engine's image, also by its id; others are asked for as ever", async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ebb-images-'))
  try {
    const store = await openContentStore(folder)
    const images = withEngineImages(openImages(store), engine, store)
    const { rootfs, imageID, config } = await images.ensure('built:v1', 'IfNotPresent')
    assert.equal(rootfs, id)
    assert.equal(imageID, `docker.io/library/built@${id}`)
    assert.deepEqual([config.cmd, config.env, config.user], [['/server'], { A: 'b' }, 'node'])
    const resolved = await images.resolve('built:v1')
    assert.equal(resolved, `index.docker.io/library/built@${id}`)
    assert.equal((await images.ensure(resolved, 'IfNotPresent')).rootfs, id)
    // Also when the store has the same image, by its manifest.
    assert.equal((await store.put('application/json', image)).digest, id)
    assert.equal((await images.ensure(resolved, 'IfNotPresent')).rootfs, id)
    await assert.rejects(images.ensure('built:v1', 'Always'), ImageError)
    await assert.rejects(images.ensure('other', 'IfNotPresent'), ImageError)
    await assert.rejects(images.ensure('No Name', 'IfNotPresent'), { reason: 'InvalidImageName' })

    // What the platform's own store has under a name goes before.
    const { digest } = await store.put('text/plain', Buffer.from('{}'))
    await store.tag('built:v1', digest, 0)
    await assert.rejects(images.ensure('built:v1', 'IfNotPresent'), /failed to unpack image/)
  } finally {
    await rm(folder, { recursive: true })
  }
})
