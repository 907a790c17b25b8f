/**
 * Certificate: has it signed and keeps the result in its Secret, anew after two thirds of its life.
 * Upstream leaves this to a bridge to cert-manager; the status is the same.
 */
import { keyOf } from '../../../kube/api/meta.ts'
import { Secret } from '../../../kube/api/secret.ts'
import type { Plan, Reconciler } from '../../../kube/controller/reconciler.ts'
import { finish } from '../../../knative/conditions.ts'
import { rfc3339 } from '../../../lib/clock.ts'
import {
  Certificate,
  certificateConditions as conditions,
  type CertificateStatus,
  type HTTP01Challenge,
} from '../../api/certificate.ts'
import { comesFromAcme, configAcme, type AcmeConfig } from '../../api/config/acme.ts'
import { annotationSpellings, firstSpelling } from '../../api/names.ts'
import { watchConfigs, type ReadConfig } from '../config.ts'
import type { Issuance, Issue, Issuer, PendingChallenge } from './issuance.ts'
import {
  applySecret,
  isMadeFor,
  issuerAnnotation,
  tlsContent,
  type TlsContent,
} from './tls-secret.ts'

/** Certificate classes that say who signs; any other leaves it to config-acme. */
export const localClass = 'local.certificate.ebb.dev'
export const acmeClass = 'acme.certificate.ebb.dev'

export interface World {
  readonly certificate: Certificate
  readonly secret: Secret | undefined
  readonly issuer: Issuer | { readonly kind: 'none'; readonly message: string }
  /** Certificate of the own authority, PEM, once it is known. */
  readonly localCA: string | undefined
  /** Undefined while the Secret is as it should be, or nobody can be asked. */
  readonly issue: Issue | undefined
}

export const certificateReconciler = (
  readConfig: ReadConfig,
  issuance: Issuance,
): Reconciler<Certificate, World> => ({
  name: 'certificate-controller',
  kind: Certificate,
  watches: [{ kind: Secret, wake: 'owner' }, watchConfigs(Certificate, configAcme)],

  observe(certificate, read, nowMs) {
    const { namespace } = keyOf(certificate)
    const secret = read.get(Secret, { namespace, name: certificate.spec.secretName })
    const issuer = issuerOf(certificate, readConfig(read, configAcme))
    const key = keyOf(certificate)
    const foreign = secret !== undefined && !isMadeFor(secret, certificate)
    const { localCA } = issuance
    const due = renewalMs({ certificate, secret, issuer, localCA }) <= nowMs
    if (!due || foreign || issuer.kind === 'none') {
      issuance.forget(key)
      return { certificate, secret, issuer, localCA, issue: undefined }
    }
    const { uid = '' } = certificate.metadata
    const names = certificate.spec.dnsNames
    const issue = issuance.look({ key, uid, names, issuer })
    return { certificate, secret, issuer, localCA, issue }
  },

  plan(world, nowMs) {
    const { generation = 0 } = world.certificate.metadata
    const { status, ...plan } = decide(world, nowMs)
    return { ...plan, status: finish(status, world.certificate.status, generation, nowMs) }
  },

  gone(key) {
    issuance.forget(key)
    return {}
  },

  connect: (wake) => issuance.onChange(wake),
})

function issuerOf({ metadata, spec }: Certificate, config: AcmeConfig): World['issuer'] {
  const none = (message: string) => ({ kind: 'none', message }) as const
  const said = firstSpelling(metadata.annotations, annotationSpellings.certificateClass)?.value
  if (said === localClass) return { kind: 'local' }
  const acme = said === acmeClass || spec.dnsNames.some((name) => comesFromAcme(config, name))
  if (!acme) return { kind: 'local' }
  if (config.directoryUrl === undefined)
    return none(`class ${acmeClass} needs directory-url in config-acme, which is empty`)
  const wildcard = spec.dnsNames.find((name) => name.startsWith('*.'))
  return wildcard === undefined
    ? { kind: 'acme', settings: config }
    : none(
        `${wildcard} is a wildcard, which HTTP-01 can't prove: name its domain in local-domains of config-acme, or do without wildcards`,
      )
}

const issuerText = (issuer: World['issuer']): string =>
  issuer.kind === 'acme' ? (issuer.settings.directoryUrl ?? '') : issuer.kind

