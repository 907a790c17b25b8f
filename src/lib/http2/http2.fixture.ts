/** What the tests of HTTP/2 stand on: connections on sockets, users that remember what they were told, frames by hand. */
import type { AddressInfo } from 'node:net'
import { createServer, connect, type Server, type Socket } from 'node:net'
import type { RequestHead, ResponseHead } from '../http1/head.ts'
import { Http2Connection } from './connection.ts'
import type { Http2Options } from './options.ts'
import { FlushBatch } from './flush-batch.ts'
import {
  frameHeaderBytes,
  preface,
  readUint24,
  readUint31,
  readUint32,
  writeFrameHeader,
} from './frames.ts'
import type { Http2Limits } from './limits.ts'
import type { HeaderFields, Http2Stream, Http2StreamUser } from './stream.ts'

/** Ties a connection to a socket, as the gateway does. */
export function onSocket(
  socket: Socket,
  options: Omit<Http2Options, 'sink' | 'nowMs'>,
): Http2Connection {
  socket.setNoDelay(true)
  const connection = new Http2Connection({
    ...options,
    nowMs: performance.now(),
    schedule: new FlushBatch().add,
    sink: { write: (bytes) => socket.write(bytes), close: () => socket.end() },
  })
  socket.on('data', (bytes) => connection.receive(bytes, performance.now()))
  socket.on('drain', () => connection.drained())
  socket.on('error', () => {})
  socket.on('close', () => connection.destroy())
  return connection
}

