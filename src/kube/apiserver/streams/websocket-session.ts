/**
 * Exec and attach over a WebSocket: messages that begin with the number of their channel. Version 5
 * can end the input; the older ones end it only with the connection. The `base64` protocols say the same in text.
 */
import { once } from 'node:events'
import { Readable, Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import type { RawData, WebSocket } from 'ws'
import type { ExecRequest } from './exec-request.ts'
import type { Session } from './session.ts'
import { sizeReader } from './terminal-size.ts'

const channel = { stdin: 0, stdout: 1, stderr: 2, status: 3, resize: 4, close: 255 } as const

/** All that are spoken, as a client may name them. Without a name it is the first version. */
export const webSocketExecProtocols: readonly string[] = [
  'v5.channel.k8s.io',
  'v4.channel.k8s.io',
  'v4.base64.channel.k8s.io',
  'v3.channel.k8s.io',
  'v3.base64.channel.k8s.io',
  'v2.channel.k8s.io',
  'v2.base64.channel.k8s.io',
  'channel.k8s.io',
  'base64.channel.k8s.io',
]

const zero = '0'.charCodeAt(0)

/** One message: its channel and its bytes; undefined for none. */
export function readMessage(
  data: Buffer,
  base64: boolean,
): { readonly channel: number; readonly bytes: Buffer } | undefined {
  const [first] = data
  if (first === undefined) return undefined
  return base64
    ? { channel: first - zero, bytes: Buffer.from(data.toString('latin1', 1), 'base64') }
    : { channel: first, bytes: data.subarray(1) }
}

export const formatMessage = (
  number: number,
  bytes: Uint8Array,
  base64: boolean,
): Buffer | string =>
  base64
    ? `${number}${Buffer.from(bytes).toString('base64')}`
    : Buffer.concat([Buffer.from([number]), bytes])

export function asBuffer(data: RawData): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data)
  return Buffer.isBuffer(data) ? data : Buffer.from(data)
}

/** The session of a WebSocket that has just been opened. */
export function webSocketSession(
  webSocket: WebSocket,
  { stdin, stdout, stderr, tty }: ExecRequest,
  protocol = 'channel.k8s.io',
): Session {
  const base64 = protocol.includes('base64')
  const canClose = protocol === 'v5.channel.k8s.io'
  const hasStatus = /^v[45]\./.test(protocol)
  const gone = new AbortController()
  const output = (number: number): Writable =>
    new Writable({
      write(chunk: Buffer, _, done) {
        if (webSocket.readyState !== webSocket.OPEN) return done(new Error('the client has left'))
        webSocket.send(formatMessage(number, chunk, base64), done)
      },
    })
  const input = stdin ? new Readable({ read: () => webSocket.resume() }) : undefined
  const sizes: ((chunk: Uint8Array) => void)[] = []
  let ended = false

  webSocket.on('message', (data) => {
    const message = readMessage(asBuffer(data), base64)
    if (!message) return
    const { bytes } = message
    switch (message.channel) {
      case channel.stdin:
        if (input && !ended && !input.destroyed && bytes.length > 0 && !input.push(bytes))
          webSocket.pause()
        return
      case channel.resize:
        for (const read of sizes) read(bytes)
        return
      case channel.close:
        if (!canClose || bytes[0] !== channel.stdin || ended) return
        ended = true
        input?.push(null)
    }
  })
  webSocket.on('error', () => {})
  webSocket.once('close', () => gone.abort())
  if (webSocket.readyState > webSocket.OPEN) gone.abort()
  // A client that leaves while nobody reads what it sent must be noticed.
  input?.once('close', () => webSocket.resume())

  const outputs = {
    ...(stdout && { stdout: output(channel.stdout) }),
    ...(stderr && { stderr: output(channel.stderr) }),
  }
  return {
    ...(input && { stdin: input }),
    ...outputs,
    tty,
    onResize: (listener) => void sizes.push(sizeReader(listener)),
    gone: gone.signal,
    async finish(status) {
      input?.destroy()
      webSocket.resume()
      await Promise.all(
        Object.values(outputs).map(async (stream) => {
          stream.end()
          await finished(stream).catch(() => {})
        }),
      )
      if (webSocket.readyState !== webSocket.OPEN) return
      const text = hasStatus ? JSON.stringify(status) : (status.message ?? '')
      if (text !== '') webSocket.send(formatMessage(channel.status, Buffer.from(text), base64))
      webSocket.close(1000)
      // Ends by itself when the client does not answer the close in half a minute.
      await once(webSocket, 'close')
    },
  }
}
