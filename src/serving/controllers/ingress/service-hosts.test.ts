import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Kind } from '../../../kube/api/kind.ts'
import { keyOf, keyText, type KubeObject, type ObjectKey } from '../../../kube/api/meta.ts'
import type { Service as CoreService } from '../../../kube/api/service.ts'
import type { FeedSource } from './feed-client.ts'
import { createServiceHosts, needsGateway } from './service-hosts.ts'

const service = (spec: CoreService['spec'], labels = {}): CoreService => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'display', namespace: 'default', labels },
  spec: { selector: { app: 'display' }, ...spec },
})
const mapped = service({ ports: [{ port: 80, targetPort: 8080 }] })

test('only names whose port 80 is another one of the pods lead through the gateway', () => {
  assert.equal(needsGateway(mapped), true)
  assert.equal(needsGateway(service({ ports: [{ port: 80, targetPort: 'http' }] })), true)
  for (const spec of [
    { ports: [{ port: 80, targetPort: 80 }] },
    { ports: [{ port: 80 }] },
    { ports: [{ port: 5432, targetPort: 5433 }] },
    { ports: [{ port: 80, targetPort: 8080, protocol: 'UDP' as const }] },
    { ports: [{ port: 80, targetPort: 8080 }], clusterIP: 'None' },
    { type: 'ExternalName' as const, externalName: 'a.b.svc.cluster.local' },
  ])
    assert.equal(needsGateway(service(spec)), false)
  const ofRevision = {
    'serving.knative.dev/revision': 'a-1',
    'networking.internal.knative.dev/serviceType': 'Public',
  }
  assert.equal(needsGateway(service(mapped.spec, ofRevision)), false)
})

test('the gateway hears of such a host as long as the Service is so', async () => {
  const objects = new Map<string, KubeObject>([['default/display', mapped]])
  let changed = (_object: KubeObject) => {}
  const source: FeedSource = {
    read: {
      get: <T extends KubeObject>(_kind: Kind<T>, key: ObjectKey) =>
        objects.get(keyText(key)) as T | undefined,
      list: <T extends KubeObject>() => [...objects.values()] as T[],
      owned: () => [],
    },
    synced: () => Promise.resolve(),
    onChange(_kind, listener) {
      changed = listener
      return () => {}
    },
  }
  const named = new Map<string, readonly string[]>()
  using hosts = createServiceHosts(source, { name: (by, targets) => void named.set(by, targets) })
  await hosts.synced()
  const put = (object: CoreService) => {
    objects.set(keyText(keyOf(object)), object)
    changed(object)
  }
  const hostsNow = () =>
    [...hosts.all()].flatMap((fact) =>
      fact.type === 'ingress' ? fact.ingress.rules.flatMap((rule) => rule.hosts) : [],
    )
  const all = ['display.default.svc.cluster.local', 'display.default.svc', 'display.default']
  assert.deepEqual(hostsNow(), all)
  assert.deepEqual(named.get('~service/default/display'), ['default/display:80'])
  put(service({ ports: [{ port: 80, targetPort: 80 }] }))
  assert.deepEqual([hostsNow(), named.get('~service/default/display')], [[], []])
  put(mapped)
  assert.deepEqual(hostsNow(), all)
  objects.clear()
  changed(mapped)
  assert.deepEqual([hostsNow(), named.get('~service/default/display')], [[], []])
})
