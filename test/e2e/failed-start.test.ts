/** A start that can't succeed says why, leaves nothing of its own behind and what ran before untouched. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ebbScript, processesMentioning, run, startEbb, until, withoutKubectl } from './platform.ts'

async function inUse(): Promise<{ readonly address: string } & Disposable> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return { address: `127.0.0.1:${port}`, [Symbol.dispose]: () => void server.close() }
}

test('an address in use ends the start; gateway and pods of a killed platform go on', async () => {
  await using ebb = await startEbb()
  using taken = await inUse()
  const deployed = await ebb.ebb('deploy', 'examples/hello', '--name', 'hello')
  assert.equal(deployed.code, 0, deployed.stderr)
  const answer = () => ebb.get('hello.default.localhost')
  assert.equal((await answer()).status, 200)
  await ebb.kill()
  const pods = processesMentioning(ebb.dataDir)
  for (const flag of ['--api', '--gateway']) {
    const other = flag === '--api' ? '--gateway' : '--api'
    const started = await ebb.ebb('up', flag, taken.address, other, '127.0.0.1:0')
    assert.equal(started.code, 1, started.stdout)
    assert.match(started.stderr, new RegExp(`can't listen on ${taken.address}: .* already in use`))
    assert.equal((await answer()).status, 200)
  }
  assert.deepEqual(processesMentioning(ebb.dataDir), pods)
  await ebb.restart()
  assert.equal((await answer()).status, 200)
})

test('a data directory that is none is named, and nothing stays running', async () => {
  await using ebb = await startEbb({ args: ['--no-knative'] })
  const folder = await mkdtemp(join(tmpdir(), 'ebb-e2e-'))
  try {
    const file = join(folder, 'file')
    await writeFile(file, '')
    for (const path of [file, join(file, 'below')]) {
      const started = await run(process.execPath, [ebbScript, 'up', '--data-dir', path])
      assert.equal(started.code, 1)
      assert.match(started.stderr, /can't use .* as data directory: .* not a folder/)
    }
    const second = await ebb.ebb('up', '--api', '127.0.0.1:0', '--gateway', '127.0.0.1:0')
    assert.equal(second.code, 1)
    assert.match(second.stderr, new RegExp(`is in use by process ${ebb.pid}`))
  } finally {
    await rm(folder, { recursive: true })
  }
  // What follows takes a kubectl.
  if (withoutKubectl) return
  const { dataDir } = ebb
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'sleeper', namespace: 'default' },
    spec: { containers: [{ name: 'c', image: 'dev.local/hello' }] },
  }
  assert.equal((await ebb.ebb('build', 'examples/hello')).code, 0)
  await ebb.ok('create', '-f', await ebb.file('pod.json', JSON.stringify(pod)))
  await ebb.ok('wait', 'pod/sleeper', '--for=condition=Ready', '--timeout=55s')
  const launcher = processesMentioning(join(dataDir, 'run', 'launcher.sock'))
  assert.equal(launcher.length, 1)
  await ebb.kill()
  for (const pid of launcher) process.kill(pid, 'SIGKILL')
  assert.ok(processesMentioning(dataDir).length > 0, 'the pod goes on')
  assert.equal((await ebb.ebb('down')).code, 0)
  await until('nothing of it runs', () => processesMentioning(dataDir).length === 0)
  assert.equal((await ebb.ebb('down')).code, 1, 'nothing to stop any more')
})
