import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Pod } from '../../api/pod.ts'
import { userOf } from './container-user.ts'
import type { ImageHandle } from '../runtime.ts'

const isRoot = process.getuid?.() === 0
const pod = (securityContext: Pod['spec']['securityContext'] = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'ns', uid: 'u' },
  spec: { containers: [], ...(securityContext && { securityContext }) },
})
const image = (user: string, rootfs = '/no/such/folder'): ImageHandle => ({
  reference: 'i',
  imageID: 'i',
  rootfs,
  config: {
    entrypoint: [],
    cmd: [],
    env: {},
    workingDir: '/',
    user,
    stopSignal: '',
    exposedPorts: [],
  },
})
const container = (securityContext = {}) => ({ name: 'c', securityContext })
const where = '(pod: "p_ns(u)", container: c)'

test('who insists on not being root is told what would be', () => {
  const nonRoot = pod({ runAsNonRoot: true })
  assert.throws(() => userOf(nonRoot, container(), image('')), {
    message: `container has runAsNonRoot and image will run as root ${where}`,
  })
  assert.throws(() => userOf(nonRoot, container(), image('0:0')), /image will run as root/)
  assert.throws(() => userOf(nonRoot, container(), image('node')), {
    message: `container has runAsNonRoot and image has non-numeric user (node), cannot verify user is non-root ${where}`,
  })
  assert.throws(() => userOf(nonRoot, container({ runAsUser: 0 }), image('1000')), {
    message: `container's runAsUser breaks non-root policy ${where}`,
  })
  userOf(nonRoot, container({ runAsNonRoot: false }), image(''))
  userOf(nonRoot, container({ runAsUser: 5 }), image(''))
})

test('the container goes before the pod, the pod before the image', { skip: !isRoot }, () => {
  assert.equal(userOf(pod(), container(), image('')), undefined)
  assert.deepEqual(userOf(pod(), container(), image('7:8')), { uid: 7, gid: 8 })
  assert.deepEqual(userOf(pod({ runAsUser: 5 }), container(), image('7:8')), { uid: 5 })
  const both = container({ runAsUser: 3, runAsGroup: 4 })
  assert.deepEqual(userOf(pod({ runAsUser: 5 }), both, image('')), { uid: 3, gid: 4 })
})

test('names are those of the image', { skip: !isRoot }, async () => {
  const rootfs = await mkdtemp(join(tmpdir(), 'ebb-image-'))
  try {
    await mkdir(join(rootfs, 'etc'))
    await writeFile(join(rootfs, 'etc', 'passwd'), 'root:x:0:0::/:\nnode:x:1000:1001::/:/bin/sh\n')
    await writeFile(join(rootfs, 'etc', 'group'), 'staff:x:50:\n')
    assert.deepEqual(userOf(pod(), container(), image('node', rootfs)), { uid: 1000, gid: 1001 })
    assert.deepEqual(userOf(pod(), container(), image('node:staff', rootfs)), {
      uid: 1000,
      gid: 50,
    })
    assert.equal(userOf(pod(), container(), image('nobody', rootfs)), undefined)
  } finally {
    await rm(rootfs, { recursive: true })
  }
})
