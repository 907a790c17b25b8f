/** The tokens that the control plane has handed over, by whose they are and for whom. They are in memory and nowhere else. */
import type { Destination, SendingToken } from '../feed.ts'

/** What goes into the header; a text that says why it can not be sent, as nobody would believe it without. */
export type Authorization = { readonly header: string } | { readonly problem: string } | undefined

export class SendingTokens {
  #tokens = new Map<string, string>()

  /** From now on exactly these. */
  replace(tokens: readonly SendingToken[]): void {
    this.#tokens = new Map(
      tokens.map(({ account, audience, token }) => [`${account} ${audience}`, `Bearer ${token}`]),
    )
  }

  /** Undefined = nothing is asked for there. */
  for({ account, audience }: Destination): Authorization {
    if (account === undefined || audience === undefined) return undefined
    const header = this.#tokens.get(`${account} ${audience}`)
    return header === undefined
      ? { problem: `there is no token of ServiceAccount ${account} for ${audience} yet` }
      : { header }
  }
}
