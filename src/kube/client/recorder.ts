/** Writes Kubernetes Events. Signature first. */
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Random } from '../../lib/random.ts'
import type { KubeObject } from '../api/meta.ts'
import type { Client } from './client.ts'

export interface RecordedEvent {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
}

export interface EventSource {
  /** `deployment-controller`, `kubelet`: source.component and reportingComponent. */
  readonly component: string
  readonly host?: string
  /** The part of the object it is about: `spec.containers{web}`. */
  readonly fieldPath?: string
}

export interface Recorder {
  /** Notes an event about an object. Never throws and never waits; written soon after. */
  event(about: KubeObject, event: RecordedEvent, source: EventSource): void
  /** Resolves when everything noted so far was written or given up. */
  flushed(): Promise<void>
}

export interface RecorderOptions {
  readonly client: Client
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export declare function createRecorder(options: RecorderOptions): Recorder
