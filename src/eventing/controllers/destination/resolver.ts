/**
 * From a Destination to the URL that events are sent to (knative.dev/pkg resolver): a core Service by its name,
 * anything else by the address in its status, a URI as it is. URLs are kept as text: clients compare them letter by
 * letter.
 */
import { apiVersionOf, type Kind } from '../../../kube/api/kind.ts'
import { ConfigMap } from '../../../kube/api/config-map.ts'
import type { KubeObject, ObjectKey } from '../../../kube/api/meta.ts'
import { Service as CoreService } from '../../../kube/api/service.ts'
import { groupOf } from '../../../kube/controller/custom-kinds.ts'
import type { Reader } from '../../../kube/controller/reconciler.ts'
import type { Target } from '../../../knative/tracker.ts'
import { Broker } from '../../api/eventing/broker.ts'
import { Channel } from '../../api/messaging/channel.ts'
import { configEventingFeatures } from '../../api/config/features.ts'
import { configKReferenceMapping } from '../../api/config/kreference-mapping.ts'
import { featuresIn, readConfig } from '../../api/config/read.ts'
import type { Destination, KReference } from '../../api/duck/destination.ts'
import { EventTransform } from '../../api/eventing/event-transform.ts'
import { InMemoryChannel } from '../../api/messaging/in-memory-channel.ts'
import { BusChannel } from '../../api/former/buses.ts'
import { LegacyChannel } from '../../api/former/legacy-channel.ts'
import { legacyFlows } from '../../api/former/legacy-flow.ts'
import { JobSink } from '../../api/sinks/job-sink.ts'
import { clusterDomain, systemNamespace } from '../../api/names.ts'
import { Parallel } from '../../api/flows/parallel.ts'
import { Sequence } from '../../api/flows/sequence.ts'

/** What has an address in its status. */
interface Addressed extends KubeObject {
  readonly status?: {
    readonly address?: Address
    readonly addresses?: readonly Address[]
  }
}

interface Address {
  readonly name?: string
  readonly url?: string
  readonly CACerts?: string
  readonly audience?: string
}

const served = (group: string, version: string, kind: string, plural: string): Kind<Addressed> => ({
  group,
  version,
  kind,
  plural,
  namespaced: true,
})

/** Kinds of Serving, by name: the products know each other as objects alone. */
const servingKinds = [
  served('serving.knative.dev', 'v1', 'Service', 'services'),
  served('serving.knative.dev', 'v1', 'Route', 'routes'),
]

/** Kinds whose objects can be sinks; more are added by those that serve them. */
export const addressableKinds: readonly Kind[] = [
  CoreService,
  ...servingKinds,
  Broker,
  Channel,
  InMemoryChannel,
  EventTransform,
  JobSink,
  Sequence,
  Parallel,
  ...[...legacyFlows, LegacyChannel, BusChannel].map(({ kind }) => kind as unknown as Kind),
]

/** What a reconciler follows that resolves Destinations: URLs may be made by ConfigMaps too. */
export const destinationKinds: readonly Kind[] = [...addressableKinds, ConfigMap]

export interface Resolved {
  readonly url: string
  readonly caCerts?: string
  readonly audience?: string
}

/** `reason`: of the condition, where it is another than usual. */
export type Resolution = Resolved | { readonly problem: string; readonly reason?: string }

export const isResolved = (resolution: Resolution): resolution is Resolved => 'url' in resolution

/**
 * The kind that a reference names, in whatever version; undefined = none of these. Others may be of
 * CustomResourceDefinitions (`Reader.custom`).
 */
export function referredKind(
  {
    apiVersion,
    group = groupOf(apiVersion),
    kind,
  }: Pick<KReference, 'apiVersion' | 'kind' | 'group'>,
  kinds: readonly Kind[],
): Kind | undefined {
  return kinds.find((one) => one.kind === kind && one.group === group)
}

/** What a reconciler that resolves this has to look at. */
export function targetOf(
  destination: Destination | undefined,
  namespace: string,
): readonly Target[] {
  const { ref } = destination ?? {}
  if (!ref?.kind || !ref.name) return []
  return [
    { kind: ref.kind, namespace: ref.namespace || namespace, name: ref.name },
    ...mappingConfigs,
  ]
}

