import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigMap } from '../../../kube/api/config-map.ts'
import { keyOf, type KubeObject } from '../../../kube/api/meta.ts'
import { Secret } from '../../../kube/api/secret.ts'
import { simulate } from '../../../kube/controller/convergence.ts'
import { issue } from '../../../platform/access/certificate-issue.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import { Certificate } from '../../api/certificate.ts'
import { createReadConfig } from '../config.ts'
import { acmeClass, certificateReconciler, localClass } from './certificate.ts'
import { createIssuance, Refusal, type AcmeOrder, type Signed } from './issuance.ts'

const day = 86_400_000

/** A cluster in a map, an authority that signs for `days`, an ACME authority that does what the test says. */
function world({ days = 90 }: { days?: number } = {}) {
  const clock = new SimClock()
  const signed: { by: 'local' | 'acme'; names: readonly string[] }[] = []
  let signing = 0
  const local: { ca: string | undefined } = { ca: undefined }
  const make = async (names: readonly string[]): Promise<Signed> => {
    signing++
    const { cert, key } = await issue({
      subject: 'CN=test',
      hosts: names,
      notBefore: new Date(clock.now()),
      notAfter: new Date(clock.now() + days * day),
    })
    signing--
    return { chain: cert, privateKey: key }
  }
  const acme = {
    sign: async ({ names }: AcmeOrder): Promise<Signed> => {
      signed.push({ by: 'acme', names })
      return make(names)
    },
  }
  const issuance = createIssuance({
    clock,
    local: {
      get ca() {
        return local.ca
      },
      sign: async (names) => {
        signed.push({ by: 'local', names })
        const made = await make(names)
        return { ...made, ...(local.ca !== undefined && { ca: local.ca }) }
      },
    },
    acme: { sign: (order) => acme.sign(order) },
  })
  const reconciler = certificateReconciler(createReadConfig(), issuance)
  const cluster = simulate([reconciler])
  const get = <T extends KubeObject>(kind: typeof Certificate | typeof Secret, name: string) =>
    cluster.reader.get(kind as never, { namespace: 'default', name }) as T | undefined
  /** Reconciles until nothing more happens: signing takes turns of the event loop. */
  const settle = async () => {
    let again = true
    const changes = issuance.onChange(() => (again = true))
    for (let quiet = 0; quiet < 5; quiet++) {
      if (again || signing > 0) quiet = 0
      again = false
      for (const one of cluster.reader.list(Certificate, ''))
        cluster.put(Certificate, {
          ...one,
          metadata: {
            ...one.metadata,
            annotations: { ...one.metadata.annotations, woken: String(wakes++) },
          },
        })
      cluster.settle({ nowMs: clock.now() })
      await new Promise((resolve) => setImmediate(resolve))
      await clock.advance(0)
    }
    changes[Symbol.dispose]()
  }
  let wakes = 0
  const put = (names: readonly string[], annotations: Record<string, string> = {}) =>
    cluster.put(Certificate, {
      apiVersion: 'networking.internal.knative.dev/v1alpha1',
      kind: 'Certificate',
      metadata: { name: 'c', namespace: 'default', annotations },
      spec: { dnsNames: names, secretName: 's' },
    })
  const configure = (data: Record<string, string>) =>
    cluster.put(ConfigMap, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'config-acme', namespace: 'knative-serving' },
      data,
    })
  const told = () => {
    const { status } = get<Certificate>(Certificate, 'c') ?? {}
    const ready = status?.conditions?.find(({ type }) => type === 'Ready')
    return [ready?.status, ready?.reason].filter(Boolean).join(' ')
  }
  return { clock, cluster, signed, acme, local, settle, put, configure, told, get }
}

const withAcme = { 'directory-url': 'https://acme.example/dir', 'agree-terms': 'true' }

test('a Certificate gets its Secret from the own authority, and says until when', async () => {
  const { put, settle, told, get, signed, clock } = world()
  put(['hello.default.localhost'])
  await settle()
  assert.equal(told(), 'True')
  assert.deepEqual(signed, [{ by: 'local', names: ['hello.default.localhost'] }])
  const secret = get<Secret>(Secret, 's')
  assert.equal(secret?.type, 'kubernetes.io/tls')
  assert.deepEqual(Object.keys(secret?.data ?? {}), ['tls.crt', 'tls.key'])
  assert.equal(secret?.metadata.ownerReferences?.[0]?.name, 'c')
  const notAfter = get<Certificate>(Certificate, 'c')?.status?.notAfter ?? ''
  assert.equal(Date.parse(notAfter), clock.now() + 90 * day)
})

test('it is renewed after two thirds of its life, and not before', async () => {
  const { put, settle, told, signed, clock, get } = world()
  put(['a.localhost'])
  await settle()
  await clock.advance(60 * day - 1000)
  await settle()
  assert.equal(signed.length, 1)
  const before = get<Secret>(Secret, 's')?.data?.['tls.crt']
  await clock.advance(1000)
  await settle()
  assert.equal(signed.length, 2)
  assert.notEqual(get<Secret>(Secret, 's')?.data?.['tls.crt'], before)
  assert.equal(told(), 'True')
})

