import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigMap } from '../../kube/api/config-map.ts'
import type { KindDefinition } from '../../kube/api/kind.ts'
import { coreKinds } from '../../kube/api/kinds.ts'
import { Service as CoreService } from '../../kube/api/service.ts'
import { inMemoryPlatform } from '../../testing/platform.ts'
import { SimClock } from '../../testing/sim-clock.ts'
import { installServing, movedDomain } from './install.ts'

const at = (port: number, domain = 'localhost') => ({
  domain,
  domainPort: port,
  gateway: { host: '0.0.0.0', port },
})

test('installing again changes nothing, another port only what Ebb manages', async () => {
  await using platform = inMemoryPlatform({
    kinds: coreKinds as readonly KindDefinition[],
    clock: new SimClock(),
  })
  const { client, store } = platform
  await installServing(client, at(8080))
  const { revision } = store
  await installServing(client, at(8080))
  assert.equal(store.revision, revision)

  const domain = { namespace: 'knative-serving', name: 'config-domain' }
  await client.patch(ConfigMap, domain, {
    type: 'merge',
    body: { data: { 'example.com': 'selector: {app: x}' } },
  })
  await installServing(client, at(9090))
  const { data } = await client.get(ConfigMap, domain)
  assert.equal(data?.['localhost'], 'port: 9090\n')
  assert.equal(data?.['example.com'], 'selector: {app: x}')

  const gateway = await client.get(CoreService, {
    namespace: 'istio-system',
    name: 'istio-ingressgateway',
  })
  assert.deepEqual(
    gateway.status?.loadBalancer?.ingress?.map(({ ip }) => ip),
    ['127.0.0.1'],
  )
  assert.deepEqual(
    gateway.spec.ports?.map(({ name, port, nodePort }) => [name, port, nodePort]),
    [['http2', 80, 9090]],
  )
})

test('an entry that the user has changed or removed stays as it is', () => {
  const map = (data: Record<string, string>): ConfigMap =>
    ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'config-domain', annotations: { 'ebb.dev/domain': 'localhost' } },
      data,
    }) as ConfigMap
  const keeps = (data: Record<string, string>, options = at(9090)) => {
    const before = map(data)
    return movedDomain(before, options) === before
  }
  assert.ok(keeps({ 'example.com': '' }))
  assert.ok(keeps({ localhost: 'selector: {app: x}' }))
  assert.ok(keeps({ localhost: 'port: 9090\n' }))
  assert.deepEqual(movedDomain(map({ localhost: 'port: 8080\n' }), at(9090, 'b.test')).data, {
    'b.test': 'port: 9090\n',
  })
})
