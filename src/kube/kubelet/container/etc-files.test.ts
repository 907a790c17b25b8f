import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '../../api/pod.ts'
import { hostnameOf, hostsText, resolvConf } from './etc-files.ts'

const pod = (spec: Partial<Pod['spec']> = {}, name = 'p'): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'ns' },
  spec: { containers: [], ...spec },
})
const host = () => 'search lan\nnameserver 192.0.2.53\noptions edns0\n'

test('a pod is called by its hostname, else by as much of its name as a host may have', () => {
  assert.equal(hostnameOf(pod()), 'p')
  assert.equal(hostnameOf(pod({ hostname: 'box' })), 'box')
  assert.equal(hostnameOf(pod({}, `${'a'.repeat(62)}-b`)), 'a'.repeat(62))
})

test('hosts has the pod itself and its aliases', () => {
  const text = hostsText(
    pod({ subdomain: 'sub', hostAliases: [{ ip: '192.0.2.1', hostnames: ['a', 'b'] }] }),
    '10.88.0.2',
  )
  assert.match(text, /^127\.0\.0\.1\tlocalhost$/m)
  assert.match(text, /^10\.88\.0\.2\tp\.sub\.ns\.svc\.cluster\.local\tp$/m)
  assert.match(text, /^192\.0\.2\.1\ta\tb$/m)
})

test('resolv.conf follows the policy of the pod', () => {
  const names = { podIP: '10.88.0.2', clusterDNS: '10.88.0.1' }
  assert.equal(
    resolvConf(pod(), names, host),
    'search ns.svc.cluster.local svc.cluster.local cluster.local lan\nnameserver 10.88.0.1\noptions ndots:5\n',
  )
  assert.equal(resolvConf(pod(), { podIP: '10.88.0.2' }, host), undefined)
  assert.equal(resolvConf(pod({ dnsPolicy: 'Default' }), names, host), undefined)
  const dnsConfig = {
    nameservers: ['192.0.2.1'],
    searches: ['own'],
    options: [{ name: 'ndots', value: '1' }, { name: 'single-request' }],
  }
  assert.equal(
    resolvConf(pod({ dnsPolicy: 'None', dnsConfig }), names, host),
    'search own\nnameserver 192.0.2.1\noptions ndots:1 single-request\n',
  )
  assert.equal(
    resolvConf(pod({ dnsPolicy: 'Default', dnsConfig }), names, host),
    'search lan own\nnameserver 192.0.2.53\nnameserver 192.0.2.1\noptions edns0 ndots:1 single-request\n',
  )
})
