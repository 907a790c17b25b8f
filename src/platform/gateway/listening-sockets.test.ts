import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  inheritedSockets,
  socketsToPass,
} from '../../serving/gateway/handover/inherited-sockets.ts'
import { bindSockets } from './listening-sockets.ts'

const echo = `
import { createServer } from 'node:net'
createServer((socket) => socket.end(String(process.pid))).listen({ fd: 4 }, () => console.log('listening'))`

/** A process that inherited the socket, listening. */
async function serving(fd: number) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', echo], {
    stdio: ['ignore', 'pipe', 'inherit', 'ignore', fd],
  })
  await new Promise((resolve) => child.stdout!.once('data', resolve))
  return child
}

const ask = (port: number, request?: string) =>
  new Promise<string>((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port })
    if (request !== undefined) socket.write(request)
    let text = ''
    socket.on('data', (bytes: Buffer) => (text += bytes.toString()))
    socket.on('error', reject)
    socket.on('close', () => resolve(text))
  })

test('connections wait in a socket that is held while its process is replaced', async () => {
  const sockets = await bindSockets({ host: '127.0.0.1', port: 0 }, 1)
  assert.ok(sockets, 'this Node can bind without listening')
  const { port } = sockets.address
  const first = await serving(sockets.fds[0]!)
  assert.equal(await ask(port), String(first.pid))
  first.kill('SIGKILL')
  await new Promise((resolve) => first.once('exit', resolve))
  const waiting = ask(port)
  const second = await serving(sockets.fds[0]!)
  assert.equal(await waiting, String(second.pid))
  second.kill('SIGKILL')
  sockets[Symbol.dispose]()
  await new Promise((resolve) => second.once('exit', resolve))
  await assert.rejects(ask(port), { code: 'ECONNREFUSED' })
})

test('several sockets share one address; one that is taken is told by undefined', async () => {
  const sockets = await bindSockets({ host: '127.0.0.1', port: 0 }, 3)
  assert.equal(sockets?.fds.length, 3)
  const child = await serving(sockets!.fds[1]!)
  assert.equal(await ask(sockets!.address.port), String(child.pid))
  child.kill('SIGKILL')
  sockets![Symbol.dispose]()
})

test('--sockets says which descriptors a process finds', () => {
  const sockets = new Map([
    ['http', [20, 21]],
    ['local', [22]],
  ])
  assert.deepEqual(socketsToPass(sockets, 1), { text: 'http:4/5,local:6', stdio: [20, 21, 22] })
  const { text, stdio } = socketsToPass(sockets, 2)
  assert.equal(stdio.length, 15)
  assert.deepEqual(inheritedSockets(text).get('local'), [[14, 15, 16, 17, 18]])
  assert.equal(inheritedSockets('').size, 0)
  assert.throws(() => inheritedSockets('http:x'), /expected NAME:FD/)
})

/** Two workers on inherited sockets; the first dies when told to. */
const workers = (module: string, text: string): string => `
import { startWorkers, threadFor } from '${module}gateway/workers/workers.ts'
import { inheritedSockets } from '${module}gateway/handover/inherited-sockets.ts'
import { systemClock } from '${module}../lib/clock.ts'
import { silent } from '${module}../lib/log.ts'
const threads = []
const address = { host: '127.0.0.1', port: 0 }
const gateway = await startWorkers({
  clock: systemClock, log: silent, logLevel: 'error', workers: 2, local: address,
  http: { ...address, sockets: inheritedSockets('${text}').get('http') },
  thread: (data) => {
    const thread = threadFor(data)
    threads.push(thread)
    if (threads.length === 3) thread.once('message', () => console.log('again'))
    return thread
  },
})
gateway.receive({ type: 'reset' })
gateway.receive({ type: 'sync', version: 1 })
console.log('listening')
process.stdin.once('data', () => threads[0].terminate())`

test('a worker that died goes on at its very socket: no connection is lost in it', async (t) => {
  const sockets = await bindSockets({ host: '127.0.0.1', port: 0 }, 2)
  assert.ok(sockets)
  const { text, stdio } = socketsToPass(new Map([['http', sockets.fds]]), 2)
  const module = new URL('../../serving/', import.meta.url).href
  const folder = await mkdtemp(join(tmpdir(), 'ebb-workers-'))
  t.after(() => rm(folder, { recursive: true }))
  const script = join(folder, 'main.mjs')
  await writeFile(script, workers(module, text))
  const child = spawn(process.execPath, [script], {
    stdio: ['pipe', 'pipe', 'inherit', 'ignore', ...stdio],
  })
  t.after(() => child.kill('SIGKILL'))
  const said = () => new Promise((resolve) => child.stdout!.once('data', resolve))
  await said()
  child.stdin!.write('die')
  await said()
  const request = 'GET / HTTP/1.1\r\nHost: nobody\r\nConnection: close\r\n\r\n'
  const answers = await Promise.all(
    Array.from({ length: 32 }, () => ask(sockets.address.port, request)),
  )
  assert.ok(answers.every((answer) => answer.startsWith('HTTP/1.1 404')))
  sockets[Symbol.dispose]()
})
