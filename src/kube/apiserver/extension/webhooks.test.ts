/** Webhooks and policies over the API in this process; the webhooks are served over real TLS on loopback. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { systemClock } from '../../../lib/clock.ts'
import { ensureCertificates, type Certificates } from '../../../platform/access/certificates.ts'
import { inMemoryPlatform } from '../../../testing/platform.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import type { Kind } from '../../api/kind.ts'
import { coreKinds } from '../../api/kinds.ts'
import type { UnknownObject } from '../../api/meta.ts'
import type { ApiRequest, ApiResponse, Verb } from '../../api/protocol.ts'
import { StatusError } from '../../api/status-error.ts'
import type { ApiServer } from '../api-server.ts'

let directory = ''
let certificates: Certificates

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ebb-webhooks-'))
  certificates = await ensureCertificates(directory, {
    hosts: ['hook.default.svc'],
    ips: [],
    clock: systemClock,
  })
})
after(() => rm(directory, { recursive: true, force: true }))

// oxlint-disable-next-line typescript/no-explicit-any -- reviews are JSON of many shapes
// oxlint-disable-next-line typescript/no-explicit-any -- reviews are JSON of many shapes
type Json = Record<string, any>
type Handler = (review: Json, path: string) => Json | undefined

interface Hooks extends AsyncDisposable {
  readonly port: number
  readonly config: (path?: string) => { readonly url: string; readonly caBundle: string }
  readonly caBundle: string
  readonly reviews: Json[]
}

/** `handler` answers the `response` of a review; without an answer the webhook hangs. */
async function serveHooks(handler: Handler): Promise<Hooks> {
  const reviews: Json[] = []
  const server = createServer(
    { key: certificates.serverKey, cert: certificates.serverCert },
    (request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const review: Json = JSON.parse(Buffer.concat(chunks).toString())
        reviews.push({ ...review, path: request.url, headers: request.headers })
        const answer = handler(review, request.url ?? '')
        if (!answer) return
        response.setHeader('content-type', 'application/json')
        response.end(
          JSON.stringify({
            apiVersion: review['apiVersion'],
            kind: review['kind'],
            response: { uid: review['request'].uid, ...answer },
          }),
        )
      })
    },
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const caBundle = Buffer.from(certificates.ca).toString('base64')
  return {
    port,
    caBundle,
    reviews,
    config: (path = '/') => ({ url: `https://127.0.0.1:${port}${path}`, caBundle }),
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}

const patchOf = (...operations: Json[]) => ({
  allowed: true,
  patchType: 'JSONPatch',
  patch: Buffer.from(JSON.stringify(operations)).toString('base64'),
})

/** A request as one from outside, by an ordinary administrator. */
function ask(
  api: ApiServer,
  verb: Verb,
  kind: Kind,
  more: Partial<ApiRequest> = {},
): Promise<ApiResponse> {
  return api.handle({
    verb,
    group: kind.group,
    version: kind.version,
    resource: kind.plural,
    ...(kind.namespaced && { namespace: 'default' }),
    options: {},
    user: { username: 'ann', groups: ['system:masters'] },
    durable: true,
    ...more,
  })
}

const kindNamed = (name: string): Kind => {
  const kind = coreKinds.find((each) => each.kind === name)
  assert.ok(kind)
  return kind
}
const ConfigMap = kindNamed('ConfigMap')
const Mutating = kindNamed('MutatingWebhookConfiguration')
const Validating = kindNamed('ValidatingWebhookConfiguration')
const Policy = kindNamed('ValidatingAdmissionPolicy')
const Binding = kindNamed('ValidatingAdmissionPolicyBinding')
const Definition = kindNamed('CustomResourceDefinition')

const configuration = (kind: Kind, name: string, ...webhooks: Json[]) => ({
  apiVersion: 'admissionregistration.k8s.io/v1',
  kind: kind.kind,
  metadata: { name },
  webhooks: webhooks.map((webhook) => ({
    admissionReviewVersions: ['v1'],
    sideEffects: 'None',
    rules: [
      {
        apiGroups: [''],
        apiVersions: ['v1'],
        operations: ['CREATE', 'UPDATE', 'DELETE'],
        resources: ['configmaps'],
      },
    ],
    ...webhook,
  })),
})

