/** At most so many at a time; the others wait in the order in which they came. */
export interface Semaphore {
  /** Runs `work` when it is its turn. A larger limit counts from the next call on. */
  run<T>(work: () => Promise<T>): Promise<T>
}

/** `limit` is asked at each turn, so that it may change. */
export function createSemaphore(limit: () => number): Semaphore {
  const waiting: (() => void)[] = []
  let running = 0
  const next = () => {
    while (running < Math.max(1, limit())) {
      const start = waiting.shift()
      if (!start) return
      running++
      start()
    }
  }
  return {
    async run(work) {
      await new Promise<void>((resolve) => {
        waiting.push(resolve)
        next()
      })
      try {
        return await work()
      } finally {
        running--
        next()
      }
    },
  }
}
