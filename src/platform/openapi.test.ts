/** The API documents of everything the platform serves, as generators of clients and `kubectl explain` need them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventingKinds } from '../eventing/api/kinds.ts'
import type { KubeObject } from '../kube/api/meta.ts'
import { coreKinds, viewKinds } from '../kube/api/kinds.ts'
import { createDiscovery } from '../kube/apiserver/documents/discovery.ts'
import { inVersion, toTable } from '../kube/apiserver/documents/table.ts'
import { createOpenApi } from '../kube/apiserver/documents/openapi.ts'
import { routingKinds } from '../routing/api/kinds.ts'
import { servingKinds } from '../serving/api/kinds.ts'

const kinds = [...coreKinds, ...viewKinds, ...servingKinds, ...eventingKinds, ...routingKinds]
const openApi = createOpenApi(kinds)
const paths: readonly string[] = Object.keys(JSON.parse(openApi.index().body).paths)

interface Operation {
  readonly operationId: string
  readonly 'x-kubernetes-action': string
  readonly 'x-kubernetes-group-version-kind': object
}
interface Component {
  readonly description?: string
  readonly 'x-kubernetes-group-version-kind'?: readonly {
    readonly group: string
    readonly version: string
  }[]
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, Component>> }
}

test('each kind of each version is described, and each operation has a name of its own', () => {
  const names = new Set<string>()
  for (const path of paths) {
    const document = JSON.parse(openApi.groupVersion(path)?.body ?? '') as Document
    for (const [where, item] of Object.entries(document.paths)) {
      for (const [method, operation] of Object.entries(item)) {
        if (method === 'parameters') continue
        assert.ok(!names.has(operation.operationId), `${operation.operationId} of ${where}`)
        names.add(operation.operationId)
        assert.ok(operation['x-kubernetes-action'] && operation['x-kubernetes-group-version-kind'])
      }
    }
    for (const [name, component] of Object.entries(document.components.schemas)) {
      const [own] = component['x-kubernetes-group-version-kind'] ?? []
      const at = own && (own.group ? `apis/${own.group}/${own.version}` : `api/${own.version}`)
      if (at === path) assert.ok(component.description, name)
    }
  }
  assert.ok(names.size > 1_000)
})

test('references lead somewhere, and v2 says only what Swagger knows', () => {
  const check = (value: unknown, known: (ref: string) => boolean): void => {
    if (Array.isArray(value)) return value.forEach((each) => check(each, known))
    if (typeof value !== 'object' || value === null) return
    for (const [key, each] of Object.entries(value))
      if (key === '$ref' && typeof each === 'string') assert.ok(known(each), each)
      else check(each, known)
  }
  for (const path of paths) {
    const document = JSON.parse(openApi.groupVersion(path)?.body ?? '') as Document
    const prefix = '#/components/schemas/'
    check(document, (ref) => ref.slice(prefix.length) in document.components.schemas)
  }
  const { body } = openApi.v2('application/json')
  const v2 = JSON.parse(body) as { readonly definitions: object }
  check(v2, (ref) => ref.slice('#/definitions/'.length) in v2.definitions)
  for (const word of ['"oneOf"', '"anyOf"', '"nullable"', '#/components/'])
    assert.ok(!body.includes(word), word)
})

test('what follows events stands in discovery, under the objects that take them in', () => {
  const discovery = createDiscovery(kinds)
  const named = (path: string): readonly string[] => {
    const { resources } = JSON.parse(discovery.document(path, undefined, '')?.body ?? '') as {
      resources: readonly { name: string; verbs: readonly string[] }[]
    }
    return resources.map(({ name, verbs }) => `${name} ${verbs.join()}`)
  }
  const eventing = named('/apis/eventing.knative.dev/v1')
  const messaging = named('/apis/messaging.knative.dev/v1')
  for (const each of [
    'events get',
    'tail get',
    'dead-letters get',
    'backlog get',
    'replay create',
  ]) {
    assert.ok(eventing.includes(`brokers/${each}`), each)
    assert.ok(messaging.includes(`channels/${each}`), each)
    assert.ok(messaging.includes(`inmemorychannels/${each}`), each)
  }
  assert.ok(!eventing.some((name) => name.startsWith('triggers/events')))
})

test('a version may have columns of its own, read from what is stored and from what is answered', () => {
  const kind = eventingKinds.find((each) => each.kind === 'EventType')
  const v1beta3 = kind?.versions?.find(({ version }) => version === 'v1beta3')
  assert.ok(kind && v1beta3)
  const stored = {
    apiVersion: 'eventing.knative.dev/v1beta2',
    kind: 'EventType',
    metadata: { name: 'e', namespace: 'default' },
    spec: { type: 'a.b', source: '/s', schema: 'http://x', description: 'd' },
  }
  const table = (version: string, object: KubeObject) => {
    const { columnDefinitions, rows } = toTable(inVersion(kind, version), [object], { nowMs: 0 })
    return [columnDefinitions?.map(({ name }) => name), rows[0]?.cells.slice(0, 4)]
  }
  const columns = ['Name', 'Type', 'Source', 'Schema', 'Reference Name', 'Reference Kind']
  const rest = ['Description', 'Ready', 'Reason']
  assert.deepEqual(table('v1beta2', stored), [
    [...columns, ...rest],
    ['e', 'a.b', '/s', 'http://x'],
  ])
  const without = columns.filter((name) => name !== 'Schema')
  for (const object of [stored, v1beta3.fromStorage(stored)])
    assert.deepEqual(table('v1beta3', object), [
      [...without, ...rest],
      ['e', 'a.b', '/s', null],
    ])
})
