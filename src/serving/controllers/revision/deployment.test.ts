import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Deployment } from '../../../kube/api/deployment.ts'
import { controllerRef } from '../../../kube/api/meta.ts'
import { aRevision } from '../../../testing/serving.ts'
import { configAutoscaler } from '../../api/config/autoscaler.ts'
import { configDeployment } from '../../api/config/deployment.ts'
import type { Revision } from '../../api/revision.ts'
import { applyDeployment, desiredDeployment } from './deployment.ts'
import { podTemplate } from './pod-template.ts'

const config = { deployment: configDeployment.defaults, autoscaler: configAutoscaler.defaults }
const none: ReadonlyMap<string, string> = new Map()

const revision = (
  container: object = {},
  metadata: Partial<Revision['metadata']> = {},
  spec: object = {},
): Revision => {
  const base = aRevision('hello-00001', undefined, {
    labels: {
      'serving.knative.dev/service': 'hello',
      'serving.knative.dev/configuration': 'hello',
      'serving.knative.dev/routingState': 'active',
    },
    ...metadata,
  })
  const [first] = base.spec.containers
  return {
    ...base,
    spec: { ...base.spec, ...spec, containers: [{ name: '', ...first, ...container }] },
  }
}

test('the Deployment runs the image by digest, with the contract environment and no sidecar', () => {
  const of = revision(
    {
      env: [{ name: 'A', value: 'b' }],
      ports: [{ name: 'h2c', containerPort: 9000 }],
      readinessProbe: { tcpSocket: { port: 0 }, successThreshold: 1 },
      livenessProbe: { httpGet: { path: '/live' } },
      startupProbe: { httpGet: { path: '/start' } },
    },
    {
      annotations: {
        'serving.knative.dev/routes': 'hello',
        'autoscaling.knative.dev/initial-scale': '3',
        'serving.knative.dev/progress-deadline': '2m',
        mine: 'yes',
      },
    },
    { containerConcurrency: 5, timeoutSeconds: 42 },
  )
  const digests = new Map([['user-container', 'r/app@sha256:12']])
  const { metadata, spec } = desiredDeployment(of, digests, config)
  const labels = {
    'serving.knative.dev/service': 'hello',
    'serving.knative.dev/configuration': 'hello',
    'serving.knative.dev/revision': 'hello-00001',
    'serving.knative.dev/revisionUID': 'uid-hello-00001',
    app: 'hello-00001',
  }
  const annotations = { mine: 'yes', 'serving.knative.dev/progress-deadline': '2m' }
  const { 'serving.knative.dev/deployment-hash': hash, ...others } = metadata.labels ?? {}
  assert.match(hash ?? '', /^[0-9a-z]{1,7}$/)
  assert.deepEqual(others, labels)
  assert.equal(metadata.name, 'hello-00001-deployment')
  assert.deepEqual(metadata.annotations, annotations)
  assert.deepEqual(metadata.ownerReferences, [controllerRef(of)])
  assert.deepEqual(
    {
      ...spec,
      template: { ...spec.template, spec: { ...spec.template.spec, affinity: undefined } },
    },
    {
      selector: { matchLabels: { 'serving.knative.dev/revisionUID': 'uid-hello-00001' } },
      replicas: 3,
      progressDeadlineSeconds: 120,
      revisionHistoryLimit: 0,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0 } },
      template: {
        metadata: {
          labels,
          annotations: {
            ...annotations,
            'kubectl.kubernetes.io/default-container': 'user-container',
          },
        },
        spec: {
          affinity: undefined,
          containers: [
            {
              name: 'user-container',
              image: 'r/app@sha256:12',
              ports: [{ name: 'user-port', containerPort: 9000, protocol: 'TCP' }],
              env: [
                { name: 'A', value: 'b' },
                { name: 'PORT', value: '9000' },
                { name: 'K_REVISION', value: 'hello-00001' },
                { name: 'K_CONFIGURATION', value: 'hello' },
                { name: 'K_SERVICE', value: 'hello' },
              ],
              readinessProbe: { tcpSocket: { port: 9000 }, successThreshold: 1, periodSeconds: 0 },
              livenessProbe: { httpGet: { path: '/live', port: 9000 } },
              startupProbe: { httpGet: { path: '/start', port: 9000 } },
              terminationMessagePolicy: 'FallbackToLogsOnError',
            },
          ],
          restartPolicy: 'Always',
          terminationGracePeriodSeconds: 42,
        },
      },
    },
  )
})

test('helpers get no PORT, init containers no K_ variables, and a period that is said stays', () => {
  const base = revision({ readinessProbe: { exec: { command: ['ok'] }, periodSeconds: 5 } })
  const { spec } = podTemplate(
    {
      ...base,
      spec: {
        ...base.spec,
        initContainers: [{ name: 'init', image: 'i' }],
        containers: [
          { ...base.spec.containers[0], name: 'main', ports: [{ containerPort: 80 }] },
          { name: 'helper', image: 'h' },
        ],
      },
    },
    none,
    config.deployment,
  )
  const pod = spec as Deployment['spec']['template']['spec']
  const names = (at: number) => pod?.containers[at]?.env?.map(({ name }) => name)
  assert.deepEqual(names(0), ['PORT', 'K_REVISION', 'K_CONFIGURATION', 'K_SERVICE'])
  assert.deepEqual(names(1), ['K_REVISION', 'K_CONFIGURATION', 'K_SERVICE'])
  assert.deepEqual(pod?.initContainers, [{ name: 'init', image: 'i' }])
  assert.equal(pod?.containers[0]?.readinessProbe?.periodSeconds, 5)
  assert.equal(pod?.containers[0]?.ports?.[0]?.containerPort, 80)
})

test('a Deployment that exists changes only when its hash does, and keeps its scale', () => {
  const desired = desiredDeployment(revision(), none, config)
  const { merge } = applyDeployment(desired)
  const scaled = { ...desired, spec: { ...desired.spec, replicas: 7, paused: true } }
  assert.equal(merge?.(scaled), scaled)
  const old = {
    ...scaled,
    metadata: {
      ...scaled.metadata,
      labels: { theirs: 'yes', 'serving.knative.dev/deployment-hash': 'old' },
    },
  }
  const next = merge?.(old) as Deployment
  assert.equal(next.spec.replicas, 7)
  assert.equal(next.spec.paused, undefined)
  assert.equal(next.metadata.labels?.['theirs'], 'yes')
  assert.equal(
    next.metadata.labels?.['serving.knative.dev/deployment-hash'],
    desired.metadata.labels?.['serving.knative.dev/deployment-hash'],
  )
})

test('the hash ignores routing and scaling, and sees everything else', () => {
  const hash = (of: Revision) =>
    desiredDeployment(of, none, config).metadata.labels?.['serving.knative.dev/deployment-hash']
  const base = hash(revision())
  const labels = { ...revision().metadata.labels, 'serving.knative.dev/routingState': 'reserve' }
  const annotations = {
    'serving.knative.dev/routes': 'x',
    'autoscaling.knative.dev/min-scale': '2',
  }
  assert.equal(hash(revision({}, { labels, annotations })), base)
  assert.notEqual(hash(revision({ image: 'app:2' })), base)
  assert.notEqual(hash(revision({}, { annotations: { mine: 'x' } })), base)
})
