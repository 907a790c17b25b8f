/**
 * Slots of pods that one gateway process lends to another while it takes over from it (handover.ts), so that
 * containerConcurrency holds over both. The one that goes borrows: it tells what it holds already, gives it back as
 * requests end, and asks for a slot for each request that still comes on an old connection. The other counts what is lent
 * as its own.
 */
import type { Clock } from '../../../lib/clock.ts'
import type { Claimant, Revision } from '../admission/activator.ts'
import type { WaitQueue, Waiter } from '../admission/breaker.ts'
import type { Pod } from '../pod/pod.ts'

/** Borrower to lender. `by`: which worker of the borrower. */
export type Loan =
  | {
      readonly type: 'held' | 'gave'
      readonly by: number
      readonly revision: string
      readonly address: string
      readonly pod: string
    }
  | { readonly type: 'want'; readonly by: number; readonly revision: string }

/** Lender to borrower: a slot. */
export interface Lent {
  readonly by: number
  readonly revision: string
  readonly address: string
  readonly pod: string
}

/** How a revision borrows. */
export class Loans {
  readonly #by: number
  readonly #say: (loan: Loan) => void

  constructor(by: number, say: (loan: Loan) => void) {
    this.#by = by
    this.#say = say
  }

  held(revision: string, { address, name }: Pod): void {
    this.#say({ type: 'held', by: this.#by, revision, address, pod: name })
  }

  gave(revision: string, address: string, pod: string): void {
    this.#say({ type: 'gave', by: this.#by, revision, address, pod })
  }

  want(revision: string): void {
    this.#say({ type: 'want', by: this.#by, revision })
  }
}

/** When too many wait, a borrower's wish waits this long before it gets into the queue. */
const againMs = 50

/** Lends slots of its revisions. */
export class Lender {
  readonly #clock: Clock
  readonly #revisions: ReadonlyMap<string, Revision>
  /** What was said before the revisions were known; undefined = they are. */
  #early: Loan[] | undefined = []
  #answer: (lent: Lent) => void = () => {}
  /** Lent slots by revision, address and pod. */
  readonly #lent = new Map<string, { readonly revision: Revision; readonly pods: Pod[] }>()
  readonly #waiting = new Set<Borrower>()
  #over = false

  constructor(clock: Clock, revisions: ReadonlyMap<string, Revision>) {
    this.#clock = clock
    this.#revisions = revisions
  }

  receive(loan: Loan, answer: (lent: Lent) => void): void {
    this.#answer = answer
    if (this.#early) this.#early.push(loan)
    else this.#take(loan)
  }

  /** The revisions are known now. */
  informed(): void {
    const early = this.#early ?? []
    this.#early = undefined
    for (const loan of early) this.#take(loan)
  }

  /** The borrower is gone: everything comes back. */
  end(): void {
    this.#over = true
    this.#early = undefined
    for (const borrower of this.#waiting) borrower.queue?.remove(borrower)
    this.#waiting.clear()
    for (const { revision, pods } of this.#lent.values())
      for (const pod of pods.splice(0)) revision.release(pod)
    this.#lent.clear()
  }

  #take(loan: Loan): void {
    const revision = this.#revisions.get(loan.revision)
    switch (loan.type) {
      case 'held': {
        const pod = revision?.occupy(loan.address, loan.pod)
        if (revision && pod) this.#note(revision, pod)
        return
      }
      case 'gave': {
        const lent = this.#lent.get(`${loan.revision} ${loan.address} ${loan.pod}`)
        const pod = lent?.pods.pop()
        if (lent && pod) lent.revision.release(pod)
        return
      }
      case 'want':
        // Of a revision that is gone here the borrower hears by the feed, which goes to both.
        if (revision) this.#lendFrom(revision, loan.by)
        return
      default:
        loan satisfies never
    }
  }

  #lendFrom(revision: Revision, by: number): void {
    const borrower = new Borrower(
      (pod) => {
        this.#waiting.delete(borrower)
        this.#note(revision, pod)
        this.#answer({ by, revision: revision.target.key, address: pod.address, pod: pod.name })
      },
      () => this.#waiting.delete(borrower),
    )
    const pod = revision.acquire(borrower)
    if (pod === 'full')
      this.#clock.after(againMs, () => {
        if (!this.#over && !revision.gone) this.#lendFrom(revision, by)
      })
    else if (pod) borrower.granted(pod)
    else this.#waiting.add(borrower)
  }

  #note(revision: Revision, pod: Pod): void {
    const key = `${revision.target.key} ${pod.address} ${pod.name}`
    const known = this.#lent.get(key)
    if (known?.revision === revision) known.pods.push(pod)
    else this.#lent.set(key, { revision, pods: [...(known?.pods ?? []), pod] })
  }
}

/** Stands in line for a request of the other gateway. */
class Borrower implements Claimant {
  queue: WaitQueue | undefined
  ahead: Waiter | undefined
  behind: Waiter | undefined
  readonly granted: (pod: Pod) => void
  readonly revisionGone: () => void

  constructor(granted: (pod: Pod) => void, revisionGone: () => void) {
    this.granted = granted
    this.revisionGone = revisionGone
  }
}
