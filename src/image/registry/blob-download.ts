/**
 * Brings one blob from a registry into the content store: verified while it streams, gone on with where a connection
 * broke, tried a bounded number of times with growing pauses.
 */
import { sleep, type Clock } from '../../lib/clock.ts'
import type { ContentStore, Descriptor } from '../content-store.ts'
import { WrongContent, type Ingest } from '../ingest.ts'
import type { HttpAnswer } from './http.ts'
import { RegistryError } from './registry-error.ts'
import type { Session } from './session.ts'

export interface BlobDownloadDeps {
  readonly store: ContentStore
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** Attempts in a row that bring nothing. */
const maxFailures = 5
/** And all in all: a connection that breaks after each byte is no download. */
const maxAttempts = 50
const firstPauseMs = 500
const longestPauseMs = 10_000
const longestRetryAfterMs = 60_000

/** Pause before the next attempt, after `failures` in a row; undefined = given up. Pure. */
export function pauseAfter(error: unknown, failures: number): number | undefined {
  if (!(error instanceof RegistryError) || failures >= maxFailures) return undefined
  if (error.problem !== 'unreachable' && error.problem !== 'busy') return undefined
  const pauseMs = Math.min(firstPauseMs * 2 ** (failures - 1), longestPauseMs)
  return Math.max(pauseMs, Math.min(error.retryAfterMs ?? 0, longestRetryAfterMs))
}

/** Resolves when the blob is in the store. Rejects with RegistryError, or with the disk's error. */
export async function downloadBlob(
  session: Session,
  blob: Descriptor,
  { store, clock, signal }: BlobDownloadDeps,
): Promise<void> {
  if (await store.claim(blob.digest)) return
  const ingest = await store.ingest(blob)
  try {
    let failures = 0
    let spoilt = false
    for (let attempts = 1; ; attempts++) {
      const before = ingest.offset
      try {
        await attempt(session, blob, ingest, signal)
        return await ingest.commit()
      } catch (error) {
        if (signal.aborted) throw error
        if (error instanceof WrongContent) {
          const host = session.endpoint.host
          // What was there from before may have been damaged since: once more from the start.
          if (spoilt || before === 0)
            throw new RegistryError('invalid', `${host}: blob ${blob.digest}: ${error.message}`)
          spoilt = true
          await ingest.restart()
          continue
        }
        failures = ingest.offset > before ? 1 : failures + 1
        const pauseMs = pauseAfter(error, failures)
        if (pauseMs === undefined || attempts >= maxAttempts) throw error
        await sleep(clock, pauseMs, signal)
        if (signal.aborted) throw error
      }
    }
  } finally {
    await ingest.close()
  }
}

async function attempt(
  session: Session,
  { digest, size }: Descriptor,
  ingest: Ingest,
  signal: AbortSignal,
): Promise<void> {
  if (ingest.offset === size) return
  const answer = await session.blob(digest, ingest.offset, signal)
  try {
    if (startOf(answer) !== ingest.offset) await ingest.restart()
    const length = answer.headers['content-length']
    const left = size - ingest.offset
    if (length !== undefined && Number(length) !== left)
      throw new RegistryError(
        'invalid',
        `${answer.host} says it sends ${length} bytes of blob ${digest}; its manifest promises ${left}`,
      )
    for await (const chunk of answer.body) await ingest.write(chunk)
  } catch (error) {
    answer.discard()
    throw error
  }
  if (ingest.offset < size)
    throw new RegistryError(
      'unreachable',
      `${answer.host} ended blob ${digest} after ${ingest.offset} of ${size} bytes`,
    )
}

/** First byte of the answer's body: the range's, or 0. Throws for one that was not asked for. */
function startOf({ status, headers, host }: HttpAnswer): number {
  if (status === 200) return 0
  const match = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers['content-range'] ?? '')
  if (!match) throw new RegistryError('invalid', `${host} answered 206 without a content range`)
  return Number(match[1])
}
