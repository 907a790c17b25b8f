/**
 * A SPDY/3.1 connection over any Duplex, as Kubernetes' clients speak it for exec, attach and port-forward: streams both
 * ways, pings echoed, an orderly end. Written for hostile peers: what breaks the protocol or a limit closes the
 * connection, and nothing is kept for which the peer does not have to wait.
 */
import type { Duplex } from 'node:stream'
import {
  dataHead,
  frameType,
  goAway,
  headBytes,
  ping,
  readHead,
  resetStatus,
  rstStream,
  synReply,
  synStream,
  type FrameHead,
} from './frames.ts'
import { HeaderReader, HeaderWriter, type SpdyHeaders } from './header-block.ts'
import { SpdyStream, type StreamOwner } from './stream.ts'

export interface SpdyOptions {
  /** Servers accept streams with odd numbers, clients open them. */
  readonly side: 'server' | 'client'
  /** A stream that the other side has opened; it waits for `reply`. */
  readonly onStream?: (stream: SpdyStream) => void
  /** Open at a time; more are refused. */
  readonly maxStreams?: number
}

/** Most of a control frame is its header block. */
const maxControlBytes = 64 << 10
const maxDataBytes = 64 << 10
/** Answers that the peer does not take are not piled up further than this. */
const maxUnsentBytes = 1 << 20
const defaultMaxStreams = 2_000

export class SpdyConnection {
  /** Resolves when the transport has closed, whyever. */
  readonly closed: Promise<void>
  readonly #transport: Duplex
  readonly #options: SpdyOptions
  readonly #streams = new Map<number, SpdyStream>()
  readonly #owner: StreamOwner
  readonly #writer = new HeaderWriter()
  readonly #reader = new HeaderReader()
  #head = Buffer.alloc(headBytes)
  #headSize = 0
  #frame: FrameHead | undefined
  #left = 0
  #payload: Buffer[] = []
  #lastOfPeer = 0
  #nextId = 1
  #ending = false

  constructor(transport: Duplex, options: SpdyOptions) {
    this.#transport = transport
    this.#options = options
    this.#owner = {
      send: (id, chunk, fin, done) => this.#send(id, chunk, fin, done),
      reply: (id, headers) => this.#write(synReply(id, this.#writer.write(headers))),
      gone: (id, cancel) => {
        if (this.#streams.delete(id) && cancel && !this.#ending)
          this.#write(rstStream(id, resetStatus.cancel))
      },
    }
    this.closed = new Promise((resolve) => {
      const close = () => {
        this.#end()
        resolve()
      }
      if (transport.destroyed) close()
      else transport.once('close', close)
    })
    transport.on('error', () => transport.destroy())
    transport.on('end', () => {
      this.#end()
      transport.end()
    })
    transport.on('data', (chunk: Buffer) => {
      try {
        const wait = this.#take(chunk)
        if (!wait) return
        transport.pause()
        wait.then(
          () => transport.resume(),
          () => this.destroy(),
        )
      } catch {
        this.destroy()
      }
    })
  }

  /** Streams that are open now. */
  get streams(): number {
    return this.#streams.size
  }

