/**
 * Keeps the files that a pod's containers see as they are in the API: looks again when a ConfigMap, a Secret or the pod's
 * own labels change, and when a token nears its end. What can't be brought up to date is tried again.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Pod } from '../../api/pod.ts'
import { podFolder, refreshVolumes } from '../container/container-launch.ts'
import type { ContainerDefinition } from '../container/container-state.ts'
import type { PodRecord, PodWorkerDeps } from '../pod/pod-record.ts'
import { podText } from '../pod/sync-pod.ts'
import { MountError } from './mount-error.ts'
import { isOfFiles } from './projected-files.ts'
import { showsPod } from './sources.ts'

/** Changes within this time are written together. */
const gatherMs = 50
const retryMs = 30_000
/** A token found from before a restart is asked for again soon: nobody knows when it ends. */
const adoptedMs = 2_000

export class VolumeRefresh implements Disposable {
  readonly #record: PodRecord
  readonly #deps: PodWorkerDeps
  /** Names of volumes of files that containers have mounted. */
  readonly #volumes = new Set<string>()
  #following: Disposable | undefined
  #showsPod = false
  #cancel = () => {}
  #cancelRenewal = () => {}
  #waiting = false
  #disposed = false
  #refreshing: Promise<void> = Promise.resolve()

  constructor(record: PodRecord, deps: PodWorkerDeps) {
    this.#record = record
    this.#deps = deps
  }

  /** A container runs that mounts volumes; `adopted`: it did so before this process began. */
  use({ volumeMounts = [] }: ContainerDefinition, adopted: boolean): void {
    if (volumeMounts.length === 0 || this.#disposed) return
    const { pod, uid } = this.#record
    const folder = join(podFolder(this.#deps.dataDir, uid), 'volumes')
    const before = this.#volumes.size
    for (const { name } of volumeMounts) {
      const volume = pod.spec.volumes?.find((each) => each.name === name)
      // One that the runtime does without has no folder.
      if (volume && isOfFiles(volume) && !this.#volumes.has(name) && existsSync(join(folder, name)))
        this.#volumes.add(name)
    }
    if (this.#volumes.size > before) this.#follow()
    if (this.#volumes.size === 0) return
    if (adopted) this.#soon(adoptedMs)
    else this.#renewTokens()
  }

  /** A newer version of the pod. */
  podChanged(before: Pod, now: Pod): void {
    if (!this.#showsPod) return
    const { labels, annotations } = now.metadata
    const same = (a: object = {}, b: object = {}) => JSON.stringify(a) === JSON.stringify(b)
    if (same(labels, before.metadata.labels) && same(annotations, before.metadata.annotations))
      return
    this.#soon(gatherMs)
  }

  /** Resolves when nothing is being written. */
  async settled(): Promise<void> {
    await this.#refreshing
  }

  #follow(): void {
    const { pod } = this.#record
    const volumes = (pod.spec.volumes ?? []).filter(({ name }) => this.#volumes.has(name))
    this.#showsPod = volumes.some(showsPod)
    this.#following?.[Symbol.dispose]()
    this.#following = this.#deps.volumeSources?.follow(pod.metadata.namespace ?? '', volumes, () =>
      this.#soon(gatherMs),
    )
  }

  #soon(delayMs: number): void {
    if (this.#disposed || (this.#waiting && delayMs > gatherMs)) return
    this.#cancel()
    this.#waiting = true
    this.#cancel = this.#deps.clock.after(delayMs, () => {
      this.#waiting = false
      this.#refreshing = this.#refreshing.then(() => this.#refresh())
    })
  }

  async #refresh(): Promise<void> {
    const { pod, sandbox } = this.#record
    if (!sandbox || this.#disposed || this.#record.isTerminating) return
    try {
      await refreshVolumes(pod, this.#volumes, sandbox, this.#deps)
      this.#renewTokens()
    } catch (error) {
      if (this.#disposed) return
      if (error instanceof MountError) this.#record.event('Warning', 'FailedMount', error.message)
      else
        this.#deps.log.error('volumes could not be brought up to date', {
          pod: podText(pod),
          error,
        })
      this.#soon(retryMs)
    }
  }

  #renewTokens(): void {
    const { tokens, clock } = this.#deps
    const atMs = tokens?.renewAtMs(this.#record.uid)
    this.#cancelRenewal()
    if (atMs === undefined || this.#disposed) return
    this.#cancelRenewal = clock.after(Math.max(gatherMs, atMs - clock.now()), () =>
      this.#soon(gatherMs),
    )
  }

  [Symbol.dispose](): void {
    this.#disposed = true
    this.#cancel()
    this.#cancelRenewal()
    this.#following?.[Symbol.dispose]()
  }
}
