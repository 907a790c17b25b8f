/** The peer's SETTINGS (RFC 9113 6.5): what it allows us. */
import { ErrorCode, Http2Error, protocolError } from './error.ts'
import {
  defaultFrameBytes,
  defaultWindowBytes,
  maxWindowBytes,
  readUint32,
  Setting,
  writeUint32,
} from './frames.ts'

export class PeerSettings {
  headerTableBytes = 4096
  maxConcurrentStreams = Number.POSITIVE_INFINITY
  windowBytes = defaultWindowBytes

  /** Takes a payload over, `length` being a multiple of 6. Throws Http2Error. */
  apply(bytes: Buffer, start: number, length: number, peerIsServer: boolean): void {
    for (let at = start; at < start + length; at += 6) {
      const value = readUint32(bytes, at + 2)
      switch ((bytes[at]! << 8) | bytes[at + 1]!) {
        case Setting.headerTableSize:
          this.headerTableBytes = value
          break
        case Setting.enablePush:
          if (value > 1 || (peerIsServer && value === 1))
            throw protocolError(`SETTINGS_ENABLE_PUSH is ${value}`)
          break
        case Setting.maxConcurrentStreams:
          this.maxConcurrentStreams = value
          break
        case Setting.initialWindowSize:
          if (value > maxWindowBytes)
            throw new Http2Error(
              ErrorCode.flowControlError,
              `SETTINGS_INITIAL_WINDOW_SIZE is ${value}, at most ${maxWindowBytes} is allowed`,
            )
          this.windowBytes = value
          break
        case Setting.maxFrameSize:
          // Frames of the size that everyone takes are large enough for us.
          if (value < defaultFrameBytes || value > 0xff_ffff)
            throw protocolError(`SETTINGS_MAX_FRAME_SIZE is ${value}`)
          break
        default:
      }
    }
  }
}

/** Writes settings as number and value, one after the other; returns the index behind them. */
export function writeSettings(
  into: Buffer,
  at: number,
  settings: readonly (readonly [number, number])[],
): number {
  for (const [setting, value] of settings) {
    into[at] = setting >>> 8
    into[at + 1] = setting
    at = writeUint32(into, at + 2, value)
  }
  return at
}
