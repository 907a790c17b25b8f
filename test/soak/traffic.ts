/**
 * Traffic that accounts for every request: each carries an id that must come back, with as many bytes as were asked
 * for. What fails is kept with what is needed to explain it.
 */
import { connect, type Socket } from 'node:net'
import { Body, responseFraming } from '../../src/lib/http1/body.ts'
import { findHeadEnd, parseResponseHead, type ResponseHead } from '../../src/lib/http1/head.ts'
import { randomInt, type Random } from '../../src/lib/random.ts'

export interface Failure {
  readonly id: string
  readonly method: string
  /** Milliseconds since the start of the soak. */
  readonly sentMs: number
  readonly failedMs: number
  readonly what: string
}

export interface Account {
  sent: number
  answered: number
  /** Answers by the revision that gave them. */
  readonly byRevision: Map<string, number>
  readonly failures: Failure[]
  longestMs: number
  /** Sent anew because a connection that had rested was closed before a byte of the answer. */
  resent: number
}

export interface Wanted {
  readonly id: string
  readonly method: 'GET' | 'POST'
  readonly size: number
  readonly text: string
  readonly uploaded: number
  /** Milliseconds that the app thinks. */
  readonly wait: number
}

export interface TrafficOptions {
  readonly address: { readonly host: string; readonly port: number }
  readonly host: string
  readonly random: Random
  readonly startedMs: number
  readonly account: Account
  /** True: the worker ends after its request. */
  readonly stopped: () => boolean
  /** Milliseconds that the worker waits before its next request. */
  readonly pauseMs: () => number
}

/** One client: keeps a connection, opens another when the gateway has closed it. */
export async function client(name: string, options: TrafficOptions): Promise<void> {
  const { random } = options
  let connection: Connection | undefined
  for (let i = 0; !options.stopped(); i++) {
    const pauseMs = options.pauseMs()
    if (pauseMs > 0) {
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
      continue
    }
    const wanted = draw(`${name}-${i}`, options.host, random)
    const answered = await account(wanted, options, async () => {
      // A connection that was closed while it rested had no request on it.
      if (!connection?.usable) connection = await Connection.open(options.address)
      const { reused } = connection
      try {
        return await connection.exchange(wanted)
      } catch (error) {
        // The server may close a connection at the very moment when it is used again: then a client sends what is
        // idempotent anew, once (RFC 9112 9.3.1).
        if (!reused || connection.heard || wanted.method !== 'GET') throw error
        options.account.resent++
        connection = await Connection.open(options.address)
        return await connection.exchange(wanted)
      }
    })
    // Some clients come back on new connections.
    if (!answered || randomInt(random, 200) === 0) {
      connection?.close()
      connection = undefined
    }
  }
  connection?.close()
}

/** Carries out one request and writes down what became of it. `exchange` answers the revision that answered. */
export async function account(
  { id, method }: Wanted,
  { account, startedMs }: TrafficOptions,
  exchange: () => Promise<string>,
): Promise<boolean> {
  const sentMs = performance.now()
  account.sent++
  try {
    const revision = await exchange()
    account.answered++
    account.byRevision.set(revision, (account.byRevision.get(revision) ?? 0) + 1)
    return true
  } catch (error) {
    account.failures.push({
      id,
      method,
      sentMs: sentMs - startedMs,
      failedMs: performance.now() - startedMs,
      what: (error as Error).message,
    })
    return false
  } finally {
    account.longestMs = Math.max(account.longestMs, performance.now() - sentMs)
  }
}

export function draw(id: string, host: string, random: Random): Wanted {
  const kind = randomInt(random, 100)
  const size = kind < 80 ? randomInt(random, 200) : randomInt(random, 100_000)
  const wait = kind % 20 === 0 ? randomInt(random, 100) : 0
  const uploaded = kind % 10 === 3 ? randomInt(random, 50_000) + 1 : 0
  const method = uploaded > 0 ? 'POST' : 'GET'
  const length = uploaded > 0 ? `Content-Length: ${uploaded}\r\n` : ''
  return {
    id,
    method,
    size,
    uploaded,
    wait,
    text:
      `${method} /${id} HTTP/1.1\r\nHost: ${host}\r\nX-Id: ${id}\r\nX-Size: ${size}\r\n` +
      `X-Wait: ${wait}\r\n${length}\r\n${'x'.repeat(uploaded)}`,
  }
}

const patienceMs = 60_000

class Connection {
  readonly #socket: Socket
  #pending: Buffer = Buffer.alloc(0)
  #wake: () => void = () => {}
  #ended: Error | undefined
  /** It has carried a request before. */
  reused = false
  /** Bytes of the answer have come. */
  heard = false

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (bytes: Buffer) => {
      this.heard = true
      this.#pending = this.#pending.length > 0 ? Buffer.concat([this.#pending, bytes]) : bytes
      this.#wake()
    })
    socket.on('error', (error) => (this.#ended ??= error))
    socket.on('close', () => {
      this.#ended ??= new Error('the connection was closed')
      this.#wake()
    })
  }

  static open(address: { readonly host: string; readonly port: number }): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ ...address, noDelay: true })
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.off('error', reject)
        resolve(new Connection(socket))
      })
    })
  }

  get usable(): boolean {
    const { readableEnded, writableEnded } = this.#socket
    return this.#ended === undefined && !readableEnded && !writableEnded
  }

  close(): void {
    this.#socket.destroy()
  }

  /** Answers the revision. Throws for everything that is not the answer to this very request. */
  async exchange(wanted: Wanted): Promise<string> {
    if (this.#pending.length > 0) throw new Error('bytes came that nobody asked for')
    this.heard = false
    this.#socket.write(wanted.text, 'latin1')
    const timer = setTimeout(() => {
      this.#ended ??= new Error(`no answer within ${patienceMs} ms`)
      this.#socket.destroy()
      this.#wake()
    }, patienceMs)
    try {
      const revision = await this.#answer(wanted)
      this.reused = true
      return revision
    } finally {
      clearTimeout(timer)
    }
  }

  async #answer({ id, size, uploaded }: Wanted): Promise<string> {
    let head: ResponseHead | undefined
    let body: Body | undefined
    let payload = ''
    for (;;) {
      if (!head) {
        const end = findHeadEnd(this.#pending, 0)
        if (end >= 0) {
          head = parseResponseHead(this.#pending, 0, end, 100)
          this.#pending = this.#pending.subarray(end)
          body = new Body(responseFraming(head, 'GET'), head.contentLength)
        }
      }
      if (body) {
        const end = body.advance(this.#pending, 0, (bytes, from, to) => {
          payload += bytes.toString('latin1', from, to)
        })
        this.#pending = this.#pending.subarray(end)
      }
      if (head && body?.done) break
      if (this.#ended) throw this.#ended
      await new Promise<void>((resolve) => (this.#wake = resolve))
      this.#wake = () => {}
    }
    if (!head.keepAlive) this.#socket.end()
    const field = (name: string): string =>
      head.values[head.names.findIndex((known) => known.toLowerCase() === name)] ?? ''
    if (head.status !== 200) throw new Error(`${head.status} ${payload.slice(0, 200)}`)
    if (field('x-id') !== id) throw new Error(`the answer to ${field('x-id')} came`)
    if (field('x-received') !== String(uploaded))
      throw new Error(`${field('x-received')} of ${uploaded} bytes reached the app`)
    const expected = id.repeat(Math.ceil(size / id.length)).slice(0, size)
    if (payload !== expected)
      throw new Error(`${payload.length} bytes came, or others than ${size}`)
    return field('x-revision')
  }
}
