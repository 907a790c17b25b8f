/**
 * Hot path. Which pod gets the next request: without a limit the emptier of two at random;
 * with 1 to 3 slots a pod the first that has one free, so that few pods stay busy; from 4 on in turn.
 */
import { randomInt, type Random } from '../../../lib/random.ts'
import type { WorkerMemory } from '../workers/worker-memory.ts'

export interface Candidate {
  readonly inFlight: number
  /** False while it may not be given requests: draining, or it just refused a connection. */
  readonly usable: boolean
  /** Its place in the memory that workers share; -1 = its requests are counted here alone. */
  readonly place: number
}

/**
 * Index of the pod to use, or -1 when none has a free slot. `cursor` is where a round begins: give the index after the
 * one chosen last. With several workers `memory` knows how many requests of all of them are at a pod.
 */
export function choose(
  pods: readonly Candidate[],
  containerConcurrency: number,
  cursor: number,
  random: Random,
  memory?: WorkerMemory,
): number {
  const count = pods.length
  if (containerConcurrency === 0) return chooseOfTwo(pods, random)
  if (containerConcurrency < 4) {
    for (let i = 0; i < count; i++) if (hasSlot(pods[i]!, containerConcurrency, memory)) return i
    return -1
  }
  for (let step = 0; step < count; step++) {
    const i = (cursor + step) % count
    if (hasSlot(pods[i]!, containerConcurrency, memory)) return i
  }
  return -1
}

/** True when a pod may be given one more request. `limit`: 1 or more. */
export function hasSlot(pod: Candidate, limit: number, memory: WorkerMemory | undefined): boolean {
  if (!pod.usable) return false
  const { place } = pod
  return (memory === undefined || place < 0 ? pod.inFlight : memory.occupied(place)) < limit
}

function chooseOfTwo(pods: readonly Candidate[], random: Random): number {
  const count = pods.length
  if (count === 1) return pods[0]!.usable ? 0 : -1
  if (count === 0) return -1
  const first = randomInt(random, count)
  let second = randomInt(random, count - 1)
  if (second >= first) second++
  const a = pods[first]!
  const b = pods[second]!
  if (a.usable && b.usable) {
    if (a.inFlight === b.inFlight) return random.next() < 0.5 ? first : second
    return a.inFlight < b.inFlight ? first : second
  }
  if (a.usable) return first
  if (b.usable) return second
  for (let i = 0; i < count; i++) if (pods[i]!.usable) return i
  return -1
}
