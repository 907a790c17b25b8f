import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StoredImage } from '../../image/collection.ts'
import { usedImages } from './used-images.ts'

const digest = (n: number) => `sha256:${String(n).repeat(64)}`
const image = (n: number, ...names: string[]): StoredImage => ({
  digest: digest(n),
  names,
  pulled: true,
  blobs: [],
  lastUsedMs: 0,
})
const pod = (name: string, status?: object) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'n' },
  spec: { containers: [{ name: 'c', image: name }] },
  ...(status && { status }),
})

test('images of pods and of Revisions at zero are used, by name and by digest', () => {
  const used = usedImages({
    pods: [
      pod('nginx'),
      pod('moved:v1', {
        containerStatuses: [{ name: 'c', imageID: `docker.io/library/moved@${digest(2)}` }],
      }),
      pod('over', { phase: 'Succeeded' }),
      pod('not A name'),
    ].map((item) => item as Parameters<typeof usedImages>[0]['pods'][number]),
    images: [
      {
        apiVersion: 'caching.internal.knative.dev/v1alpha1',
        kind: 'Image',
        metadata: { name: 'i' },
        spec: { image: `index.docker.io/library/zero@${digest(3)}` },
      },
    ],
  })
  assert.ok(used.has(image(1, 'docker.io/library/nginx:latest')))
  assert.ok(used.has(image(2)), 'the name means something newer by now')
  assert.ok(used.has(image(3, 'docker.io/library/zero:v1')))
  assert.ok(!used.has(image(4, 'docker.io/library/over:latest')))
  assert.deepEqual([...used.digests].sort(), [digest(2), digest(3)])
})
