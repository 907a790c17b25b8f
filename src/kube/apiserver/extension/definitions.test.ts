/** CustomResourceDefinitions over the API in this process: what is refused, what is served, what becomes of objects. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inMemoryPlatform } from '../../../testing/platform.ts'
import { settle, SimClock } from '../../../testing/sim-clock.ts'
import { CustomResourceDefinition } from '../../api/custom-resource-definition.ts'
import type { Kind, KindDefinition } from '../../api/kind.ts'
import { coreKinds } from '../../api/kinds.ts'
import type { KubeObject, UnknownObject } from '../../api/meta.ts'
import type { ApiRequest } from '../../api/protocol.ts'
import { StatusError } from '../../api/status-error.ts'
import { createApiServer } from '../api-server.ts'
import { createDiscovery } from '../documents/discovery.ts'
import { createOpenApi } from '../documents/openapi.ts'
import { toTable } from '../documents/table.ts'

type Fields = Readonly<Record<string, unknown>>

const Widget: Kind<UnknownObject> = {
  group: 'example.com',
  version: 'v1',
  kind: 'Widget',
  plural: 'widgets',
  namespaced: true,
}

/** A definition; `more` changes its spec, `version` its only version. */
function widgets(more: Fields = {}, version: Fields = {}): CustomResourceDefinition {
  const definition: Fields = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'widgets.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural: 'widgets', kind: 'Widget', shortNames: ['wg'], categories: ['all'] },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: schema },
          subresources: { status: {} },
          additionalPrinterColumns: [{ name: 'Size', type: 'string', jsonPath: '.spec.size' }],
          ...version,
        },
      ],
      ...more,
    },
  }
  return definition as unknown as CustomResourceDefinition
}

const schema: Fields = {
  type: 'object',
  properties: {
    spec: {
      type: 'object',
      required: ['size'],
      properties: {
        size: { type: 'string', enum: ['s', 'm'] },
        replicas: { type: 'integer', default: 1, maximum: 5 },
        free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
        note: { type: 'string', nullable: true },
      },
    },
    status: { type: 'object', properties: { phase: { type: 'string' } } },
  },
}

const withSchema = (openAPIV3Schema: unknown) => widgets({}, { schema: { openAPIV3Schema } })

/** A schema whose `spec` is the given one. */
const ofSpec = (spec: Fields) => withSchema({ type: 'object', properties: { spec } })

const widget = (spec: unknown, name = 'a', more: Fields = {}): UnknownObject => ({
  apiVersion: 'example.com/v1',
  kind: 'Widget',
  metadata: { name, namespace: 'default', ...more },
  spec,
})

const platform = (kinds: readonly KindDefinition[] = coreKinds) =>
  inMemoryPlatform({ kinds, clock: new SimClock() })

const refusal = (code: number, message: RegExp | string) => (thrown: unknown) => {
  assert.ok(thrown instanceof StatusError, String(thrown))
  if (typeof message === 'string') assert.equal(thrown.message, message)
  else assert.match(thrown.message, message)
  assert.equal(thrown.code, code)
  return true
}

const at = (name = 'a') => ({ namespace: 'default', name })
const inCluster = (name: string) => ({ namespace: '', name })

