/**
 * Controllers that start with the first object that concerns them: a platform without any pays a look at its cache, and
 * loads none of their code.
 */
import type { Kind } from '../api/kind.ts'
import type { KubeObject } from '../api/meta.ts'
import type { ControllerDeps } from './loop.ts'

interface Cause {
  readonly kind: Kind
  /** Whether this object is one that they are for; default: any. */
  readonly when?: (object: KubeObject) => boolean
}

/** Calls `start` once, when there is an object of one of the `causes`. */
export function lazily(
  causes: readonly Cause[],
  { informers, log }: ControllerDeps,
  start: () => Promise<AsyncDisposable>,
): AsyncDisposable {
  const subscriptions = new DisposableStack()
  let started: Promise<AsyncDisposable | undefined> | undefined
  let stopped = false

  const begin = () => {
    if (started || stopped) return
    // Not in the middle of the cache's own round.
    started = Promise.resolve()
      .then(() => {
        subscriptions.dispose()
        return stopped ? undefined : start()
      })
      .catch((error: unknown) => {
        log.error('controllers could not be started', { kind: causes[0]?.kind.kind, error })
        return undefined
      })
  }
  for (const { kind, when = () => true } of causes)
    subscriptions.use(
      informers.for(kind).subscribe((type, object) => {
        if (type !== 'DELETED' && when(object)) begin()
      }),
    )

  return {
    async [Symbol.asyncDispose]() {
      stopped = true
      subscriptions.dispose()
      await (await started)?.[Symbol.asyncDispose]()
    },
  }
}