const configMap = (name: string, data: Json = {}, labels: Json = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default', labels },
  data,
})

const refusal = (code: number, message: string | RegExp) => (thrown: unknown) => {
  assert.ok(thrown instanceof StatusError, String(thrown))
  if (typeof message === 'string') assert.equal(thrown.message, message)
  else assert.match(thrown.message, message)
  assert.equal(thrown.code, code)
  return true
}

const world = () => inMemoryPlatform({ kinds: coreKinds, clock: new SimClock() })

test('mutating webhooks change objects one after another, and once more where they wish', async () => {
  await using platform = world()
  const { api } = platform
  await using hooks = await serveHooks(({ request }, path) => {
    const data = request.object.data ?? {}
    if (path.startsWith('/first'))
      return {
        ...patchOf({ op: 'add', path: '/data/first', value: `saw ${Object.keys(data).length}` }),
        warnings: ['first was here'],
      }
    return patchOf({ op: 'add', path: '/data/second', value: 'yes' })
  })
  await ask(api, 'create', Mutating, {
    body: configuration(
      Mutating,
      'a',
      {
        name: 'first.example.com',
        clientConfig: hooks.config('/first'),
        reinvocationPolicy: 'IfNeeded',
      },
      {
        name: 'second.example.com',
        clientConfig: hooks.config('/second'),
        admissionReviewVersions: ['v2', 'v1beta1', 'v1'],
      },
    ),
  })
  const { body, warnings, code } = await ask(api, 'create', ConfigMap, {
    body: configMap('x', { a: 'b' }),
    options: { fieldManager: 'me' },
  })
  assert.equal(code, 201)
  assert.deepEqual((body as Json)['data'], { a: 'b', first: 'saw 3', second: 'yes' })
  assert.deepEqual(warnings, ['first was here'])
  assert.equal(hooks.reviews.length, 3)
  assert.deepEqual(
    hooks.reviews.map((review) => review['apiVersion']),
    ['admission.k8s.io/v1', 'admission.k8s.io/v1beta1', 'admission.k8s.io/v1'],
  )
  const [{ request, path, headers }] = hooks.reviews as [Json]
  assert.match(path, /^\/first\?timeout=10s$/)
  assert.equal(headers['user-agent'], 'kube-apiserver-admission')
  assert.deepEqual(request.kind, { group: '', version: 'v1', kind: 'ConfigMap' })
  assert.deepEqual(request.resource, { group: '', version: 'v1', resource: 'configmaps' })
  assert.equal(request.operation, 'CREATE')
  assert.equal(request.name, 'x')
  assert.equal(request.oldObject, null)
  assert.equal(request.userInfo.username, 'ann')
  assert.deepEqual(request.options, {
    kind: 'CreateOptions',
    apiVersion: 'meta.k8s.io/v1',
    fieldManager: 'me',
  })
})

test('validating webhooks refuse in their own words; a new object keeps its generated name', async () => {
  await using platform = world()
  const { api } = platform
  const names: string[] = []
  await using hooks = await serveHooks(({ request }) => {
    if (request.operation === 'CREATE') names.push(request.object.metadata.name)
    const bad = (request.object ?? request.oldObject).data?.bad
    return bad === undefined
      ? { allowed: true, warnings: ['looked at it'] }
      : { allowed: false, status: { message: `no ${bad} here`, code: 403, reason: 'Forbidden' } }
  })
  await ask(api, 'create', Validating, {
    body: configuration(Validating, 'v', {
      name: 'check.example.com',
      clientConfig: hooks.config(),
      objectSelector: { matchLabels: { checked: 'yes' } },
    }),
  })
  const checked = { checked: 'yes' }
  await assert.rejects(
    ask(api, 'create', ConfigMap, { body: configMap('x', { bad: 'thing' }, checked) }),
    refusal(403, 'admission webhook "check.example.com" denied the request: no thing here'),
  )
  await ask(api, 'create', ConfigMap, { body: configMap('unchecked', { bad: 'thing' }) })
  const { body, warnings } = await ask(api, 'create', ConfigMap, {
    body: { ...configMap('', {}, checked), metadata: { generateName: 'made-', labels: checked } },
  })
  assert.equal((body as Json)['metadata'].name, names.at(-1))
  assert.match(names.at(-1) ?? '', /^made-/)
  assert.deepEqual(warnings, ['looked at it'])
  await assert.rejects(
    ask(api, 'patch', ConfigMap, {
      name: names.at(-1) ?? '',
      patchType: 'merge',
      body: { data: { bad: 'idea' } },
    }),
    refusal(403, /no idea here/),
  )
  const update = hooks.reviews.at(-1)?.['request']
  assert.equal(update.operation, 'UPDATE')
  assert.equal(update.oldObject.data?.bad, undefined)
  assert.equal(update.options.kind, 'PatchOptions')
  await ask(api, 'delete', ConfigMap, { name: names.at(-1) ?? '' })
  assert.equal(hooks.reviews.at(-1)?.['request'].object, null)
})

