import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { inMemoryPlatform } from '../../../testing/platform.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import { coreKinds } from '../../api/kinds.ts'
import { PersistentVolumeClaim } from '../../api/persistent-volume-claim.ts'
import { PersistentVolume } from '../../api/persistent-volume.ts'
import { Pod } from '../../api/pod.ts'
import { StorageClass } from '../../api/storage-class.ts'
import { startStorage } from './storage.ts'

const key = { namespace: 'default', name: 'data' }

async function open(t: TestContext) {
  const clock = new SimClock()
  const folder = await mkdtemp(join(tmpdir(), 'ebb-volumes-'))
  const platform = inMemoryPlatform({ kinds: coreKinds, clock })
  const storage = startStorage({ ...platform, folder })
  t.after(async () => {
    await storage[Symbol.asyncDispose]()
    await platform[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })
  const { client, informers } = platform
  const until = async (wanted: () => unknown) => {
    const begun = performance.now()
    while (!wanted()) {
      assert.ok(performance.now() - begun < 10_000, `it never came about: ${wanted}`)
      await clock.advance(20) // folders are made in their own, real time
    }
  }
  await until(() => informers.for(StorageClass).get({ namespace: '', name: 'standard' }))
  const claim = () => informers.for(PersistentVolumeClaim).get(key)
  const volumes = () => [...informers.for(PersistentVolume).values()]
  return {
    ...platform,
    folder,
    until,
    claim,
    volumes,
    isBound: () => claim()?.status?.phase === 'Bound',
    ask: (spec: object = {}) =>
      client.create(PersistentVolumeClaim, {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        metadata: key,
        spec: {
          accessModes: ['ReadWriteOnce'],
          resources: { requests: { storage: '1Gi' } },
          ...spec,
        },
      } as PersistentVolumeClaim),
    offer: (name: string, spec: object = {}) =>
      client.create(PersistentVolume, {
        apiVersion: 'v1',
        kind: 'PersistentVolume',
        metadata: { name },
        spec: {
          accessModes: ['ReadWriteOnce', 'ReadOnlyMany'],
          capacity: { storage: '2Gi' },
          hostPath: { path: join(folder, name) },
          storageClassName: 'own',
          ...spec,
        },
      } as PersistentVolume),
    usePod: (name: string) =>
      client.create(Pod, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, namespace: 'default' },
        spec: {
          containers: [{ name: 'c', image: 'i' }],
          volumes: [{ name: 'v', persistentVolumeClaim: { claimName: key.name } }],
        },
      }),
  }
}

test('a claim of the default class gets a folder, keeps it while a pod uses it, and gives it back', async (t) => {
  const world = await open(t)
  await world.ask()
  await world.until(world.isBound)
  const { spec, status, metadata } = world.claim() ?? assert.fail()
  assert.equal(spec?.storageClassName, 'standard')
  assert.deepEqual(status?.capacity, { storage: '1Gi' })
  assert.deepEqual(metadata.finalizers, ['kubernetes.io/pvc-protection'])
  const [volume] = world.volumes()
  assert.equal(volume?.metadata.name, `pvc-${metadata.uid}`)
  const path = volume?.spec?.hostPath?.path ?? ''
  await writeFile(join(path, 'file'), 'kept')

  await world.usePod('p')
  await world.client.delete(PersistentVolumeClaim, key)
  await world.until(() => world.claim()?.metadata.deletionTimestamp)
  assert.ok(existsSync(join(path, 'file')))
  await world.client.delete(Pod, { namespace: 'default', name: 'p' }, { gracePeriodSeconds: 0 })
  await world.until(() => !world.claim() && world.volumes().length === 0)
  assert.equal(existsSync(path), false)
})

test('a claim that may wait waits for its first pod', async (t) => {
  const world = await open(t)
  await world.client.create(StorageClass, {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name: 'late' },
    provisioner: 'ebb.dev/local-folder',
    volumeBindingMode: 'WaitForFirstConsumer',
  })
  await world.ask({ storageClassName: 'late' })
  await world.until(() => world.claim())
  for (let i = 0; i < 5; i++) await world.until(() => true)
  assert.equal(world.claim()?.status?.phase, 'Pending')
  await world.usePod('p')
  await world.until(world.isBound)
})

test('of volumes that are there the smallest that fits is bound; with Retain it stays when released', async (t) => {
  const world = await open(t)
  await world.offer('large', { capacity: { storage: '9Gi' } })
  await world.offer('fits')
  await world.offer('small', { capacity: { storage: '1Mi' } })
  await world.offer('other-mode', { accessModes: ['ReadOnlyMany'] })
  await world.ask({ storageClassName: 'own' })
  await world.until(world.isBound)
  assert.equal(world.claim()?.spec?.volumeName, 'fits')
  assert.deepEqual(world.claim()?.status?.capacity, { storage: '2Gi' })
  await world.client.delete(PersistentVolumeClaim, key)
  const phase = () =>
    world.volumes().find(({ metadata }) => metadata.name === 'fits')?.status?.phase
  await world.until(() => phase() === 'Released')
})

test('a folder that the platform did not make is never removed', async (t) => {
  const world = await open(t)
  await world.offer('mine', {
    persistentVolumeReclaimPolicy: 'Delete',
    hostPath: { path: tmpdir() },
  })
  await world.ask({ storageClassName: 'own' })
  await world.until(world.isBound)
  await world.client.delete(PersistentVolumeClaim, key)
  await world.until(() => world.volumes()[0]?.status?.phase === 'Failed')
  assert.ok(existsSync(tmpdir()))
})

test('a bound claim may ask for more, and for nothing else', async (t) => {
  const world = await open(t)
  await world.ask()
  await world.until(world.isBound)
  const patch = (body: object) =>
    world.client.patch(PersistentVolumeClaim, key, { type: 'merge', body })
  await assert.rejects(patch({ spec: { accessModes: ['ReadWriteMany'] } }), /spec is immutable/)
  await assert.rejects(
    patch({ spec: { resources: { requests: { storage: '1Mi' } } } }),
    /can not be less than status.capacity/,
  )
  await patch({ spec: { resources: { requests: { storage: '3Gi' } } } })
  await world.until(() => world.claim()?.status?.capacity?.['storage'] === '3Gi')
})
