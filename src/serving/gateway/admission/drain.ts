/**
 * Who still uses a pod that is to be stopped. The kubelet's preStop waits for this (the part of Knative's
 * `/wait-for-drain`): a pod gets no new requests from the moment it is asked, and is
 * drained when the last one is done.
 */
import type { Pod } from '../pod/pod.ts'

export class Drains {
  /** By address, pods that may have requests; several when an address was used again. */
  readonly #pods = new Map<string, Set<Pod>>()
  readonly #waiting = new Map<string, (() => void)[]>()

  joined(pod: Pod): void {
    const pods = this.#pods.get(pod.address)
    if (pods) pods.add(pod)
    else this.#pods.set(pod.address, new Set([pod]))
  }

  /** A pod that is leaving has finished its last request. */
  left(pod: Pod): void {
    const { address } = pod
    const pods = this.#pods.get(address)
    if (!pods?.delete(pod)) return
    if (pods.size === 0) this.#pods.delete(address)
    if (this.#busy(address)) return
    const done = this.#waiting.get(address)
    if (!done) return
    this.#waiting.delete(address)
    for (const call of done) call()
  }

  /** Sends no more requests there; calls `done`, once, when none is in flight. */
  drain(address: string, done: () => void): void {
    for (const pod of this.#pods.get(address) ?? []) {
      pod.draining = true
      pod.leave()
      if (pod.inFlight === 0) this.left(pod)
    }
    if (!this.#busy(address)) {
      done()
      return
    }
    const waiting = this.#waiting.get(address)
    if (waiting) waiting.push(done)
    else this.#waiting.set(address, [done])
  }

  #busy(address: string): boolean {
    for (const pod of this.#pods.get(address) ?? []) if (pod.leaving) return true
    return false
  }
}
