import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { createConnection, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { InUse, owner, requestStop, takeControl } from './control-socket.ts'

async function inTempDir(body: (path: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'ebb-control-'))
  try {
    await body(join(dir, 'control.sock'))
  } finally {
    await rm(dir, { recursive: true })
  }
}

test('a second control plane on the same directory is refused, naming the first', () =>
  inTempDir(async (path) => {
    await using first = await takeControl(path, () => {})
    assert.equal(await owner(first.path), process.pid)
    await assert.rejects(
      takeControl(path, () => {}),
      (error) => error instanceof InUse && error.message.includes(String(process.pid)),
    )
  }))

test('a socket file left by a killed process is taken over', () =>
  inTempDir(async (path) => {
    const server = createServer().listen(path)
    await new Promise((resolve) => server.once('listening', resolve))
    // What kill -9 leaves: the file stays, nobody listens.
    await new Promise((resolve) => server.close(resolve))
    await takeControl(path, () => {}).then((control) => control[Symbol.asyncDispose]())
    assert.equal(await owner(path), undefined)
  }))

test('a request to stop waits until the control plane has ended', () =>
  inTempDir(async (path) => {
    let stopped = false
    const control = await takeControl(path, () => {
      setImmediate(() => {
        stopped = true
        void control[Symbol.asyncDispose]()
      })
    })
    assert.equal(await requestStop(path), process.pid)
    assert.equal(stopped, true)
    assert.equal(await requestStop(path), undefined)
  }))

test('what is not a request gets an answer and does no harm', () =>
  inTempDir(async (path) => {
    await using control = await takeControl(path, () => assert.fail('must not stop'))
    const answer = await new Promise<string>((resolve) => {
      const socket = createConnection(control.path, () => socket.write('rubbish\n'))
      socket.on('data', (chunk) => resolve(chunk.toString()))
    })
    assert.match(answer, /expected/)
  }))
