/**
 * Namespaces that namespace-wildcard-cert-selector picks get one Certificate for all hosts of each domain, which saves
 * every Route its own (upstream: pkg/reconciler/nscert).
 */
import { apiVersionOf } from '../../../kube/api/kind.ts'
import { controllerRef, isControlledBy, keyOf } from '../../../kube/api/meta.ts'
import { Namespace } from '../../../kube/api/namespace.ts'
import { selectorMatcher, type LabelSelector } from '../../../kube/api/selectors.ts'
import type {
  Apply,
  Delete,
  PlannedEvent,
  Reconciler,
} from '../../../kube/controller/reconciler.ts'
import { Certificate } from '../../api/certificate.ts'
import { configDomain, isClusterLocalDomain, type DomainConfig } from '../../api/config/domain.ts'
import { configNetwork, renderDomain, type NetworkConfig } from '../../api/config/network.ts'
import { annotation, label } from '../../api/names.ts'
import { watchConfigs, type ReadConfig } from '../config.ts'
import { applyCertificate } from '../route/certificates.ts'

export interface World {
  readonly namespace: Namespace
  /** Its wildcards that are there. */
  readonly certificates: readonly Certificate[]
  readonly network: NetworkConfig
  readonly domains: DomainConfig
}

export const namespaceCertificateReconciler = (
  readConfig: ReadConfig,
): Reconciler<Namespace, World> => ({
  name: 'nscert-controller',
  kind: Namespace,
  watches: [
    { kind: Certificate, wake: 'owner' },
    watchConfigs(Namespace, configNetwork, configDomain),
  ],

  observe: (namespace, read) => ({
    namespace,
    certificates: read.owned(Certificate, namespace),
    network: readConfig(read, configNetwork),
    domains: readConfig(read, configDomain),
  }),

  plan({ namespace, certificates, network, domains }) {
    const apply: Apply[] = []
    const names = new Set<string>()
    try {
      if (network.externalDomainTls && isPicked(namespace, network))
        for (const desired of wildcards(namespace, network, domains)) {
          names.add(desired.metadata.name)
          apply.push(applyCertificate(desired))
        }
    } catch (error) {
      return { error: error instanceof Error ? error : new Error(String(error)) }
    }
    const obsolete: Delete[] = []
    const events: PlannedEvent[] = []
    for (const certificate of certificates) {
      const { name, uid } = certificate.metadata
      if (names.has(name) || !isControlledBy(certificate, namespace)) continue
      obsolete.push({ kind: Certificate, key: keyOf(certificate), ...(uid && { uid }) })
      const message = `Deleted Certificate ${namespace.metadata.name}/${name}`
      events.push({ type: 'Normal', reason: 'Deleted', message })
    }
    return { apply, delete: obsolete, events }
  },
})

function isPicked({ metadata }: Namespace, network: NetworkConfig): boolean {
  const selector = network.namespaceWildcardCertSelector
  if (metadata.deletionTimestamp || typeof selector !== 'object' || selector === null) return false
  return selectorMatcher(selector as LabelSelector)(metadata.labels ?? {})
}

/** One for each domain that is not for chosen Routes only. Throws when hosts are not `<name>.…`. */
function* wildcards(
  namespace: Namespace,
  network: NetworkConfig,
  { rules }: DomainConfig,
): Generator<Certificate> {
  for (const { domain, selector } of rules) {
    if (Object.keys(selector).length > 0 || isClusterLocalDomain(domain)) continue
    const dnsName = renderDomain(network.domainTemplate, {
      name: '*',
      namespace: namespace.metadata.name,
      domain,
    })
    if (!/^\*\.[^*]+$/.test(dnsName))
      throw new Error(
        `namespace-wildcard-cert-selector needs a domain-template that begins with "{{.Name}}."; it renders "${dnsName}"`,
      )
    const name = dnsName.slice('*.'.length)
    yield {
      apiVersion: apiVersionOf(Certificate),
      kind: Certificate.kind,
      metadata: {
        name,
        namespace: namespace.metadata.name,
        labels: { [label.wildcardDomain]: domain },
        annotations: { [annotation.certificateClass]: network.certificateClass },
        ownerReferences: [controllerRef(namespace)],
      },
      spec: { dnsNames: [dnsName], domain, secretName: name },
    }
  }
}
