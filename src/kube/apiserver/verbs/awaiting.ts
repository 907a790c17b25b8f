/**
 * Verbs read, decide and write in one synchronous step, so that nothing can come between. What they need from outside
 * (a webhook's answer, a library that is loaded on first use) they ask for by throwing an `Awaiting`: nothing has been
 * written then; `api-server.ts` does the work and runs the verb again, which now finds the answer.
 */
export class Awaiting {
  readonly work: () => Promise<void>

  constructor(work: () => Promise<void>) {
    this.work = work
  }
}

/** Asked for this often, a request is refused: its object changes faster than those who must be asked can answer. */
const maxRounds = 32

/** Runs `step`, which may throw `Awaiting` before it has had any effect, until it comes to an end. */
export async function untilAnswered<T>(step: () => Promise<T> | T): Promise<T> {
  for (let round = 0; ; round++) {
    try {
      return await step()
    } catch (thrown) {
      if (!(thrown instanceof Awaiting)) throw thrown
      if (round >= maxRounds)
        throw new Error('the object keeps changing while admission webhooks are asked about it')
      await thrown.work()
    }
  }
}