  /** Opens a stream; `fin`: nothing will be written to it. For clients. */
  open(headers: SpdyHeaders, { fin = false } = {}): SpdyStream {
    const id = this.#nextId
    this.#nextId += 2
    const stream = new SpdyStream(id, headers, this.#owner)
    this.#streams.set(id, stream)
    this.#write(synStream(id, this.#writer.write(headers), fin))
    return stream
  }

  ping(id: number): void {
    this.#write(ping(id))
  }

  /** Says that it is over and sends what is still to be sent; what comes meanwhile is thrown away. */
  close(): void {
    if (this.#ending) return
    this.#write(goAway(this.#lastOfPeer))
    this.#ending = true
    this.#transport.end()
    for (const stream of this.#streams.values()) stream.destroy()
  }

  /** Ends at once. */
  destroy(): void {
    this.#end()
    this.#transport.destroy()
  }

  #end(): void {
    this.#ending = true
    for (const stream of this.#streams.values()) stream.receiveReset(0)
    this.#streams.clear()
    this.#reader.close()
  }

  #write(bytes: Buffer): void {
    if (this.#transport.writable) this.#transport.write(bytes)
  }

  #send(id: number, chunk: Buffer, fin: boolean, done: (error?: Error | null) => void): void {
    const transport = this.#transport
    if (!transport.writable) return done(new Error('the connection has ended'))
    transport.cork()
    let at = 0
    do {
      const part = chunk.subarray(at, at + maxDataBytes)
      at += maxDataBytes
      const last = at >= chunk.length
      const head = dataHead(id, part.length, fin && last)
      if (part.length === 0) transport.write(head, done)
      else {
        transport.write(head)
        transport.write(part, last ? done : undefined)
      }
    } while (at < chunk.length)
    transport.uncork()
  }

  /** Reads what has come. Resolves when more may come; undefined = at once. Throws for what is no SPDY. */
  #take(chunk: Buffer): Promise<void> | undefined {
    let at = 0
    while (at < chunk.length || this.#isComplete()) {
      if (!this.#frame) {
        const part = chunk.subarray(at, at + headBytes - this.#headSize)
        part.copy(this.#head, this.#headSize)
        this.#headSize += part.length
        at += part.length
        if (this.#headSize < headBytes) return undefined
        this.#headSize = 0
        this.#begin(readHead(this.#head))
        continue
      }
      const part = chunk.subarray(at, at + this.#left)
      at += part.length
      this.#left -= part.length
      const wait = this.#payloadPart(this.#frame, part)
      if (wait) {
        const rest = chunk.subarray(at)
        return wait.then(() => this.#take(rest))
      }
    }
    return undefined
  }

  #isComplete(): boolean {
    return this.#frame !== undefined && this.#left === 0
  }

  #begin(frame: FrameHead): void {
    if (frame.kind === 'control') {
      if (frame.version !== 3) throw new Error(`SPDY version ${frame.version}; expected 3`)
      if (frame.size > maxControlBytes)
        throw new Error(`a control frame of ${frame.size} bytes; at most ${maxControlBytes}`)
    }
    this.#frame = frame
    this.#left = frame.size
  }

  #payloadPart(frame: FrameHead, part: Buffer): Promise<void> | undefined {
    const isLast = this.#left === 0
    if (isLast) this.#frame = undefined
    if (frame.kind === 'data') {
      const stream = this.#streams.get(frame.streamId)
      if (!stream && frame.streamId > Math.max(this.#lastOfPeer, this.#nextId - 1))
        throw new Error(`data for stream ${frame.streamId}, which was never opened`)
      const wait = part.length > 0 ? stream?.receive(part) : undefined
      if (isLast && frame.fin) stream?.receiveEnd()
      return wait
    }
    this.#payload.push(part)
    if (!isLast) return undefined
    const payload = Buffer.concat(this.#payload)
    this.#payload = []
    return this.#control(frame, payload) ?? this.#unsent()
  }

  /** A peer that asks but does not read the answers waits until it has. */
  #unsent(): Promise<void> | undefined {
    const transport = this.#transport
    if (transport.writableLength < maxUnsentBytes) return undefined
    return new Promise((resolve) => {
      const go = () => {
        transport.off('drain', go).off('close', go)
        resolve()
      }
      transport.on('drain', go).on('close', go)
    })
  }

  #control(
    { type, fin }: FrameHead & { readonly kind: 'control' },
    payload: Buffer,
  ): Promise<void> | undefined {
    const id = payload.length >= 4 ? payload.readUInt32BE(0) & 0x7fff_ffff : undefined
    const least = leastBytes[type] ?? 0
    if (payload.length < least || (least > 0 && id === undefined))
      throw new Error(`a frame of type ${type} with only ${payload.length} bytes`)
    switch (type) {
      case frameType.synStream:
        return this.#opened(id ?? 0, fin, payload.subarray(10))
      case frameType.synReply:
        return this.#reader.read(payload.subarray(4)).then(() => {
          this.#streams.get(id ?? 0)?.wasAccepted()
          if (fin) this.#streams.get(id ?? 0)?.receiveEnd()
        })
      case frameType.headers:
        return this.#reader.read(payload.subarray(4)).then(() => {
          if (fin) this.#streams.get(id ?? 0)?.receiveEnd()
        })
      case frameType.rstStream: {
        const stream = this.#streams.get(id ?? 0)
        stream?.receiveReset(payload.readUInt32BE(4))
        return undefined
      }
      case frameType.ping: {
        const own = (payload.readUInt32BE(0) & 1) === (this.#options.side === 'client' ? 1 : 0)
        if (!own) this.#write(ping(payload.readUInt32BE(0)))
        return undefined
      }
      default: // settings, windows and the announcement of an end: nothing follows from them here
        return undefined
    }
  }

  async #opened(id: number, fin: boolean, block: Buffer): Promise<void> {
    const headers = await this.#reader.read(block)
    const isTheirs = id % 2 === (this.#options.side === 'server' ? 1 : 0)
    if (!isTheirs || id <= this.#lastOfPeer) throw new Error(`stream ${id} can not be opened`)
    this.#lastOfPeer = id
    const { onStream, maxStreams = defaultMaxStreams } = this.#options
    if (this.#ending) return
    if (!onStream || this.#streams.size >= maxStreams)
      return this.#write(rstStream(id, resetStatus.refusedStream))
    const stream = new SpdyStream(id, headers, this.#owner)
    this.#streams.set(id, stream)
    if (fin) stream.receiveEnd()
    onStream(stream)
  }
}

const leastBytes: Readonly<Record<number, number>> = {
  [frameType.synStream]: 10,
  [frameType.synReply]: 4,
  [frameType.rstStream]: 8,
  [frameType.ping]: 4,
  [frameType.goAway]: 4,
  [frameType.headers]: 4,
}
