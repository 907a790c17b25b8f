/** What a reference to a backend leads to, or why it leads nowhere. */
import type { Split } from '../../serving/gateway/feed.ts'

/** Reasons of the condition ResolvedRefs in the Gateway API. */
export interface BackendProblem {
  readonly reason: 'BackendNotFound' | 'InvalidKind' | 'RefNotPermitted' | 'UnsupportedValue'
  readonly message: string
}

export type Backend =
  | { readonly target: Pick<Split, 'revision' | 'service' | 'host'> }
  | { readonly problem: BackendProblem }

export const problem = (reason: BackendProblem['reason'], message: string): Backend => ({
  problem: { reason, message },
})
