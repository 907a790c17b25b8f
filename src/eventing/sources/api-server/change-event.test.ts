import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  changeEvent,
  controllerInstead,
  guessedPlural,
  isOwnedBy,
  kubernetesEvent,
} from './change-event.ts'

const pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: 'web',
    namespace: 'shop',
    ownerReferences: [
      { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'r', uid: 'u', controller: true },
    ],
  },
}
const resource = {
  group: '',
  version: 'v1',
  kind: 'Pod',
  plural: 'pods',
  namespaced: true,
  labelSelector: '',
}
const options = {
  mode: 'Resource',
  source: 'https://10.96.0.1:443',
  id: 'i',
  nowMs: 0,
  overrides: {},
}

test('a change as an event, whole or as a reference', () => {
  const whole = changeEvent('add', pod, resource, options)
  assert.deepEqual(whole.attributes, {
    specversion: '1.0',
    id: 'i',
    type: 'dev.knative.apiserver.resource.add',
    source: 'https://10.96.0.1:443',
    subject: '/apis/v1/namespaces/shop/pods/web',
    time: '1970-01-01T00:00:00.000Z',
    datacontenttype: 'application/json',
    kind: 'Pod',
    apiversion: 'v1',
    name: 'web',
    namespace: 'shop',
  })
  assert.deepEqual(JSON.parse(String(whole.data)), pod)
  const reference = changeEvent('delete', pod, resource, {
    ...options,
    mode: 'Reference',
    overrides: { colour: 'blue' },
  })
  assert.equal(reference.attributes['type'], 'dev.knative.apiserver.ref.delete')
  assert.equal(reference.attributes['colour'], 'blue')
  assert.deepEqual(JSON.parse(String(reference.data)), {
    kind: 'Pod',
    namespace: 'shop',
    name: 'web',
    apiVersion: 'v1',
  })
})

test('only the controller counts as owner', () => {
  assert.ok(isOwnedBy(pod, undefined))
  assert.ok(isOwnedBy(pod, { apiVersion: 'apps/v1', kind: 'ReplicaSet' }))
  assert.ok(!isOwnedBy(pod, { apiVersion: 'batch/v1', kind: 'Job' }))
  const { ownerReferences: _, ...metadata } = pod.metadata
  assert.ok(!isOwnedBy({ ...pod, metadata }, { apiVersion: 'apps/v1', kind: 'ReplicaSet' }))
})

test('the controller instead of what it controls', () => {
  const { ownerReferences: _, ...metadata } = pod.metadata
  assert.equal(controllerInstead({ ...pod, metadata }), undefined)
  assert.deepEqual(controllerInstead(pod), {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { name: 'r', namespace: 'shop' },
  })
})

test('Events of Kubernetes as they were sent in 2018', () => {
  const about = (apiVersion: string, kind: string) => ({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: 'e', namespace: 'shop' },
    involvedObject: { apiVersion, kind, namespace: 'shop', name: 'web' },
  })
  const sent = kubernetesEvent('add', about('v1', 'Pod'), options)
  assert.deepEqual(sent?.attributes, {
    specversion: '1.0',
    id: 'i',
    type: 'dev.knative.k8s.event',
    source: '/apis/v1/namespaces/shop/pods/web',
    time: '1970-01-01T00:00:00.000Z',
    datacontenttype: 'application/json',
  })
  assert.deepEqual(JSON.parse(String(sent.data)), about('v1', 'Pod'))
  const bare = kubernetesEvent('update', about('serving.knative.dev', 'Route'), options)
  assert.equal(
    bare?.attributes['source'],
    '/apis/serving.knative.dev/versionUnknown/namespaces/shop/routes/web',
  )
  assert.equal(kubernetesEvent('delete', about('v1', 'Pod'), options), undefined)
})

test('plurals as Kubernetes guesses them', () => {
  assert.deepEqual(['Event', 'NetworkPolicy', 'Ingress', 'Endpoints'].map(guessedPlural), [
    'events',
    'networkpolicies',
    'ingresses',
    'endpoints',
  ])
})
