/** The seam: the serving controllers as clients of another API server give the same service. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { appDir, ebbScript, request, hurry, startEbb, until, withoutKubectl } from './platform.ts'

test('controllers of one process serve the API of another', { skip: withoutKubectl }, async () => {
  await using ebb = await startEbb({ args: ['--no-knative'] })
  const dataDir = await mkdtemp(join(tmpdir(), 'ebb-controllers-'))
  const args = [
    'controllers',
    '--kubeconfig',
    ebb.kubeconfig,
    '--data-dir',
    dataDir,
    '--gateway',
    '127.0.0.1:0',
  ]
  const child = spawn(process.execPath, [ebbScript, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk))
  try {
    await until('the controllers are ready', () => {
      assert.equal(child.exitCode, null, output)
      return output.includes('Ready in')
    })
    const { hostname, port } = new URL(/Gateway +(\S+)/.exec(output)?.[1] ?? '')
    const gateway = { host: hostname, port: Number(port) }
    await hurry(ebb)
    const deployed = await ebb.ebb('deploy', appDir('counter'), '--name', 'counter')
    assert.equal(deployed.code, 0, deployed.stderr)
    const host = 'counter.default.localhost'
    assert.equal((await request(gateway, host)).status, 200)
    await until(
      'no pod is left',
      async () => (await ebb.ok('get', 'pods', '-o', 'name')).trim() === '',
      60_000,
    )
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) => request(gateway, host, { path: `/?id=${i}` })),
    )
    assert.deepEqual(
      new Set(answers.map(({ status, body }) => `${status} ${body}`)),
      new Set(['200 1']),
    )
  } finally {
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGTERM')
    await ended
    await rm(dataDir, { recursive: true, force: true })
  }
})
