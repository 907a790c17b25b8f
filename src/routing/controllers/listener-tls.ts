/**
 * The certificates of a Gateway's HTTPS listeners: which Secrets its `certificateRefs` name, whether they may be named and
 * used, and the hosts that the gateway shows them for (Gateway API, GatewayTLSConfig).
 */
import { keyOf, keyText, type ObjectKey } from '../../kube/api/meta.ts'
import { Secret } from '../../kube/api/secret.ts'
import type { ServingCertificates } from '../../serving/controllers/certificate/serving-certificates.ts'
import { tlsContent, tlsProblem } from '../../serving/controllers/certificate/tls-secret.ts'
import type { FeedSource } from '../../serving/controllers/ingress/feed-client.ts'
import { createTracker, type Target } from '../../knative/tracker.ts'
import { gatewayGroup } from '../api/gateway-api.ts'
import { controllerName, GatewayClass } from '../api/gateway-class.ts'
import { Gateway, type Listener } from '../api/gateway.ts'
import { isGranted, ReferenceGrant } from '../api/reference-grant.ts'
import { everyName, lookup, type Lookup } from './seen.ts'

export interface ListenerTls {
  /** Secret, `namespace/name` -> hosts, of those that can be used. */
  readonly certificates: ReadonlyMap<string, readonly string[]>
  /** What is wrong with the first reference that can't be followed. */
  readonly problem?: {
    readonly reason: 'InvalidCertificateRef' | 'RefNotPermitted'
    readonly message: string
  }
  /** When what was said here ends to be true by itself; Infinity: never. */
  readonly untilMs: number
}

/** What the references of an HTTPS listener come to. `namespace` is the Gateway's. */
export function listenerTls(
  { hostname, tls = {} }: Listener,
  namespace: string,
  look: Lookup,
  nowMs: number,
): ListenerTls {
  const certificates = new Map<string, readonly string[]>()
  const problems: NonNullable<ListenerTls['problem']>[] = []
  let untilMs = Infinity
  const { mode = 'Terminate', certificateRefs = [] } = tls
  const refuse = (message: string, reason: (typeof problems)[number]['reason'] = invalid) =>
    void problems.push({ reason, message })
  if (mode !== 'Terminate')
    refuse(`tls.mode ${mode} is not supported: the gateway reads what it routes, use Terminate`)
  else if (certificateRefs.length === 0)
    refuse('tls.certificateRefs names no Secret with a certificate')
  else
    for (const {
      group = '',
      kind = Secret.kind,
      name,
      namespace: other = namespace,
    } of tls.certificateRefs ?? []) {
      const text = `Secret ${other}/${name}`
      if (group !== '' || kind !== Secret.kind) {
        refuse(`${kind} of group "${group}" can't be a certificate: name a Secret`)
        continue
      }
      const from = { group: gatewayGroup, kind: Gateway.kind, namespace }
      if (
        other !== namespace &&
        !isGranted(look.list(ReferenceGrant, other), from, { group, kind, name })
      ) {
        refuse(
          `${text} may not be named from namespace ${namespace}: it needs a ReferenceGrant in namespace ${other}`,
          'RefNotPermitted',
        )
        continue
      }
      const secret = look.get(Secret, { namespace: other, name })
      const problem = tlsProblem(secret, nowMs)
      if (problem) refuse(`${text}: ${problem.message}`)
      const content = secret && tlsContent(secret)
      if (!content || typeof content === 'string') continue
      // One that is out of date is shown all the same: a client may be told to take it, an outage it may not.
      const key = `${other}/${name}`
      const hosts = hostname ? [hostname.toLowerCase()] : content.names
      certificates.set(key, [...(certificates.get(key) ?? []), ...hosts])
      for (const atMs of [content.notBeforeMs, content.notAfterMs])
        if (atMs > nowMs) untilMs = Math.min(untilMs, atMs)
    }
  return { certificates, ...(problems[0] && { problem: problems[0] }), untilMs }
}

const invalid = 'InvalidCertificateRef'

/** Keeps the gateway's certificates told that Gateways of our class name. */
export function gatewayCertificates(
  source: FeedSource,
  certificates: Pick<ServingCertificates, 'name'>,
): Disposable {
  const { read } = source
  const tracker = createTracker()
  const tell = (key: ObjectKey) => {
    const gateway = read.get(Gateway, key)
    const seen: Target[] = []
    const look = lookup(read, seen)
    const wanted = new Map<string, readonly string[]>()
    if (gateway && isOurs(gateway, look))
      for (const listener of gateway.spec.listeners) {
        if (listener.protocol !== 'HTTPS') continue
        const found = listenerTls(listener, key.namespace, look, 0)
        for (const [secret, hosts] of found.certificates)
          wanted.set(secret, [...(wanted.get(secret) ?? []), ...hosts])
      }
    if (gateway) tracker.track(key, seen)
    else tracker.forget(key)
    certificates.name(`${Gateway.kind} ${keyText(key)}`, wanted)
  }
  const cancels = [
    source.onChange(Gateway, (gateway) => tell(keyOf(gateway))),
    ...[GatewayClass, ReferenceGrant, Secret].map((kind) =>
      source.onChange(kind, (object) => {
        const any = { ...object, metadata: { ...object.metadata, name: everyName } }
        for (const key of [...tracker.observers(object), ...tracker.observers(any)]) tell(key)
      }),
    ),
  ]
  return {
    [Symbol.dispose]() {
      for (const cancel of cancels) cancel()
    },
  }
}

export const isOurs = ({ spec }: Gateway, look: Pick<Lookup, 'get'>): boolean =>
  look.get(GatewayClass, { namespace: '', name: spec.gatewayClassName })?.spec.controllerName ===
  controllerName
