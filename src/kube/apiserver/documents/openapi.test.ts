import assert from 'node:assert/strict'
import { test } from 'node:test'
import { coreKinds } from '../../api/kinds.ts'
import type { KindDefinition } from '../../api/kind.ts'
import { integer, object } from '../../api/schema.ts'
import { createOpenApi } from './openapi.ts'

const widget: KindDefinition = {
  group: 'serving.ex.dev',
  version: 'v1',
  kind: 'Widget',
  plural: 'widgets',
  singular: 'widget',
  namespaced: true,
  description: 'A widget.',
  schema: object({ spec: object({ size: integer({ description: 'How big.' }) }) }),
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  columns: [],
}
const openApi = createOpenApi([...coreKinds, widget])
const parsed = (path: string) => JSON.parse(openApi.groupVersion(path)?.body ?? 'null')

test('the index names each group version with the hash of its document', () => {
  const { paths } = JSON.parse(openApi.index().body)
  assert.deepEqual(Object.keys(paths).slice(0, 2), ['api/v1', 'apis/apps/v1'])
  const { hash } = openApi.groupVersion('apis/apps/v1') ?? { hash: '' }
  assert.match(hash, /^[0-9A-F]{128}$/)
  assert.deepEqual(paths['apis/apps/v1'], {
    serverRelativeURL: `/openapi/v3/apis/apps/v1?hash=${hash}`,
  })
  assert.equal(openApi.groupVersion('apis/none/v1'), undefined)
})

test('PATCH operations say that the server validates, and which patches a kind takes', () => {
  const patchOf = (path: string, item: string) => parsed(path).paths[item].patch
  const deployment = patchOf(
    'apis/apps/v1',
    '/apis/apps/v1/namespaces/{namespace}/deployments/{name}',
  )
  const names = deployment.parameters.map((each: { name: string }) => each.name)
  assert.ok(names.includes('fieldValidation') && names.includes('force'))
  assert.equal(deployment['x-kubernetes-action'], 'patch')
  assert.deepEqual(deployment['x-kubernetes-group-version-kind'], {
    group: 'apps',
    kind: 'Deployment',
    version: 'v1',
  })
  assert.ok('application/strategic-merge-patch+json' in deployment.requestBody.content)
  const own = patchOf(
    'apis/serving.ex.dev/v1',
    '/apis/serving.ex.dev/v1/namespaces/{namespace}/widgets/{name}',
  )
  assert.deepEqual(Object.keys(own.requestBody.content), [
    'application/apply-patch+yaml',
    'application/json-patch+json',
    'application/merge-patch+json',
  ])
})

test('components: names, group-version-kind, merge keys, and the metadata of own kinds', () => {
  const { schemas } = parsed('apis/apps/v1').components
  const podSpec = schemas['io.k8s.api.core.v1.PodSpec']
  assert.equal(podSpec.properties.containers['x-kubernetes-patch-merge-key'], 'name')
  assert.deepEqual(schemas['io.k8s.api.apps.v1.Deployment']['x-kubernetes-group-version-kind'], [
    { group: 'apps', kind: 'Deployment', version: 'v1' },
  ])
  assert.ok(
    schemas['io.k8s.api.apps.v1.DeploymentList'] && schemas['io.k8s.api.autoscaling.v1.Scale'],
  )
  const own = parsed('apis/serving.ex.dev/v1').components.schemas['dev.ex.serving.v1.Widget']
  assert.equal(own.description, 'A widget.')
  assert.equal(own.properties.spec.properties.size.description, 'How big.')
  assert.equal(
    own.properties.metadata.allOf[0].$ref,
    '#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta',
  )
})

test('every reference in every document leads to a component of it', () => {
  const check = (document: unknown, known: (ref: string) => boolean): void => {
    if (Array.isArray(document)) return document.forEach((each) => check(each, known))
    if (typeof document !== 'object' || document === null) return
    for (const [key, value] of Object.entries(document)) {
      if (key === '$ref' && typeof value === 'string') assert.ok(known(value), value)
      else check(value, known)
    }
  }
  for (const path of Object.keys(JSON.parse(openApi.index().body).paths)) {
    const document = parsed(path)
    check(
      document,
      (ref) => ref.slice('#/components/schemas/'.length) in document.components.schemas,
    )
  }
  const v2 = JSON.parse(openApi.v2('application/json').body)
  check(v2, (ref) => ref.slice('#/definitions/'.length) in v2.definitions)
})

test('kubectl 1.27 and 1.28 get an empty protobuf document of v2', () => {
  const document = openApi.v2('application/com.github.proto-openapi.spec.v2@v1.0+protobuf')
  assert.equal(document.body, '')
  assert.equal(document.contentType, 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf')
})

test('v2 has the paths too; generators of clients find every operation under one name', () => {
  const v2 = JSON.parse(openApi.v2('application/json').body)
  const item = v2.paths['/apis/apps/v1/namespaces/{namespace}/deployments/{name}']
  assert.deepEqual(item.parameters[0], {
    name: 'name',
    in: 'path',
    required: true,
    description: 'Name of the Deployment.',
    type: 'string',
    uniqueItems: true,
  })
  assert.equal(item.put.parameters[0].schema.$ref, '#/definitions/io.k8s.api.apps.v1.Deployment')
  assert.ok(item.patch.consumes.includes('application/strategic-merge-patch+json'))
  assert.ok(!openApi.v2('application/json').body.includes('"oneOf"'))

  const operations: string[] = Object.values<Record<string, { operationId?: string }>>(
    v2.paths,
  ).flatMap((each) => Object.values(each).flatMap(({ operationId }) => operationId ?? []))
  assert.equal(new Set(operations).size, operations.length)
  for (const name of [
    'listCoreV1PodForAllNamespaces',
    'readAppsV1NamespacedDeploymentScale',
    'deleteRbacAuthorizationV1CollectionNamespacedRole',
    'patchServingExDevV1NamespacedWidgetStatus',
  ])
    assert.ok(operations.includes(name), name)
})

test('subresources and reviews are said too', () => {
  const pod = '/api/v1/namespaces/{namespace}/pods/{name}'
  const { paths, components } = parsed('api/v1')
  const log = paths[`${pod}/log`].get
  assert.equal(log.operationId, 'readCoreV1NamespacedPodLog')
  assert.ok(log.parameters.some((each: { name: string }) => each.name === 'tailLines'))
  assert.equal(paths[`${pod}/exec`].post['x-kubernetes-action'], 'connect')
  assert.deepEqual(paths[`${pod}/eviction`].post['x-kubernetes-group-version-kind'], {
    group: 'policy',
    kind: 'Eviction',
    version: 'v1',
  })
  assert.ok(components.schemas['io.k8s.api.policy.v1.Eviction'])
  const review = parsed('apis/authorization.k8s.io/v1')
  assert.deepEqual(
    Object.keys(review.paths['/apis/authorization.k8s.io/v1/subjectaccessreviews']),
    ['parameters', 'post'],
  )
  assert.equal(
    review.components.schemas['io.k8s.api.authorization.v1.SubjectAccessReview'].description,
    'Asks whether somebody may do something.',
  )
})
