/** Follows one container to its end: its output into its log file, and how it ended. */
import { sleep, type Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import type { ContainerExit } from '../runtime.ts'
import type { Engine, InspectedContainer } from './engine.ts'
import { EngineError } from './engine-http.ts'
import { copyOutput, missedOutput } from './log-copy.ts'

export interface FollowDeps {
  readonly engine: Engine
  readonly clock: Clock
  readonly log: Log
}

/** After its end, output may still be on its way for so long. */
const drainMs = 2_000
/** An engine that does not answer is asked again. */
const retryMs = 1_000
/** The kernel's word that memory ran out reaches the engine beside the end, and may come after it. */
const oomNews = { everyMs: 50, times: 10 }
const killed = 137

/**
 * Resolves when it has ended and its log is complete; never when `signal` aborts before. `output` = what it has been
 * attached to before its start; without it, what the engine has kept.
 */
export async function follow(
  { engine, clock, log }: FollowDeps,
  id: string,
  logPath: string,
  signal: AbortSignal,
  output?: AsyncIterable<Uint8Array>,
): Promise<ContainerExit> {
  const copying = new AbortController()
  const stop = () => copying.abort()
  signal.addEventListener('abort', stop)
  const copied = copy()
  const end = await waitForEnd()
  await Promise.race([copied, sleep(clock, drainMs, signal)])
  signal.removeEventListener('abort', stop)
  stop()
  return signal.aborted ? await new Promise(() => {}) : end

  async function copy(): Promise<void> {
    for (let next = output; !copying.signal.aborted; next = undefined) {
      try {
        await copyOutput(next ?? missedOutput(engine, id, logPath, copying.signal), logPath)
        // A connection that breaks looks like the end of the output.
        if (!(await engine.inspect(id))?.running) return
      } catch (error) {
        if (copying.signal.aborted || isGone(error)) return
        log.error('output of a container could not be copied', { id, logPath, error })
        await sleep(clock, retryMs, copying.signal)
      }
    }
  }

  async function withOomNews(first: InspectedContainer): Promise<InspectedContainer> {
    let seen = first
    for (let i = 0; i < oomNews.times; i++) {
      if (seen.exitCode !== killed || seen.oomKilled || !seen.memoryLimited || signal.aborted) break
      await sleep(clock, oomNews.everyMs, signal)
      seen = (await engine.inspect(id)) ?? seen
    }
    return seen
  }

  async function waitForEnd(): Promise<ContainerExit> {
    let code: number | undefined
    while (!signal.aborted) {
      try {
        code = await engine.wait(id, signal)
        const seen = await engine.inspect(id)
        if (!seen) break
        if (!seen.running) return exitOf(await withOomNews(seen))
      } catch (error) {
        if (isGone(error)) break
        if (!signal.aborted) log.debug('the engine does not tell of a container', { id, error })
      }
      await sleep(clock, retryMs, signal)
    }
    return {
      exitCode: code ?? 137,
      reason: code === 0 ? 'Completed' : 'Error',
      finishedAtMs: clock.now(),
    }
  }
}

const isGone = (error: unknown): boolean => error instanceof EngineError && error.status === 404

export const exitOf = ({
  exitCode,
  oomKilled,
  error,
  finishedAtMs,
}: InspectedContainer): ContainerExit => ({
  exitCode,
  reason: oomKilled ? 'OOMKilled' : exitCode === 0 ? 'Completed' : 'Error',
  ...(error !== '' && { message: error }),
  finishedAtMs,
})
