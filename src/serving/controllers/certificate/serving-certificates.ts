/**
 * The certificates that the gateway is told: the Secrets that Ingresses name, with the hosts they are named for
 * (contracts/serving 4.2 "SNI certificates"). A Secret that changes is told again; one that can't be used leaves what was
 * told before, so that a slip of a renewal takes nothing down.
 */
import { keyOf, keyText, type KubeObject, type ObjectKey } from '../../../kube/api/meta.ts'
import { Secret } from '../../../kube/api/secret.ts'
import type { Log } from '../../../lib/log.ts'
import { Ingress } from '../../api/ingress.ts'
import type { FeedSource } from '../ingress/feed-client.ts'
import { createFacts, type FeedPart } from '../ingress/feed-part.ts'
import { tlsContent } from './tls-secret.ts'

export interface ServingCertificates extends FeedPart, Disposable {}

export function servingCertificates(source: FeedSource, log: Log): ServingCertificates {
  const facts = createFacts()
  /** Secret -> Ingress -> hosts. */
  const uses = new Map<string, Map<string, readonly string[]>>()
  /** Ingress -> Secrets. */
  const secretsOf = new Map<string, readonly string[]>()

  const tell = (secretKey: string) => {
    const hosts = [...new Set([...(uses.get(secretKey)?.values() ?? [])].flat())].toSorted()
    const secret = source.read.get(Secret, objectKey(secretKey))
    if (hosts.length === 0 || !secret) {
      facts.tell({ type: 'certificate-gone', key: secretKey })
      if (hosts.length > 0)
        log.error('a Secret that TLS needs is missing', { secret: secretKey, hosts })
      return
    }
    const content = tlsContent(secret)
    if (typeof content === 'string') {
      log.error('a Secret cannot be used for TLS', { secret: secretKey, hosts, complaint: content })
      return
    }
    const { chain, privateKey } = content
    facts.tell({ type: 'certificate', certificate: { key: secretKey, hosts, chain, privateKey } })
  }

  const ingressChanged = (object: KubeObject) => {
    const key = keyOf(object)
    const name = keyText(key)
    const now = new Map<string, readonly string[]>()
    for (const { hosts = [], secretName, secretNamespace } of source.read.get(Ingress, key)?.spec
      .tls ?? []) {
      const secret = `${secretNamespace}/${secretName}`
      now.set(secret, [...(now.get(secret) ?? []), ...hosts.map((host) => host.toLowerCase())])
    }
    const before = secretsOf.get(name) ?? []
    if (now.size > 0) secretsOf.set(name, [...now.keys()])
    else secretsOf.delete(name)
    for (const secret of new Set([...before, ...now.keys()])) {
      const hosts = now.get(secret)
      const users = uses.get(secret) ?? new Map<string, readonly string[]>()
      if (hosts) users.set(name, hosts)
      else users.delete(name)
      if (users.size > 0) uses.set(secret, users)
      else uses.delete(secret)
      if (complete) tell(secret)
    }
  }

  let complete = false
  const cancels = [
    source.onChange(Ingress, ingressChanged),
    source.onChange(Secret, (object) => {
      const secret = keyText(keyOf(object))
      if (complete && uses.has(secret)) tell(secret)
    }),
  ]
  source.synced().then(
    () => {
      complete = true
      for (const secret of uses.keys()) tell(secret)
      facts.complete()
    },
    (error: unknown) => log.error('informers did not sync', { error }),
  )
  return {
    synced: () => facts.synced(),
    all: () => facts.all(),
    onChange: (listener) => facts.onChange(listener),
    [Symbol.dispose]() {
      for (const cancel of cancels) cancel()
    },
  }
}

function objectKey(text: string): ObjectKey {
  const slash = text.indexOf('/')
  return { namespace: text.slice(0, slash), name: text.slice(slash + 1) }
}
