/** What every runtime does, whatever it runs containers with. Each implementation's test calls this. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test, type TestContext } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import type { ContainerSpec, ImageHandle, Runtime } from './runtime.ts'

export interface RuntimeUnderTest {
  readonly runtime: Runtime
  /** An image whose program runs until SIGTERM, which ends it with 143 or by the signal. */
  readonly sleeper: ImageHandle
  readonly logPath: (attempt: number) => string
  /** Command line before a line of shell, inside the image; absent where nothing really runs. */
  readonly shell?: readonly string[]
  /** How `sleep` is called in that shell, where it is not by its name. */
  readonly sleep?: string
}

export function runtimeContract(
  name: string,
  open: (t: TestContext) => Promise<RuntimeUnderTest>,
): void {
  const spec = (under: RuntimeUnderTest, podUid: string, attempt = 0): ContainerSpec => ({
    podUid,
    namespace: 'ns',
    podName: 'p',
    container: 'c',
    attempt,
    image: under.sleeper,
    command: under.sleeper.config.cmd,
    workingDir: under.sleeper.config.workingDir,
    env: {},
    mounts: [],
    logPath: under.logPath(attempt),
  })
  const sandbox = (podUid: string) => ({ podUid, namespace: 'ns', name: 'p', ports: [8080] })

  test(`${name}: a sandbox has an address, the same when asked again`, async (t) => {
    const { runtime } = await open(t)
    const first = await runtime.createSandbox(sandbox('a'))
    assert.match(first.podIP, /^\d+\.\d+\.\d+\.\d+$/)
    assert.deepEqual(await runtime.createSandbox(sandbox('a')), first)
    const other = await runtime.createSandbox(sandbox('b'))
    assert.notDeepEqual([other.podIP, other.hostPorts], [first.podIP, first.hostPorts])
  })

  test(`${name}: a container runs until it is told to end`, async (t) => {
    const under = await open(t)
    const { runtime } = under
    await runtime.createSandbox(sandbox('a'))
    const container = await runtime.start(spec(under, 'a'))
    assert.ok(container.pid > 0)
    assert.equal(container.attempt, 0)
    await runtime.signal(container.id, 'SIGTERM')
    const exit = await container.exited
    assert.equal(exit.exitCode, 143)
    assert.equal(exit.reason, 'Error')
    await runtime.signal(container.id, 'SIGKILL') // is ignored
  })

  test(`${name}: attempts are different containers`, async (t) => {
    const under = await open(t)
    await under.runtime.createSandbox(sandbox('a'))
    const first = await under.runtime.start(spec(under, 'a'))
    await under.runtime.signal(first.id, 'SIGKILL')
    assert.equal((await first.exited).exitCode, 137)
    const second = await under.runtime.start(spec(under, 'a', 1))
    assert.notEqual(second.id, first.id)
  })

  test(`${name}: removing a sandbox ends what runs in it`, async (t) => {
    const under = await open(t)
    await under.runtime.createSandbox(sandbox('a'))
    const container = await under.runtime.start(spec(under, 'a'))
    await under.runtime.removeSandbox('a')
    assert.equal((await container.exited).exitCode, 137)
    await under.runtime.removeSandbox('a') // is ignored
    assert.deepEqual(
      (await under.runtime.recover()).filter(({ sandbox: { podUid } }) => podUid === 'a'),
      [],
    )
  })

  test(`${name}: unknown ids are ignored`, async (t) => {
    const { runtime } = await open(t)
    await runtime.signal('nobody', 'SIGTERM')
    await runtime.removeSandbox('nobody')
  })

  /** A container that runs a line of shell; undefined where nothing really runs. */
  const run = async (under: RuntimeUnderTest, line: string, more: Partial<ContainerSpec> = {}) => {
    if (!under.shell) return undefined
    await under.runtime.createSandbox(sandbox('a'))
    return await under.runtime.start({
      ...spec(under, 'a'),
      command: [...under.shell, line],
      ...more,
    })
  }

  const sleep = ({ sleep: command = 'sleep' }: RuntimeUnderTest) => command

  test(`${name}: environment and working directory reach the program, its output the log`, async (t) => {
    const under = await open(t)
    const line = 'echo "$COLOR"; pwd >&2; exit 3'
    const container = await run(under, line, { env: { COLOR: 'blue=1 2' } })
    if (!container) return t.skip('nothing really runs')
    const { exitCode, reason } = await container.exited
    assert.deepEqual({ exitCode, reason }, { exitCode: 3, reason: 'Error' })
    const log = await readFile(under.logPath(0), 'utf8')
    assert.deepEqual(log.trim().split('\n').length, 2, log)
    assert.match(log, /blue=1 2/)
    assert.match(log, new RegExp(`${under.sleeper.config.workingDir}$`, 'm'))
  })

  test(`${name}: success is Completed`, async (t) => {
    const container = await run(await open(t), 'exit 0')
    if (!container) return t.skip('nothing really runs')
    const { exitCode, reason } = await container.exited
    assert.deepEqual({ exitCode, reason }, { exitCode: 0, reason: 'Completed' })
  })

  test(`${name}: commands run beside the program, cut off in time and size`, async (t) => {
    const under = await open(t)
    const container = await run(under, `while :; do ${sleep(under)} 1; done`, {
      env: { COLOR: 'blue' },
    })
    if (!container) return t.skip('nothing really runs')
    const { runtime, shell = [] } = under
    const sh = (line: string, timeoutMs = 10_000, limitBytes = 100) =>
      runtime.exec(container.id, [...shell, line], { timeoutMs, limitBytes })
    assert.deepEqual(await sh('echo $COLOR; exit 3'), { exitCode: 3, output: 'blue\n' })
    assert.deepEqual(await sh('echo 1234567890', 10_000, 6), { exitCode: 0, output: '123456' })
    assert.equal((await sh(`${sleep(under)} 60`, 300)).exitCode, 124)
    const nobody = await runtime.exec('nobody', ['true'], { timeoutMs: 1_000, limitBytes: 10 })
    assert.equal(nobody.exitCode, 126)
  })

  test(`${name}: a program that can not be executed has ended with StartError`, async (t) => {
    const under = await open(t)
    const container = await run(under, '', { command: ['/no/such/program'] })
    if (!container) return t.skip('nothing really runs')
    assert.equal(container.pid, 0)
    const { exitCode, reason, message } = await container.exited
    assert.deepEqual({ exitCode, reason }, { exitCode: 128, reason: 'StartError' })
    assert.match(message ?? '', /no\/such\/program/)
  })

  test(`${name}: a stopped container does nothing until it goes on`, async (t) => {
    const under = await open(t)
    const container = await run(under, `while :; do echo tick; ${sleep(under)} 0.02; done`)
    if (!container) return t.skip('nothing really runs')
    const { runtime } = under
    const written = async () => (await readFile(under.logPath(0))).length
    const changes = async (changed: boolean) => {
      for (let before = await written(); ; before = await written()) {
        await setTimeout(200)
        if (((await written()) !== before) === changed) return
      }
    }
    await changes(true)
    await runtime.signal(container.id, 'SIGSTOP')
    await changes(false)
    assert.ok(runtime.memoryBytes === undefined || (await runtime.memoryBytes(container.id)) > 0)
    await runtime.signal(container.id, 'SIGCONT')
    await changes(true)
    await runtime.signal(container.id, 'SIGKILL')
    assert.equal((await container.exited).exitCode, 137)
  })
}
