import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ContainerSpec } from '../runtime.ts'
import { containerBody, holderBody, NotAllowed } from './container-body.ts'

const spec: ContainerSpec = {
  podUid: 'u',
  namespace: 'ns',
  podName: 'p',
  container: 'c',
  attempt: 2,
  image: {
    reference: 'hello',
    imageID: 'docker.io/library/hello@sha256:1',
    rootfs: 'ebb.local/x:1',
    config: {
      entrypoint: [],
      cmd: [],
      env: {},
      workingDir: '/',
      user: 'node',
      stopSignal: '',
      exposedPorts: [],
    },
  },
  command: ['/server', '--flag'],
  workingDir: '/srv',
  env: { A: 'b=c' },
  mounts: [{ path: '/data', hostPath: '/var/ebb/v', readOnly: true }],
  logPath: '/log',
}
const options = {
  image: 'ebb.local/x:1',
  platform: 'x',
  holderId: 'held',
  allowPrivileged: false,
}
const hostConfig = (more: Partial<ContainerSpec>) =>
  containerBody({ ...spec, ...more }, options)['HostConfig'] as Readonly<Record<string, unknown>>

test("a container has its pod's network and nobody else's program, user or health check", () => {
  const body = containerBody(spec, options)
  assert.deepEqual(body['Entrypoint'], ['/server', '--flag'])
  assert.deepEqual(body['Cmd'], [])
  assert.deepEqual(body['Env'], ['A=b=c'])
  assert.equal(body['User'], undefined, "the image's own user, which may have a name")
  assert.deepEqual(body['Healthcheck'], { Test: ['NONE'] })
  const { NetworkMode, IpcMode, Mounts, Privileged } = hostConfig({})
  assert.deepEqual([NetworkMode, IpcMode], ['container:held', 'container:held'])
  assert.equal(Privileged, false)
  assert.deepEqual(Mounts, [
    { Type: 'bind', Source: '/var/ebb/v', Target: '/data', ReadOnly: true },
  ])
})

test('limits: memory without swap, cores as quota, requests as shares', () => {
  const resources = { memoryLimitBytes: 1 << 26, cpuLimitMillis: 250, cpuRequestMillis: 1 }
  const { Memory, MemorySwap, NanoCpus, CpuShares } = hostConfig({ resources })
  assert.deepEqual([Memory, MemorySwap], [1 << 26, 1 << 26])
  assert.equal(NanoCpus, 250_000_000)
  assert.equal(CpuShares, 2)
  assert.equal(hostConfig({})['Memory'], undefined)
})

test('users and privileges as the pod asks for them', () => {
  const user = (runAsUser?: number, runAsGroup?: number) =>
    containerBody(
      {
        ...spec,
        security: {
          ...(runAsUser !== undefined && { runAsUser }),
          ...(runAsGroup !== undefined && { runAsGroup }),
        },
      },
      options,
    )['User']
  assert.deepEqual(
    [user(7), user(7, 8), user(undefined, 8), user()],
    ['7', '7:8', '0:8', undefined],
  )
  const security = {
    groups: [5],
    readOnlyRootFilesystem: true,
    allowPrivilegeEscalation: false,
    addCapabilities: ['NET_RAW'],
    dropCapabilities: ['ALL'],
  }
  const config = hostConfig({ security })
  assert.deepEqual(config['GroupAdd'], ['5'])
  assert.equal(config['ReadonlyRootfs'], true)
  assert.deepEqual(config['SecurityOpt'], ['no-new-privileges'])
  assert.deepEqual([config['CapAdd'], config['CapDrop']], [['NET_RAW'], ['ALL']])
})

test('privileged containers take a flag', () => {
  const privileged = { ...spec, security: { privileged: true } }
  assert.throws(() => containerBody(privileged, options), NotAllowed)
  const { HostConfig } = containerBody(privileged, { ...options, allowPrivileged: true })
  assert.equal(Reflect.get(Object(HostConfig), 'Privileged'), true)
})

test("a holder has its pod's name and ports, and can do nothing", () => {
  const pod = { podUid: 'u', namespace: 'ns', name: `${'long-'.repeat(12)}abc-def`, ports: [8080] }
  const body = holderBody(pod, {
    image: 'i',
    platform: 'x',
    network: 'n',
    reach: 'ports',
    hostPorts: { 8080: 31_000 },
  })
  assert.match(String(body['Hostname']), /^(long-){12}abc$/)
  const { PortBindings, CapDrop } = body['HostConfig'] as Readonly<Record<string, unknown>>
  assert.deepEqual(PortBindings, { '8080/tcp': [{ HostIp: '127.0.0.1', HostPort: '31000' }] })
  assert.deepEqual(CapDrop, ['ALL'])
})
