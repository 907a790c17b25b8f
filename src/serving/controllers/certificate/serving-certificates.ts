/**
 * The certificates that the gateway is told: the Secrets that Ingresses (and others) name, with the hosts they are named for.
 * A Secret that changes is told again; one that can't be used leaves what was
 * told before, so that a slip of a renewal takes nothing down.
 */
import { keyOf, keyText, type KubeObject, type ObjectKey } from '../../../kube/api/meta.ts'
import { Secret } from '../../../kube/api/secret.ts'
import type { Log } from '../../../lib/log.ts'
import { Ingress } from '../../api/ingress.ts'
import { gatewayPrefix } from '../../gateway/tls/certificate-store.ts'
import type { FeedSource } from '../ingress/feed-client.ts'
import { createFacts, type FeedPart } from '../ingress/feed-part.ts'
import { tlsContent } from './tls-secret.ts'

export interface ServingCertificates extends FeedPart, Disposable {
  /**
   * From now on `user`, any text, needs these: Secret, `namespace/name` -> hosts. Certificates of the hosts' Ingresses go
   * before.
   */
  name(user: string, wanted: ReadonlyMap<string, readonly string[]>): void
}

export function servingCertificates(source: FeedSource, log: Log): ServingCertificates {
  const facts = createFacts()
  /** Secret, as the gateway is told it -> user -> hosts. */
  const uses = new Map<string, Map<string, readonly string[]>>()
  /** User -> Secrets. */
  const secretsOf = new Map<string, readonly string[]>()

  const tell = (toldKey: string) => {
    const hosts = [...new Set([...(uses.get(toldKey)?.values() ?? [])].flat())].toSorted()
    const secretKey = toldKey.startsWith(gatewayPrefix)
      ? toldKey.slice(gatewayPrefix.length)
      : toldKey
    const secret = source.read.get(Secret, objectKey(secretKey))
    if (hosts.length === 0 || !secret) {
      facts.tell({ type: 'certificate-gone', key: toldKey })
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
    facts.tell({ type: 'certificate', certificate: { key: toldKey, hosts, chain, privateKey } })
  }

  const ingressChanged = (object: KubeObject) => {
    const key = keyOf(object)
    const now = new Map<string, readonly string[]>()
    for (const { hosts = [], secretName, secretNamespace } of source.read.get(Ingress, key)?.spec
      .tls ?? []) {
      const secret = `${secretNamespace}/${secretName}`
      now.set(secret, [...(now.get(secret) ?? []), ...hosts.map((host) => host.toLowerCase())])
    }
    use(`${Ingress.kind} ${keyText(key)}`, now)
  }

  const use: ServingCertificates['name'] = (user, now) => {
    const before = secretsOf.get(user) ?? []
    if (now.size > 0) secretsOf.set(user, [...now.keys()])
    else secretsOf.delete(user)
    for (const secret of new Set([...before, ...now.keys()])) {
      const hosts = now.get(secret)
      const users = uses.get(secret) ?? new Map<string, readonly string[]>()
      if (hosts) users.set(user, hosts)
      else users.delete(user)
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
      for (const key of [secret, `${gatewayPrefix}${secret}`])
        if (complete && uses.has(key)) tell(key)
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
    name(user, wanted) {
      const told = [...wanted].map(([key, hosts]) => [`${gatewayPrefix}${key}`, hosts] as const)
      use(`other ${user}`, new Map(told))
    },
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
