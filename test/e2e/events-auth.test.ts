/**
 * Who may send events, end to end on one platform: the feature authentication-oidc is switched on while events flow, tokens
 * are asked for and checked, EventPolicies decide, deliveries carry tokens that verify; switched off again, all is open.
 */
import assert from 'node:assert/strict'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { createLocalJWKSet, jwtVerify, type JSONWebKeySet } from 'jose'
import { request, startEbb, until, withoutKubectl, type Ebb } from './platform.ts'

const brokerHost = 'broker-ingress.knative-eventing.svc.cluster.local'
const jobSinkHost = 'job-sink.knative-eventing.svc.cluster.local'

describe('who may send events', { skip: withoutKubectl }, () => {
  let ebb: Ebb
  const taken: { readonly path: string; readonly headers: IncomingHttpHeaders }[] = []
  const subscriber: Server = createServer((incoming, response) => {
    taken.push({ path: incoming.url ?? '', headers: incoming.headers })
    incoming.resume()
    const answer = {
      'ce-specversion': '1.0',
      'ce-id': String(incoming.headers['ce-id']),
      'ce-type': 'step',
      'ce-source': '/first',
    }
    incoming.on('end', () =>
      incoming.url === '/first'
        ? response.writeHead(200, answer).end()
        : response.writeHead(202).end(),
    )
  })
  const url = (path: string) =>
    `http://127.0.0.1:${(subscriber.address() as AddressInfo).port}${path}`
  const one = (path: string, id: string) =>
    until(`${id} comes to ${path}`, () =>
      taken.find((each) => each.path === path && each.headers['ce-id'] === id),
    )

  const objects = () => `
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: front}
---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: back}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: out}
spec: {broker: front, subscriber: {uri: "${url('/out')}", audience: receiver}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: next}
spec:
  broker: front
  subscriber: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: back}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: end}
spec: {broker: back, subscriber: {uri: "${url('/end')}"}}
---
apiVersion: sources.knative.dev/v1
kind: PingSource
metadata: {name: tick}
spec:
  schedule: "* * * * * *"
  ceOverrides: {extensions: {of: ping}}
  sink: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: front}}
---
apiVersion: flows.knative.dev/v1
kind: Sequence
metadata: {name: steps}
spec:
  steps: [{uri: "${url('/first')}"}, {uri: "${url('/second')}"}]
---
apiVersion: sinks.knative.dev/v1alpha1
kind: JobSink
metadata: {name: jobs}
spec:
  job:
    spec:
      template:
        spec: {restartPolicy: Never, containers: [{name: c, image: none}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  replicas: 0
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec: {containers: [{name: c, image: none}]}
---
apiVersion: sources.knative.dev/v1
kind: SinkBinding
metadata: {name: bound}
spec:
  subject: {apiVersion: apps/v1, kind: Deployment, name: app}
  sink: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: front}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: sender}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: stranger}}
`
  const policy = `
apiVersion: eventing.knative.dev/v1alpha1
kind: EventPolicy
metadata: {name: allowed}
spec:
  to: [{ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: front}}]
  from:
  - sub: system:serviceaccount:default:sender
  - ref: {apiVersion: sources.knative.dev/v1, kind: PingSource, name: tick}
`

  before(async () => {
    await new Promise<void>((resolve) => subscriber.listen(0, '127.0.0.1', resolve))
    ebb = await startEbb()
    await ebb.ok('apply', '-f', await ebb.file('objects.yaml', objects()))
    await ready()
  })
  after(async () => {
    subscriber.closeAllConnections()
    subscriber.close()
    await ebb[Symbol.asyncDispose]()
  })

  const ready = async () => {
    for (const kind of ['broker', 'trigger', 'pingsource', 'sequence', 'jobsink', 'sinkbinding'])
      await ebb.ok('wait', '--for=condition=Ready', kind, '--all', '--timeout=60s')
  }
  const features = (data: Record<string, string>) =>
    ebb.ok(
      '-n',
      'knative-eventing',
      'patch',
      'cm',
      'config-features',
      '--type=merge',
      '-p',
      JSON.stringify({ data }),
    )
  const field = (kind: string, name: string, path: string) =>
    ebb.ok('get', kind, name, '-o', `jsonpath={${path}}`)
  const tokenOf = async (account: string, audience: string) =>
    (await ebb.ok('create', 'token', account, '--audience', audience)).trim()

  /** The answer's status. */
  const post = (
    id: string,
    token?: string,
    { host = brokerHost, path = '/default/front' } = {},
  ): Promise<number> =>
    request(ebb.local, host, {
      path,
      method: 'POST',
      headers: {
        'ce-specversion': '1.0',
        'ce-id': id,
        'ce-type': 'order',
        'ce-source': '/test',
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      },
    }).then(({ status }) => status)

  const audience = 'eventing.knative.dev/broker/default/front'

  test('while it is off everybody sends, and policies are refused', async () => {
    assert.equal(await post('open'), 202)
    assert.equal((await one('/out', 'open')).headers.authorization, undefined)
    const refused = await ebb.kubectl('apply', '-f', await ebb.file('policy.yaml', policy))
    assert.match(refused.stderr, /oidc-authentication feature not enabled/)
  })

  test('switched on: addresses have audiences, senders identities, all stays Ready', async () => {
    await features({ 'authentication-oidc': 'enabled' })
    await until('the address has its audience', async () => {
      return (await field('broker', 'front', '.status.address.audience')) === audience
    })
    const account = 'out-oidc-eventing.knative.dev-trigger'
    await until('the Trigger has its account', async () => {
      return (await field('trigger', 'out', '.status.auth.serviceAccountName')) === account
    })
    assert.equal(await field('sa', account, '.metadata.ownerReferences[0].kind'), 'Trigger')
    assert.equal(
      await field('sa', account, ".metadata.labels['eventing\\.knative\\.dev/oidc']"),
      'enabled',
    )
    await ebb.ok('apply', '-f', await ebb.file('policy.yaml', policy))
    await ebb.ok('wait', '--for=condition=Ready', 'eventpolicy/allowed', '--timeout=60s')
    await until('the policy holds', async () => {
      return (await field('broker', 'front', '.status.policies[*].name')) === 'allowed'
    })
    await ready()
  })

  test('without a token 401, for another 401, not allowed 403, allowed 202', async () => {
    await until('tokens are asked for', async () => (await post('none')) === 401)
    assert.equal(await post('wrong', await tokenOf('sender', 'somebody-else')), 401)
    const [head = '', , signature = ''] = (await tokenOf('sender', audience)).split('.')
    const claims = Buffer.from(JSON.stringify({ aud: audience, sub: 'x', exp: 9e9 }))
    const forged = `${head}.${claims.toString('base64url')}.${signature}`
    assert.equal(await post('forged', forged), 401)
    const stranger = await tokenOf('stranger', audience)
    await until('the policy is enforced', async () => (await post('not', stranger)) === 403)
    assert.equal(await post('allowed', await tokenOf('sender', audience)), 202)
  })

  test('ebb event send proves who sends', async () => {
    const send = (...args: readonly string[]) =>
      ebb.ebb('event', 'send', '--broker', 'front', '--id', 'by-cli', ...args)
    const refused = await send()
    assert.notEqual(refused.code, 0)
    assert.match(refused.stderr, /answered 401: .*Authorization: Bearer.*: give --account NAME/)
    assert.equal((await send('--account', 'sender')).stderr.includes('202'), true)
    await one('/out', 'by-cli')
  })

  test('a delivery carries a token of its Trigger for its receiver, and Broker leads to Broker', async () => {
    const { headers } = await one('/out', 'allowed')
    const keys = JSON.parse(await ebb.ok('get', '--raw', '/openid/v1/jwks')) as JSONWebKeySet
    const token = headers.authorization?.replace(/^Bearer /, '') ?? ''
    const { payload } = await jwtVerify(token, createLocalJWKSet(keys), {
      audience: 'receiver',
      issuer: 'https://kubernetes.default.svc',
    })
    assert.equal(payload.sub, 'system:serviceaccount:default:out-oidc-eventing.knative.dev-trigger')
    assert.equal((await one('/end', 'allowed')).headers.authorization, undefined)
    for (const id of ['none', 'wrong', 'forged', 'not'])
      assert.ok(!taken.some((each) => each.headers['ce-id'] === id), id)
  })

  test('what a source sends is taken, as its account is resolved', async () => {
    const before = taken.length
    await until('a ping with a token comes through', () =>
      taken
        .slice(before)
        .some(({ path, headers }) => path === '/out' && headers['ce-of'] === 'ping'),
    )
  })

  test('a Sequence passes events from channel to channel', async () => {
    await features({ 'default-authorization-mode': 'deny-all' })
    const copy = policy
      .replace('name: allowed', 'name: into-steps')
      .replace('kind: Broker, name: front', 'kind: Sequence, name: steps')
      .replace('eventing.knative.dev/v1, kind: Sequence', 'flows.knative.dev/v1, kind: Sequence')
    await ebb.ok('apply', '-f', await ebb.file('copy.yaml', copy))
    const channel = 'messaging.knative.dev/inmemorychannel/default/steps-kn-sequence-0'
    const token = await tokenOf('sender', channel)
    const to = { host: 'steps-kn-sequence-0-kn-channel.default.svc.cluster.local', path: '/' }
    await until('the policy has come to the channel', async () => {
      return (await post('in-steps', token, to)) === 202
    })
    await one('/first', 'in-steps')
    await one('/second', 'in-steps')
    await ebb.ok('wait', '--for=condition=Ready', 'eventpolicy', '--all', '--timeout=60s')
    const stranger = await tokenOf('stranger', channel)
    assert.equal(await post('not', stranger, to), 403)
    await features({ 'default-authorization-mode': 'allow-same-namespace' })
  })

  test('JobSinks ask too; a SinkBinding mounts its token', async () => {
    const to = { host: jobSinkHost, path: '/default/jobs' }
    assert.equal(await post('j1', undefined, to), 401)
    const token = await tokenOf('sender', 'sinks.knative.dev/jobsink/default/jobs')
    assert.equal(await post('j1', token, to), 202)
    const secret = await until('the Secret is named', () =>
      field('sinkbinding', 'bound', '.status.oidcTokenSecretName'),
    )
    const held = Buffer.from(await field('secret', secret, '.data.token'), 'base64').toString()
    const [, claims = ''] = held.split('.')
    const said = JSON.parse(Buffer.from(claims, 'base64url').toString()) as { aud: string[] }
    assert.deepEqual(said.aud, [audience])
    await until('it is mounted', async () => {
      const mounts = await field('deploy', 'app', '.spec.template.spec.containers[0].volumeMounts')
      return mounts.includes('/oidc')
    })
    const pem = await field('cm', 'kube-root-ca.crt', '.data.ca\\.crt')
    const bundle = ['-n', 'knative-eventing', 'create', 'cm', 'ours', `--from-literal=ca=${pem}`]
    await ebb.ok(...bundle)
    const label = 'networking.knative.dev/trust-bundle=true'
    await ebb.ok('-n', 'knative-eventing', 'label', 'cm', 'ours', label)
    await until('the bundle is mounted', async () => {
      const mounts = await field('deploy', 'app', '.spec.template.spec.containers[0].volumeMounts')
      return mounts.includes('/oidc') && mounts.includes('/knative-custom-certs')
    })
    assert.equal((await field('cm', 'kne-bundle-combined', '.data')).includes('BEGIN'), true)
    await ebb.ok('-n', 'knative-eventing', 'delete', 'cm', 'ours')
  })

  test('nothing of tokens is in logs or in the journal', async () => {
    const { headers } = await one('/out', 'allowed')
    const [, , signature = 'none'] = headers.authorization?.split('.') ?? []
    const found = await import('node:child_process').then(({ spawnSync }) =>
      spawnSync('grep', ['-rlF', signature, ebb.dataDir], { encoding: 'utf8' }),
    )
    assert.equal(found.stdout, '')
  })

  test('without the control plane, and while it starts, who may send stays as it was', async () => {
    const token = await tokenOf('sender', audience)
    await ebb.kill()
    assert.equal(await post('killed'), 401)
    assert.equal(await post('killed-allowed', token), 202)
    const { headers } = await one('/out', 'killed-allowed')
    assert.match(headers.authorization ?? '', /^Bearer /)
    let over = false
    const seen = new Set<number>()
    const asking = (async () => {
      while (!over) seen.add(await post('restarted').catch(() => 0))
    })()
    await ebb.restart()
    await ready()
    over = true
    await asking
    assert.ok(!seen.has(202), [...seen].join(', '))
    await until('it is taken again', async () => (await post('restarted-allowed', token)) === 202)
    await one('/end', 'restarted-allowed')
  })

  test('transport-encryption: hops within the platform go over TLS, then plain ones are refused', async () => {
    const token = await tokenOf('sender', audience)
    await features({ 'transport-encryption': 'permissive' })
    await until('the Trigger sends over TLS', async () => {
      const uri = await field('trigger', 'next', '.status.subscriberUri')
      return uri === `https://${brokerHost}/default/back`
    })
    assert.equal(await field('broker', 'front', '.status.addresses[*].name'), 'https http')
    assert.match(await field('trigger', 'next', '.status.subscriberCACerts'), /BEGIN CERTIFICATE/)
    assert.match(await field('broker', 'front', '.status.address.url'), /^http:/)
    await until('it is told so', async () => (await post('over-tls', token)) === 202)
    await one('/end', 'over-tls')
    const channel = 'messaging.knative.dev/inmemorychannel/default/steps-kn-sequence-0'
    const steps = { host: 'steps-kn-sequence-0-kn-channel.default.svc.cluster.local', path: '/' }
    await until('the steps are joined over TLS', async () => {
      const path = '.status.physicalSubscription.replyUri'
      const uri = await field('subscription', 'steps-kn-sequence-0', path)
      return /^https:..imc-dispatcher.*default.steps-kn-sequence-1$/.test(uri)
    })
    await until('the steps are joined again', async () => {
      const ready = ".status.conditions[?(@.type=='Ready')].status"
      return (await field('subscription', 'steps-kn-sequence-0', ready)) === 'True'
    })
    assert.equal(await post('steps-tls', await tokenOf('sender', channel), steps), 202)
    await one('/second', 'steps-tls')
    await features({ 'transport-encryption': 'strict' })
    await until('names lead nowhere plainly', async () => (await post('plain', token)) === 404)
    const jobs = { host: 'job-sink.knative-eventing.svc.cluster.local', path: '/default/none' }
    assert.equal(await post('plain', token, jobs), 404)
    assert.match(await field('broker', 'front', '.status.address.url'), /^https:/)
    const byCommand = await ebb.ebb('event', 'send', '--broker', 'front', '--account', 'sender')
    assert.match(byCommand.stderr, /^https:.*has it \(202\): it is on disk/)
    await one('/out', byCommand.stdout.trim())
    const byUrl = await ebb.ebb('event', 'send', '--to', `https://${brokerHost}/default/front`)
    assert.match(byUrl.stderr, /answered 401/)
    const before = taken.length
    await until('a ping comes through two Brokers', () =>
      taken
        .slice(before)
        .some(({ path, headers }) => path === '/end' && headers['ce-of'] === 'ping'),
    )
    await ready()
    await features({ 'transport-encryption': 'disabled' })
    await until('it is plain again', async () => (await post('plain-again', token)) === 202)
    assert.equal(await field('broker', 'front', '.status.addresses'), '')
  })

  test('switched off again, all is open and nothing is left', async () => {
    await features({ 'authentication-oidc': 'disabled' })
    await until('everybody sends', async () => (await post('open-again')) === 202)
    assert.equal((await one('/out', 'open-again')).path, '/out')
    await until('the accounts are gone', async () => {
      return !(await ebb.ok('get', 'sa', '-o', 'name')).includes('-oidc-')
    })
    await until('it is unmounted', async () => {
      const mounts = await field('deploy', 'app', '.spec.template.spec.containers[0].volumeMounts')
      return !mounts.includes('/oidc')
    })
    assert.equal(await field('broker', 'front', '.status.address.audience'), '')
    assert.equal(await field('trigger', 'out', '.status.auth'), '')
    await ready()
  })
})