test('a definition is established when its POST is answered, and its kind is served at once', async () => {
  await using world = platform()
  const { client, api } = world
  const before = api.kinds
  const made = await client.create(CustomResourceDefinition, widgets())
  assert.deepEqual(
    made.status?.conditions?.map(({ type, status, reason }) => [type, status, reason]),
    [
      ['NamesAccepted', 'True', 'NoConflicts'],
      ['Established', 'True', 'InitialNamesAccepted'],
    ],
  )
  assert.deepEqual(made.status?.storedVersions, ['v1'])
  assert.equal(made.spec.names.listKind, 'WidgetList')
  assert.equal(made.status?.acceptedNames?.singular, 'widget')
  const stored = await client.create(
    Widget,
    widget({ size: 's', extra: 1, free: { x: 1 }, note: null }),
  )
  assert.deepEqual(stored['spec'], { size: 's', replicas: 1, free: { x: 1 }, note: null })
  assert.notEqual(api.kinds, before)
  const discovery = createDiscovery(api.kinds)
  const listed = discovery.document('/apis/example.com/v1', undefined, '')?.body ?? ''
  assert.match(listed, /"name":"widgets","singularName":"widget".*"shortNames":\["wg"\]/)
  assert.match(listed, /"name":"widgets\/status"/)
  const openApi = createOpenApi(api.kinds).groupVersion('apis/example.com/v1')?.body ?? ''
  assert.match(openApi, /"com.example.v1.Widget":/)
  await assert.rejects(
    client.create(Widget, widget({ size: 'xl', replicas: 9 }, 'b')),
    refusal(
      422,
      'Widget.example.com "b" is invalid: [spec.size: Unsupported value: "xl": supported values: "s", "m", spec.replicas: Invalid value: 9: spec.replicas in body should be less than or equal to 5]',
    ),
  )
  const kind = api.find('example.com', 'v1', 'widgets')
  assert.ok(kind)
  const table = toTable(kind, [stored], { nowMs: 0 })
  assert.deepEqual(table.rows[0]?.cells, ['a', 's'])
})

test('definitions that are refused, in words', async () => {
  await using world = platform()
  const { client } = world
  const cases: readonly (readonly [CustomResourceDefinition, RegExp])[] = [
    [
      widgets({ group: 'other.com' }),
      /metadata.name: Invalid value: "widgets.example.com": must be spec.names.plural\+"."\+spec.group/,
    ],
    [
      widgets({ scope: 'Galaxy' }),
      /spec.scope: Unsupported value: "Galaxy": supported values: "Cluster", "Namespaced"/,
    ],
    [
      widgets({}, { storage: false }),
      /spec.versions: .*must have exactly one version marked as storage version/,
    ],
    [
      widgets({}, { schema: {} }),
      /spec.versions\[0\].schema.openAPIV3Schema: Required value: schemas are required/,
    ],
    [
      widgets({ preserveUnknownFields: true }),
      /spec.preserveUnknownFields: Invalid value: true: cannot set to true/,
    ],
    [
      widgets({ conversion: { strategy: 'Webhook' } }),
      /spec.conversion.webhook.clientConfig: Required value/,
    ],
    [
      withSchema({ type: 'array' }),
      /openAPIV3Schema.type: Invalid value: "array": must be object at the root/,
    ],
    [
      ofSpec({}),
      /properties\[spec\].type: Required value: must not be empty for specified object fields/,
    ],
    [
      ofSpec({ type: 'object', $ref: '#/x' }),
      /properties\[spec\].\$ref: Forbidden: \$ref is not supported/,
    ],
    [
      ofSpec({ type: 'array', items: { type: 'string' }, uniqueItems: true }),
      /uniqueItems: Forbidden: uniqueItems cannot be set to true/,
    ],
    [
      ofSpec({ type: 'object', additionalProperties: false }),
      /additionalProperties: Forbidden: additionalProperties cannot be set to false/,
    ],
    [
      ofSpec({ type: 'strange' }),
      /type: Unsupported value: "strange": supported values: "array", "boolean"/,
    ],
    [
      ofSpec({ type: 'object', anyOf: [{ type: 'object' }] }),
      /anyOf\[0\].type: Forbidden: must be empty to be structural/,
    ],
    [
      ofSpec({ type: 'object', oneOf: [{ properties: { a: {} } }] }),
      /properties\[spec\].properties\[a\]: Required value: because it is defined in .*oneOf\[0\].properties\[a\]/,
    ],
    [
      ofSpec({ type: 'integer', default: 'x' }),
      /default: Invalid value: "string":.*must be of type integer: "string"/,
    ],
    [
      ofSpec({ type: 'string', pattern: '(' }),
      /pattern: Invalid value: "\(": must be a valid regular expression/,
    ],
    [
      ofSpec({ type: 'string', pattern: '(?=a)' }),
      /pattern: Invalid value: .*must be a valid regular expression/,
    ],
    [
      ofSpec({ type: 'array', items: { type: 'object' }, 'x-kubernetes-list-type': 'map' }),
      /x-kubernetes-list-map-keys: Required value/,
    ],
    [
      ofSpec({ type: 'object', 'x-kubernetes-preserve-unknown-fields': false }),
      /must be true or undefined/,
    ],
    [
      withSchema({
        type: 'object',
        properties: { metadata: { type: 'object', properties: { labels: { type: 'object' } } } },
      }),
      /must not specify anything other than name and generateName/,
    ],
    [
      ofSpec({ type: 'object', 'x-kubernetes-validations': [{ rule: 'self.a >' }] }),
      /x-kubernetes-validations\[0\].rule: Invalid value: .*compilation failed: ERROR: .*Syntax error/,
    ],
    [
      ofSpec({
        type: 'object',
        properties: { a: { type: 'string' } },
        'x-kubernetes-validations': [{ rule: 'self.b == 1' }],
      }),
      /compilation failed: .*undefined field 'b'/,
    ],
    [
      ofSpec({ type: 'object', 'x-kubernetes-validations': [{ rule: 'other == 1' }] }),
      /undeclared reference to 'other'/,
    ],
    [
      ofSpec({ type: 'integer', 'x-kubernetes-validations': [{ rule: '1 + 1' }] }),
      /cel expression must evaluate to a bool/,
    ],
    [
      widgets({}, { additionalPrinterColumns: [{ name: 'A', type: 'x', jsonPath: '.a[' }] }),
      /type: Unsupported value: "x".*jsonPath: Invalid value: ".a\["/,
    ],
    [
      widgets(
        {},
        { subresources: { scale: { specReplicasPath: '.x', statusReplicasPath: '.status.r' } } },
      ),
      /specReplicasPath: Invalid value: ".x": should be a json path under .spec/,
    ],
  ]
  for (const [definition, message] of cases)
    await assert.rejects(client.create(CustomResourceDefinition, definition), refusal(422, message))
  const protectedGroup = widgets({ group: 'foo.k8s.io' })
  await assert.rejects(
    client.create(CustomResourceDefinition, {
      ...protectedGroup,
      metadata: { name: 'widgets.foo.k8s.io' },
    }),
    refusal(422, /protected groups must have approval annotation "api-approved.kubernetes.io"/),
  )
})

