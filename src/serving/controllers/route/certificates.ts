/**
 * The Certificates of a Route: one for each host outside, which puts https into its URLs once it is there
 * (upstream: pkg/reconciler/route externalDomainTLS).
 */
import { apiVersionOf } from '../../../kube/api/kind.ts'
import { controllerRef, isControlledBy, keyOf } from '../../../kube/api/meta.ts'
import { semanticallyEqual } from '../../../kube/controller/difference.ts'
import type { Apply, Delete, PlannedEvent } from '../../../kube/controller/reconciler.ts'
import { conditionOf, isReady } from '../../../knative/conditions.ts'
import { adler32 } from '../../../knative/hash.ts'
import { Certificate } from '../../api/certificate.ts'
import { domainFor, type DomainConfig } from '../../api/config/domain.ts'
import type { NetworkConfig } from '../../api/config/network.ts'
import type { IngressTls } from '../../api/ingress.ts'
import { annotation, annotationSpellings, firstSpelling, label } from '../../api/names.ts'
import { routeConditions as conditions, type Route, type RouteStatus } from '../../api/route.ts'
import { without } from '../copied-metadata.ts'
import { isOptedOut } from '../external-tls.ts'
import { secureUrl, type GroupHosts } from './hosts.ts'

export interface CertificatesInput {
  readonly route: Route
  /** Hosts of each tag, '' = the main group. */
  readonly hosts: ReadonlyMap<string, GroupHosts>
  /** Of the Route's namespace that are its own, or a namespace's wildcards, or bear a name it wants. */
  readonly certificates: ReadonlyMap<string, Certificate>
  readonly config: { readonly network: NetworkConfig; readonly domain: DomainConfig }
}

export interface RouteCertificates {
  readonly status: RouteStatus
  readonly apply: readonly Apply[]
  readonly obsolete: readonly Delete[]
  readonly events: readonly PlannedEvent[]
  readonly tls: readonly IngressTls[]
  /** As before, with https where there is a certificate. */
  readonly hosts: ReadonlyMap<string, GroupHosts>
}

/** `route-<uid>`, with a tag `route-<uid>-<adler32 of the tag>`. */
export function certificateName({ metadata }: Route, tag: string): string {
  const name = `route-${metadata.uid ?? ''}`
  return tag ? `${name}-${adler32(tag)}` : name
}

export function planCertificates(
  input: CertificatesInput,
  begun: RouteStatus,
  nowMs: number,
): RouteCertificates {
  const { route, hosts, config } = input
  const names = new Set<string>()
  if (!config.network.externalDomainTls || isOptedOut(route.metadata.annotations))
    return {
      status: tlsNotEnabled(begun, 'external-domain-tls is not enabled', nowMs),
      apply: [],
      tls: [],
      hosts,
      ...orphans(input, names),
    }

  const apply: Apply[] = []
  const tls: IngressTls[] = []
  const secured = new Map(hosts)
  let worst: RouteStatus | undefined
  let status = conditions.markTrue(begun, 'CertificateProvisioned', nowMs)
  for (const [tag, group] of hosts) {
    for (const host of group.external) {
      const found = certificateFor(input, tag, host)
      if (found.foreign) {
        worst = conditions.markFalse(
          begun,
          'CertificateProvisioned',
          'CertificateNotOwned',
          `There is an existing certificate ${found.foreign} that we don't own.`,
          nowMs,
        )
        continue
      }
      const { name, certificate, wanted } = found
      names.add(name)
      if (wanted) apply.push(wanted)
      if (certificate && isReady(certificate)) {
        tls.push({
          hosts: [host],
          secretName: certificate.spec.secretName,
          secretNamespace: certificate.metadata.namespace ?? '',
        })
        secured.set(tag, secureUrl(group, config.domain, route.metadata.labels))
      } else if (config.network.httpProtocol === 'Enabled') {
        secured.set(tag, { ...group, url: group.url.replace(/^https:/, 'http:') })
        status = conditions.markTrueWithReason(
          begun,
          'CertificateProvisioned',
          'HTTPDowngrade',
          `Certificate ${name} is not ready downgrade HTTP.`,
          nowMs,
        )
      } else worst ??= notReady(begun, name, certificate, nowMs)
    }
  }
  if (tls.length === 0 && apply.length === 0 && names.size === 0 && !worst)
    status = tlsNotEnabled(begun, 'TLS is not enabled for cluster-local', nowMs)
  return { status: worst ?? status, apply, tls, hosts: secured, ...orphans(input, names) }
}