test('a webhook that cannot be asked: refused with its reason, or ignored; it delays nobody else', async () => {
  await using platform = world()
  const { api, clock } = platform
  await using hooks = await serveHooks(() => undefined)
  const hang = (failurePolicy: string) =>
    configuration(Validating, 'v', {
      name: 'hang.example.com',
      clientConfig: hooks.config('/hang'),
      timeoutSeconds: 5,
      failurePolicy,
      objectSelector: { matchLabels: { hang: 'yes' } },
    })
  await ask(api, 'create', Validating, { body: hang('Fail') })
  const waiting = ask(api, 'create', ConfigMap, { body: configMap('x', {}, { hang: 'yes' }) })
  const refused = assert.rejects(
    waiting,
    refusal(
      500,
      `Internal error occurred: failed calling webhook "hang.example.com": failed to call webhook: Post "https://127.0.0.1:${hooks.port}/hang?timeout=5s": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`,
    ),
  )
  await ask(api, 'create', ConfigMap, { body: configMap('other') })
  while (hooks.reviews.length === 0) await new Promise((resolve) => setImmediate(resolve))
  await (clock as SimClock).advance(5_001)
  await refused
  await ask(api, 'update', Validating, { name: 'v', body: hang('Ignore') })
  const allowed = ask(api, 'create', ConfigMap, { body: configMap('x', {}, { hang: 'yes' }) })
  while (hooks.reviews.length === 1) await new Promise((resolve) => setImmediate(resolve))
  await (clock as SimClock).advance(5_001)
  assert.equal((await allowed).code, 201)
})

test('webhooks behind a Service, with conditions; certificates are verified', async () => {
  await using platform = world()
  const { api } = platform
  await using hooks = await serveHooks(() => ({ allowed: false }))
  const config = (caBundle: string) => ({
    service: { namespace: 'default', name: 'hook', path: '/x', port: 8443 },
    caBundle,
  })
  await ask(api, 'create', kindNamed('Service'), {
    body: {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'hook' },
      spec: { ports: [{ port: 8443, targetPort: hooks.port }] },
    },
  })
  const deny = (caBundle: string) =>
    configuration(Validating, 'v', {
      name: 'deny.example.com',
      clientConfig: config(caBundle),
      matchConditions: [
        {
          name: 'only-me',
          expression: `request.userInfo.username == 'ann' && object.metadata.name.startsWith('x')`,
        },
      ],
    })
  await ask(api, 'create', Validating, { body: deny(hooks.caBundle) })
  await ask(api, 'create', ConfigMap, { body: configMap('another') })
  await assert.rejects(
    ask(api, 'create', ConfigMap, { body: configMap('x') }),
    refusal(
      500,
      /Post "https:\/\/hook\.default\.svc:8443\/x\?timeout=10s": no endpoints available for service "hook"$/,
    ),
  )
  await ask(api, 'create', kindNamed('Endpoints'), {
    body: {
      apiVersion: 'v1',
      kind: 'Endpoints',
      metadata: { name: 'hook' },
      subsets: [{ addresses: [{ ip: '127.0.0.1' }], ports: [{ port: hooks.port }] }],
    },
  }).catch((thrown: unknown) => {
    // Loopback addresses are for the platform's own controllers to write.
    assert.ok(thrown instanceof StatusError)
    platform.store.put(
      'endpoints/default/hook',
      {
        apiVersion: 'v1',
        kind: 'Endpoints',
        metadata: { name: 'hook', namespace: 'default' },
        subsets: [{ addresses: [{ ip: '127.0.0.1' }], ports: [{ port: hooks.port }] }],
      } as never,
      0,
    )
  })
  await assert.rejects(
    ask(api, 'create', ConfigMap, { body: configMap('x') }),
    refusal(400, 'admission webhook "deny.example.com" denied the request without explanation'),
  )
  const stranger = Buffer.from(certificates.adminCert).toString('base64')
  await ask(api, 'update', Validating, { name: 'v', body: deny(stranger) })
  await assert.rejects(
    ask(api, 'create', ConfigMap, { body: configMap('x') }),
    refusal(500, /x509: certificate signed by unknown authority$/),
  )
  await assert.rejects(
    ask(api, 'create', Validating, {
      body: configuration(Validating, 'w', {
        name: 'short',
        clientConfig: { url: 'http://x' },
        matchConditions: [{ name: 'a', expression: 'object.' }],
      }),
    }),
    refusal(
      422,
      /should be a domain with at least three segments.*'https' is the only allowed URL scheme/s,
    ),
  )
})

