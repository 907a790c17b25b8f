/**
 * Sends spans away: gathered for a few seconds, at most so many, and dropped rather than kept when the collector is
 * slow or gone. Protocols are config-observability's `tracing-protocol`.
 */
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { exportRequest, type SpanBatch, spanLine } from './otlp.ts'
import type { Span, SpanResource } from './span.ts'

/** Where spans go, and how many traces that begin here are recorded. */
export interface TracingSettings {
  readonly protocol: 'stdout' | 'grpc' | 'http/protobuf'
  readonly endpoint: string
  /** 0 to 1. */
  readonly samplingRate: number
}

export interface SpanExporterOptions {
  readonly settings: TracingSettings
  readonly clock: Clock
  readonly log: Log
  /** Where `stdout` goes. */
  readonly write: (line: string) => void
}

/** OpenTelemetry's batch span processor: queue, batch and delay. */
const capacity = 2048
const batchSize = 512
const everyMs = 5000
const timeoutMs = 10_000
const complainEveryMs = 60_000

export class SpanExporter implements AsyncDisposable {
  readonly #options: SpanExporterOptions
  #waiting: SpanBatch[] = []
  #size = 0
  #dropped = 0
  #cancelTimer: (() => void) | undefined
  #sending: Promise<void> | undefined
  #complainedMs = Number.NEGATIVE_INFINITY

  constructor(options: SpanExporterOptions) {
    this.#options = options
  }

  add(resource: SpanResource, spans: readonly Span[]): void {
    const { settings, write, clock } = this.#options
    if (settings.protocol === 'stdout') {
      for (const span of spans) write(spanLine(resource, span))
      return
    }
    if (this.#size + spans.length > capacity) {
      this.#dropped += spans.length
      return
    }
    this.#waiting.push({ resource, spans })
    this.#size += spans.length
    if (this.#size >= batchSize) void this.flush()
    else this.#cancelTimer ??= clock.after(everyMs, () => void this.flush())
  }

  /** Sends what waits. Never rejects. */
  flush(): Promise<void> {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    this.#sending ??= this.#send().finally(() => {
      this.#sending = undefined
    })
    return this.#sending
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.flush()
  }

  async #send(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batches = byResource(this.#waiting.splice(0))
      const size = this.#size
      this.#size = 0
      try {
        await post(this.#options.settings, exportRequest(batches))
      } catch (error) {
        this.#dropped += size
        this.#complain(error)
      }
    }
    if (this.#dropped > 0) this.#complain(new Error('they came faster than they could be sent'))
  }

  #complain(error: unknown): void {
    const nowMs = this.#options.clock.monotonic()
    if (nowMs - this.#complainedMs < complainEveryMs) return
    this.#complainedMs = nowMs
    const { endpoint } = this.#options.settings
    this.#options.log.error('spans were dropped', { endpoint, error, dropped: this.#dropped })
    this.#dropped = 0
  }
}

function byResource(waiting: readonly SpanBatch[]): readonly SpanBatch[] {
  const found = new Map<string, { resource: SpanResource; spans: Span[] }>()
  for (const { resource, spans } of waiting) {
    const key = `${resource.scope} ${Object.values(resource.attributes).join(' ')}`
    const batch = found.get(key)
    if (batch) batch.spans.push(...spans)
    else found.set(key, { resource, spans: [...spans] })
  }
  return [...found.values()]
}

async function post({ protocol, endpoint }: TracingSettings, body: Buffer): Promise<void> {
  // The exporters' modules are rarely needed, so they are loaded by the first batch.
  if (protocol === 'grpc') {
    const { exportByGrpc } = await import('./span-grpc.ts')
    await exportByGrpc(endpoint, body, timeoutMs)
    return
  }
  const url = new URL(endpoint)
  const { request } =
    url.protocol === 'https:' ? await import('node:https') : await import('node:http')
  await new Promise<void>((resolve, reject) => {
    const sent = request(
      url,
      {
        method: 'POST',
        headers: { 'content-type': 'application/x-protobuf', 'content-length': body.length },
        timeout: timeoutMs,
      },
      (response) => {
        response.resume()
        response.on('end', () => {
          const { statusCode = 0 } = response
          if (statusCode >= 200 && statusCode < 300) resolve()
          else reject(new Error(`the collector answered ${statusCode}`))
        })
        response.on('error', reject)
      },
    )
    sent.on('timeout', () => sent.destroy(new Error(`no answer within ${timeoutMs} ms`)))
    sent.on('error', reject)
    sent.end(body)
  })
}
