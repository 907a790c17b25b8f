/**
 * Hot path. The memory that a socket reads into. Reading is synchronous, so one buffer serves all sockets as long as what they say is
 * looked at at once. A socket that a large body comes through gets a buffer of its own, so that its bytes can be
 * written elsewhere as they are: it is read into again once they have all gone out, and left to the writer otherwise.
 * Node's own way, fresh memory for each read, makes the garbage collector the busiest part of a large body
 * (docs/performance.md).
 */
import { Socket, type SocketConstructorOpts } from 'node:net'

/** As much as a read brings at most. */
const readBytes = 65_536
/** The same for a body that is taken as fast as it comes. */
const swiftBytes = 4 * readBytes
/** Up to here bytes are copied as they go on: cheaper than a write that holds a buffer. */
const smallBytes = 16_384
/** So many large reads in a row that went on at once are swift; so many small ones are no large body any more. */
const swiftReads = 4
const smallReads = 16

const shared = Buffer.allocUnsafeSlow(readBytes)

export class ReadBuffer {
  /** Where reads go from the next but one on at the latest: a socket asks when it has read. */
  #bytes = shared
  /** Reads in a row: large ones that went on at once, or small ones as a negative number. */
  #run = 0
  /** For `onread` of a socket, which asks anew after each read. */
  readonly next = (): Buffer => this.#bytes

  /** True when a read may overwrite these bytes: who keeps them must copy them. */
  holds({ buffer }: Buffer): boolean {
    return buffer === shared.buffer || buffer === this.#bytes.buffer
  }

  /** Writes bytes that were read here last; they may be overwritten afterwards. False: `to` is full. */
  pass(bytes: Buffer, to: Socket): boolean {
    const own = this.#bytes
    if (bytes.length <= smallBytes) {
      if (own !== shared && --this.#run < -smallReads) this.share()
      return to.write(bytes.toString('latin1'), 'latin1')
    }
    if (own === shared || bytes.buffer !== own.buffer) {
      if (own === shared) this.#bytes = Buffer.allocUnsafeSlow(readBytes)
      return to.write(Buffer.from(bytes))
    }
    const roomy = to.write(bytes)
    this.#run = Math.max(this.#run, 0) + 1
    if (to.writableLength > 0) {
      this.#bytes = Buffer.allocUnsafeSlow(readBytes)
      this.#run = 0
    } else if (own.length < swiftBytes && this.#run >= swiftReads)
      this.#bytes = Buffer.allocUnsafeSlow(swiftBytes)
    return roomy
  }

  /** The body is through: what comes next is looked at at once. */
  share(): void {
    this.#bytes = shared
    this.#run = 0
  }
}

/** What a read has brought: the first `count` bytes of the buffer that it went to, one of `next`. */
export const bytesOf = (buffer: Uint8Array, count: number): Buffer =>
  buffer instanceof Buffer
    ? buffer.subarray(0, count)
    : Buffer.from(buffer.buffer, buffer.byteOffset, count)

/**
 * A socket that a server has accepted, reading into `reader`; `received` gets bytes that are valid during the call. Node gives
 * accepted sockets no `onread`, so a new socket takes the connection over, by members that Node does not document.
 * Undefined where these are not as expected, or the socket has read already: then `accepted` is as it was.
 */
export function readInto(
  accepted: Socket,
  reader: ReadBuffer,
  received: (bytes: Buffer) => void,
): Socket | undefined {
  const handle: unknown = Reflect.get(accepted, '_handle')
  const usable =
    accepted.constructor === Socket &&
    typeof handle === 'object' &&
    handle !== null &&
    typeof Reflect.get(handle, 'useUserBuffer') === 'function' &&
    !accepted.readableEnded &&
    accepted.bytesRead === 0
  if (!usable) return undefined
  const options: SocketConstructorOpts = {
    allowHalfOpen: true,
    onread: {
      buffer: reader.next,
      callback: (count, buffer) => {
        received(bytesOf(buffer, count))
        return true
      },
    },
  }
  Reflect.set(options, 'handle', handle)
  const socket = new Socket(options)
  if (Reflect.get(socket, '_handle') !== handle) return undefined
  // The server counts its connections, to know when all are closed.
  for (const name of ['server', '_server']) {
    Reflect.set(socket, name, Reflect.get(accepted, name))
    Reflect.set(accepted, name, null)
  }
  Reflect.set(accepted, '_handle', null)
  return socket
}
