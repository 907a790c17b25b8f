import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AdmissionContext } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { configMapAdmission } from '../config-maps.ts'
import { comesFromAcme, configAcme } from './acme.ts'

const directory = 'https://acme.example/dir'

test('a directory needs agreement; what cannot be meant is refused with what was found', () => {
  const refused: [Record<string, string>, RegExp][] = [
    [{ 'directory-url': directory }, /agree-terms: set it to "true"/],
    [
      { 'directory-url': 'http://a/dir', 'agree-terms': 'true' },
      /expected an https URL.*"http:\/\/a\/dir"/,
    ],
    [{ domains: 'Shop.com' }, /domains: expected lower-case domains, found "Shop.com"/],
    [{ 'local-domains': '*.a.com' }, /local-domains: expected lower-case domains/],
    [{ 'ca-bundle': 'x' }, /ca-bundle: expected certificates in PEM, found none/],
  ]
  for (const [data, message] of refused) assert.throws(() => configAcme.parse(data), message)
  assert.equal(configAcme.parse({}).directoryUrl, undefined)
  assert.deepEqual(configAcme.parse({ domains: 'a.com, b.com\nc.com' }).domains, [
    'a.com',
    'b.com',
    'c.com',
  ])
})

test('public names are proved to ACME, private ones are not', () => {
  const config = configAcme.parse({ 'directory-url': directory, 'agree-terms': 'true' })
  for (const name of ['shop.com', 'a.shop.co.uk', '*.shop.com', 'notlocalhost.dev'])
    assert.equal(comesFromAcme(config, name), true, name)
  for (const name of [
    'localhost',
    'a.localhost',
    'a.b.test',
    'host',
    '10.0.0.1',
    'a.1.2.3.4.nip.io',
  ])
    assert.equal(comesFromAcme(config, name), false, name)
})

test('keys of config-network that have no effect are warned of when they are written', () => {
  const warnings: string[] = []
  const context = { warn: (text: string) => void warnings.push(text) } as AdmissionContext
  const write = (data: Record<string, string>) => {
    warnings.length = 0
    configMapAdmission.admit(
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'config-network', namespace: 'knative-serving' },
        data,
      } as KubeObject,
      context,
    )
    return [...warnings]
  }
  assert.deepEqual(write({ 'external-domain-tls': 'Enabled' }), [])
  assert.match(
    write({ 'cluster-local-domain-tls': 'Enabled' }).join(),
    /cluster-local-domain-tls has no effect here/,
  )
  assert.match(
    write({ 'internal-encryption': 'true' }).join(),
    /system-internal-tls has no effect here/,
  )
})
