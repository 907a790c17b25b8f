import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, readlink, rm, stat, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { Pod } from '../../api/pod.ts'
import { MountError } from './mount-error.ts'
import { prepareMounts, type VolumeWorld } from './volumes.ts'

type Volumes = NonNullable<Pod['spec']['volumes']>
type Mounts = NonNullable<Pod['spec']['containers'][number]['volumeMounts']>

async function world(t: TestContext, more: Partial<VolumeWorld> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'ebb-volumes-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const prepare = (
    volumes: Volumes,
    volumeMounts: Mounts,
    security: Pod['spec']['securityContext'] = {},
  ) => {
    const container = { name: 'c', volumeMounts }
    const pod: Pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p', namespace: 'ns', labels: { a: 'b' } },
      spec: { containers: [container], volumes, ...(security && { securityContext: security }) },
    }
    return prepareMounts(container, folder, {
      configMap: async (name) =>
        name === 'map'
          ? {
              apiVersion: 'v1',
              kind: 'ConfigMap',
              metadata: { name },
              data: { color: 'blue' },
              binaryData: { raw: Buffer.from([0, 255]).toString('base64') },
            }
          : undefined,
      secret: async () => undefined,
      token: async ({ audience }) => `token for ${audience ?? 'the API server'}`,
      world: { pod, podIP: '10.0.0.1', hostIP: '10.0.0.2', allocatable: {} },
      ...more,
    })
  }
  return { folder, prepare }
}

const mount = (name: string, more: object = {}) => ({ name, mountPath: `/${name}`, ...more })

test('a projection brings sources together, each file with its mode', async (t) => {
  const { folder, prepare } = await world(t)
  const [mounted] = await prepare(
    [
      {
        name: 'v',
        projected: {
          defaultMode: 0o640,
          sources: [
            { configMap: { name: 'map', items: [{ key: 'color', path: 'x/y', mode: 0o600 }] } },
            { secret: { name: 'none', optional: true } },
            { serviceAccountToken: { path: 'token', audience: 'vault' } },
            {
              downwardAPI: {
                items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }],
              },
            },
          ],
        },
      },
    ],
    [mount('v', { readOnly: false })],
  )
  assert.deepEqual(mounted, { path: '/v', hostPath: join(folder, 'v'), readOnly: true })
  const read = (path: string) => readFile(join(folder, 'v', path), 'utf8')
  const mode = async (path: string) => (await stat(join(folder, 'v', path))).mode & 0o777
  assert.deepEqual([await read('x/y'), await mode('x/y')], ['blue', 0o600])
  assert.deepEqual([await read('token'), await mode('token')], ['token for vault', 0o640])
  assert.equal(await read('labels'), 'a="b"')
})

test('what is missing is named, unless it is optional', async (t) => {
  const { prepare } = await world(t)
  const refused = async (volume: object, why: RegExp) =>
    await assert.rejects(
      prepare([{ name: 'v', ...volume }], [mount('v')]),
      (error: unknown) => error instanceof MountError && why.test(error.message),
    )
  await refused({ configMap: { name: 'none' } }, /for volume "v" : configmap "none" not found/)
  await refused({ secret: { secretName: 'none' } }, /secret "none" not found/)
  const items = [{ key: 'nokey', path: 'a' }]
  await refused({ configMap: { name: 'map', items } }, /references non-existent config key: nokey/)
  await refused({ persistentVolumeClaim: { claimName: 'c' } }, /no persistent volumes here/)
  await refused({ nfs: { server: 'x', path: '/' } }, /type nfs are not supported/)
  await prepare([{ name: 'v', configMap: { name: 'none', optional: true } }], [mount('v')])
})

test('paths of the machine are what they are said to be', async (t) => {
  const { folder, prepare } = await world(t)
  const host = (path: string, type?: string) =>
    prepare([{ name: 'v', hostPath: { path, ...(type !== undefined && { type }) } }], [mount('v')])
  await assert.rejects(host('/etc/hosts', 'Directory'), /\/etc\/hosts is not a directory/)
  await assert.rejects(host(join(folder, 'no'), 'File'), /type check failed: .*no is not a file/)
  await assert.rejects(host('/etc', 'Nonsense'), /unknown hostPath type "Nonsense"/)
  await host(join(folder, 'made', 'here'), 'DirectoryOrCreate')
  await host(join(folder, 'made', 'file'), 'FileOrCreate')
  assert.ok((await stat(join(folder, 'made', 'file'))).isFile())
  assert.equal((await host('/dev/null', 'CharDevice'))[0]?.hostPath, '/dev/null')
})

test('a part of a volume lies in it, whatever links its pod has made', async (t) => {
  const { folder, prepare } = await world(t, { env: { NAME: 'mine' } })
  const at = async (more: object) =>
    (await prepare([{ name: 'v', emptyDir: {} }], [mount('v', more)]))[0]?.hostPath
  assert.equal(await at({ subPath: 'a/b' }), join(folder, 'v', 'a', 'b'))
  assert.equal(await at({ subPathExpr: 'of-$(NAME)' }), join(folder, 'v', 'of-mine'))
  await assert.rejects(at({ subPathExpr: '$(OTHER)' }), /missing value for "OTHER"/)
  await assert.rejects(at({ subPath: '../x' }), /must stay inside/)
  await symlink('/etc', join(folder, 'v', 'out'))
  await mkdir(join(folder, 'v', 'real'))
  await symlink('real', join(folder, 'v', 'in'))
  await assert.rejects(at({ subPath: 'out/ssh' }), /failed to prepare subPath for volumeMount "v"/)
  assert.equal(await at({ subPath: 'in' }), join(folder, 'v', 'real'))
})

test('a group gets what it asks for', { skip: process.getuid?.() !== 0 }, async (t) => {
  const { folder, prepare } = await world(t)
  const volumes: Volumes = [
    { name: 'e', emptyDir: {} },
    { name: 'f', configMap: { name: 'map', defaultMode: 0o400 } },
  ]
  await prepare(volumes, [mount('e'), mount('f')], { fsGroup: 2000 })
  const empty = await stat(join(folder, 'e'))
  assert.deepEqual([empty.gid, empty.mode & 0o2777], [2000, 0o2777])
  const file = await stat(join(folder, 'f', 'color'))
  assert.deepEqual([file.gid, file.mode & 0o777], [2000, 0o440])
})

test('files that did not change are left alone', async (t) => {
  const { folder, prepare } = await world(t)
  const volumes: Volumes = [{ name: 'f', configMap: { name: 'map' } }]
  const version = () => readlink(join(folder, 'f', '..data'))
  await prepare(volumes, [mount('f')])
  const first = await version()
  await prepare(volumes, [mount('f')])
  assert.equal(await version(), first)
})
