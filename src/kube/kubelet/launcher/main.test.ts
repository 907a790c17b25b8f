import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { isAlive } from './proc.ts'
import type { FromLauncher, StartSpec, ToLauncher } from './protocol.ts'

const prefix = 'abcdefabcdef'

test('without a control plane for too long the launcher ends its pods, cleans up and ends', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ebb-launcher-'))
  const socketPath = join(folder, 'l.sock')
  const entry = join(import.meta.dirname, 'main.ts')
  const launcher = spawn(process.execPath, [entry, socketPath, join(folder, 'pods'), prefix, '200'])
  try {
    const gone = new Promise<number | null>((resolve) => launcher.once('exit', resolve))
    const socket = await connected(socketPath)
    const send = (request: ToLauncher) => socket.write(`${JSON.stringify(request)}\n`)
    const messages = createInterface({ input: socket })[Symbol.asyncIterator]()
    const next = async () => JSON.parse((await messages.next()).value ?? '') as FromLauncher
    assert.equal((await next()).type, 'hello')
    const cleaned = join(folder, 'cleaned')
    const run = { argv: ['/bin/sh', '-c', `: > ${cleaned}`], timeoutMs: 5_000, limitBytes: 100 }
    send({ id: 1, op: 'at-end', run })
    send({ id: 2, op: 'start', spec: sleeper(folder) })
    await next()
    const answer = await next()
    assert.ok(answer.type === 'answer')
    const { pid, startTicks } = answer.result as { pid: number; startTicks: string }
    assert.ok(isAlive(pid, startTicks))
    socket.destroy()
    assert.equal(await gone, 0)
    assert.ok(!isAlive(pid, startTicks))
    assert.ok(existsSync(cleaned))
    assert.ok(!existsSync(socketPath))
  } finally {
    launcher.kill('SIGKILL')
    rmSync(folder, { recursive: true })
  }
})

const sleeper = (folder: string): StartSpec => ({
  id: prefix.padEnd(64, '0'),
  podUid: 'uid',
  container: 'c',
  attempt: 0,
  argv: ['/bin/sleep', '60'],
  cwd: '/',
  env: {},
  logPath: join(folder, 'log'),
  exec: { rootfs: '/', cwd: '/', path: '', env: {}, enter: [], hasView: false },
})

/** As soon as the launcher listens. */
async function connected(path: string) {
  for (;;) {
    const socket = connect(path)
    const reached = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true))
      socket.once('error', () => resolve(false))
    })
    if (reached) return socket
    await new Promise((resolve) => setImmediate(resolve))
  }
}
