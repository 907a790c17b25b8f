/** What every runtime does, whatever it runs containers with. Each implementation's test calls this. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { ContainerSpec, ImageHandle, Runtime } from './runtime.ts'

export interface RuntimeUnderTest {
  readonly runtime: Runtime
  /** An image whose program runs until SIGTERM, which ends it with 143 or by the signal. */
  readonly sleeper: ImageHandle
  readonly logPath: (attempt: number) => string
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
}