/** By these some kinds have URLs that say none themselves. */
const mappingConfigs = [configEventingFeatures, configKReferenceMapping].map(
  ({ name }): Target => ({ kind: ConfigMap.kind, namespace: systemNamespace, name }),
)

/** The URL that config-kreference-mapping makes of references to such a kind; undefined = it says nothing of it. */
function mappingOf(
  { apiVersion = '', kind = '' }: KReference,
  read: Pick<Reader, 'get'>,
): ((object: KubeObject) => string | undefined) | undefined {
  if (!featuresIn(read).kreferenceMapping) return undefined
  const [version = '', group] = apiVersion.split('/').reverse()
  const key = [kind, version, ...(group ? [group] : [])].join('.')
  const { has, urlOf } = readConfig(configKReferenceMapping, read)
  if (!has(key)) return undefined
  return ({ metadata: { name, namespace = '', uid = '' } }) => urlOf(key, { name, namespace, uid })
}

export function resolve(
  destination: Destination,
  namespace: string,
  read: Pick<Reader, 'get' | 'custom'>,
  kinds: readonly Kind[] = addressableKinds,
): Resolution {
  const { ref, uri, CACerts, audience } = destination
  const base = ref ? resolveReference(ref, namespace, read, kinds, CACerts) : undefined
  if (base && !isResolved(base)) return base
  const url = base ? (uri ? relativeTo(base.url, uri) : base.url) : uri
  if (!url) return { problem: 'destination missing Ref and URI, expected at least one' }
  const certificates = CACerts ?? base?.caCerts
  const meantFor = audience ?? base?.audience
  return {
    url,
    ...(certificates !== undefined && { caCerts: certificates }),
    ...(meantFor !== undefined && { audience: meantFor }),
  }
}

function resolveReference(
  ref: KReference,
  ownNamespace: string,
  read: Pick<Reader, 'get' | 'custom'>,
  kinds: readonly Kind[],
  caCerts: string | undefined,
): Resolution {
  const { name = '', kind: kindName = '', apiVersion = '' } = ref
  const key: ObjectKey = { namespace: ref.namespace || ownNamespace, name }
  const mapping = mappingOf(ref, read)
  const kind = referredKind(ref, kinds) ?? read.custom?.(ref)
  if (!kind)
    return {
      problem: `failed to get lister for ${apiVersion}, Kind=${kindName}: objects of this kind have no address that is known here`,
    }
  const object = read.get(kind, key) as Addressed | undefined
  if (!object)
    return {
      problem: `failed to get object ${key.namespace}/${name}: ${kind.plural}${kind.group ? `.${kind.group}` : ''} "${name}" not found`,
    }
  const mapped = mapping?.(object)
  if (mapped !== undefined) return { url: mapped }
  if (kind.kind === CoreService.kind && kind.group === '')
    return {
      url: `${caCerts === undefined ? 'http' : 'https'}://${name}.${key.namespace}.svc.${clusterDomain}`,
    }
  const { addresses = [], address } = object.status ?? {}
  const found =
    ref.address === undefined
      ? (addresses[0] ?? address)
      : addresses.find((each) => each.name === ref.address)
  if (!found?.url || hasNoHost(found.url))
    return {
      problem: `address not set for &ObjectReference{Kind:${kindName},Namespace:${key.namespace},Name:${name},UID:,APIVersion:${apiVersionOf(kind)},ResourceVersion:,FieldPath:,}`,
    }
  return {
    url: found.url,
    ...(found.CACerts !== undefined && { caCerts: found.CACerts }),
    ...(found.audience !== undefined && { audience: found.audience }),
  }
}

/** `http:///path`: a URL of HTTP without a host. */
const hasNoHost = (url: string): boolean => /^https?:\/\/($|[/?#])/i.test(url)

/** RFC 3986, section 5, on the text: what does not change stays letter by letter. */
function relativeTo(base: string, reference: string): string {
  const parsed = URL.parse(reference, base)
  if (!parsed) return base
  const [, origin = base] = /^([a-z][a-z0-9+.-]*:\/\/[^/?#]*)/i.exec(base) ?? []
  return `${origin}${parsed.pathname}${parsed.search}${parsed.hash}`
}