test('values against a schema: everything that it can say', async () => {
  await using world = platform()
  const { client } = world
  const spec = {
    type: 'object',
    properties: {
      mail: { type: 'string', format: 'email' },
      when: { type: 'string', format: 'date-time' },
      net: { type: 'string', format: 'cidr' },
      code: { type: 'string', pattern: '^a+$', minLength: 2, maxLength: 3 },
      even: { type: 'integer', multipleOf: 2, minimum: 0, exclusiveMinimum: true },
      tags: {
        type: 'array',
        maxItems: 2,
        items: { type: 'string' },
        'x-kubernetes-list-type': 'set',
      },
      ports: {
        type: 'array',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['port', 'protocol'],
        items: {
          type: 'object',
          required: ['port'],
          properties: { port: { type: 'integer' }, protocol: { type: 'string', default: 'TCP' } },
        },
      },
      either: {
        type: 'object',
        properties: { a: { type: 'string' }, b: { type: 'string' } },
        oneOf: [{ required: ['a'] }, { required: ['b'] }],
      },
      any: {
        type: 'object',
        minProperties: 1,
        maxProperties: 2,
        additionalProperties: { type: 'integer' },
        not: { required: ['bad'] },
      },
      size: {
        'x-kubernetes-int-or-string': true,
        anyOf: [{ type: 'integer' }, { type: 'string' }],
      },
      embedded: {
        type: 'object',
        'x-kubernetes-embedded-resource': true,
        'x-kubernetes-preserve-unknown-fields': true,
      },
    },
  }
  await client.create(CustomResourceDefinition, ofSpec(spec))
  const good = {
    mail: 'a@b.c',
    when: '2024-02-29T00:00:00Z',
    net: '10.0.0.0/8',
    code: 'aa',
    even: 2,
    tags: ['x', 'y'],
    ports: [{ port: 1 }, { port: 1, protocol: 'UDP' }],
    either: { a: 'x' },
    any: { x: 1 },
    size: '50%',
    embedded: { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'x', junk: 1 }, spec: { y: 1 } },
  }
  const made = await client.create(Widget, widget(good))
  assert.deepEqual(made['spec'], {
    ...good,
    ports: [
      { port: 1, protocol: 'TCP' },
      { port: 1, protocol: 'UDP' },
    ],
    embedded: { ...good.embedded, metadata: { name: 'x' } },
  })
  const bad: readonly (readonly [Fields, string])[] = [
    [{ mail: 'x' }, 'spec.mail: Invalid value: "x": spec.mail in body must be of type email: "x"'],
    [
      { when: '2023-02-29T00:00:00Z' },
      'spec.when: Invalid value: "2023-02-29T00:00:00Z": spec.when in body must be of type date-time: "2023-02-29T00:00:00Z"',
    ],
    [
      { net: '10.0.0.0' },
      'spec.net: Invalid value: "10.0.0.0": spec.net in body must be of type cidr: "10.0.0.0"',
    ],
    [{ code: 'bb' }, `spec.code: Invalid value: "bb": spec.code in body should match '^a+$'`],
    [{ code: 'aaaa' }, 'spec.code: Too long: may not be more than 3 bytes'],
    [{ even: 3 }, 'spec.even: Invalid value: 3: spec.even in body should be a multiple of 2'],
    [{ even: 0 }, 'spec.even: Invalid value: 0: spec.even in body should be greater than 0'],
    [
      { even: 'x' },
      'spec.even: Invalid value: "string": spec.even in body must be of type integer: "string"',
    ],
    [
      { even: null },
      'spec.even: Invalid value: "null": spec.even in body must be of type integer: "null"',
    ],
    [{ tags: ['x', 'x'] }, 'spec.tags[1]: Duplicate value: "x"'],
    [{ tags: ['x', 'y', 'z'] }, 'spec.tags: Too many: 3: must have at most 2 items'],
    [
      { ports: [{ port: 1 }, { port: 1 }] },
      'spec.ports[1]: Duplicate value: {"port":1,"protocol":"TCP"}',
    ],
    [{ ports: [{}] }, 'spec.ports[0].port: Required value'],
    [
      { either: { a: 'x', b: 'y' } },
      'spec.either: Invalid value: "": "spec.either" must validate one and only one schema (oneOf). Found 2 valid alternatives',
    ],
    [
      { any: { bad: 1 } },
      'spec.any: Invalid value: "": "spec.any" must not validate the schema (not)',
    ],
    [
      { any: {} },
      'spec.any: Invalid value: {}: spec.any in body should have at least 1 properties',
    ],
    [
      { size: true },
      'spec.size: Invalid value: "boolean": spec.size in body must be of type integer,string: "boolean"',
    ],
    [{ embedded: { spec: {} } }, 'spec.embedded.apiVersion: Required value: must not be empty'],
  ]
  for (const [part, message] of bad)
    await assert.rejects(
      client.create(Widget, widget({ ...good, ...part }, 'b')),
      (thrown: unknown) =>
        thrown instanceof StatusError &&
        (assert.ok(thrown.message.includes(message), `${thrown.message}\n should have\n${message}`),
        true),
    )
})

