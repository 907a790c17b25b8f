/** Is the peer there and does it keep up? Unanswered SETTINGS and PINGs, silence, frames that never end. */
import { ErrorCode, Http2Error } from './error.ts'
import type { FrameReader } from './frame-reader.ts'
import type { FrameWriter } from './frame-writer.ts'
import type { Http2Limits } from './limits.ts'

const maxPings = 8
/** The first byte of our own pings. */
const pingMark = 0x65
const pingBytes = Buffer.from([pingMark, 0x62, 0x62, 0, 0, 0, 0, 0])

export class Liveness {
  /** When bytes came last. */
  heardMs: number
  settingsAcked = false
  readonly #limits: Http2Limits
  readonly #writer: FrameWriter
  readonly #settingsSentMs: number
  /** Since when the reader is inside the frame after this many others, as far as checks saw. */
  #midwaySinceMs = -1
  #midwayAfter = 0
  #pongs: (() => void)[] = []
  #pings = 0

  constructor(limits: Http2Limits, writer: FrameWriter, nowMs: number) {
    this.#limits = limits
    this.#writer = writer
    this.heardMs = nowMs
    this.#settingsSentMs = nowMs
  }

  /** Sends a PING. False: too many are on the way. */
  ping(pong: () => void): boolean {
    if (this.#pongs.length >= maxPings) return false
    pingBytes.writeUInt32BE(this.#pings++ >>> 0, 4)
    this.#writer.ping(false, pingBytes, 0)
    this.#pongs.push(pong)
    return true
  }

  /** An answer to a PING has come; of ours or not. */
  pong(bytes: Buffer, start: number): void {
    if (bytes[start] === pingMark) this.#pongs.shift()?.()
  }

  /** Why the connection must end now, if it must. Sends a PING after too long a silence. */
  check(nowMs: number, reader: FrameReader): Error | undefined {
    const { settingsTimeoutMs, frameTimeoutMs, keepAliveMs } = this.#limits
    if (!this.settingsAcked && nowMs - this.#settingsSentMs > settingsTimeoutMs)
      return new Http2Error(
        ErrorCode.settingsTimeout,
        `SETTINGS were not acknowledged within ${settingsTimeoutMs} ms`,
      )
    if (this.#midwayMs(nowMs, reader) > frameTimeoutMs && frameTimeoutMs > 0)
      return new Http2Error(
        ErrorCode.enhanceYourCalm,
        `a frame or header block was not finished within ${frameTimeoutMs} ms`,
      )
    if (keepAliveMs === 0) return undefined
    const silentMs = nowMs - this.heardMs
    if (silentMs > 2 * keepAliveMs)
      return new Error(`nothing was heard of the peer for ${2 * keepAliveMs} ms`)
    if (silentMs > keepAliveMs && this.#pongs.length === 0) this.ping(() => {})
    return undefined
  }

  /** How long the reader has been inside one frame. */
  #midwayMs(nowMs: number, reader: FrameReader): number {
    if (!reader.midway) this.#midwaySinceMs = -1
    else if (this.#midwaySinceMs < 0 || this.#midwayAfter !== reader.completed) {
      this.#midwaySinceMs = nowMs
      this.#midwayAfter = reader.completed
    } else return nowMs - this.#midwaySinceMs
    return 0
  }
}
