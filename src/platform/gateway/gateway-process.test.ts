import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { silent } from '../../lib/log.ts'
import { settle, SimClock } from '../../testing/sim-clock.ts'
import { ensureGatewayProcess, stopGateway } from './gateway-process.ts'
import { isFree } from '../free-address.ts'

test('a gateway whose successor never serves is stopped, and another is started', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ebb-gateway-'))
  const socketPath = join(folder, 'gateway.sock')
  const http = { host: '127.0.0.1', port: 18_080 + (process.pid % 1000) }
  assert.ok(await isFree(http))
  const told: string[] = []
  // Keeps the connection on which it was told to hand over, and goes on as before.
  const open = new Set<Socket>()
  const deaf = createServer((socket) => {
    open.add(socket)
    socket.on('error', () => {})
    socket.write(
      `${JSON.stringify({ type: 'hello', pid: process.pid, http, local: http, command: '--old', handover: true })}\n`,
    )
    socket.on('data', (bytes: Buffer) => {
      const { type } = JSON.parse(bytes.toString()) as { readonly type: string }
      told.push(type)
      if (type !== 'stop') return
      deaf.close()
      for (const each of open) each.destroy()
    })
  })
  deaf.listen(socketPath)
  await once(deaf, 'listening')
  const clock = new SimClock()
  let child: Awaited<ReturnType<typeof ensureGatewayProcess>>
  let done = false
  const ensured = ensureGatewayProcess({
    socketPath,
    logPath: join(folder, 'gateway.log'),
    programDir: join(folder, 'bin'),
    http,
    https: undefined,
    admin: undefined,
    clock,
    log: silent,
  }).then((started) => {
    child = started
    done = true
  })
  while (!done) {
    await clock.advance(1000)
    await settle()
  }
  await ensured
  assert.deepEqual(told, ['handover', 'stop'])
  assert.ok(child, 'another was started')
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
  await stopGateway(socketPath, 0)
  await rm(folder, { recursive: true, force: true })
})
