/** What the gateway's tests stand on: a gateway with real sockets, apps that answer by hand, clients that read by our own parser. */
import assert from 'node:assert/strict'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { Clock } from '../../lib/clock.ts'
import { systemClock } from '../../lib/clock.ts'
import { Body, requestFraming, responseFraming } from '../../lib/http1/body.ts'
import {
  findHeadEnd,
  parseRequestHead,
  parseResponseHead,
  type RequestHead,
} from '../../lib/http1/head.ts'
import { silent } from '../../lib/log.ts'
import { seededRandom } from '../../lib/random.ts'
import type { Backend, FromGateway, Path, RevisionTarget } from './feed.ts'
import { type GatewayLimits, startGateway, type WorkerGateway } from './gateway.ts'

export interface AppRequest {
  readonly head: RequestHead
  readonly body: string
  readonly socket: Socket
  /** Which connection of the app it came on, from 0. */
  readonly connection: number
  /** Answers 200 with this text. */
  readonly answer: (body: string, lines?: string) => void
  /** Sends bytes as they are. */
  readonly raw: (bytes: string) => void
}

/** A server that hands over each whole request, or each head when `onHead` is given. */
export interface App extends AsyncDisposable {
  readonly backend: Backend
  readonly server: Server
  readonly sockets: Set<Socket>
  /** Connections that were made so far. */
  connections: number
}

export async function startApp(
  onRequest: (request: AppRequest) => unknown,
  { port = 0, bodies = true }: { port?: number; bodies?: boolean } = {},
): Promise<App> {
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (socket) => {
    const connection = app.connections++
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    let bytes = Buffer.alloc(0)
    const read = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk])
      for (;;) {
        const end = findHeadEnd(bytes, 0)
        if (end < 0) return
        const head = parseRequestHead(bytes, 0, end, 1000)
        const body = new Body(bodies ? requestFraming(head) : 'none', head.contentLength)
        let text = ''
        const stop = body.advance(
          bytes,
          end,
          (from, at, to) => (text += from.toString('latin1', at, to)),
        )
        if (!body.done) return
        bytes = bytes.subarray(stop)
        // What follows is for the test to read.
        if (!bodies) socket.off('data', read)
        onRequest({
          head,
          body: text,
          socket,
          connection,
          answer: (content, lines = '') =>
            socket.write(
              `HTTP/1.1 200 OK\r\n${lines}Content-Length: ${content.length}\r\n\r\n${content}`,
              'latin1',
            ),
          raw: (content) => socket.write(content, 'latin1'),
        })
        if (!bodies) return
      }
    }
    socket.on('data', read)
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const app: App = {
    backend: { host: '127.0.0.1', port: (server.address() as AddressInfo).port, pod: 'pod' },
    server,
    sockets,
    connections: 0,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
  return app
}

export interface Answered {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
  /** False when the connection ended before the body did. */
  readonly whole: boolean
}

