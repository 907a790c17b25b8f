/** Containers with a root of their own on this machine: the contract of runtimes, and what sets them apart from plain processes. */
import assert from 'node:assert/strict'
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { processRuntime } from '../../src/kube/kubelet/process-runtime.ts'
import { runtimeContract, type RuntimeUnderTest } from '../../src/kube/kubelet/runtime.contract.ts'
import type { ContainerSpec, ImageHandle } from '../../src/kube/kubelet/runtime.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { silent } from '../../src/lib/log.ts'
import { installed } from './installed.ts'

const skip =
  process.platform !== 'linux'
    ? 'takes Linux'
    : !installed('busybox', 'busybox-static') && 'takes a static busybox (busybox-static)'

const busyboxPath = async (): Promise<string> => {
  for (const path of ['/bin/busybox', '/usr/bin/busybox'])
    try {
      await readFile(path)
      return path
    } catch {
      // the next one
    }
  throw new Error('no busybox')
}

/** Root file system of busybox alone. */
async function busyboxRoot(rootfs: string): Promise<void> {
  await mkdir(join(rootfs, 'bin'), { recursive: true })
  const busybox = join(rootfs, 'bin', 'busybox')
  await copyFile(await busyboxPath(), busybox)
  await chmod(busybox, 0o755)
  for (const name of [
    'sh',
    'sleep',
    'cat',
    'id',
    'ls',
    'touch',
    'hostname',
    'mkdir',
    'ln',
    'stat',
    'dd',
    'tail',
    'head',
  ])
    await symlink('busybox', join(rootfs, 'bin', name))
}

const sleepLine = 'trap "exit 143" TERM; while :; do sleep 0.1; done'

const imageOf = (rootfs: string): ImageHandle => ({
  reference: 'busybox',
  imageID: 'busybox@sha256:0',
  rootfs,
  config: {
    entrypoint: [],
    cmd: ['/bin/sh', '-c', sleepLine],
    env: {},
    workingDir: '/',
    user: '',
    stopSignal: '',
    exposedPorts: [],
    labels: {},
  },
})

async function open(t: TestContext): Promise<RuntimeUnderTest & { readonly dataDir: string }> {
  const dataDir = await mkdtemp(join(tmpdir(), 'ebb-sandbox-'))
  const rootfs = join(dataDir, 'rootfs')
  await busyboxRoot(rootfs)
  const runtime = await processRuntime({
    dataDir,
    socketPath: join(dataDir, 'l.sock'),
    network: 'auto',
    clock: systemClock,
    log: silent,
  })
  t.after(async () => {
    // At once: as first processes, programs without a handler do not hear SIGTERM.
    for (const podUid of ['a', 'b']) await runtime.removeSandbox(podUid)
    await runtime[Symbol.asyncDispose]()
    await rm(dataDir, { recursive: true, force: true })
  })
  return {
    runtime,
    dataDir,
    sleeper: imageOf(rootfs),
    shell: ['/bin/sh', '-c'],
    logPath: (attempt) => join(dataDir, `${attempt}.log`),
  }
}

if (skip === false) runtimeContract('sandbox', open)
else test('containers with a root of their own', { skip }, () => {})

/** Runs a line of shell to its end; its log and exit code. */
async function run(t: TestContext, line: string, more: Partial<ContainerSpec> = {}) {
  const under = await open(t)
  await under.runtime.createSandbox({ podUid: 'a', namespace: 'ns', name: 'web-1', ports: [] })
  const container = await under.runtime.start({
    podUid: 'a',
    namespace: 'ns',
    podName: 'web-1',
    container: 'c',
    attempt: 0,
    image: under.sleeper,
    command: ['/bin/sh', '-c', line],
    workingDir: '/',
    env: {},
    mounts: [],
    logPath: under.logPath(0),
    ...more,
  })
  const exit = await container.exited
  return { ...under, exit, log: await readFile(under.logPath(0), 'utf8').catch(() => '') }
}

test('it sees its own files, processes and name only', { skip }, async (t) => {
  const { log, exit } = await run(t, 'ls /; echo $$; hostname; echo told > /dev/stderr; env')
  assert.equal(exit.exitCode, 0, log + exit.message)
  assert.deepEqual(log.split('\n').slice(0, 8), [
    'bin',
    'dev',
    'etc',
    'proc',
    'sys',
    '1',
    'web-1',
    'told',
  ])
  assert.doesNotMatch(log, /EBB_/)
})