test('CEL rules: messages, reasons, paths, transitions; unchanged values are not complained of again', async () => {
  await using world = platform()
  const { client } = world
  const rules = (more: Fields[] = []) =>
    ofSpec({
      type: 'object',
      'x-kubernetes-validations': [
        {
          rule: 'self.min <= self.max',
          messageExpression: `'min %d is more than max %d'.format([self.min, self.max])`,
        },
        {
          rule: `self.kind != 'x'`,
          message: 'not x',
          reason: 'FieldValueForbidden',
          fieldPath: '.kind',
        },
        { rule: 'self.kind == oldSelf.kind', message: 'kind is immutable' },
        {
          rule: 'oldSelf.hasValue() || self.max < 100',
          optionalOldSelf: true,
          message: 'begin small',
        },
        ...more,
      ],
      properties: {
        min: { type: 'integer' },
        max: { type: 'integer' },
        kind: { type: 'string' },
        items: {
          type: 'array',
          items: { type: 'string', 'x-kubernetes-validations': [{ rule: `self.startsWith('i')` }] },
        },
      },
    })
  await client.create(CustomResourceDefinition, rules())
  const refused = (spec: Fields, message: string) =>
    assert.rejects(
      client.create(Widget, widget(spec)),
      refusal(422, `Widget.example.com "a" is invalid: ${message}`),
    )
  await refused(
    { min: 2, max: 1, kind: 'k' },
    'spec: Invalid value: "object": min 2 is more than max 1',
  )
  await refused({ min: 0, max: 1, kind: 'x' }, 'spec.kind: Forbidden: not x')
  await refused({ min: 0, max: 100, kind: 'k' }, 'spec: Invalid value: "object": begin small')
  await refused(
    { min: 0, max: 1, kind: 'k', items: ['i', 'j'] },
    `spec.items[1]: Invalid value: "string": failed rule: self.startsWith('i')`,
  )
  await refused(
    { max: 1, kind: 'k' },
    `spec: Invalid value: "object": no such key: min evaluating rule: self.min <= self.max`,
  )
  const made = await client.create(Widget, widget({ min: 0, max: 1, kind: 'k' }))
  await assert.rejects(
    client.update(Widget, { ...made, spec: { min: 0, max: 1, kind: 'other' } } as UnknownObject),
    refusal(422, /spec: Invalid value: "object": kind is immutable$/),
  )
  await client.update(Widget, { ...made, spec: { min: 0, max: 500, kind: 'k' } } as UnknownObject)
  // A stricter rule: the object that is there may stay as it is, and be labelled.
  const definition = await client.get(CustomResourceDefinition, inCluster('widgets.example.com'))
  await client.update(CustomResourceDefinition, {
    ...definition,
    spec: rules([{ rule: 'self.max < 10', message: 'too much' }]).spec,
  })
  const now = await client.get(Widget, at())
  const labelled = await client.update(Widget, {
    ...now,
    metadata: { ...now.metadata, labels: { a: 'b' } },
  })
  await assert.rejects(
    client.update(Widget, { ...labelled, spec: { min: 1, max: 500, kind: 'k' } } as UnknownObject),
    refusal(422, /spec: Invalid value: "object": too much$/),
  )
})