/** A client's connection. */
export class Client {
  readonly socket: Socket
  #bytes = Buffer.alloc(0)
  #ended = false
  #more: () => void = () => {}
  readonly closed: Promise<void>

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk])
      this.#more()
    })
    socket.on('error', () => {})
    this.closed = new Promise((resolve) => {
      const ended = () => {
        this.#ended = true
        this.#more()
        resolve()
      }
      socket.on('end', ended)
      socket.on('close', ended)
    })
  }

  static open(port: number): Promise<Client> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, noDelay: true }, () =>
        resolve(new Client(socket)),
      )
      socket.once('error', reject)
    })
  }

  send(text: string): this {
    this.socket.write(text, 'latin1')
    return this
  }

  /** The next response to a request with this method; interim ones are left out. */
  async response(method = 'GET'): Promise<Answered> {
    for (;;) {
      const end = await this.#headEnd()
      const head = parseResponseHead(this.#bytes, 0, end, 1000)
      this.#bytes = this.#bytes.subarray(end)
      if (head.status < 200 && head.status !== 101) continue
      const body = new Body(responseFraming(head, method), head.contentLength)
      let text = ''
      while (!body.done) {
        const stop = body.advance(
          this.#bytes,
          0,
          (bytes, from, to) => (text += bytes.toString('latin1', from, to)),
        )
        this.#bytes = this.#bytes.subarray(stop)
        if (body.done || this.#ended) break
        await this.#wait()
      }
      const headers = new Map(
        head.names.map((name, i) => [name.toLowerCase(), head.values[i] ?? '']),
      )
      const whole = body.done || body.framing === 'close'
      return { status: head.status, headers, body: text, whole }
    }
  }

  /** Waits until this text has arrived, and takes everything up to its end. */
  async until(text: string): Promise<string> {
    for (;;) {
      const at = this.#bytes.indexOf(text)
      if (at >= 0) {
        const taken = this.#bytes.toString('latin1', 0, at + text.length)
        this.#bytes = this.#bytes.subarray(at + text.length)
        return taken
      }
      if (this.#ended)
        assert.fail(`ended before ${JSON.stringify(text)}: ${this.#bytes.toString()}`)
      await this.#wait()
    }
  }

  /** Everything until the other side ends. */
  async rest(): Promise<string> {
    while (!this.#ended) await this.#wait()
    return this.#bytes.toString('latin1')
  }

  async #headEnd(): Promise<number> {
    for (;;) {
      const end = findHeadEnd(this.#bytes, 0)
      if (end >= 0) return end
      if (this.#ended)
        assert.fail(`ended without a response: ${JSON.stringify(this.#bytes.toString())}`)
      await this.#wait()
    }
  }

  #wait(): Promise<void> {
    return new Promise((resolve) => (this.#more = resolve))
  }
}

/** A promise with its resolver. */
export const signal = <T = void>(): PromiseWithResolvers<T> => Promise.withResolvers<T>()

export const host = 'app.ns.example.com'
export const get = (path = '/', lines = ''): string =>
  `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${lines}\r\n`

export class Fixture {
  readonly gateway: WorkerGateway
  readonly messages: FromGateway[] = []
  #waiting: { test: (message: FromGateway) => boolean; resolve: () => void }[] = []
  #version = 0

  private constructor(gateway: WorkerGateway) {
    this.gateway = gateway
    gateway.listen((message) => {
      this.messages.push(message)
      for (const { test, resolve } of this.#waiting) if (test(message)) resolve()
    })
  }

  /** A gateway that knows one host, `host`, whose requests go to revision `ns/rev`. */
  static async start(
    options: {
      clock?: Clock
      limits?: Partial<GatewayLimits>
      revision?: Partial<RevisionTarget>
      paths?: readonly Path[]
      http?: string
      /** With a TLS listener. */
      tls?: boolean
      writeLine?: (line: string) => void
      /** The first snapshot comes by `inform`. */
      uninformed?: boolean
    } = {},
  ): Promise<Fixture> {
    const gateway = await startGateway({
      clock: options.clock ?? systemClock,
      log: silent,
      random: seededRandom(7),
      http: { host: options.http ?? '127.0.0.1', port: 0 },
      local: { host: '127.0.0.1', port: 0 },
      admin: { host: '127.0.0.1', port: 0 },
      ...(options.tls && { https: { host: '127.0.0.1', port: 0 } }),
      ...(options.limits && { limits: options.limits }),
      ...(options.writeLine && { writeLine: options.writeLine }),
    })
    const fixture = new Fixture(gateway)
    if (!options.uninformed) fixture.inform(options.revision, options.paths)
    return fixture
  }

  /** The whole snapshot. */
  inform(revision: Partial<RevisionTarget> = {}, paths?: readonly Path[]): void {
    this.gateway.receive({ type: 'reset' })
    this.gateway.receive({
      type: 'ingress',
      ingress: {
        key: 'ns/app',
        hash: 'cafe',
        rules: [
          {
            hosts: [host],
            visibility: 'ExternalIP',
            paths: paths ?? [{ splits: [{ revision: 'ns/rev', percent: 100 }] }],
          },
          {
            hosts: ['app.ns', 'app.ns.svc.cluster.local'],
            visibility: 'ClusterLocal',
            paths: [{ splits: [{ revision: 'ns/rev', percent: 100 }] }],
          },
        ],
      },
    })
    this.revision(revision)
  }

  /** Tells the gateway of a revision and syncs. */
  revision(change: Partial<RevisionTarget>): void {
    this.gateway.receive({ type: 'revision', revision: { ...revisionDefaults, ...change } })
    this.gateway.receive({ type: 'sync', version: ++this.#version })
  }

  client(): Promise<Client> {
    return Client.open(this.gateway.http.port)
  }

  /** One request on a connection of its own. */
  async request(text: string, method = 'GET'): Promise<Answered> {
    const client = await this.client()
    const response = await client.send(text).response(method)
    client.socket.destroy()
    return response
  }

  /** Resolves at the first message that passes; earlier ones count. */
  message(test: (message: FromGateway) => boolean): Promise<void> {
    if (this.messages.some(test)) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ test, resolve }))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.gateway.stop(0)
  }
}

export const revisionDefaults: RevisionTarget = {
  key: 'ns/rev',
  service: 'app',
  configuration: 'app',
  protocol: 'http1',
  containerConcurrency: 0,
  timeoutMs: 300_000,
  responseStartTimeoutMs: 0,
  idleTimeoutMs: 0,
  backends: [],
}
