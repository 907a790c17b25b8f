/**
 * HTTP to a Docker Engine over its unix socket, a named pipe or plain TCP (Docker Engine API; Podman's service answers the
 * same). An own small client: the engine is asked for a dozen things, and the well-known library for it brings gRPC and
 * SSH along.
 */
import { Agent, request, type IncomingMessage, type RequestOptions } from 'node:http'
import { Readable, type Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Clock } from '../../../lib/clock.ts'
import { record, text } from './json.ts'

/** Where an engine listens. */
export type EngineAddress =
  | { readonly kind: 'socket'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }

/** As it stands in DOCKER_HOST. */
export const engineAddressText = (address: EngineAddress): string =>
  address.kind === 'socket' ? `unix://${address.path}` : `tcp://${address.host}:${address.port}`

/** The engine answered with an error; `status` is HTTP's, the message its own. */
export class EngineError extends Error {
  override readonly name = 'EngineError'
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

export interface Call {
  readonly method?: 'GET' | 'POST' | 'DELETE'
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  /** Sent as JSON. */
  readonly json?: unknown
  /** Sent as it is, a tar archive. */
  readonly tar?: AsyncIterable<Uint8Array>
  /** For the head of the answer; 0 = as long as it takes. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

export interface EngineHttp extends Disposable {
  /** The answer's body, to be read or destroyed. Throws EngineError for a status from 400 on. */
  stream(call: Call): Promise<IncomingMessage>
  /** The connection itself, once the engine has agreed that both sides speak freely. Throws EngineError. */
  hijack(call: Call): Promise<Duplex>
  /** The answer's JSON; undefined when there is none. Throws EngineError. */
  json(call: Call): Promise<unknown>
}

const defaultTimeoutMs = 60_000
/** No answer that is read whole is larger. */
const answerLimitBytes = 32 << 20

/** `prefix` goes before each path: `/v1.41`. */
export function engineHttp(address: EngineAddress, prefix: string, clock: Clock): EngineHttp {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 })
  const target: RequestOptions =
    address.kind === 'socket'
      ? { socketPath: address.path }
      : { host: address.host, port: address.port }

  const send = (
    call: Call,
    keep: boolean,
    onUpgrade?: (socket: Duplex) => void,
  ): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const { method = 'GET', path, query, json, tar, timeoutMs = defaultTimeoutMs } = call
      const search = query ? `?${new URLSearchParams(query).toString()}` : ''
      const body = json === undefined ? undefined : Buffer.from(JSON.stringify(json))
      const outgoing = request({
        ...target,
        method,
        path: `${prefix}${path}${search}`,
        // Long answers keep their connection to themselves.
        agent: keep ? agent : false,
        headers: {
          host: 'docker',
          ...(body && { 'content-type': 'application/json', 'content-length': body.length }),
          ...(tar && { 'content-type': 'application/x-tar', 'transfer-encoding': 'chunked' }),
          ...(!body && !tar && method !== 'GET' && { 'content-length': 0 }),
          ...(onUpgrade && { connection: 'Upgrade', upgrade: 'tcp' }),
        },
        ...(call.signal && { signal: call.signal }),
      })
      const cancel =
        timeoutMs === 0
          ? () => {}
          : clock.after(timeoutMs, () =>
              outgoing.destroy(
                new Error(
                  `the Docker engine at ${engineAddressText(address)} did not answer ${method} ${path} in ${timeoutMs / 1000} s`,
                ),
              ),
            )
      if (onUpgrade)
        outgoing.once('upgrade', (answer, socket, head) => {
          cancel()
          if (head.length > 0) socket.unshift(head)
          onUpgrade(socket)
          resolve(answer)
        })
      outgoing.once('response', (answer) => {
        cancel()
        resolve(answer)
      })
      outgoing.on('error', (error) => {
        cancel()
        reject(error)
      })
      if (tar) pipeline(Readable.from(tar), outgoing).catch(reject)
      else outgoing.end(body)
    })

  const checked = async (call: Call, keep: boolean): Promise<IncomingMessage> => {
    const answer = await send(call, keep)
    const status = answer.statusCode ?? 500
    if (status < 400) return answer
    const body = await readAll(answer)
    throw new EngineError(status, messageOf(body) || `${call.path} answered ${status}`)
  }

  return {
    stream: (call) => checked(call, false),
    async hijack(call) {
      let socket: Duplex | undefined
      const answer = await send(call, false, (taken) => (socket = taken))
      if (socket) return socket
      throw new EngineError(
        answer.statusCode ?? 500,
        messageOf(await readAll(answer)) || `${call.path} did not hand over its connection`,
      )
    },
    async json(call) {
      const body = await readAll(await checked(call, true))
      return body.trim() === '' ? undefined : (JSON.parse(body) as unknown)
    },
    [Symbol.dispose]: () => agent.destroy(),
  }
}

async function readAll(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > answerLimitBytes)
      throw new Error(`the engine's answer is larger than ${answerLimitBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function messageOf(body: string): string {
  try {
    return text(record(JSON.parse(body))['message'])
  } catch {
    return body.slice(0, 500).trim()
  }
}
