/** The same controllers as a client of an API server elsewhere: nothing in them knows the difference. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../lib/clock.ts'
import { silent } from '../../lib/log.ts'
import { inMemoryPlatform } from '../../testing/platform.ts'
import { aDeployment, addNode, becomeReady } from '../../testing/kube-objects.ts'
import { coreKinds } from '../api/kinds.ts'
import type { Kind } from '../api/kind.ts'
import type { KubeObject } from '../api/meta.ts'
import { Deployment } from '../api/deployment.ts'
import { Pod } from '../api/pod.ts'
import { ReplicaSet } from '../api/replica-set.ts'
import { serveHttp } from '../apiserver/http/http.ts'
import { createInformers, type Informers } from '../client/informer.ts'
import { httpApi } from '../client/node/http-api.ts'
import { createRecorder } from '../client/recorder.ts'
import { typedClient } from '../client/typed-client.ts'
import { startKubeControllers } from './controllers.ts'

/** Resolves when the cache holds exactly so many objects that are as wanted. */
function reached<T extends KubeObject>(
  informers: Informers,
  kind: Kind<T>,
  count: number,
  wanted: (object: T) => boolean = () => true,
): Promise<readonly T[]> {
  return new Promise((resolve) => {
    const look = () => {
      const found = informers.for(kind).list('default').filter(wanted)
      if (found.length === count) resolve(found)
    }
    informers.for(kind).subscribe(() => queueMicrotask(look))
    look()
  })
}

test('over HTTP: rolled out, scaled, collected', { timeout: 20_000 }, async () => {
  await using platform = inMemoryPlatform({ kinds: coreKinds, clock: systemClock })
  const { api, client, informers: inside } = platform
  const user = { username: 'admin', groups: ['system:masters'] }
  await using server = await serveHttp({
    api,
    host: '127.0.0.1',
    port: 0,
    authenticate: () => user,
    log: silent,
    clock: systemClock,
  })
  await using remote = httpApi({ server: server.url })
  const far = typedClient(remote, { user, durable: true })
  const deps = { clock: systemClock, random: platform.random, log: silent, client: far }
  await using informers = createInformers({ ...deps, pageSize: 2 })
  const recorder = createRecorder(deps)
  await using _controllers = startKubeControllers({
    ...deps,
    informers,
    recorder,
    kinds: coreKinds,
  })

  await inside.synced([Deployment, ReplicaSet, Pod])
  await addNode(client, 'n1')
  await client.create(Deployment, aDeployment('web', 3))
  const pods = await reached(inside, Pod, 3, ({ spec }) => spec.nodeName === 'n1')
  for (const pod of pods) await becomeReady(client, pod, systemClock)
  await reached(inside, Deployment, 1, ({ status }) => status?.availableReplicas === 3)
  const key = { namespace: 'default', name: 'web' }
  const body = { spec: { replicas: 1 } }
  await client.patch(Deployment, key, { type: 'merge', body, subresource: 'scale' })
  await reached(inside, Pod, 1, ({ metadata }) => !metadata.deletionTimestamp)
  await client.delete(Deployment, key, { propagationPolicy: 'Background' })
  await reached(inside, ReplicaSet, 0)
  const { items } = await client.list(ReplicaSet, 'default')
  assert.deepEqual(items, [])
})
