/** Chance as an argument: a seed reproduces a run. */
export interface Random {
  /** A number in [0, 1). */
  next(): number
}

/** The machine's own randomness. */
export const systemRandom: Random = { next: () => Math.random() }

/** A small seeded generator (mulberry32): same seed, same numbers. Not for secrets. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  return {
    next() {
      state = (state + 0x6d2b79f5) >>> 0
      let t = state
      t = Math.imul(t ^ (t >>> 15), t | 1)
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
      return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
    },
  }
}

/** A whole number in [0, below). */
export const randomInt = (random: Random, below: number): number =>
  Math.floor(random.next() * below)

/** Kubernetes' alphabet for generated names: no vowels, no easily confused digits (apimachinery `util/rand`). */
const nameLetters = 'bcdfghjklmnpqrstvwxz2456789'

/** `length` random letters as Kubernetes uses in `generateName` and ReplicaSet pods. */
export function randomName(random: Random, length = 5): string {
  let name = ''
  for (let i = 0; i < length; i++) name += nameLetters[randomInt(random, nameLetters.length)]
  return name
}