/** When the next certificate is to be asked for: 0 when there is none that would do. */
function renewalMs({ certificate, secret, issuer, localCA }: Omit<World, 'issue'>): number {
  const content = secret && tlsContent(secret)
  if (content === undefined || typeof content === 'string') return 0
  if (!certificate.spec.dnsNames.every(content.covers)) return 0
  if (secret?.metadata.annotations?.[issuerAnnotation] !== issuerText(issuer)) return 0
  if (issuer.kind === 'local' && localCA !== undefined && content.ca !== localCA) return 0
  const { notBeforeMs, notAfterMs } = content
  return notBeforeMs + ((notAfterMs - notBeforeMs) * 2) / 3
}

type Decision = Plan & { readonly status: CertificateStatus }

function decide(world: World, nowMs: number): Decision {
  const { certificate, secret, issuer, issue } = world
  const { generation = 0 } = certificate.metadata
  const begun = withoutPast(conditions.begin(certificate.status ?? {}, generation, nowMs))
  const failed = (reason: string, message: string): Decision => ({
    status: conditions.markFalse(begun, 'Ready', reason, message, nowMs),
  })
  if (secret && !isMadeFor(secret, certificate))
    return failed(
      'SecretNotOwned',
      `There is an existing Secret ${secret.metadata.name} that was not made for this Certificate.`,
    )
  // A certificate that is due for renewal is good for a while yet.
  const content = secret && usable(certificate, secret, nowMs)
  if (issuer.kind === 'none')
    return content ? ready(begun, content, nowMs) : failed('NotIssuable', issuer.message)
  if (issue === undefined) {
    if (!content) return failed('NotIssuable', 'the Secret holds no certificate that can be used')
    const renewAtMs = renewalMs(world)
    return { ...ready(begun, content, nowMs), requeueAfterMs: Math.max(0, renewAtMs - nowMs) }
  }
  switch (issue.kind) {
    case 'signed':
      // The Secret wakes us, and is then what the status speaks of.
      return {
        apply: [applySecret(certificate, issue.signed, issuerText(issuer))],
        status: content ? ready(begun, content, nowMs).status : issuing(begun, [], nowMs),
      }
    case 'pending':
      return content
        ? ready(begun, content, nowMs)
        : { status: issuing(begun, issue.challenges, nowMs) }
    case 'failed': {
      const requeueAfterMs = Math.max(0, issue.retryAtMs - nowMs)
      const message = `${issue.message} (tried again at ${rfc3339(issue.retryAtMs)})`
      if (content) {
        const event = { type: 'Warning', reason: 'RenewalFailed', message } as const
        return { ...ready(begun, content, nowMs), events: [event], requeueAfterMs }
      }
      if (issue.refused) return { ...failed('Refused', message), requeueAfterMs }
      const status = conditions.markUnknown(begun, 'Ready', 'Retrying', message, nowMs)
      return { status, requeueAfterMs }
    }
  }
}

function usable({ spec }: Certificate, secret: Secret, nowMs: number): TlsContent | undefined {
  const content = tlsContent(secret)
  if (typeof content === 'string' || content.notAfterMs <= nowMs) return undefined
  return spec.dnsNames.every(content.covers) ? content : undefined
}

function withoutPast(status: CertificateStatus): CertificateStatus {
  const { notAfter: _, http01Challenges: __, ...rest } = status
  return rest
}

const ready = (status: CertificateStatus, content: TlsContent, nowMs: number): Decision => ({
  status: {
    ...conditions.markTrue(status, 'Ready', nowMs),
    notAfter: rfc3339(content.notAfterMs),
  },
})

const issuing = (
  status: CertificateStatus,
  challenges: readonly PendingChallenge[],
  nowMs: number,
): CertificateStatus => ({
  ...conditions.markUnknown(
    status,
    'Ready',
    'Issuing',
    challenges.length > 0
      ? 'Waiting for the authority to check who holds the names.'
      : 'The certificate has been asked for.',
    nowMs,
  ),
  ...(challenges.length > 0 && { http01Challenges: challenges.map(challengeStatus) }),
})

/** The gateway itself answers; the Service named is the one it is reached by. */
const challengeStatus = ({ host, token }: PendingChallenge): HTTP01Challenge => ({
  url: `http://${host}/.well-known/acme-challenge/${token}`,
  serviceName: 'istio-ingressgateway',
  serviceNamespace: 'istio-system',
  servicePort: 80,
})
