/**
 * Port-forward over plain WebSocket channels, as @kubernetes/client-node speaks it: the ports stand
 * in the query; of the i-th, channel 2i carries bytes and 2i+1 what went wrong. Each begins with the port, two bytes, low
 * byte first.
 */
import { finished, type Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { badRequest } from '../../api/status-error.ts'
import { portForwardError, portOf, type PortForwardDeps } from './port-forward.ts'
import { asBuffer, formatMessage, readMessage } from './websocket-session.ts'

/** Channels are numbered in a byte, and 255 means something else. */
const maxPorts = 64
const closeChannel = 255

/** The ports of a query, `ports=80&ports=81` or `ports=80,81`. Throws BadRequest. */
export function portsOf(query: URLSearchParams): readonly number[] {
  const texts = query.getAll('ports').flatMap((each) => each.split(','))
  if (texts.length === 0 || texts.length > maxPorts)
    throw badRequest(`query parameter "ports" must name 1 to ${maxPorts} ports`)
  return texts.map((text) => {
    const port = portOf(text)
    if (port === undefined) throw badRequest(`unable to parse ${JSON.stringify(text)} as a port`)
    return port
  })
}

/** Serves until the connection has closed. */
export async function serveWebSocketPortForward(
  webSocket: WebSocket,
  ports: readonly number[],
  protocol: string,
  { dial, podText }: PortForwardDeps,
): Promise<void> {
  const base64 = protocol.includes('base64')
  const closed = new Promise<void>((resolve) => webSocket.once('close', () => resolve()))
  webSocket.on('error', () => {})
  const send = (channel: number, bytes: Uint8Array, done: (error?: Error) => void = () => {}) => {
    if (webSocket.readyState === webSocket.OPEN)
      webSocket.send(formatMessage(channel, bytes, base64), done)
    else done(new Error('the client has left'))
  }
  let open = ports.length
  /** When the last connection has ended there is nothing left to forward. */
  const ended = (): void => {
    if (--open === 0) webSocket.close(1000)
  }
  const pods = ports.map(async (port, i): Promise<Duplex | undefined> => {
    const number = Buffer.from([port & 0xff, port >> 8])
    send(2 * i, number)
    send(2 * i + 1, number)
    try {
      const pod = await dial(port)
      pod.on('error', () => {})
      pod.on('data', (chunk: Buffer) => {
        pod.pause()
        send(2 * i, chunk, () => pod.resume())
      })
      finished(pod, { writable: false }, ended)
      return pod
    } catch (thrown) {
      send(2 * i + 1, Buffer.from(portForwardError(port, podText, thrown)))
      ended()
      return undefined
    }
  })
  // Messages stay in order: nothing is read before every port is connected.
  webSocket.pause()
  const connected = await Promise.all(pods)
  webSocket.on('message', (data) => {
    const message = readMessage(asBuffer(data), base64)
    if (!message) return
    if (message.channel === closeChannel)
      return void connected[(message.bytes[0] ?? closeChannel) / 2]?.end()
    const pod = connected[message.channel / 2]
    if (!pod?.writable || pod.write(message.bytes)) return
    webSocket.pause()
    const go = (): void => {
      pod.off('drain', go).off('close', go)
      webSocket.resume()
    }
    pod.on('drain', go).on('close', go)
  })
  webSocket.resume()
  await closed
  for (const pod of connected) pod?.destroy()
}
