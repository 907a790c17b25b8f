/** A step of a trace as OpenTelemetry knows it, and whose it is. */
export interface Span {
  /** 32 hexadecimal digits. */
  readonly traceId: string
  /** 16 hexadecimal digits. */
  readonly spanId: string
  /** '' = the root. */
  readonly parentId: string
  readonly name: string
  readonly kind: 'server' | 'internal' | 'client' | 'producer' | 'consumer'
  /** Unix milliseconds with fraction. */
  readonly startMs: number
  readonly endMs: number
  readonly attributes: Readonly<Record<string, string | number | boolean>>
  /** Says why, for spans that failed. */
  readonly error?: string
}

/** Whose spans they are. */
export interface SpanResource {
  /** Which part of Ebb tells: `ebb/gateway`. */
  readonly scope: string
  /** By OpenTelemetry's names: `service.name` … */
  readonly attributes: Readonly<Record<string, string>>
}
