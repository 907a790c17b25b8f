/**
 * What the gateway is told besides Ingresses and Revisions: facts that one part of the control plane keeps (merged rules
 * of shared hosts, core Services, certificates, settings). The link sends all of them to a gateway that knows nothing,
 * and each that changes.
 */
import type { ToGateway } from '../../gateway/feed.ts'

/** A message that says how something is, or that it is gone. */
export type Fact = Extract<
  ToGateway,
  {
    readonly type:
      | 'ingress'
      | 'ingress-gone'
      | 'revision'
      | 'revision-gone'
      | 'certificate'
      | 'certificate-gone'
      | 'certificate-refused'
      | 'challenge'
      | 'settings'
  }
>

export interface FeedPart {
  /** Resolves when `all` is complete. The link says nothing before: it would take from the gateway what is missing. */
  synced(): Promise<void>
  all(): Iterable<Fact>
  /** Calls `listener` with each fact that is new or other than before, and each that is gone. */
  onChange(listener: (fact: Fact) => void): Disposable
}

/** A part that is told its facts one by one. */
export interface Facts extends FeedPart {
  /** Says nothing to anyone when the fact is as before. */
  tell(fact: Fact): void
  /** To be called once everything that is known at the start has been told. */
  complete(): void
}

export function createFacts(): Facts {
  const facts = new Map<string, { readonly fact: Fact; readonly text: string }>()
  const listeners = new Set<(fact: Fact) => void>()
  const synced = Promise.withResolvers<void>()
  const announce = (fact: Fact) => {
    for (const listener of listeners) listener(fact)
  }
  return {
    synced: () => synced.promise,
    complete: () => synced.resolve(),
    *all() {
      for (const { fact } of facts.values()) yield fact
    },
    onChange(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    tell(fact) {
      // An answer to a question, which is asked again if need be.
      if (fact.type === 'certificate-refused') return announce(fact)
      const key = subjectOf(fact)
      if (isEnd(fact)) {
        if (facts.delete(key)) announce(fact)
        return
      }
      const text = JSON.stringify(fact)
      if (facts.get(key)?.text === text) return
      facts.set(key, { fact, text })
      announce(fact)
    },
  }
}

const isEnd = (fact: Fact): boolean =>
  fact.type === 'challenge' ? fact.response === null : fact.type.endsWith('-gone')

/** What a fact is about: a later fact of the same subject takes its place. */
function subjectOf(fact: Exclude<Fact, { readonly type: 'certificate-refused' }>): string {
  switch (fact.type) {
    case 'ingress':
      return `ingress ${fact.ingress.key}`
    case 'revision':
      return `revision ${fact.revision.key}`
    case 'certificate':
      return `certificate ${fact.certificate.key}`
    case 'ingress-gone':
    case 'revision-gone':
    case 'certificate-gone':
      return `${fact.type.slice(0, -'-gone'.length)} ${fact.key}`
    case 'challenge':
      return `challenge ${fact.host} ${fact.token}`
    case 'settings':
      return 'settings'
  }
}
