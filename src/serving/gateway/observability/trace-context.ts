/**
 * W3C Trace Context (Level 1): which trace a request belongs to and whether it is recorded. A request that brings a
 * valid traceparent keeps its trace and its sender's decision; others begin a trace that is recorded by chance
 * (OpenTelemetry's parent-based sampler over a ratio, as Knative sets it up).
 */
import { randomFillSync } from 'node:crypto'
import type { Random } from '../../../lib/random.ts'

export interface TraceContext {
  /** 32 hex digits. */
  readonly traceId: string
  /** 16 hex digits: the sender's span; '' when the trace begins here. */
  readonly parentId: string
  readonly sampled: boolean
}

const form = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const zeros = /^0+$/

/** What a `traceparent` says; undefined when it is not one (the trace then begins anew). */
export function parseTraceparent(value: string): TraceContext | undefined {
  const match = form.exec(value)
  if (!match) return undefined
  const [, version = '', traceId = '', parentId = '', flags = '', more] = match
  // ff is forbidden; version 00 has exactly four parts, later ones may have more.
  if (version === 'ff' || (version === '00' && more !== undefined)) return undefined
  if (zeros.test(traceId) || zeros.test(parentId)) return undefined
  return { traceId, parentId, sampled: (Number.parseInt(flags, 16) & 1) === 1 }
}

/** The trace of a request: its sender's, or a new one. `samplingRate` is 0 to 1. */
export function traceOf(
  traceparent: string | undefined,
  samplingRate: number,
  random: Random,
): TraceContext {
  const given = traceparent === undefined ? undefined : parseTraceparent(traceparent)
  if (given) return given
  return { traceId: randomHex(16), parentId: '', sampled: random.next() < samplingRate }
}

export const traceparent = (traceId: string, spanId: string, sampled: boolean): string =>
  `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`

export const newSpanId = (): string => randomHex(8)

/** Asking the kernel for a few bytes at a time would cost more than the request. */
const pool = Buffer.alloc(4096)
let used = pool.length

function randomHex(bytes: number): string {
  if (used + bytes > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += bytes
  const text = pool.toString('hex', used - bytes, used)
  return zeros.test(text) ? randomHex(bytes) : text
}
