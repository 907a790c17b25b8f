/** What a reference to a backend leads to, or why it leads nowhere. */
import type { SplitTarget } from '../../serving/controllers/ingress/snapshot.ts'

/** Reasons of the condition ResolvedRefs in the Gateway API. */
export interface BackendProblem {
  readonly reason: 'BackendNotFound' | 'InvalidKind' | 'RefNotPermitted' | 'UnsupportedValue'
  readonly message: string
}

export type Backend = { readonly target: SplitTarget } | { readonly problem: BackendProblem }

export const problem = (reason: BackendProblem['reason'], message: string): Backend => ({
  problem: { reason, message },
})
