/** How quickly programs have come up, by what they are: a probe need not look before. The quickest counts, for a machine that was busy says nothing. */

export interface StartTimes {
  /** Milliseconds from the start of a program to its first successful probe; undefined = none like it was seen. */
  quickestMs(like: string): number | undefined
  note(like: string, tookMs: number): void
}

/** Kinds of programs remembered; the oldest is forgotten. */
const maxRemembered = 1_000

export function createStartTimes(): StartTimes {
  const quickest = new Map<string, number>()
  return {
    quickestMs: (like) => quickest.get(like),
    note(like, tookMs) {
      const known = quickest.get(like)
      quickest.set(like, Math.min(known ?? tookMs, tookMs))
      if (quickest.size <= maxRemembered) return
      for (const oldest of quickest.keys()) return void quickest.delete(oldest)
    },
  }
}
