/**
 * The end of a CustomResourceDefinition: its objects are deleted, their own finalizers respected, and then the finalizer
 * goes that has held it (apiextensions `controller/finalizer`).
 */
import { CustomResourceDefinition } from '../../api/custom-resource-definition.ts'
import type { KindDefinition } from '../../api/kind.ts'
import type { ApiRequest } from '../../api/protocol.ts'
import { untilAnswered } from '../verbs/awaiting.ts'
import { removeCollection } from '../verbs/delete-collection.ts'
import type { Machinery, Target } from '../machinery.ts'
import { storeKey, storePrefix } from '../registry.ts'
import { without } from '../values.ts'
import { definitionCondition } from '../../api/custom-resource-definition.ts'
import { withCondition } from './definition-status.ts'

export const cleanupFinalizer = 'customresourcecleanup.apiextensions.k8s.io'

const firstDelayMs = 1000
const maxDelayMs = 60_000

export class Cleanup implements Disposable {
  readonly #machinery: Machinery
  /** By name of the definition. */
  readonly #running = new Map<string, { cancel: () => void; again: () => void; prefix: string }>()
  readonly #subscription: Disposable

  constructor(machinery: Machinery) {
    this.#machinery = machinery
    this.#subscription = machinery.store.subscribe(({ key, type }) => {
      if (type !== 'DELETED' || this.#running.size === 0) return
      for (const { prefix, again } of this.#running.values())
        if (key.startsWith(prefix)) queueMicrotask(again)
    })
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]()
    for (const { cancel } of this.#running.values()) cancel()
    this.#running.clear()
  }

  /** `kind` is absent when the definition was never served: then it has no objects. */
  begin({ metadata }: CustomResourceDefinition, kind: KindDefinition | undefined): void {
    const { name } = metadata
    if (this.#running.has(name)) return
    if (!metadata.finalizers?.includes(cleanupFinalizer)) return
    const { clock, log, store } = this.#machinery
    let delayMs = firstDelayMs
    const entry = {
      prefix: kind ? storePrefix(kind) : '',
      cancel: () => {},
      // Objects go one by one: only the last matters.
      again: () => {
        if (this.#running.get(name) === entry && store.count(entry.prefix) === 0)
          this.#release(name)
      },
    }
    this.#running.set(name, entry)
    const work = async () => {
      try {
        this.#mark(name)
        if (kind) await this.#removeAll(kind)
        if (this.#running.get(name) === entry && (!kind || store.count(entry.prefix) === 0))
          return this.#release(name)
        delayMs = firstDelayMs
      } catch (error) {
        log.info('the objects of a custom kind could not all be deleted, trying again', {
          name,
          error,
        })
        delayMs = Math.min(delayMs * 2, maxDelayMs)
      }
      if (this.#running.get(name) === entry) entry.cancel = clock.after(delayMs, () => void work())
    }
    // After the write that began it: a definition is not deleted inside the store's own news.
    queueMicrotask(() => void work())
  }

  /** The definition is gone. */
  end(name: string): void {
    this.#running.get(name)?.cancel()
    this.#running.delete(name)
  }

  #mark(name: string): void {
    this.#change(name, (definition, nowMs) =>
      definitionCondition(definition, 'Terminating')?.status === 'True'
        ? definition
        : withCondition(
            definition,
            {
              type: 'Terminating',
              status: 'True',
              reason: 'InstanceDeletionInProgress',
              message: 'CustomResource deletion is in progress',
            },
            nowMs,
          ),
    )
  }

  #release(name: string): void {
    this.end(name)
    this.#change(name, (definition, nowMs) => {
      const done = withCondition(
        definition,
        {
          type: 'Terminating',
          status: 'False',
          reason: 'InstanceDeletionCompleted',
          message: 'removed all instances',
        },
        nowMs,
      )
      const finalizers = (done.metadata.finalizers ?? []).filter(
        (each) => each !== cleanupFinalizer,
      )
      const metadata = without(done.metadata, 'finalizers')
      return {
        ...done,
        metadata: finalizers.length > 0 ? { ...metadata, finalizers } : metadata,
      }
    })
  }

  /** One write to a definition that is being deleted; it goes when nothing holds it any more. */
  #change(
    name: string,
    change: (definition: CustomResourceDefinition, nowMs: number) => CustomResourceDefinition,
  ): void {
    const { store, clock, log } = this.#machinery
    const key = storeKey(CustomResourceDefinition, { namespace: '', name })
    const stored = store.get(key)
    if (!stored || stored.metadata.deletionTimestamp === undefined) return
    // What lies under this key is a definition.
    const definition = stored as CustomResourceDefinition
    const next = change(definition, clock.now())
    if (next === definition) return
    const expected = Number(stored.metadata.resourceVersion)
    const write = next.metadata.finalizers?.length
      ? store.put(key, next, expected)
      : store.delete(key, expected, next)
    write.durable.catch((error: unknown) => log.error('a write is not durable', { name, error }))
  }

  async #removeAll(kind: KindDefinition): Promise<void> {
    const request: ApiRequest = {
      verb: 'deletecollection',
      group: kind.group,
      version: kind.version,
      resource: kind.plural,
      options: {},
      user: {
        username: 'system:apiserver',
        groups: ['system:masters', 'system:authenticated'],
      },
      durable: false,
    }
    const memory = {}
    const target = (): Target => ({
      kind,
      version: kind.version,
      machinery: this.#machinery,
      request,
      namespace: '',
      name: '',
      subresource: '',
      warnings: [],
      warn: () => {},
      memory,
    })
    await untilAnswered(() => removeCollection(target()))
  }
}
