/**
 * What a DomainMapping's `spec.ref` leads to: the cluster-local host of a core Service or of anything Addressable in the
 * same namespace (upstream: pkg resolver, pkg/reconciler/domainmapping).
 */
import { apiVersionOf, type Kind } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { Service as CoreService } from '../../../kube/api/service.ts'
import { qualifiedResource } from '../../../kube/api/status-error.ts'
import type { Reader } from '../../../kube/controller/reconciler.ts'
import { clusterDomain } from '../../api/names.ts'
import type { KReference } from '../../api/domain-mapping.ts'
import { Route } from '../../api/route.ts'
import { Service } from '../../api/service.ts'
import { clusterHost } from '../ingress/service-target.ts'

/** Kinds that may be referred to: those whose objects have a host inside the cluster. */
export const addressableKinds = [Service, Route, CoreService] as const

export type Reference =
  | {
      /** `<service>.<namespace>.svc.<cluster domain>`. */
      readonly host: string
      /** The core Service of that host. */
      readonly service: string
      readonly port: number
    }
  | { readonly problem: string }

/** The kind that the reference names, undefined when it is none of those that are known here. */
export const referredKind = ({ apiVersion, kind }: KReference): Kind | undefined =>
  addressableKinds.find((one) => one.kind === kind && apiVersionOf(one) === apiVersion)

/** `namespace` is the DomainMapping's own. */
export function resolveReference(
  ref: KReference,
  namespace: string,
  read: Pick<Reader, 'get'>,
): Reference {
  const { name = '', apiVersion = '', kind: kindName = '' } = ref
  const kind = referredKind(ref)
  if (!kind)
    return {
      problem: `failed to get lister for ${apiVersion}, Kind=${kindName}: a DomainMapping can refer to a Service or Route of serving.knative.dev/v1 or to a Service of v1`,
    }
  const object = read.get<KubeObject>(kind, { namespace, name })
  if (!object)
    return {
      problem: `failed to get object ${namespace}/${name}: ${qualifiedResource(kind)} "${name}" not found`,
    }
  const url = kind === CoreService ? `http://${clusterHost(namespace, name)}` : addressOf(object)
  if (!url)
    return {
      problem: `address not set for &ObjectReference{Kind:${kindName},Namespace:${namespace},Name:${name},UID:,APIVersion:${apiVersion},ResourceVersion:,FieldPath:,}`,
    }
  return inNamespace(url, namespace, read)
}

/** `status.address.url` of the duck type Addressable. */
function addressOf(object: KubeObject): string | undefined {
  const { status } = object as { status?: { address?: { url?: string } } }
  return status?.address?.url
}

function inNamespace(text: string, namespace: string, read: Pick<Reader, 'get'>): Reference {
  const url = URL.parse(text)
  if (!url) return { problem: `resolved URI "${text}" is not a URL` }
  if (url.pathname !== '/' && url.pathname !== '')
    return { problem: `resolved URI "${text}" contains a path` }
  const [service = '', itsNamespace = '', ...rest] = url.hostname.split('.')
  if (rest.join('.') !== `svc.${clusterDomain}`)
    return {
      problem: `resolved URI "${text}" must be of the form {name}.{namespace}.svc.${clusterDomain}`,
    }
  if (itsNamespace !== namespace)
    return { problem: `resolved URI "${text}" must be in same namespace as DomainMapping` }
  const { ports = [] } = read.get(CoreService, { namespace, name: service })?.spec ?? {}
  const [only, ...others] = ports
  // Knative takes port 80; a Service that has only another one can mean nothing else.
  const port = only && others.length === 0 ? only.port : 80
  return { host: url.hostname, service, port }
}
