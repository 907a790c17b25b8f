import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import type { Endpoints } from '../../../kube/api/endpoints.ts'
import type { Ingress } from '../../api/ingress.ts'
import type { Revision } from '../../api/revision.ts'
import { ingressHash, ingressRoute, revisionTarget } from './snapshot.ts'

const ingress = (spec: Ingress['spec']): Ingress => ({
  apiVersion: 'networking.internal.knative.dev/v1alpha1',
  kind: 'Ingress',
  metadata: { namespace: 'ns', name: 'app' },
  spec,
})
const revision = (spec: Partial<Revision['spec']> = {}): Revision => ({
  apiVersion: 'serving.knative.dev/v1',
  kind: 'Revision',
  metadata: {
    namespace: 'ns',
    name: 'app-00001',
    labels: { 'serving.knative.dev/service': 'app', 'serving.knative.dev/configuration': 'cfg' },
  },
  spec: { containers: [{ name: 'c', image: 'x' }], ...spec },
})

test('an Ingress becomes rules; a lone split without percent takes all', () => {
  const split = { serviceNamespace: 'ns', serviceName: 'app-00001', servicePort: 80 }
  const spec: Ingress['spec'] = {
    rules: [
      {
        hosts: ['App.Example.com'],
        visibility: 'ExternalIP',
        http: { paths: [{ splits: [{ ...split, appendHeaders: { A: 'b' } }] }] },
      },
      {
        hosts: ['app.ns'],
        visibility: 'ClusterLocal',
        http: {
          paths: [
            {
              path: '/x',
              headers: { T: { exact: 'y' } },
              rewriteHost: 'other',
              splits: [
                { ...split, percent: 80 },
                { ...split, serviceName: 'app-00002', percent: 20 },
              ],
            },
          ],
        },
      },
    ],
  }
  const hash = createHash('sha256')
    .update(`${JSON.stringify(spec)}nsapp`)
    .digest('hex')
  assert.deepEqual(ingressRoute(ingress(spec)), {
    key: 'ns/app',
    hash,
    rules: [
      {
        hosts: ['app.example.com'],
        visibility: 'ExternalIP',
        paths: [
          { splits: [{ revision: 'ns/app-00001', percent: 100, appendHeaders: { A: 'b' } }] },
        ],
      },
      {
        hosts: ['app.ns'],
        visibility: 'ClusterLocal',
        paths: [
          {
            path: '/x',
            headers: { T: { exact: 'y' } },
            rewriteHost: 'other',
            splits: [
              { revision: 'ns/app-00001', percent: 80 },
              { revision: 'ns/app-00002', percent: 20 },
            ],
          },
        ],
      },
    ],
  })
  assert.notEqual(ingressHash(ingress({ rules: [] })), hash)
})

test('a Revision without Endpoints has no backends, and the defaults of its limits', () => {
  assert.deepEqual(revisionTarget(revision(), undefined), {
    key: 'ns/app-00001',
    service: 'app',
    configuration: 'cfg',
    protocol: 'http1',
    containerConcurrency: 0,
    timeoutMs: 300_000,
    responseStartTimeoutMs: 0,
    idleTimeoutMs: 0,
    backends: [],
  })
})

test('limits in milliseconds, the h2c port name, and ready addresses only', () => {
  const endpoints: Endpoints = {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: { namespace: 'ns', name: 'app-00001-private' },
    subsets: [
      {
        addresses: [{ ip: '10.0.0.2', targetRef: { uid: 'u2', name: 'p2' } }, { ip: '10.0.0.1' }],
        notReadyAddresses: [{ ip: '10.0.0.3' }],
        ports: [
          { name: 'metrics', port: 9090 },
          { name: 'http', port: 8080 },
        ],
      },
      { addresses: [{ ip: '10.0.0.4' }] },
    ],
  }
  const target = revisionTarget(
    revision({
      containerConcurrency: 3,
      timeoutSeconds: 10,
      responseStartTimeoutSeconds: 5,
      idleTimeoutSeconds: 2,
      containers: [{ name: 'c', image: 'x', ports: [{ name: 'h2c', containerPort: 8080 }] }],
    }),
    endpoints,
  )
  assert.equal(target.protocol, 'h2c')
  assert.deepEqual(
    [
      target.containerConcurrency,
      target.timeoutMs,
      target.responseStartTimeoutMs,
      target.idleTimeoutMs,
    ],
    [3, 10_000, 5000, 2000],
  )
  assert.deepEqual(target.backends, [
    { host: '10.0.0.1', port: 8080, pod: '' },
    { host: '10.0.0.2', port: 8080, pod: 'u2', podName: 'p2' },
  ])
})

test('hosts with a certificate redirect when plain HTTP is to be redirected; taken hosts are left out', () => {
  const split = { serviceNamespace: 'ns', serviceName: 'app-00001', servicePort: 80 }
  const spec: Ingress['spec'] = {
    httpOption: 'Redirected',
    tls: [{ hosts: ['Safe.example.com'], secretName: 's', secretNamespace: 'ns' }],
    rules: [
      {
        hosts: ['safe.example.com', 'plain.example.com', 'gone.example.com'],
        visibility: 'ExternalIP',
        http: { paths: [{ splits: [split] }] },
      },
      {
        hosts: ['gone.example.com'],
        visibility: 'ClusterLocal',
        http: { paths: [{ splits: [split] }] },
      },
    ],
  }
  const surroundings = {
    backend: () => ({ host: 'app.ns.svc.cluster.local' }),
    taken: (host: string) => host === 'gone.example.com',
  }
  const paths = [{ splits: [{ host: 'app.ns.svc.cluster.local', percent: 100 }] }]
  const route = ingressRoute(ingress(spec), surroundings)
  assert.deepEqual(route.rules, [
    { hosts: ['plain.example.com'], visibility: 'ExternalIP', paths },
    { hosts: ['safe.example.com'], visibility: 'ExternalIP', paths, redirectToHttps: true },
  ])
  assert.equal(route.hash, ingressHash(ingress(spec)))
  const open = ingressRoute(ingress({ ...spec, httpOption: 'Enabled' }), surroundings)
  assert.ok(open.rules.every(({ redirectToHttps }) => !redirectToHttps))
})

test('what a template asks of the gateway by annotation', () => {
  const target = (annotations: Record<string, string>) => {
    const plain = revision()
    return revisionTarget({ ...plain, metadata: { ...plain.metadata, annotations } }, undefined)
  }
  assert.deepEqual(
    [
      target({ 'ebb.dev/session-affinity': 'cookie' }).sessionAffinity,
      target({ 'ebb.dev/session-affinity': 'cookie:Mine' }).sessionAffinity,
      target({ 'ebb.dev/session-affinity': 'header:X-User' }).sessionAffinity,
      target({ 'ebb.dev/session-affinity': 'pod' }).sessionAffinity,
      target({ 'ebb.dev/long-lived-streams': 'true' }).longLivedStreams,
      target({ 'ebb.dev/long-lived-streams': 'false' }).longLivedStreams,
      target({}).longLivedStreams,
    ],
    [
      { cookie: 'ebb-session' },
      { cookie: 'Mine' },
      { header: 'X-User' },
      undefined,
      true,
      false,
      undefined,
    ],
  )
})