test('what plugins take from outside is taken once, however often webhooks make the verb run', async () => {
  await using platform = world()
  const { api } = platform
  const seen: string[] = []
  await using hooks = await serveHooks(({ request }) => {
    seen.push(request.object.spec.clusterIP)
    return { allowed: true }
  })
  await ask(api, 'create', Validating, {
    body: configuration(Validating, 'v', {
      name: 'services.example.com',
      clientConfig: hooks.config(),
      rules: [
        { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['services'] },
      ],
    }),
  })
  const { body } = await ask(api, 'create', kindNamed('Service'), {
    body: {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 's' },
      spec: { type: 'NodePort', ports: [{ port: 80 }] },
    },
  })
  assert.deepEqual(seen, [(body as Json)['spec'].clusterIP])
})

test('webhooks and policies are asked about connections into pods', async () => {
  await using platform = world()
  const { api } = platform
  await using hooks = await serveHooks(({ request }) => ({
    allowed: request.object.command[0] !== 'sh',
    status: { message: 'no shells' },
  }))
  const connecting = {
    apiGroups: [''],
    apiVersions: ['v1'],
    operations: ['CONNECT'],
    resources: ['pods/exec'],
  }
  const exec = (command: string) =>
    api.admitConnect(
      {
        group: '',
        version: 'v1',
        resource: 'pods',
        subresource: 'exec',
        namespace: 'default',
        name: 'p',
        rest: '',
        watch: false,
      },
      new URLSearchParams(`command=${command}&command=-c&stdout=true&container=c`),
      { username: 'ann', groups: ['system:masters'] },
    )
  await exec('sh')
  await ask(api, 'create', Validating, {
    body: configuration(Validating, 'v', {
      name: 'exec.example.com',
      clientConfig: hooks.config(),
      rules: [connecting],
    }),
  })
  await exec('ls')
  const { request } = hooks.reviews.at(-1) as Json
  assert.deepEqual(request.kind, { group: '', version: 'v1', kind: 'PodExecOptions' })
  assert.deepEqual([request.subResource, request.name, request.operation], ['exec', 'p', 'CONNECT'])
  assert.deepEqual(request.object.command, ['ls', '-c'])
  await assert.rejects(
    exec('sh'),
    refusal(400, 'admission webhook "exec.example.com" denied the request: no shells'),
  )
})

