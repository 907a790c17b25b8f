/** What one connection may cost us. Every number has a default; a gateway passes what it wants otherwise. */

export interface Http2Limits {
  /** Streams that the peer may have open at once (server); more are refused with REFUSED_STREAM. */
  readonly maxConcurrentStreams: number
  /** Of a decoded header block, counted as RFC 9113 6.5.2 does: names, values and 32 bytes a field. Beyond: 431. */
  readonly maxHeaderListBytes: number
  /** Fields of one header block. Beyond: 431. */
  readonly maxFields: number
  /** Receive window of a stream, at least 65,535: what one slow reader can make us hold. */
  readonly streamWindowBytes: number
  /**
   * Receive window of the whole connection, at least 65,535. A server's bounds what one client can make us hold. A client's (default 1 GiB)
   * must not: requests of strangers share the connection, and slow readers among them would hold up the others; there the
   * windows of the streams are the bound.
   */
  readonly connectionWindowBytes: number
  /** Bytes of one stream that wait for the peer's window, beyond what `write` was told to stop at. Beyond: the stream is reset. */
  readonly maxPendingBytes: number
  /** How long a stream may wait for window without any progress, ms. Then it is reset. 0 = for ever. */
  readonly stallMs: number
  /** How long a frame (but DATA) or a header block may take from its first byte to its last, ms. 0 = for ever. */
  readonly frameTimeoutMs: number
  /** How long the peer may take to acknowledge our SETTINGS, ms. */
  readonly settingsTimeoutMs: number
  /** A PING after this long without a byte from the peer, ms; the connection ends when nothing comes for as long again. 0 = off. */
  readonly keepAliveMs: number
  /** Streams that may be reset before their end without others ending well; see `budget.ts`. */
  readonly resetBurst: number
  /** Resets that are forgiven each second. */
  readonly resetsPerSecond: number
  /** Frames that carry nothing (PING, SETTINGS, empty DATA, PRIORITY, small WINDOW_UPDATEs…) before they are too many. */
  readonly noiseBurst: number
  readonly noisePerSecond: number
}

export const serverLimits: Http2Limits = {
  maxConcurrentStreams: 250,
  maxHeaderListBytes: 65_536,
  maxFields: 200,
  streamWindowBytes: 262_144,
  connectionWindowBytes: 4_194_304,
  maxPendingBytes: 4_194_304,
  stallMs: 300_000,
  frameTimeoutMs: 30_000,
  settingsTimeoutMs: 10_000,
  keepAliveMs: 0,
  resetBurst: 1000,
  resetsPerSecond: 50,
  noiseBurst: 2000,
  noisePerSecond: 500,
}

export const clientLimits: Http2Limits = { ...serverLimits, connectionWindowBytes: 0x4000_0000 }
