import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '../../api/pod.ts'
import { resourcesOf, securityOf } from './container-limits.ts'
import type { ContainerDefinition } from '../container/container-state.ts'

const podWith = (securityContext?: Pod['spec']['securityContext']): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p' },
  spec: { containers: [], ...(securityContext && { securityContext }) },
})
const container: ContainerDefinition = { name: 'c' }

test('limits are bytes and thousandths of a core', () => {
  const resources = { limits: { memory: '64Mi', cpu: '1.5' }, requests: { cpu: '100m' } }
  assert.deepEqual(resourcesOf({ ...container, resources }), {
    memoryLimitBytes: 64 << 20,
    cpuLimitMillis: 1500,
    cpuRequestMillis: 100,
  })
  assert.equal(resourcesOf(container), undefined)
  assert.equal(resourcesOf({ ...container, resources: { requests: { memory: '1Mi' } } }), undefined)
})

test("what the container says goes before what its pod says; the pod's groups are added", () => {
  const pod = podWith({ runAsUser: 1, runAsGroup: 2, fsGroup: 3, supplementalGroups: [4] })
  const securityContext = {
    runAsUser: 10,
    readOnlyRootFilesystem: true,
    capabilities: { add: ['CAP_NET_RAW'], drop: ['ALL'] },
  }
  assert.deepEqual(securityOf(pod, { ...container, securityContext }), {
    runAsUser: 10,
    runAsGroup: 2,
    groups: [3, 4],
    readOnlyRootFilesystem: true,
    addCapabilities: ['NET_RAW'],
    dropCapabilities: ['ALL'],
  })
  assert.equal(securityOf(podWith(), container), undefined)
})
