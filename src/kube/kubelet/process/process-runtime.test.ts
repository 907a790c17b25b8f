import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../../lib/clock.ts'
import { silent } from '../../../lib/log.ts'
import { fakeRuntime } from '../../../testing/fake-runtime.ts'
import { isAlive, processStat } from '../launcher/proc.ts'
import { processRuntime } from './process-runtime.ts'
import { runtimeContract, type RuntimeUnderTest, type Scope } from '../runtime.contract.ts'
import type { ImageHandle } from '../runtime.ts'

const imageAt = (rootfs: string): ImageHandle => ({
  reference: 'sleeper',
  imageID: 'sleeper',
  rootfs,
  config: {
    entrypoint: [],
    cmd: ['node', 'index.js'],
    env: {},
    workingDir: '/app',
    user: '',
    stopSignal: '',
    exposedPorts: [],
  },
})

const openProcess =
  (network: 'host' | 'namespaces') =>
  async (t: Scope): Promise<RuntimeUnderTest & { readonly dataDir: string }> => {
    const dataDir = await mkdtemp(join(tmpdir(), 'ebb-runtime-'))
    const rootfs = join(dataDir, 'rootfs')
    await mkdir(join(rootfs, 'app'), { recursive: true })
    await writeFile(join(rootfs, 'app', 'index.js'), 'setInterval(() => {}, 1000)')
    const options = {
      dataDir,
      socketPath: join(dataDir, 'l.sock'),
      clock: systemClock,
      log: silent,
    }
    const runtime = await processRuntime({ ...options, network })
    t.after(async () => {
      await runtime[Symbol.asyncDispose]()
      await rm(dataDir, { recursive: true, force: true })
    })
    return {
      runtime,
      dataDir,
      sleeper: imageAt(rootfs),
      shell: ['/bin/sh', '-c'],
      logPath: (attempt) => join(dataDir, `${attempt}.log`),
    }
  }

runtimeContract('fake', async () => ({
  runtime: fakeRuntime(systemClock),
  sleeper: imageAt('/'),
  logPath: String,
}))
runtimeContract('process', openProcess('host'))
if (process.getuid?.() === 0) runtimeContract('process with networks', openProcess('namespaces'))

const base = {
  podUid: 'a',
  namespace: 'ns',
  podName: 'p',
  container: 'c',
  attempt: 0,
  workingDir: '/app',
  mounts: [],
}

test('exec runs beside the container and is cut off in time', async (t) => {
  const { runtime, sleeper, logPath } = await openProcess('host')(t)
  await runtime.createSandbox({ podUid: 'a', namespace: 'ns', name: 'p', ports: [] })
  const env = { COLOR: 'blue' }
  const container = await runtime.start({
    ...base,
    env,
    image: sleeper,
    command: ['node', 'index.js'],
    logPath: logPath(0),
  })
  const limits = { timeoutMs: 5_000, limitBytes: 6 }
  const sh = (line: string, timeoutMs = 5_000) =>
    runtime.exec(container.id, ['/bin/sh', '-c', line], { ...limits, timeoutMs })
  assert.deepEqual(await sh('echo $COLOR; exit 3'), { exitCode: 3, output: 'blue\n' })
  assert.deepEqual(await sh('echo 1234567890'), { exitCode: 0, output: '123456' })
  assert.equal((await sh('sleep 60', 50)).exitCode, 124)
  assert.equal((await runtime.exec(container.id, ['no-such-program'], limits)).exitCode, 127)
  assert.equal((await runtime.exec('nobody', ['true'], limits)).exitCode, 126)
})

test('a program that can not be executed is a container that ended with StartError', async (t) => {
  const { runtime, sleeper, logPath } = await openProcess('host')(t)
  await runtime.createSandbox({ podUid: 'a', namespace: 'ns', name: 'p', ports: [] })
  for (const command of [['./missing'], ['no-such-program'], [''], ['/bin/sh', 'nul\0byte']]) {
    const container = await runtime.start({
      ...base,
      env: {},
      image: sleeper,
      command,
      logPath: logPath(0),
    })
    const { reason, exitCode } = await container.exited
    assert.deepEqual({ reason, exitCode }, { reason: 'StartError', exitCode: 128 })
  }
})

test('output of many containers started at once lands in their own logs', async (t) => {
  const { runtime, sleeper, dataDir } = await openProcess('host')(t)
  const names = Array.from({ length: 20 }, (_, i) => `pod${i}`)
  await Promise.all(
    names.map(async (podUid) => {
      await runtime.createSandbox({ podUid, namespace: 'ns', name: podUid, ports: [8080] })
      const container = await runtime.start({
        ...base,
        podUid,
        env: { PORT: '8080' },
        image: sleeper,
        command: ['/bin/sh', '-c', 'echo $PORT; echo $EBB_POD_UID >&2'],
        logPath: join(dataDir, 'logs', podUid),
      })
      assert.equal((await container.exited).exitCode, 0)
    }),
  )
  const ports = new Set<string>()
  for (const name of await readdir(join(dataDir, 'logs'))) {
    const [port = '', uid] = (await readFile(join(dataDir, 'logs', name), 'utf8')).split('\n')
    assert.equal(uid, name)
    ports.add(port)
  }
  assert.equal(ports.size, 20, 'each has a port of its own')
})

test(
  'what leaves its process group and its environment still ends with its pod',
  { skip: process.getuid?.() !== 0 && 'takes root' },
  async (t) => {
    const { runtime, sleeper, logPath } = await openProcess('namespaces')(t)
    await runtime.createSandbox({ podUid: 'a', namespace: 'ns', name: 'p', ports: [] })
    const { exited } = await runtime.start({
      ...base,
      env: {},
      image: sleeper,
      command: ['/bin/sh', '-c', `env -i setsid sleep 60 & sleep 0.1; echo $!`],
      logPath: logPath(0),
    })
    await exited
    const pid = Number(await readFile(logPath(0), 'utf8'))
    const stat = processStat(pid)
    assert.equal(stat?.group, pid, 'it got away')
    await runtime.removeSandbox('a')
    assert.ok(!isAlive(pid, stat.startTicks))
  },
)