/** A server of ours on a port of its own. */
export async function listen(
  options: Omit<Http2Options, 'sink' | 'nowMs' | 'role'>,
): Promise<{ port: number; server: Server; connections: Http2Connection[] } & AsyncDisposable> {
  const connections: Http2Connection[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    connections.push(onSocket(socket, { ...options, role: 'server' }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: portOf(server),
    server,
    connections,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export const portOf = (server: { address(): AddressInfo | string | null }): number => {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not listening on a port')
  return address.port
}

/** A client of ours. */
export async function dial(
  port: number,
  options: Omit<Http2Options, 'sink' | 'nowMs' | 'role'> = {},
): Promise<{ connection: Http2Connection; socket: Socket } & Disposable> {
  const socket = connect({ port, host: '127.0.0.1' })
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  return {
    socket,
    connection: onSocket(socket, { ...options, role: 'client' }),
    [Symbol.dispose]() {
      socket.destroy()
    },
  }
}

/** Remembers everything and gives bytes back at once, unless told to hold them. */
export class Recorder implements Http2StreamUser {
  stream: Http2Stream | undefined
  request: RequestHead | undefined
  response: ResponseHead | undefined
  readonly interim: number[] = []
  readonly pieces: Buffer[] = []
  bytes = 0
  ended = false
  trailerFields: HeaderFields | undefined
  resetCode = -1
  error: Error | undefined
  roomy = 0
  holding = false
  readonly done: Promise<void>
  #done: () => void = () => {}

  constructor() {
    this.done = new Promise((resolve) => {
      this.#done = resolve
    })
  }

  get text(): string {
    return Buffer.concat(this.pieces).toString()
  }

  headers(head: ResponseHead, endStream: boolean): void {
    this.response = head
    if (endStream) this.#end()
  }

  informational(head: ResponseHead): void {
    this.interim.push(head.status)
  }

  data(bytes: Buffer, endStream: boolean): void {
    this.bytes += bytes.length
    this.pieces.push(Buffer.from(bytes))
    if (!this.holding) this.stream?.consumed(bytes.length)
    if (endStream) this.#end()
  }

  trailers(fields: HeaderFields): void {
    this.trailerFields = fields
    this.#end()
  }

  reset(code: number, error: Error): void {
    this.resetCode = code
    this.error = error
    this.#done()
  }

  writable(): void {
    this.roomy++
  }

  #end(): void {
    this.ended = true
    this.#done()
  }
}

/** A frame as seen on the wire. */
export interface Frame {
  readonly type: number
  readonly flags: number
  readonly id: number
  readonly payload: Buffer
}

export function frame(
  type: number,
  flags: number,
  id: number,
  payload: Buffer | string = '',
): Buffer {
  const body = typeof payload === 'string' ? Buffer.from(payload, 'hex') : payload
  const bytes = Buffer.alloc(frameHeaderBytes + body.length)
  writeFrameHeader(bytes, 0, body.length, type, flags, id)
  body.copy(bytes, frameHeaderBytes)
  return bytes
}

export function parseFrames(bytes: Buffer): Frame[] {
  const frames: Frame[] = []
  for (let at = 0; at < bytes.length;) {
    const end = at + frameHeaderBytes + readUint24(bytes, at)
    frames.push({
      type: bytes[at + 3]!,
      flags: bytes[at + 4]!,
      id: readUint31(bytes, at + 5),
      payload: bytes.subarray(at + frameHeaderBytes, end),
    })
    at = end
  }
  return frames
}

/** A connection without a socket: what it sent, whom it told. */
export class Bench {
  readonly connection: Http2Connection
  readonly users: Recorder[] = []
  readonly streams: Http2Stream[] = []
  /** What `sink.write` answers. */
  roomy = true
  sinkClosed = false
  closedWith: Error | undefined
  goneAway: number | undefined
  capacity = 0
  nowMs = 0
  #out: Buffer[] = []
  #frames: Frame[] = []
  readonly #client: boolean

  constructor(
    role: 'server' | 'client',
    limits: Partial<Http2Limits> = {},
    onStream?: (stream: Http2Stream, head: RequestHead) => void,
    schedule?: (flush: () => void) => void,
  ) {
    this.#client = role === 'client'
    this.connection = new Http2Connection({
      role,
      limits,
      nowMs: 0,
      ...(schedule && { schedule }),
      sink: {
        write: (bytes) => {
          this.#out.push(Buffer.from(bytes))
          return this.roomy
        },
        close: () => {
          this.sinkClosed = true
        },
      },
      onStream: (stream, head, endStream) => {
        const user = new Recorder()
        user.stream = stream
        user.request = head
        user.ended = endStream
        this.users.push(user)
        this.streams.push(stream)
        onStream?.(stream, head)
        return user
      },
      onGoAway: (code) => {
        this.goneAway = code
      },
      onCapacity: () => {
        this.capacity++
      },
      onClosed: (error) => {
        this.closedWith = error
      },
    })
  }

  /** The hello of the other side: preface (for a server), empty SETTINGS, and the answer to ours. */
  hello(): this {
    if (!this.#client) this.send(preface)
    this.send(frame(4, 0, 0), frame(4, 1, 0))
    return this
  }

  send(...parts: Buffer[]): this {
    for (const part of parts) this.connection.receive(part, this.nowMs)
    return this
  }

  /** How often the sink was written to since the last `frames`. */
  get writes(): number {
    return this.#out.length
  }

  /** All frames sent so far. */
  get frames(): readonly Frame[] {
    let bytes = Buffer.concat(this.#out)
    this.#out = []
    if (this.#client && this.#frames.length === 0 && bytes.length > 0)
      bytes = bytes.subarray(preface.length)
    this.#frames.push(...parseFrames(bytes))
    return this.#frames
  }

  /** The code of the GOAWAY that ended the connection, -1 = none. */
  get goAwayCode(): number {
    const last = this.frames.findLast(({ type }) => type === 7)
    return last ? readUint32(last.payload, 4) : -1
  }

  /** The code of the RST_STREAM for a stream, -1 = none. */
  resetCode(id: number): number {
    const reset = this.frames.find((one) => one.type === 3 && one.id === id)
    return reset ? readUint32(reset.payload, 0) : -1
  }
}
