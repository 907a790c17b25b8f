/** TLS as users meet it: https URLs from the own authority, redirects, a custom domain by ACME, its renewal under load. */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { connect } from 'node:tls'
import { installed } from './installed.ts'
import { startPebble, withoutPebble, type Pebble } from './pebble.ts'
import { appDir, configure, run, startEbb, until, withoutKubectl, type Ebb } from './platform.ts'

const withoutCurl =
  !installed('curl', 'curl') && 'no curl on this machine: install it to run this test'

describe('TLS', { skip: withoutKubectl || withoutCurl }, () => {
  let ebb: Ebb
  let port = 0
  let localCA = ''
  const host = 'counter.default.localhost'
  const domain = 'www.shop.test'

  before(async () => {
    ebb = await startEbb()
    const endpoints = JSON.parse(await readFile(join(ebb.dataDir, 'endpoints.json'), 'utf8')) as {
      gatewayTls: string
      localCA: string
    }
    port = Number(new URL(endpoints.gatewayTls).port)
    localCA = endpoints.localCA
    const deployed = await ebb.ebb('deploy', appDir('counter'), '--name', 'counter')
    assert.equal(deployed.code, 0, deployed.stderr)
  })
  after(() => ebb[Symbol.asyncDispose]())

  /** `200 2 <redirect> <body>`: status, HTTP version… */
  const curl = async (url: string, ...args: readonly string[]) => {
    const { hostname, port: named } = new URL(url)
    const at = named || (url.startsWith('https') ? '443' : '80')
    const ran = await run('curl', [
      '--silent',
      '--show-error',
      '--write-out',
      '\n%{http_code} %{http_version} %{redirect_url}',
      '--resolve',
      `${hostname}:${at}:127.0.0.1`,
      ...args,
      url,
    ])
    const [status, version, redirect] = (ran.stdout.split('\n').at(-1) ?? '').split(' ')
    return { status: Number(status), version, redirect, error: ran.stderr }
  }
  const url = () => ebb.ok('get', 'ksvc', 'counter', '-o', 'jsonpath={.status.url}')

  test('before anything is configured, https works for who trusts the own authority', async () => {
    const { status, version, error } = await curl(`https://${host}:${port}/`, '--cacert', localCA)
    assert.deepEqual([status, version, error], [200, '2', ''])
    const stranger = await curl(`https://${host}:${port}/`)
    assert.match(stranger.error, /certificate/)
  })

  test('external-domain-tls gives https URLs that work with both protocols', async () => {
    await configure(ebb, 'config-network', { 'external-domain-tls': 'Enabled' })
    await until('the URL is https', async () => (await url()) === `https://${host}:${port}`)
    await ebb.ok('wait', '--for=condition=Ready', 'ksvc/counter', '--timeout=55s')
    const certificates = await ebb.ok('get', 'kcert', '-o', 'jsonpath={.items[*].spec.dnsNames}')
    assert.equal(certificates, `["${host}"]`)
    for (const [flag, version] of [
      ['--http1.1', '1.1'],
      ['--http2', '2'],
    ] as const) {
      const answer = await curl(await url(), '--cacert', localCA, flag)
      assert.deepEqual([answer.status, answer.version, answer.error], [200, version, ''])
    }
    assert.equal((await ebb.get(host)).status, 200, 'plain http goes on')
  })

  test('Redirected sends plain http to https', async () => {
    await configure(ebb, 'config-network', { 'http-protocol': 'Redirected' })
    const plain = `http://${host}:${ebb.gateway.port}/a?b=c`
    await until('the redirect', async () => (await curl(plain)).status === 301)
    assert.equal((await curl(plain)).redirect, `https://${host}:${port}/a?b=c`)
    const followed = await curl(
      plain,
      '--location',
      '--cacert',
      localCA,
      '--resolve',
      `${host}:${port}:127.0.0.1`,
    )
    assert.equal(followed.status, 200)
    await configure(ebb, 'config-network', { 'http-protocol': 'Enabled' })
  })

  test("a DomainMapping with the user's own Secret; a broken one says so", async () => {
    await configure(ebb, 'config-network', { 'autocreate-cluster-domain-claims': 'true' })
    const manifest = `
apiVersion: serving.knative.dev/v1beta1
kind: DomainMapping
metadata: { name: own.shop.test }
spec:
  ref: { kind: Service, name: counter, apiVersion: serving.knative.dev/v1 }
  tls: { secretName: own }
`
    await ebb.ok('apply', '-f', await ebb.file('own.yaml', manifest))
    const message = 'jsonpath={.status.conditions[?(@.type=="Ready")].message}'
    await until('the complaint', async () =>
      (await ebb.ok('get', 'domainmapping', 'own.shop.test', '-o', message)).includes(
        'Secret default/own for TLS of own.shop.test: there is no such Secret',
      ),
    )
    // Any certificate of the name will do: that of the service, which is another's, is shown all the same.
    const [secret] = (
      await ebb.ok('get', 'kcert', '-o', 'jsonpath={.items[*].spec.secretName}')
    ).split(' ')
    const data = await ebb.ok('get', 'secret', secret ?? '', '-o', 'jsonpath={.data}')
    const own = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'own' },
      data: JSON.parse(data) as unknown,
    }
    await ebb.ok('apply', '-f', await ebb.file('own.json', JSON.stringify(own)))
    await ebb.ok('wait', '--for=condition=Ready', 'domainmapping/own.shop.test', '--timeout=55s')
    const shown = await shownTo('own.shop.test')
    assert.equal(shown.checkHost(host), host)
    await ebb.ok('delete', 'domainmapping', 'own.shop.test')
  })

  test('a Gateway with two listeners: http is redirected, https shows the Secret and has the app', async () => {
    const [secret = ''] = (
      await ebb.ok('get', 'kcert', '-o', 'jsonpath={.items[*].spec.secretName}')
    ).split(' ')
    const parent = (sectionName: string) => `[{ name: shop, sectionName: ${sectionName} }]`
    const manifest = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: shop }
spec:
  gatewayClassName: ebb
  listeners:
    - { name: http, port: 80, protocol: HTTP }
    - name: https
      port: 443
      protocol: HTTPS
      hostname: gw.shop.test
      tls: { certificateRefs: [{ name: ${secret} }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: to-https }
spec:
  parentRefs: ${parent('http')}
  hostnames: [gw.shop.test]
  rules: [{ filters: [{ type: RequestRedirect, requestRedirect: { scheme: https, port: ${port} } }] }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: shop }
spec:
  parentRefs: ${parent('https')}
  hostnames: [gw.shop.test]
  rules: [{ backendRefs: [{ group: serving.knative.dev, kind: Service, name: counter }] }]
`
    await ebb.ok('apply', '-f', await ebb.file('gateway.yaml', manifest))
    await ebb.ok(
      'wait',
      'gateway/shop',
      '--for=jsonpath={.status.listeners[1].conditions[?(@.type=="Programmed")].status}=True',
      '--timeout=55s',
    )
    const plain = `http://gw.shop.test:${ebb.gateway.port}/a`
    await until('the redirect', async () => (await curl(plain)).status === 302)
    assert.equal((await curl(plain)).redirect, `https://gw.shop.test:${port}/a`)
    // The Secret's certificate is of another name, which the client has to forgive.
    await until(
      'the app',
      async () => (await curl(`https://gw.shop.test:${port}/a`, '--insecure')).status === 200,
    )
    assert.equal((await shownTo('gw.shop.test')).checkHost(host), host)
    await ebb.ok('delete', 'gateway/shop', 'httproute/shop', 'httproute/to-https')
    await until('the end of both', async () => (await curl(plain)).status === 404)
  })

  /** The certificate that a client gets which asks for this name. */
  const shownTo = (servername: string): Promise<X509Certificate> =>
    new Promise((resolve, reject) => {
      const socket = connect(
        { host: '127.0.0.1', port, servername, rejectUnauthorized: false },
        () => {
          const found = socket.getPeerX509Certificate()
          socket.destroy()
          if (found) resolve(found)
          else reject(new Error('no certificate'))
        },
      )
      socket.on('error', reject)
    })

  test('a custom domain gets its certificate by ACME, and a new one in time, without a lost request', async (t) => {
    const why = await withoutPebble()
    if (why !== false) {
      t.skip(why)
      return
    }
    await using pebble: Pebble = await startPebble({
      httpPort: ebb.gateway.port,
      validitySeconds: 12,
    })
    await configure(ebb, 'config-acme', {
      'directory-url': pebble.directoryUrl,
      'agree-terms': 'true',
      email: 'somebody@shop.test',
      domains: 'shop.test',
      'ca-bundle': pebble.serverCa,
    })
    const manifest = `
apiVersion: serving.knative.dev/v1beta1
kind: DomainMapping
metadata: { name: ${domain} }
spec: { ref: { kind: Service, name: counter, apiVersion: serving.knative.dev/v1 } }
`
    await ebb.ok('apply', '-f', await ebb.file('shop.yaml', manifest))
    await until(
      'https for the domain',
      async () =>
        (await ebb.ok('get', 'domainmapping', domain, '-o', 'jsonpath={.status.url}')) ===
        `https://${domain}`,
    )
    await ebb.ok('wait', '--for=condition=Ready', `domainmapping/${domain}`, '--timeout=55s')
    const root = await ebb.file('root.pem', pebble.root)
    const first = await shownTo(domain)
    assert.ok(first.validTo)
    let requests = 0
    await until('another certificate', async () => {
      const { status, error } = await curl(`https://${domain}:${port}/`, '--cacert', root)
      assert.deepEqual([status, error], [200, ''], pebble.output.slice(-2000))
      requests++
      return (await shownTo(domain)).serialNumber !== first.serialNumber
    })
    assert.ok(requests > 3)
    const account = await ebb.ok('-n', 'knative-serving', 'get', 'secrets', '-o', 'name')
    assert.match(account, /secret\/acme-account-/)
  })
})
