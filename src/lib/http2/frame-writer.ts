/**
 * Hot path. Writes the frames that a connection sends. An end of stream that follows the stream's last frame directly is a flag set
 * in that frame instead of another frame.
 */
import type { Http2Sink } from './options.ts'
import { errorName } from './error.ts'
import {
  defaultFrameBytes,
  Flag,
  frameHeaderBytes,
  FrameType,
  preface,
  writeFrameHeader,
  writeUint32,
} from './frames.ts'
import { HpackEncoder } from './hpack/encoder.ts'
import { fieldName } from './hpack/names.ts'
import { Output } from './output.ts'
import { writeSettings } from './settings.ts'
import type { OutgoingFields } from './stream.ts'

/** What a field may take beside its name and value: two lengths and an index. */
const fieldExtra = 12
const tableBytes = 4096
const methodName = fieldName(':method')
const schemeName = fieldName(':scheme')
const authorityName = fieldName(':authority')
const pathName = fieldName(':path')

export class FrameWriter {
  readonly encoder = new HpackEncoder(tableBytes)
  readonly #output = new Output()
  /** Of the last frame, if it is DATA or HEADERS and not yet with the sink: its stream (else 0), and where its flags lie. */
  #lastStream = 0
  #lastFlags = 0

  get length(): number {
    return this.#output.length
  }

  flush(sink: Http2Sink): boolean {
    this.#lastStream = 0
    return this.#output.flush(sink)
  }

  release(): void {
    this.#lastStream = 0
    this.#output.release()
  }

  preface(): void {
    const output = this.#output
    const at = output.reserve(preface.length)
    output.at = at + preface.copy(output.bytes, at)
  }

  settings(settings: readonly (readonly [number, number])[]): void {
    const at = this.#control(settings.length * 6, FrameType.settings, 0, 0)
    this.#output.at = writeSettings(this.#output.bytes, at, settings)
  }

  settingsAck(): void {
    this.#output.at = this.#control(0, FrameType.settings, Flag.ack, 0)
  }