test('status is its own writer, scale reads and writes by path, fields are selected', async () => {
  await using world = platform()
  const { client, api } = world
  await client.create(
    CustomResourceDefinition,
    widgets(
      {},
      {
        selectableFields: [{ jsonPath: '.spec.size' }],
        subresources: {
          status: {},
          scale: {
            specReplicasPath: '.spec.replicas',
            statusReplicasPath: '.status.replicas',
            labelSelectorPath: '.status.selector',
          },
        },
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
              status: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
            },
          },
        },
      },
    ),
  )
  const given = { ...widget({ size: 's', replicas: 2 }), status: { replicas: 9 } }
  const made: UnknownObject = await client.create(Widget, given)
  assert.equal(made['status'], undefined)
  const status = { replicas: 1, selector: 'a=b' }
  const after: UnknownObject = await client.updateStatus(Widget, {
    ...made,
    status,
  } as UnknownObject)
  assert.deepEqual(after['status'], status)
  assert.equal(after.metadata.generation, 1)
  const scale = async (verb: ApiRequest['verb'], more: Partial<ApiRequest> = {}) => {
    const { body } = await api.handle({
      verb,
      group: 'example.com',
      version: 'v1',
      resource: 'widgets',
      subresource: 'scale',
      ...at(),
      options: {},
      user: { username: 'me', groups: ['system:masters'] },
      durable: true,
      ...more,
    })
    return body as Fields
  }
  assert.deepEqual((await scale('get'))['status'], { replicas: 1, selector: 'a=b' })
  await scale('patch', { patchType: 'merge', body: { spec: { replicas: 4 } } })
  const scaled = await client.get(Widget, at())
  assert.deepEqual(scaled['spec'], { size: 's', replicas: 4 })
  assert.equal(scaled.metadata.generation, 2)
  await client.create(Widget, widget({ size: 'm' }, 'b'))
  const selected = await client.list(Widget, 'default', { fieldSelector: 'spec.size=m' })
  assert.deepEqual(
    selected.items.map(({ metadata }) => metadata.name),
    ['b'],
  )
})

