/**
 * API priority and fairness in the small: a flood of requests of one user neither starves the others nor the process.
 * Reads and writes have seats of their own; a list takes as many as it has work. What runs in this process never comes
 * here, and what has no end is bounded by number instead.
 */
import type { Clock } from '../../../lib/clock.ts'
import type { UserInfo } from '../../api/kind.ts'
import { StatusError } from '../../api/status-error.ts'
import { FairQueue, type Leave } from './fair-queue.ts'
import type { RequestInfo } from './request-info.ts'

export interface PriorityOptions {
  readonly clock: Clock
  /** How many objects a list would go through. */
  readonly countOf: (info: RequestInfo) => number
  readonly readSeats?: number
  readonly writeSeats?: number
}

/** What of an answer is needed here (an `http.ServerResponse`). */
interface Answer {
  setHeader(name: string, value: string): unknown
  readonly req: { readonly url?: string | undefined }
}

/** All on one thread: more at a time would only make each wait for the others. */
const readSeats = 16
/** Writes wait for the disk, side by side. */
const writeSeats = 64
const objectsOfSeat = 500
const maxListSeats = 8
const lineCapacity = 512
const capacity = 2048
const patienceMs = 30_000

/** Kubernetes names the schema and the level that a request fell under by their uids. */
const levels = {
  exempt: 'exempt',
  masters: 'cluster-admins',
  accounts: 'service-accounts',
  users: 'global-default',
  nobody: 'catch-all',
} as const

const cheapPaths = /^\/(?:healthz|livez|readyz|version|metrics)(?:\/|$)/

export class Priority {
  readonly #countOf: (info: RequestInfo) => number
  readonly #reads: FairQueue
  readonly #writes: FairQueue

  constructor(options: PriorityOptions) {
    const { clock } = options
    const queue = (seats: number) =>
      new FairQueue({
        clock,
        seats,
        lineSeats: Math.max(1, Math.floor((seats * 3) / 4)),
        lineCapacity,
        capacity,
        patienceMs,
      })
    this.#countOf = options.countOf
    this.#reads = queue(options.readSeats ?? readSeats)
    this.#writes = queue(options.writeSeats ?? writeSeats)
  }

  get inFlight(): {
    readonly readOnly: number
    readonly mutating: number
    readonly waiting: number
  } {
    return {
      readOnly: this.#reads.seated,
      mutating: this.#writes.seated,
      waiting: this.#reads.waiting + this.#writes.waiting,
    }
  }

  /** Waits for a seat. Throws TooManyRequests; undefined = the client has left meanwhile. */
  async enter(
    user: UserInfo,
    agent: string,
    info: RequestInfo,
    response: Answer,
    signal: AbortSignal,
  ): Promise<Leave | undefined> {
    const level = levelOf(user, info, response)
    response.setHeader('X-Kubernetes-Pf-Flowschema-Uid', level)
    response.setHeader('X-Kubernetes-Pf-Prioritylevel-Uid', level)
    if (level === levels.exempt) return () => {}
    const queue = info.mutating ? this.#writes : this.#reads
    const entered = queue.enter(user.username, agent, this.#width(info), signal)
    const outcome = entered instanceof Promise ? await entered : entered
    if (typeof outcome === 'function') return outcome
    if (outcome === 'gone') return undefined
    throw new StatusError('TooManyRequests', 'Too many requests, please try again later.', {
      retryAfterSeconds: 1,
    })
  }

  #width(info: RequestInfo): number {
    if (info.verb !== 'list' && info.verb !== 'deletecollection') return 1
    return Math.min(1 + Math.floor(this.#countOf(info) / objectsOfSeat), maxListSeats)
  }
}

function levelOf({ groups }: UserInfo, info: RequestInfo, { req }: Answer): string {
  if (info.longRunning) return levels.exempt
  if (!info.path && cheapPaths.test(req.url ?? '')) return levels.exempt
  if (groups.includes('system:masters')) return levels.masters
  if (groups.includes('system:serviceaccounts')) return levels.accounts
  return groups.includes('system:authenticated') ? levels.users : levels.nobody
}