  ping(ack: boolean, bytes: Buffer, start: number): void {
    const at = this.#control(8, FrameType.ping, ack ? Flag.ack : 0, 0)
    bytes.copy(this.#output.bytes, at, start, start + 8)
    this.#output.at = at + 8
  }

  goAway(lastStreamId: number, code: number, message: string): void {
    const text = code === 0 ? '' : `${errorName(code)}: ${message}`.slice(0, 256)
    const at = this.#control(8 + text.length, FrameType.goAway, 0, 0)
    const { bytes } = this.#output
    writeUint32(bytes, writeUint32(bytes, at, lastStreamId), code)
    this.#output.at = at + 8 + bytes.write(text, at + 8, 'latin1')
  }

  windowUpdate(streamId: number, increment: number): void {
    const at = this.#control(4, FrameType.windowUpdate, 0, streamId)
    this.#output.at = writeUint32(this.#output.bytes, at, increment)
  }

  reset(streamId: number, code: number): void {
    const at = this.#control(4, FrameType.rstStream, 0, streamId)
    this.#output.at = writeUint32(this.#output.bytes, at, code)
  }

  /** A DATA frame of `length` <= 16,384 bytes from `start`. */
  data(streamId: number, data: Buffer, start: number, length: number): void {
    const output = this.#output
    const at = output.reserve(frameHeaderBytes + length)
    const { bytes } = output
    const payload = writeFrameHeader(bytes, at, length, FrameType.data, 0, streamId)
    if (length <= 64) for (let i = 0; i < length; i++) bytes[payload + i] = data[start + i]!
    else data.copy(bytes, payload, start, start + length)
    output.at = payload + length
    this.#remember(streamId, at)
  }

  /** Ends the stream: in its last frame where that is the last written. */
  end(streamId: number): void {
    const output = this.#output
    if (this.#lastStream === streamId) {
      this.#lastStream = 0
      output.bytes[this.#lastFlags]! |= Flag.endStream
      return
    }
    this.#lastStream = 0
    const at = output.reserve(frameHeaderBytes)
    output.at = writeFrameHeader(output.bytes, at, 0, FrameType.data, Flag.endStream, streamId)
  }

  request(
    streamId: number,
    method: string,
    scheme: string,
    authority: string,
    path: string,
    fields: OutgoingFields,
    end: boolean,
  ): void {
    const pseudo = method.length + scheme.length + authority.length + path.length + 160
    const { encoder } = this
    const at = this.#output.reserve(pseudo + sizeOf(fields))
    const { bytes } = this.#output
    let to = encoder.begin(bytes, at + frameHeaderBytes)
    to = encoder.write(methodName, method, bytes, to)
    to = encoder.write(schemeName, scheme, bytes, to)
    to = encoder.write(authorityName, authority, bytes, to)
    to = encoder.write(pathName, path, bytes, to)
    this.#headers(streamId, at, this.#fields(fields, to), end)
  }

  response(streamId: number, status: number, fields: OutgoingFields, end: boolean): void {
    const { encoder } = this
    const at = this.#output.reserve(64 + sizeOf(fields))
    const { bytes } = this.#output
    let to = encoder.begin(bytes, at + frameHeaderBytes)
    to = encoder.status(status, bytes, to)
    this.#headers(streamId, at, this.#fields(fields, to), end)
  }

  trailers(streamId: number, fields: OutgoingFields): void {
    const at = this.#output.reserve(32 + sizeOf(fields))
    const to = this.encoder.begin(this.#output.bytes, at + frameHeaderBytes)
    this.#headers(streamId, at, this.#fields(fields, to), true)
  }

  #fields(fields: OutgoingFields, to: number): number {
    const { names, values } = fields
    const { encoder } = this
    const { bytes } = this.#output
    for (let i = 0; i < names.length; i++) to = encoder.field(names[i]!, values[i]!, bytes, to)
    return to
  }

  /** Puts the frame's header before the block that was written from `at + 9` to `to`. */
  #headers(streamId: number, at: number, to: number, end: boolean): void {
    const output = this.#output
    const endStream = end ? Flag.endStream : 0
    const length = to - at - frameHeaderBytes
    if (length > defaultFrameBytes) {
      this.#longHeaders(
        streamId,
        Buffer.from(output.bytes.subarray(at + frameHeaderBytes, to)),
        endStream,
      )
      return
    }
    const flags = Flag.endHeaders | endStream
    writeFrameHeader(output.bytes, at, length, FrameType.headers, flags, streamId)
    output.at = to
    this.#remember(streamId, at)
  }

  /** In as many frames as it takes. */
  #longHeaders(streamId: number, block: Buffer, endStream: number): void {
    const output = this.#output
    this.#lastStream = 0
    for (let from = 0; from < block.length; from += defaultFrameBytes) {
      const length = Math.min(defaultFrameBytes, block.length - from)
      const last = from + length === block.length ? Flag.endHeaders : 0
      const type = from === 0 ? FrameType.headers : FrameType.continuation
      const flags = from === 0 ? endStream : last
      const at = output.reserve(frameHeaderBytes + length)
      const payload = writeFrameHeader(output.bytes, at, length, type, flags, streamId)
      block.copy(output.bytes, payload, from, from + length)
      output.at = payload + length
    }
  }

  #control(length: number, type: number, flags: number, streamId: number): number {
    this.#lastStream = 0
    const at = this.#output.reserve(frameHeaderBytes + length)
    return writeFrameHeader(this.#output.bytes, at, length, type, flags, streamId)
  }

  #remember(streamId: number, at: number): void {
    this.#lastStream = streamId
    this.#lastFlags = at + 4
  }
}

function sizeOf({ names, values }: OutgoingFields): number {
  let size = 0
  for (let i = 0; i < names.length; i++) size += names[i]!.length + values[i]!.length + fieldExtra
  return size
}
