/** config-network: hosts, schemes and rollouts of Routes. */
import { defineConfig, type Config } from '../../../knative/config-map.ts'
import {
  asBoolean,
  asEnabled,
  asInteger,
  asString,
  raw,
  type ConfigData,
} from '../../../knative/config-values.ts'
import { parseSmallYaml, type YamlValue } from '../../../knative/small-yaml.ts'
import { compileTemplate, type Template } from '../../../knative/template.ts'

export type HttpProtocol = 'Enabled' | 'Redirected' | 'Disabled'
export type MeshCompatibilityMode = 'auto' | 'enabled' | 'disabled'

export interface NetworkConfig {
  readonly ingressClass: string
  readonly certificateClass: string
  readonly domainTemplate: Template
  readonly tagTemplate: Template
  readonly externalDomainTls: boolean
  readonly clusterLocalDomainTls: boolean
  readonly systemInternalTls: boolean
  readonly httpProtocol: HttpProtocol
  /** How long a new Revision takes over the traffic; 0 = at once. */
  readonly rolloutDurationSeconds: number
  readonly autocreateClusterDomainClaims: boolean
  readonly defaultExternalScheme: string
  /** A label selector; undefined = no namespace. */
  readonly namespaceWildcardCertSelector: YamlValue | undefined
  readonly meshCompatibilityMode: MeshCompatibilityMode
  readonly enableMeshPodAddressability: boolean
}

export interface DomainTemplateValues {
  readonly name: string
  readonly namespace: string
  readonly domain: string
  readonly annotations?: Readonly<Record<string, string>>
  readonly labels?: Readonly<Record<string, string>>
}

/** Host of a Route. Throws an Error when the template cannot be executed. */
export const renderDomain = (template: Template, values: DomainTemplateValues): string =>
  template.execute({
    Name: values.name,
    Namespace: values.namespace,
    Domain: values.domain,
    Annotations: new Map(Object.entries(values.annotations ?? {})),
    Labels: new Map(Object.entries(values.labels ?? {})),
  })

/** Name that stands for the Route's in the host of a tag. */
export const renderTag = (template: Template, values: { tag: string; name: string }): string =>
  template.execute({ Tag: values.tag, Name: values.name })

export const defaultDomainTemplate = compileTemplate(
  'domain-template',
  '{{.Name}}.{{.Namespace}}.{{.Domain}}',
)
export const defaultTagTemplate = compileTemplate('tag-template', '{{.Tag}}-{{.Name}}')

function domainTemplate(data: ConfigData): Template {
  const text = raw(data, 'domainTemplate', 'domain-template')
  if (text === undefined) return defaultDomainTemplate
  const template = compileTemplate('domain-template', text)
  const host = renderDomain(template, { name: 'foo', namespace: 'bar', domain: 'baz.com' })
  const [name, path] = splitHost(host)
  if (path !== undefined) throw new Error(`domain template has url path: ${path}`)
  if (name === '') throw new Error('empty hostname')
  if (!/^[A-Za-z0-9.-]+(:\d+)?$/.test(name))
    throw new Error(`invalid character in host name ${JSON.stringify(name)}`)
  return template
}

