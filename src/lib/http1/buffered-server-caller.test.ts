import assert from 'node:assert/strict'
import { connect, type AddressInfo } from 'node:net'
import { test } from 'node:test'
import { SimClock } from '../../testing/sim-clock.ts'
import { bufferedServer, type BufferedAnswer } from './buffered-server.ts'

test('whoever answers late can hear that the caller has gone, and frees what it held', async () => {
  const gone: string[] = []
  const held: Disposable[] = []
  const answers: ((answer: BufferedAnswer) => void)[] = []
  const server = bufferedServer({
    clock: new SimClock(),
    maxBodyBytes: 1000,
    handle({ head, caller }) {
      if (caller) held.push(caller.onGone(() => gone.push(head.target)))
      return new Promise((resolve) => answers.push(resolve))
    },
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const until = async (condition: () => boolean) => {
    while (!condition()) await new Promise((resolve) => setImmediate(resolve))
  }
  const ask = (...targets: readonly string[]) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write(targets.map((target) => `GET ${target} HTTP/1.1\r\nHost: h\r\n\r\n`).join(''))
    return socket
  }
  try {
    const ended = ask('/answered', '/left')
    await until(() => answers.length === 2)
    answers[0]?.({ status: 204 })
    held[0]?.[Symbol.dispose]()
    // As the gateway ends a connection whose client has gone: nothing more is said, nothing is reset.
    ended.end()
    await until(() => gone.length === 1)
    assert.deepEqual(gone, ['/left'])

    const reset = ask('/reset')
    await until(() => answers.length === 3)
    reset.resetAndDestroy()
    await until(() => gone.length === 2)
    assert.deepEqual(gone, ['/left', '/reset'])
    for (const answer of answers) answer({ status: 204 })
  } finally {
    await new Promise((resolve) => server.close(resolve))
  }
  assert.equal(gone.length, 2)
})
