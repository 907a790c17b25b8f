import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EngineConfig } from '../../eventing/broker/feed.ts'
import { revisionOfHost } from '../../serving/gateway/routing/route-table.ts'
import { createEventHosts } from './event-hosts.ts'

const channel = { uid: 'u', namespace: 'a', name: 'b', subscriptions: [] } as const
const config: EngineConfig = {
  brokerHosts: ['brokers'],
  channels: [
    { ...channel, kind: 'Broker' },
    { ...channel, uid: 'c', kind: 'Channel', hosts: ['channel'] },
  ],
}
const told = (hosts: ReturnType<typeof createEventHosts>) =>
  [...hosts.all()].flatMap((fact) =>
    fact.type === 'ingress'
      ? fact.ingress.rules.flatMap((rule) => rule.hosts)
      : fact.type === 'revision'
        ? `${fact.revision.key} ${fact.revision.backends.length}`
        : [],
  )

test('hosts of Brokers are known before the gateway is told anything, and have somebody with the engine', async () => {
  const hosts = createEventHosts()
  let isComplete = false
  const synced = hosts.synced().then(() => (isComplete = true))
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(isComplete, false)
  hosts.expect(config)
  await synced
  assert.deepEqual(told(hosts), ['brokers', 'channel'])
  hosts.lead(config, { host: '127.0.0.1', port: 1 })
  assert.deepEqual(told(hosts).toSorted(), [
    'brokers',
    'channel',
    'knative-eventing/broker-ingress:events 1',
    'knative-eventing/request-reply:events 1',
  ])
})

test('without a Broker or channel their hosts are not known', async () => {
  const hosts = createEventHosts()
  hosts.expect({ ...config, channels: [] })
  await hosts.synced()
  assert.deepEqual(told(hosts), [])
})

test('a route that names the Service of Brokers takes nothing with it when it goes', async () => {
  const hosts = createEventHosts()
  hosts.lead(config, { host: '127.0.0.1', port: 1 })
  hosts.leadHost('job-sink.knative-eventing.svc.cluster.local', { host: '127.0.0.1', port: 2 })
  const keys = [...hosts.all()].flatMap((fact) =>
    fact.type === 'revision' ? fact.revision.key : [],
  )
  assert.equal(keys.length, 3)
  for (const name of ['broker-ingress', 'request-reply', 'job-sink']) {
    const own = keys.find((key) => key.includes(name))
    // Of routes' targets (service-target.ts), and of revisions that are called by their names (route-table.ts).
    assert.notEqual(own, `knative-eventing/${name}:80`)
    assert.notEqual(own, revisionOfHost(`${name}.knative-eventing.svc`, 'cluster.local'))
  }
})

test('a host that is served over TLS alone leads nowhere, until it is served plainly again', () => {
  const hosts = createEventHosts()
  const host = 'job-sink.knative-eventing.svc.cluster.local'
  hosts.leadHost(host, { host: '127.0.0.1', port: 2 })
  assert.ok(told(hosts).includes(host))
  hosts.leadHost(host, undefined)
  assert.deepEqual(told(hosts), [])
  hosts.leadHost(host, { host: '127.0.0.1', port: 2 })
  assert.ok(told(hosts).includes(host))
})