test('policies: parameters, variables, messages, actions', async () => {
  await using platform = world()
  const { api } = platform
  await ask(api, 'create', ConfigMap, { body: configMap('limits', { max: '2' }) })
  await ask(api, 'create', Policy, {
    body: {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingAdmissionPolicy',
      metadata: { name: 'few-keys' },
      spec: {
        paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
        matchConstraints: {
          resourceRules: [
            {
              apiGroups: [''],
              apiVersions: ['v1'],
              operations: ['CREATE', 'UPDATE'],
              resources: ['configmaps'],
            },
          ],
          excludeResourceRules: [
            {
              apiGroups: [''],
              apiVersions: ['v1'],
              operations: ['*'],
              resources: ['configmaps'],
              resourceNames: ['limits'],
            },
          ],
        },
        matchConditions: [
          {
            name: 'not-exempt',
            expression: `!has(object.metadata.labels) || !('exempt' in object.metadata.labels)`,
          },
        ],
        variables: [
          { name: 'keys', expression: 'has(object.data) ? size(object.data) : 0' },
          { name: 'max', expression: 'int(params.data.max)' },
        ],
        validations: [
          {
            expression: 'variables.keys <= variables.max',
            messageExpression: `'at most %d keys, found %d in %s'.format([variables.max, variables.keys, namespaceObject.metadata.name])`,
          },
          {
            expression: `oldObject == null || !has(oldObject.data) || object.data == oldObject.data || authorizer.group('').resource('configmaps').check('update').allowed()`,
            message: 'never seen',
          },
        ],
      },
    },
  })
  const binding = (validationActions: string[]) => ({
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicyBinding',
    metadata: { name: 'few-keys-here' },
    spec: {
      policyName: 'few-keys',
      paramRef: { name: 'limits', namespace: 'default', parameterNotFoundAction: 'Deny' },
      validationActions,
    },
  })
  const many = { a: '1', b: '2', c: '3' }
  assert.equal((await ask(api, 'create', ConfigMap, { body: configMap('free', many) })).code, 201)
  await ask(api, 'create', Binding, { body: binding(['Deny']) })
  const message = (denied: string) =>
    `ValidatingAdmissionPolicy 'few-keys' with binding 'few-keys-here' denied request: ${denied}`
  await assert.rejects(
    ask(api, 'create', ConfigMap, { body: configMap('x', many) }),
    refusal(422, `configmaps "x" is forbidden: ${message('at most 2 keys, found 3 in default')}`),
  )
  await ask(api, 'create', ConfigMap, { body: configMap('exempt', many, { exempt: '' }) })
  await ask(api, 'create', ConfigMap, { body: configMap('x', { a: '1' }) })
  await ask(api, 'update', ConfigMap, { name: 'x', body: configMap('x', { a: '2' }) })
  await ask(api, 'update', Binding, { name: 'few-keys-here', body: binding(['Warn', 'Audit']) })
  const annotations = new Map<string, string>()
  const { warnings } = await ask(api, 'create', ConfigMap, {
    body: configMap('y', many),
    annotate: (key, value) => annotations.set(key, value),
  })
  assert.match(
    annotations.get('validation.policy.admission.k8s.io/validation_failure') ?? '',
    /"message":"at most 2 keys, found 3 in default","policy":"few-keys"/,
  )
  assert.deepEqual(warnings, [
    `Validation failed for ValidatingAdmissionPolicy 'few-keys' with binding 'few-keys-here': at most 2 keys, found 3 in default`,
  ])
  await ask(api, 'update', Binding, { name: 'few-keys-here', body: binding(['Deny']) })
  await ask(api, 'delete', ConfigMap, { name: 'limits' })
  await assert.rejects(
    ask(api, 'create', ConfigMap, { body: configMap('z') }),
    refusal(422, /no params found for policy binding with `Deny` parameterNotFoundAction$/),
  )
  await assert.rejects(
    ask(api, 'patch', Policy, {
      name: 'few-keys',
      patchType: 'merge',
      body: { spec: { validations: [{ expression: 'object.' }] } },
    }),
    refusal(422, /spec.validations\[0\].expression: Invalid value: "object.": compilation failed/),
  )
})

const Gadget: Kind<UnknownObject> = {
  group: 'example.com',
  version: 'v2',
  kind: 'Gadget',
  plural: 'gadgets',
  namespaced: true,
}