interface Found {
  readonly name: string
  readonly certificate: Certificate | undefined
  readonly wanted: Apply | undefined
  /** Name of somebody else's Certificate that stands in the way. */
  readonly foreign?: string
}

/** A namespace's wildcard that covers the host saves a certificate of its own. */
function certificateFor(input: CertificatesInput, tag: string, host: string): Found {
  const { route, certificates } = input
  const { domain } = domainFor(input.config.domain, route.metadata.labels)
  for (const candidate of certificates.values()) {
    if (candidate.metadata.labels?.[label.wildcardDomain] !== domain) continue
    if (candidate.spec.dnsNames.some((name) => coversHost(name, host)))
      return { name: candidate.metadata.name, certificate: candidate, wanted: undefined }
  }
  const name = certificateName(route, tag)
  const existing = certificates.get(name)
  if (existing && !isControlledBy(existing, route))
    return { name, certificate: undefined, wanted: undefined, foreign: name }
  const desired = desiredCertificate(input, tag, host)
  // What is Ready speaks of the names it was made for, not of those it is about to get.
  const same = existing && semanticallyEqual(existing.spec, desired.spec)
  return { name, certificate: same ? existing : undefined, wanted: applyCertificate(desired) }
}

const coversHost = (name: string, host: string): boolean =>
  name === host || (name.startsWith('*.') && host.slice(host.indexOf('.')) === name.slice(1))

const dropped: ReadonlySet<string> = new Set([
  annotation.lastApplied,
  annotationSpellings.ingressClass[1],
  ...annotationSpellings.certificateClass,
])

function desiredCertificate(
  { route, hosts, config }: CertificatesInput,
  tag: string,
  host: string,
): Certificate {
  const { name, namespace, annotations } = route.metadata
  const secretName = certificateName(route, tag)
  return {
    apiVersion: apiVersionOf(Certificate),
    kind: Certificate.kind,
    metadata: {
      name: secretName,
      ...(namespace && { namespace }),
      labels: { [label.route]: name, [label.certificateType]: 'external-domain' },
      annotations: {
        ...without(annotations, (key) => dropped.has(key)),
        [annotation.certificateClass]:
          firstSpelling(annotations, annotationSpellings.certificateClass)?.value ??
          config.network.certificateClass,
      },
      ownerReferences: [controllerRef(route)],
    },
    spec: { dnsNames: [host], domain: hosts.get('')?.host ?? host, secretName },
  }
}

export function applyCertificate(desired: Certificate): Apply {
  const { namespace, name } = desired.metadata
  return {
    kind: Certificate,
    desired,
    created: {
      type: 'Normal',
      reason: 'Created',
      message: `Created Certificate ${namespace}/${name}`,
    },
    createFailed: {
      type: 'Warning',
      reason: 'CreationFailed',
      message: `Failed to create Certificate ${namespace}/${name}: `,
    },
  }
}

function notReady(
  begun: RouteStatus,
  name: string,
  certificate: Certificate | undefined,
  nowMs: number,
): RouteStatus {
  const ready = certificate && conditionOf(certificate.status, 'Ready')
  return ready?.status === 'False'
    ? conditions.markFalse(
        begun,
        'CertificateProvisioned',
        'CertificateProvisionFailed',
        `Certificate ${name} fails to be provisioned: ${ready.reason ?? ''}`,
        nowMs,
      )
    : conditions.markUnknown(
        begun,
        'CertificateProvisioned',
        'CertificateNotReady',
        `Certificate ${name} is not ready: ${ready?.reason ?? ''}`,
        nowMs,
      )
}

const tlsNotEnabled = (status: RouteStatus, message: string, nowMs: number): RouteStatus =>
  conditions.markTrueWithReason(status, 'CertificateProvisioned', 'TLSNotEnabled', message, nowMs)

/** Certificates of hosts that the Route no longer has. */
function orphans({ route, certificates }: CertificatesInput, wanted: ReadonlySet<string>) {
  const obsolete: Delete[] = []
  const events: PlannedEvent[] = []
  for (const certificate of certificates.values()) {
    const { name, namespace, uid } = certificate.metadata
    if (wanted.has(name) || !isControlledBy(certificate, route)) continue
    obsolete.push({ kind: Certificate, key: keyOf(certificate), ...(uid && { uid }) })
    events.push({
      type: 'Normal',
      reason: 'Deleted',
      message: `Deleted orphaned Knative Certificate ${namespace}/${name}`,
    })
  }
  return { obsolete, events }
}
