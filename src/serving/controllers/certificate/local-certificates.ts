/**
 * Certificates for hosts of the platform's own domains that have none of their own: made when a TLS client asks the gateway
 * for one, by the platform's own authority. One covers all hosts beside it, so there are as many as namespaces. They
 * are kept in memory: after a restart they are made again for whoever asks.
 */
import { ConfigMap } from '../../../kube/api/config-map.ts'
import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import { configDomain, type DomainConfig } from '../../api/config/domain.ts'
import { systemNamespace } from '../../api/names.ts'
import type { FeedSource } from '../ingress/feed-client.ts'
import { createFacts, type FeedPart } from '../ingress/feed-part.ts'
import type { LocalAuthority } from './issuance.ts'

export interface LocalCertificates extends FeedPart, Disposable {
  /** A TLS client waits for a certificate of this host. */
  wanted(host: string): void
}

export interface LocalCertificatesOptions {
  readonly source: FeedSource
  readonly local: LocalAuthority
  readonly clock: Clock
  readonly log: Log
}

/** More namespaces than these ask for certificates of their own, by external-domain-tls. */
const capacity = 1000
/** Long before the authority's certificates end, which is after months. */
const renewEveryMs = 14 * 86_400_000

export function localCertificates(options: LocalCertificatesOptions): LocalCertificates {
  const { source, local, clock, log } = options
  const facts = createFacts()
  facts.complete()
  /** Name -> stops its renewal. */
  const made = new Map<string, () => void>()
  const making = new Set<string>()
  let disposed = false

  const make = async (name: string): Promise<void> => {
    const { chain, privateKey } = await local.sign([name])
    if (disposed) return
    const key = `local/${name}`
    facts.tell({ type: 'certificate', certificate: { key, hosts: [name], chain, privateKey } })
    made.get(name)?.()
    made.set(
      name,
      clock.after(renewEveryMs, () => void attempt(name)),
    )
  }
  const attempt = async (name: string, host?: string): Promise<void> => {
    if (making.has(name)) return
    making.add(name)
    try {
      await make(name)
    } catch (error) {
      log.error('no certificate from the own authority', { name, error })
      if (host !== undefined) facts.tell({ type: 'certificate-refused', host })
      // What is there serves on; it is renewed with the next try.
      else
        made.set(
          name,
          clock.after(renewEveryMs / 14, () => void attempt(name)),
        )
    } finally {
      making.delete(name)
    }
  }

  return {
    wanted(host) {
      const name = certifiedName(host)
      const known = made.has(name) || making.has(name)
      if (isOwn(host, domainsOf(source)) && (known || made.size < capacity))
        void attempt(name, host)
      else facts.tell({ type: 'certificate-refused', host })
    },
    synced: () => facts.synced(),
    all: () => facts.all(),
    onChange: (listener) => facts.onChange(listener),
    [Symbol.dispose]() {
      disposed = true
      for (const cancel of made.values()) cancel()
    },
  }
}

/** The wildcard beside the host, unless it would stand for a whole top-level domain, which clients refuse. */
export function certifiedName(host: string): string {
  const parent = host.slice(host.indexOf('.') + 1)
  return parent.includes('.') ? `*.${parent}` : host
}

const isOwn = (host: string, { rules }: DomainConfig): boolean =>
  rules.some(({ domain }) => host.endsWith(`.${domain}`))

function domainsOf({ read }: FeedSource): DomainConfig {
  const { name } = configDomain
  try {
    return configDomain.from(read.get(ConfigMap, { namespace: systemNamespace, name }))
  } catch {
    return configDomain.defaults
  }
}
