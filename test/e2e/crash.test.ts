/** Any one process may be killed with -9 at any time: no request through the gateway fails, nothing stored is lost. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import {
  appDir,
  load,
  processesMentioning,
  startEbb,
  until,
  withoutKubectl,
  type Ebb,
} from './platform.ts'

const pidOf = (ebb: Ebb, entry: RegExp): number | undefined =>
  processesMentioning(ebb.dataDir).find((pid) => entry.test(commandLine(pid)))

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}

describe('kill -9', { skip: withoutKubectl }, () => {
  let ebb: Ebb
  const host = 'hello.default.localhost'
  before(async () => {
    ebb = await startEbb()
    const deployed = await ebb.ebb('deploy', appDir('hello-serverless'), '--name', 'hello')
    assert.equal(deployed.code, 0, deployed.stderr)
  })
  after(() => ebb[Symbol.asyncDispose]())

  const underLoad = async (fault: () => Promise<void>) => {
    const running = load(ebb, host, { workers: 8, durationMs: 4_000 })
    await fault()
    return await running
  }

  test('of the control plane: traffic goes on, the next one adopts what runs and has every answered write', async () => {
    const podBefore = await ebb.ok('get', 'pods', '-o', 'jsonpath={.items[*].metadata.uid}')
    await ebb.ok('create', 'configmap', 'kept', '--from-literal=a=1')
    const { statuses, errors } = await underLoad(async () => {
      await ebb.kill()
      await ebb.restart()
    })
    assert.deepEqual(errors, [])
    assert.deepEqual([...statuses.keys()], [200])
    assert.equal(await ebb.ok('get', 'configmap', 'kept', '-o', 'jsonpath={.data.a}'), '1')
    assert.equal(await ebb.ok('get', 'pods', '-o', 'jsonpath={.items[*].metadata.uid}'), podBefore)
    await ebb.ok('wait', 'ksvc/hello', '--for=condition=Ready', '--timeout=55s')
  })

  test('of the launcher: pods live on, and new ones start', async () => {
    const pid = pidOf(ebb, /launcher/)
    assert.ok(pid, 'the launcher runs')
    const { statuses, errors } = await underLoad(async () => {
      process.kill(pid, 'SIGKILL')
      await until('another launcher', () => {
        const now = pidOf(ebb, /launcher/)
        return now !== undefined && now !== pid
      })
    })
    assert.deepEqual(errors, [])
    assert.deepEqual([...statuses.keys()], [200])
    await ebb.ebb('deploy', appDir('hello-serverless'), '--name', 'second')
    assert.equal((await ebb.get('second.default.localhost')).status, 200)
  })

  test('of the gateway: it is back on the same port', async () => {
    const pid = pidOf(ebb, /gateway\/main/)
    assert.ok(pid, 'the gateway runs')
    const { port } = ebb.gateway
    process.kill(pid, 'SIGKILL')
    await until('requests are answered again', () =>
      ebb.get(host).then(
        ({ status }) => status === 200,
        () => false,
      ),
    )
    assert.equal(ebb.gateway.port, port)
  })

  test('of a pod: it is started again', async () => {
    const restarts = () =>
      ebb.ok(
        'get',
        'pods',
        '-l',
        'serving.knative.dev/service=hello',
        '-o',
        'jsonpath={.items[*].status.containerStatuses[0].restartCount}',
      )
    const before = await restarts()
    const pid = processesMentioning(ebb.dataDir).find((candidate) =>
      /server\.js/.test(commandLine(candidate)),
    )
    assert.ok(pid, 'a pod runs')
    process.kill(pid, 'SIGKILL')
    await until('the restart is counted', async () => (await restarts()) !== before)
    await until('it answers', () =>
      ebb.get(host).then(
        ({ status }) => status === 200,
        () => false,
      ),
    )
  })
})

describe('the end', { skip: withoutKubectl }, () => {
  test('SIGTERM stops every pod and leaves no process behind, exit 0', async () => {
    const ebb = await startEbb()
    await ebb.ebb('deploy', appDir('hello-serverless'), '--name', 'hello')
    const { dataDir } = ebb
    await ebb[Symbol.asyncDispose]()
    assert.deepEqual(processesMentioning(dataDir), [])
  })

  test('`ebb down` ends what a killed control plane left behind', async () => {
    const ebb = await startEbb()
    await ebb.ebb('deploy', appDir('hello-serverless'), '--name', 'hello')
    await ebb.kill()
    assert.notDeepEqual(processesMentioning(ebb.dataDir), [])
    const ran = await ebb.ebb('down')
    assert.equal(ran.code, 0, ran.stderr)
    assert.deepEqual(processesMentioning(ebb.dataDir), [])
    await ebb[Symbol.asyncDispose]()
  })

  test('a second start on the same directory says that it is in use', async () => {
    await using ebb = await startEbb()
    const second = await ebb.ebb('up')
    assert.equal(second.code, 1)
    assert.match(second.stderr, /is in use by process \d+/)
  })
})
