/** Under which hosts a Route is served, outside and inside, and the URLs people are told. */
import type { StringMap } from '../../../kube/api/meta.ts'
import { domainFor, isClusterLocalDomain, type DomainConfig } from '../../api/config/domain.ts'
import {
  defaultDomainTemplate,
  renderDomain,
  renderTag,
  type NetworkConfig,
} from '../../api/config/network.ts'
import type { IngressVisibility } from '../../api/ingress.ts'
import { clusterDomain, clusterLocal, label } from '../../api/names.ts'
import type { Route } from '../../api/route.ts'

export interface GroupHosts {
  /** Name of the placeholder Service; the first part of the hosts. */
  readonly name: string
  readonly visibility: IngressVisibility
  /** Hosts without port; empty for a group that is only served inside. */
  readonly external: readonly string[]
  readonly local: readonly string[]
  /** With scheme, and with the port that the domain shows. */
  readonly url: string
  /** The host of the URL. */
  readonly host: string
}

/** Thrown text becomes the condition ErrorConfig. */
export class InvalidDomain extends Error {
  override readonly name = 'InvalidDomain'
}

/** The name of a group's placeholder Service: the Route's, or the tag template's. */
export const groupName = (route: Route, tag: string, { tagTemplate }: NetworkConfig): string =>
  tag ? renderTag(tagTemplate, { tag, name: route.metadata.name }) : route.metadata.name

/** The hosts of the group of `tag` ('' = the main one). `hidden` = its placeholder Service is marked cluster-local. */
export function groupHosts(
  route: Route,
  tag: string,
  hidden: boolean,
  config: { readonly network: NetworkConfig; readonly domain: DomainConfig },
): GroupHosts {
  const { namespace = '', labels, annotations } = route.metadata
  const name = groupName(route, tag, config.network)
  const marked: StringMap = hidden
    ? { ...labels, [label.visibility]: clusterLocal }
    : (labels ?? {})
  const { domain, port, httpsPort } = domainFor(config.domain, marked)
  const local = localHosts(name, namespace)
  const isLocal = isClusterLocalDomain(domain)
  const host = renderDomain(isLocal ? defaultDomainTemplate : config.network.domainTemplate, {
    name,
    namespace,
    domain,
    ...(labels && { labels }),
    ...(annotations && { annotations }),
  })
  checkHost(host)
  const visibility: IngressVisibility = isLocal ? 'ClusterLocal' : 'ExternalIP'
  const scheme = isLocal ? 'http' : config.network.defaultExternalScheme
  return {
    name,
    visibility,
    external: isLocal ? [] : [host],
    local,
    url: isLocal ? `${scheme}://${host}` : urlOf(scheme, host, { port, httpsPort }),
    host,
  }
}

/** A group's hosts with the URL under which TLS serves it. */
export function secureUrl(
  group: GroupHosts,
  config: DomainConfig,
  labels: StringMap | undefined,
): GroupHosts {
  return { ...group, url: urlOf('https', group.host, domainFor(config, labels)) }
}

function urlOf(
  scheme: string,
  host: string,
  {
    port,
    httpsPort,
  }: { readonly port?: number | undefined; readonly httpsPort?: number | undefined },
): string {
  const shown = scheme === 'https' ? httpsPort : port
  return `${scheme}://${host}${shown === undefined ? '' : `:${shown}`}`
}

/** A group is served inside under three forms of its name, whatever its visibility. */
const localHosts = (name: string, namespace: string): readonly string[] => [
  `${name}.${namespace}`,
  `${name}.${namespace}.svc`,
  `${name}.${namespace}.svc.${clusterDomain}`,
]

export const localHost = (name: string, namespace: string): string =>
  `${name}.${namespace}.svc.${clusterDomain}`

const labelRule =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"

function checkHost(host: string): void {
  const parts = host.split('.')
  const refuse = (value: string, why: string): never => {
    throw new InvalidDomain(`invalid domain name "${host}": url: Invalid value: "${value}": ${why}`)
  }
  if (host.length > 253) refuse(host, 'must be no more than 253 characters')
  if (parts.length < 2)
    refuse(host, 'should be a domain with at least two segments separated by dots')
  for (const part of parts) {
    if (part.length > 63) refuse(part, 'must be no more than 63 characters')
    if (!/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(part)) refuse(part, labelRule)
  }
}
