/** Pods that begin as idle interpreters, through the whole platform: the same answers, logs, restarts and ends. */
import assert from 'node:assert/strict'
import { readFileSync, readlinkSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { stringify } from 'yaml'
import {
  configure,
  processesMentioning,
  startEbb,
  until,
  withoutKubectl,
  type Ebb,
} from './platform.ts'

const app = `import { createServer } from 'node:http'
console.log('listening as', process.argv.length, typeof process.send)
process.on('SIGTERM', () => process.exit(0))
createServer((request, response) => {
  if (request.url === '/crash') setImmediate(() => { throw new Error('asked to') })
  response.end(JSON.stringify({ pid: process.pid, main: import.meta.main, argv: process.argv.slice(2), color: process.env.COLOR,
    keys: Object.keys(process.env).filter((name) => /^(NODE_|LD_)/.test(name)), cwd: process.cwd() }))
}).listen(Number(process.env.PORT))`

describe('idle interpreters', { skip: withoutKubectl }, () => {
  let ebb: Ebb
  before(async () => {
    ebb = await startEbb({ args: ['--warm-interpreters', '1'] })
    await configure(ebb, 'config-autoscaler', { 'allow-zero-initial-scale': 'true' })
    const file = await ebb.file('facts.mjs', app)
    for (const flags of [[], ['--bundle']]) {
      const tag = flags.length > 0 ? 'dev.local/bundled' : 'dev.local/plain'
      const { code, stderr } = await ebb.ebb('build', file, '--tag', tag, ...flags)
      assert.equal(code, 0, stderr)
    }
    const service = (name: string, image: string, annotations = {}) => ({
      apiVersion: 'serving.knative.dev/v1',
      kind: 'Service',
      metadata: { name },
      spec: {
        template: {
          metadata: {
            annotations: { 'autoscaling.knative.dev/initial-scale': '0', ...annotations },
          },
          spec: { containers: [{ image, env: [{ name: 'COLOR', value: name }] }] },
        },
      },
    })
    const manifest = await ebb.file(
      'services.yaml',
      [
        service('first', 'dev.local/plain'),
        service('warm', 'dev.local/plain'),
        service('bundled', 'dev.local/bundled'),
        service('opted-out', 'dev.local/plain', { 'ebb.dev/warm-interpreter': 'disabled' }),
      ]
        .map((item) => stringify(item))
        .join('---\n'),
    )
    await ebb.ok('apply', '-f', manifest)
    await ebb.ok('wait', 'ksvc', '--all', '--for=condition=Ready', '--timeout=55s')
  })
  after(() => ebb[Symbol.asyncDispose]())

  const interpreters = (wanted: 'idle' | 'used') =>
    processesMentioning(ebb.dataDir).filter((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, 'latin1')
        const isIdle = readlinkSync(`/proc/${pid}/fd/1`) === '/dev/null'
        return line.includes('launcher/warm-interpreter') && isIdle === (wanted === 'idle')
      } catch {
        return false // ended
      }
    })
  const ask = async (name: string, path = '/') => {
    const { status, body } = await ebb.get(`${name}.default.localhost`, path)
    assert.equal(status, 200, body)
    return JSON.parse(body)
  }

  test('none is kept before the first Node program; then a pod begins as one', async () => {
    assert.deepEqual(interpreters('idle'), [])
    const first = await ask('first')
    assert.deepEqual(interpreters('used'), [])
    await until('one is idle', () => interpreters('idle').length === 1)
    const [idle = 0] = interpreters('idle')
    // A start before that makes a new process.
    await until('it sleeps in its read of descriptor 3', () =>
      / 0x3 /.test(readFileSync(`/proc/${idle}/syscall`, 'latin1').slice(0, 8)),
    )
    const warm = await ask('warm')
    const { pid: _, cwd: __, ...facts } = warm
    assert.deepEqual(facts, { ...facts, main: true, argv: [], color: 'warm' })
    assert.deepEqual(warm.keys, first.keys)
    assert.equal(warm.cwd, first.cwd)
    await until('it is used', () => interpreters('used').length === 1)
    const logs = await ebb.ok(
      'logs',
      '-l',
      'serving.knative.dev/service=warm',
      '-c',
      'user-container',
    )
    assert.equal(logs.trim(), 'listening as 2 undefined')
  })

  test('a bundle answers alike; a service that opted out gets a new process', async () => {
    await until('one is idle', () => interpreters('idle').length === 1)
    const used = interpreters('used').length
    assert.equal((await ask('opted-out')).color, 'opted-out')
    assert.equal(interpreters('used').length, used)
    const bundled = await ask('bundled')
    assert.deepEqual([bundled.color, bundled.main, bundled.argv], ['bundled', true, []])
  })

  test('a crash is a restart, with the code and the stack trace of the program', async () => {
    await ask('warm', '/crash')
    const status = async () =>
      await ebb.ok(
        'get',
        'pods',
        '-l',
        'serving.knative.dev/service=warm',
        '-o',
        'jsonpath={.items[0].status.containerStatuses[0].restartCount}/{.items[0].status.containerStatuses[0].lastState.terminated.exitCode}',
      )
    await until('it was restarted', async () => (await status()) === '1/1')
    const before = await ebb.ok(
      'logs',
      '-p',
      '-l',
      'serving.knative.dev/service=warm',
      '-c',
      'user-container',
    )
    assert.match(before, /Error: asked to\n +at Immediate.*facts\.mjs:5:/)
    assert.equal((await ask('warm')).color, 'warm')
  })

  test('`ebb down` leaves none', async () => {
    await until('one is idle', () => interpreters('idle').length === 1)
    const { code, stderr } = await ebb.ebb('down')
    assert.equal(code, 0, stderr)
    await until(
      'all are gone',
      () => interpreters('idle').length + interpreters('used').length === 0,
    )
  })
})
