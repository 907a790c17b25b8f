/** The reconcile loop. Signature first. */
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Random } from '../../lib/random.ts'
import type { KubeObject } from '../api/meta.ts'
import type { Client } from '../client/client.ts'
import type { Informers } from '../client/informer.ts'
import type { Recorder } from '../client/recorder.ts'
import type { Reconciler } from './reconciler.ts'

export interface ControllerConfig {
  /** Keys reconciled at the same time; default 16. */
  readonly concurrency?: number
  /** Keys waiting at most; default 100,000. */
  readonly capacity?: number
}

export interface ControllerDeps {
  readonly client: Client
  readonly informers: Informers
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly recorder: Recorder
  readonly config?: ControllerConfig
}

export declare function startController<T extends KubeObject, World>(
  reconciler: Reconciler<T, World>,
  deps: ControllerDeps,
): AsyncDisposable