test('a renewal that fails leaves the certificate in service until its end, and is tried again', async () => {
  const { put, configure, settle, told, signed, clock, acme } = world()
  configure(withAcme)
  put(['www.shop.com'])
  await settle()
  assert.deepEqual(signed, [{ by: 'acme', names: ['www.shop.com'] }])
  let asked = 0
  const good = acme.sign
  acme.sign = () => {
    asked++
    return Promise.reject(new Refusal('rateLimited: too many', 3_600_000))
  }
  await clock.advance(60 * day)
  await settle()
  assert.deepEqual([told(), asked], ['True', 1])
  await clock.advance(3_500_000)
  await settle()
  assert.equal(asked, 1, 'not before the authority wants to be asked again')
  await clock.advance(200_000)
  await settle()
  assert.deepEqual([told(), asked], ['True', 2])
  await clock.advance(31 * day)
  await settle()
  assert.equal(told(), 'False Refused')
  acme.sign = good
  await clock.advance(day)
  await settle()
  assert.equal(told(), 'True')
})

test('public names come from ACME, private ones and chosen ones from the own authority', async () => {
  const cases: [readonly string[], Record<string, string>, Record<string, string>, string][] = [
    [['www.shop.com'], withAcme, {}, 'acme'],
    [['www.shop.com'], {}, {}, 'local'],
    [['hello.default.localhost'], withAcme, {}, 'local'],
    [['hello.default.10.0.0.1.sslip.io'], withAcme, {}, 'local'],
    [['www.shop.com'], { ...withAcme, 'local-domains': 'shop.com' }, {}, 'local'],
    [['www.shop.com'], { ...withAcme, domains: 'other.com' }, {}, 'local'],
    [['www.shop.test'], { ...withAcme, domains: 'shop.test' }, {}, 'acme'],
    [
      ['www.shop.com'],
      withAcme,
      { 'networking.knative.dev/certificate-class': localClass },
      'local',
    ],
    [['a.localhost'], withAcme, { 'networking.knative.dev/certificate.class': acmeClass }, 'acme'],
  ]
  for (const [names, config, annotations, by] of cases) {
    const { put, configure, settle, signed } = world()
    configure(config)
    put(names, annotations)
    await settle()
    assert.deepEqual(
      signed.map((one) => one.by),
      [by],
      JSON.stringify([names, config]),
    )
  }
})

test('what nobody can sign says why', async () => {
  const { put, configure, settle, told, signed, get } = world()
  configure(withAcme)
  put(['*.default.shop.com'])
  await settle()
  assert.equal(told(), 'False NotIssuable')
  assert.deepEqual(signed, [])
  const [ready] = get<Certificate>(Certificate, 'c')?.status?.conditions ?? []
  assert.match(ready?.message ?? '', /wildcard, which HTTP-01 can't prove.*local-domains/)
})

test('challenges are shown while they are open; another way to sign starts anew at once', async () => {
  const { put, configure, settle, told, acme, get, signed } = world()
  configure(withAcme)
  acme.sign = ({ onChallenges }) => {
    onChallenges([{ host: 'www.shop.com', token: 'abc' }])
    return new Promise(() => {})
  }
  put(['www.shop.com'])
  await settle()
  assert.equal(told(), 'Unknown Issuing')
  const [challenge] = get<Certificate>(Certificate, 'c')?.status?.http01Challenges ?? []
  assert.equal(challenge?.url, 'http://www.shop.com/.well-known/acme-challenge/abc')
  configure({})
  await settle()
  assert.equal(told(), 'True')
  assert.deepEqual(
    signed.map(({ by }) => by),
    ['local'],
  )
  assert.deepEqual(get<Certificate>(Certificate, 'c')?.status?.http01Challenges, undefined)
})

test("somebody else's Secret is left alone; a damaged or foreign certificate of ours is made anew", async () => {
  const { put, settle, told, cluster, signed, get } = world()
  cluster.put(Secret, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 's', namespace: 'default' },
    data: { mine: 'eA==' },
  })
  put(['a.localhost'])
  await settle()
  assert.equal(told(), 'False SecretNotOwned')
  assert.deepEqual(get<Secret>(Secret, 's')?.data, { mine: 'eA==' })
  cluster.delete(Secret, { namespace: 'default', name: 's' })
  await settle()
  assert.equal(told(), 'True')
  const ours = get<Secret>(Secret, 's')
  assert.ok(ours)
  cluster.put(Secret, { ...ours, data: { ...ours.data, 'tls.key': 'eA==' } })
  await settle()
  assert.equal(signed.length, 2)
  put(['b.localhost'])
  await settle()
  assert.equal(signed.length, 3)
  assert.equal(told(), 'True')
  cluster.delete(Certificate, keyOf({ ...ours, metadata: { ...ours.metadata, name: 'c' } }))
})

test('another authority of our own signs anew', async () => {
  const { put, settle, told, local, signed } = world()
  local.ca = 'one'
  put(['a.localhost'])
  await settle()
  await settle()
  assert.equal(signed.length, 1)
  local.ca = 'two'
  await settle()
  assert.equal(signed.length, 2)
  assert.equal(told(), 'True')
})