test('several versions without a webhook: the same object under each, whatever is stored', async () => {
  await using world = platform()
  const { client, api } = world
  const any = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } }
  const version = (name: string, storage: boolean, more: Fields = {}) => ({
    name,
    served: true,
    storage,
    schema: any,
    ...more,
  })
  const made = await client.create(
    CustomResourceDefinition,
    widgets({
      versions: [
        version('v1', true),
        version('v1beta1', false, { deprecated: true }),
        version('v2', false),
      ],
    }),
  )
  await client.create(Widget, widget({ a: 1 }))
  const V2 = { ...Widget, version: 'v2' }
  const Beta = { ...Widget, version: 'v1beta1' }
  assert.equal((await client.get(V2, at())).apiVersion, 'example.com/v2')
  const { warnings } = await api.handle({
    verb: 'get',
    group: 'example.com',
    version: 'v1beta1',
    resource: 'widgets',
    ...at(),
    options: {},
    user: { username: 'me', groups: ['system:masters'] },
    durable: true,
  })
  assert.deepEqual(warnings, ['example.com/v1beta1 Widget is deprecated'])
  // The storage version changes; what is stored stays as it is until it is written again.
  const next = await client.update(CustomResourceDefinition, {
    ...made,
    spec: widgets({
      versions: [
        version('v1', false),
        version('v2', true, {
          schema: {
            openAPIV3Schema: {
              type: 'object',
              properties: {
                spec: {
                  type: 'object',
                  properties: { a: { type: 'integer' }, b: { type: 'string', default: 'new' } },
                },
              },
            },
          },
        }),
      ],
    }).spec,
  })
  assert.deepEqual(next.status?.storedVersions, ['v1', 'v2'])
  const read = await client.get(V2, at())
  assert.deepEqual([read.apiVersion, read['spec']], ['example.com/v2', { a: 1, b: 'new' }])
  assert.equal((await client.list(Widget, '')).items[0]?.apiVersion, 'example.com/v1')
  await assert.rejects(client.get(Beta, at()), refusal(404, /the server could not find/))
  const written = await client.update(V2, { ...read, spec: { a: 2 } } as UnknownObject)
  assert.equal(world.store.get('widgets.example.com/default/a')?.apiVersion, 'example.com/v2')
  assert.deepEqual(written['spec'], { a: 2, b: 'new' })
  await assert.rejects(
    client.update(CustomResourceDefinition, {
      ...next,
      spec: { ...next.spec, versions: next.spec.versions.filter(({ name }) => name === 'v2') },
    }),
    refusal(422, /status.storedVersions\[0\]: Invalid value: "v1": missing from spec.versions/),
  )
})

test('names that are in use are not accepted, until they are free', async () => {
  await using world = platform()
  const { client, api } = world
  await client.create(CustomResourceDefinition, widgets())
  const other: CustomResourceDefinition = {
    ...widgets({ names: { plural: 'wheels', kind: 'Wheel', shortNames: ['wg'] } }),
    metadata: { name: 'wheels.example.com' },
  }
  const made = await client.create(CustomResourceDefinition, other)
  assert.deepEqual(
    made.status?.conditions?.map(({ type, status, reason, message }) => [
      type,
      status,
      reason,
      message,
    ]),
    [
      ['NamesAccepted', 'False', 'ShortNamesConflict', '"wg" is already in use'],
      ['Established', 'False', 'NotAccepted', 'not all names are accepted'],
    ],
  )
  assert.equal(api.find('example.com', 'v1', 'wheels'), undefined)
  await client.delete(CustomResourceDefinition, inCluster('widgets.example.com'))
  await settle(8)
  assert.ok(api.find('example.com', 'v1', 'wheels'))
})