test('versions are converted by a webhook on the way in and out', async () => {
  await using platform = world()
  const { api } = platform
  let broken = false
  await using hooks = await serveHooks(({ request }) => {
    if (broken) return { result: { status: 'Failed', message: 'out of order' } }
    const convertedObjects = request.objects.map(({ spec = {}, ...rest }: Json) => {
      const { size, width } = spec
      return {
        ...rest,
        apiVersion: request.desiredAPIVersion,
        spec: request.desiredAPIVersion.endsWith('v1')
          ? { size: width === undefined ? size : `${width}cm` }
          : { width: size === undefined ? width : Number.parseInt(size, 10) },
      }
    })
    return { result: { status: 'Success' }, convertedObjects }
  })
  const version = (name: string, storage: boolean, properties: Json) => ({
    name,
    served: true,
    storage,
    schema: {
      openAPIV3Schema: {
        type: 'object',
        properties: { spec: { type: 'object', properties } },
      },
    },
    additionalPrinterColumns: [],
  })
  await ask(api, 'create', Definition, {
    body: {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'gadgets.example.com' },
      spec: {
        group: 'example.com',
        scope: 'Namespaced',
        names: { plural: 'gadgets', kind: 'Gadget' },
        versions: [
          version('v1', false, { size: { type: 'string', pattern: '^[0-9]+cm$' } }),
          version('v2', true, { width: { type: 'integer', maximum: 99 } }),
        ],
        conversion: {
          strategy: 'Webhook',
          webhook: { clientConfig: hooks.config('/convert'), conversionReviewVersions: ['v1'] },
        },
      },
    },
  })
  const V1 = { ...Gadget, version: 'v1' }
  const gadget = (name: string, spec: Json) => ({
    apiVersion: 'example.com/v1',
    kind: 'Gadget',
    metadata: { name, labels: { a: 'b' } },
    spec,
  })
  const made = await ask(api, 'create', V1, { body: gadget('a', { size: '5cm' }) })
  assert.deepEqual((made.body as Json)['spec'], { size: '5cm' })
  assert.equal((made.body as Json)['apiVersion'], 'example.com/v1')
  await ask(api, 'create', V1, { body: gadget('b', { size: '7cm' }) })
  const stored = await ask(api, 'get', Gadget, { name: 'a' })
  assert.deepEqual((stored.body as Json)['spec'], { width: 5 })
  const before = hooks.reviews.length
  const { body } = await ask(api, 'list', V1)
  const { items, apiVersion } = body as Json
  assert.equal(apiVersion, 'example.com/v1')
  assert.deepEqual(
    items.map((item: Json) => item['spec'].size),
    ['5cm', '7cm'],
  )
  assert.equal(hooks.reviews.length, before + 1, 'a list is one review')
  const patched = await ask(api, 'patch', V1, {
    name: 'a',
    patchType: 'merge',
    body: { spec: { size: '9cm' } },
  })
  assert.deepEqual((patched.body as Json)['spec'], { size: '9cm' })
  assert.deepEqual(((await ask(api, 'get', Gadget, { name: 'a' })).body as Json)['spec'], {
    width: 9,
  })
  await assert.rejects(
    ask(api, 'create', V1, { body: gadget('c', { size: 'big' }) }),
    refusal(422, /spec.size in body should match '\^\[0-9\]\+cm\$'$/),
  )
  await assert.rejects(
    ask(api, 'create', V1, { body: gadget('c', { size: '100cm' }) }),
    refusal(422, /spec.width in body should be less than or equal to 99$/),
  )
  const stop = new AbortController()
  const watching = await ask(api, 'watch', V1, { signal: stop.signal })
  const seen: Json[] = []
  for await (const { object } of watching.events ?? []) {
    seen.push(object as never)
    if (seen.length === 2) stop.abort()
  }
  assert.deepEqual(
    seen.map((object) => object['spec'].size),
    ['9cm', '7cm'],
  )
  broken = true
  await assert.rejects(
    ask(api, 'get', V1, { name: 'b' }),
    refusal(500, /conversion webhook for example.com\/, Kind=Gadget failed: out of order$/),
  )
  assert.equal((await ask(api, 'get', Gadget, { name: 'b' })).code, 200)
})