function splitHost(host: string): [name: string, path?: string] {
  const at = host.search(/[/?#]/)
  if (at < 0 || host.slice(at) === '/') return [at < 0 ? host : host.slice(0, at)]
  return [host.slice(0, at), host.slice(at)]
}

function tagTemplate(data: ConfigData): Template {
  const text = raw(data, 'tagTemplate', 'tag-template')
  if (text === undefined) return defaultTagTemplate
  const template = compileTemplate('tag-template', text)
  renderTag(template, { tag: 'v2', name: 'foo' })
  return template
}

function httpProtocol(data: ConfigData): HttpProtocol {
  const text = raw(data, 'httpProtocol', 'http-protocol') ?? ''
  switch (text.toLowerCase()) {
    case '':
    case 'enabled':
      return 'Enabled'
    case 'redirected':
      return 'Redirected'
    case 'disabled':
      return 'Disabled'
    default:
      throw new Error(`httpProtocol ${text} in config-network ConfigMap is not supported`)
  }
}

function onOrOff(data: ConfigData, key: string, fallback: boolean): boolean {
  switch ((data[key] ?? '').toLowerCase()) {
    case '':
    case 'disabled':
      return fallback
    case 'enabled':
      return true
    default:
      throw new Error(
        `${key} with value: ${JSON.stringify(data[key])} in config-network ConfigMap is not supported`,
      )
  }
}

function meshMode(data: ConfigData): MeshCompatibilityMode {
  const text = data['mesh-compatibility-mode']?.toLowerCase()
  return text === 'enabled' || text === 'disabled' ? text : 'auto'
}

export const configNetwork: Config<NetworkConfig> = defineConfig({
  name: 'config-network',
  component: 'networking',
  parse(data) {
    const rolloutDurationSeconds = asInteger(data, 0, ['rolloutDuration', 'rollout-duration'], {
      call: 'Atoi',
    })
    if (rolloutDurationSeconds < 0) {
      throw new Error(
        `rollout-duration must be a positive integer, but was ${rolloutDurationSeconds}`,
      )
    }
    const selector = data['namespace-wildcard-cert-selector']
    return {
      ingressClass: asString(
        data,
        'istio.ingress.networking.knative.dev',
        'ingress.class',
        'ingress-class',
      ),
      certificateClass: asString(
        data,
        'cert-manager.certificate.networking.knative.dev',
        'certificate.class',
        'certificate-class',
      ),
      domainTemplate: domainTemplate(data),
      tagTemplate: tagTemplate(data),
      externalDomainTls: asEnabled(data, false, 'autoTLS', 'auto-tls', 'external-domain-tls'),
      clusterLocalDomainTls: onOrOff(data, 'cluster-local-domain-tls', false),
      systemInternalTls: onOrOff(
        data,
        'system-internal-tls',
        asBoolean(data, false, 'internal-encryption'),
      ),
      httpProtocol: httpProtocol(data),
      rolloutDurationSeconds,
      autocreateClusterDomainClaims: asBoolean(
        data,
        false,
        'autocreateClusterDomainClaims',
        'autocreate-cluster-domain-claims',
      ),
      defaultExternalScheme: asString(
        data,
        'http',
        'defaultExternalScheme',
        'default-external-scheme',
      ),
      namespaceWildcardCertSelector: selector ? parseSmallYaml(selector) : undefined,
      meshCompatibilityMode: meshMode(data),
      enableMeshPodAddressability: asBoolean(data, false, 'enable-mesh-pod-addressability'),
    }
  },
  example: `
# Examples, with the defaults as values. Copy a line to the top level of the
# ConfigMap, directly below "data", to make it count.

# Which ingress serves Routes that name none.
ingress-class: "istio.ingress.networking.knative.dev"

# Which issuer makes certificates for Routes that name none.
certificate-class: "cert-manager.certificate.networking.knative.dev"

# Go template of a Route's host: .Name, .Namespace, .Domain, .Annotations and
# .Labels. Must give every Route a host of its own.
domain-template: "{{.Name}}.{{.Namespace}}.{{.Domain}}"

# Go template of the name in front of the host for a tag: .Tag and .Name.
tag-template: "{{.Tag}}-{{.Name}}"

# Whether hosts outside get certificates.
external-domain-tls: "Disabled"

# Whether hosts inside get certificates.
cluster-local-domain-tls: "Disabled"

# Whether the platform's own hops are encrypted.
system-internal-tls: "Disabled"

# What plain HTTP gets when there is a certificate: "Enabled" serves it,
# "Redirected" sends it to https.
http-protocol: "Enabled"

# Seconds over which a new Revision takes the traffic, at a growing share.
rollout-duration: "0"

# Whether a DomainMapping may claim its domain by itself.
autocreate-cluster-domain-claims: "false"

# Scheme of URLs without a certificate of ours, "http" or "https".
default-external-scheme: "http"

# Label selector of namespaces that get one wildcard certificate.
namespace-wildcard-cert-selector: ""

# Whether pods are reached by address: "auto", "enabled" (a mesh: no) or
# "disabled" (no mesh: yes).
mesh-compatibility-mode: "auto"

# Whether pods can be reached by address although there is a mesh.
enable-mesh-pod-addressability: "false"
`,
})