test('a definition that goes takes its objects along, their finalizers respected; its watches end', async () => {
  await using world = platform()
  const { client } = world
  const made = await client.create(CustomResourceDefinition, widgets())
  assert.deepEqual(made.metadata.finalizers, ['customresourcecleanup.apiextensions.k8s.io'])
  await client.create(Widget, widget({ size: 's' }))
  await client.create(Widget, widget({ size: 's' }, 'held', { finalizers: ['example.com/hold'] }))
  const events = await client.watch(Widget, '', {}, new AbortController().signal)
  const replaced = await client.update(CustomResourceDefinition, {
    ...made,
    metadata: { ...made.metadata, finalizers: [] },
  })
  assert.deepEqual(replaced.metadata.finalizers, made.metadata.finalizers)
  await client.delete(CustomResourceDefinition, inCluster('widgets.example.com'))
  await settle(8)
  const leaving = await client.get(CustomResourceDefinition, inCluster('widgets.example.com'))
  assert.equal(
    leaving.status?.conditions?.find(({ type }) => type === 'Terminating')?.reason,
    'InstanceDeletionInProgress',
  )
  await assert.rejects(
    client.create(Widget, widget({ size: 's' }, 'late')),
    refusal(405, 'create not allowed while custom resource definition is terminating'),
  )
  const held = await client.get(Widget, at('held'))
  await client.update(Widget, { ...held, metadata: { ...held.metadata, finalizers: [] } })
  await settle(8)
  await assert.rejects(client.list(Widget, ''), refusal(404, /the server could not find/))
  await assert.rejects(
    client.get(CustomResourceDefinition, inCluster('widgets.example.com')),
    refusal(404, /not found$/),
  )
  let ended = false
  for await (const _ of events) if (ended) break
  ended = true
  assert.ok(ended)
})

test('definitions and their objects survive a restart of the server', async () => {
  await using world = platform()
  const { client, store, clock, random, log } = world
  await client.create(CustomResourceDefinition, widgets())
  await client.create(Widget, widget({ size: 's' }))
  using next = createApiServer({ store, kinds: coreKinds, clock, random, log })
  const { body } = await next.handle({
    verb: 'get',
    group: 'example.com',
    version: 'v1',
    resource: 'widgets',
    ...at(),
    options: {},
    user: { username: 'me', groups: ['system:masters'] },
    durable: true,
  })
  assert.equal((body as KubeObject).metadata.name, 'a')
})

test('kinds of the server itself: their upstream definitions are taken, shown, and change nothing', async () => {
  const Native: KindDefinition = {
    ...Widget,
    singular: 'widget',
    shortNames: ['own'],
    description: 'Ours.',
    schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
    flavour: 'custom',
    columns: [],
    hasStatus: true,
    hasGeneration: true,
  } as KindDefinition
  await using world = platform([...coreKinds, Native])
  const { client, api } = world
  const shown = await client.get(CustomResourceDefinition, inCluster('widgets.example.com'))
  assert.equal(shown.status?.conditions?.find(({ type }) => type === 'Established')?.status, 'True')
  const upstream = widgets({
    versions: [{ ...widgets().spec.versions[0], name: 'v9' }],
    conversion: {
      strategy: 'Webhook',
      webhook: {
        clientConfig: { service: { namespace: 'x', name: 'webhook' } },
        conversionReviewVersions: ['v1'],
      },
    },
  })
  const applied = await client.update(CustomResourceDefinition, {
    ...upstream,
    spec: {
      ...upstream.spec,
      versions: [
        ...shown.spec.versions.map((v) => ({ ...v, storage: false })),
        ...upstream.spec.versions,
      ],
    },
    metadata: shown.metadata,
  })
  assert.equal(applied.status?.conditions?.[0]?.status, 'True')
  assert.equal(api.find('example.com', 'v1', 'widgets'), Native)
  assert.equal(api.find('example.com', 'v9', 'widgets'), undefined)
  await client.create(Widget, widget({ anything: true }))
  await assert.rejects(
    client.delete(CustomResourceDefinition, inCluster('widgets.example.com')),
    refusal(403, /this kind is part of the platform and cannot be removed/),
  )
})
