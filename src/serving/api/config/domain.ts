/**
 * config-domain: which domain a Route is served under. Each key is a domain; its value may
 * select Routes by label. `port` and `https-port` are Ebb's own: the gateway's ports, shown in URLs and nowhere else,
 * because on one's own machine 80 and 443 are mostly not ours.
 */
import { defineConfig, type Config } from '../../../knative/config-map.ts'
import type { ConfigData } from '../../../knative/config-values.ts'
import { asMap, parseSmallYaml, scalarText, type YamlValue } from '../../../knative/small-yaml.ts'
import { clusterDomain as defaultClusterDomain, clusterLocal, label } from '../names.ts'

export interface DomainRule {
  readonly domain: string
  /** Labels a Route must have; empty = any Route. */
  readonly selector: Readonly<Record<string, string>>
  /** Kept as it is; '' or `wildcard`. */
  readonly type: string
  /** Shown in http URLs of this domain when given. */
  readonly port?: number
  /** Shown in https URLs of this domain when given. */
  readonly httpsPort?: number
}

export interface DomainConfig {
  readonly rules: readonly DomainRule[]
}

/** The domain of a Route and the ports its URLs show, if any. */
export interface ChosenDomain {
  readonly domain: string
  readonly port?: number
  readonly httpsPort?: number
}

function rule(domain: string, text: string): DomainRule {
  if (!isDomain(domain)) throw new Error(`${domain}: not a domain, it must be like example.com`)
  const value = reading(domain, () => parseSmallYaml(text))
  const map = value === null || value === '' ? {} : asMap(value)
  if (!map) throw new Error(`${domain}: expected a map with selector, type or port`)
  const selector = Object.fromEntries(
    Object.entries(selectorOf(domain, map['selector'])).map(([key, item]) => [
      key,
      scalarText(item),
    ]),
  )
  const port = portOf(domain, map, 'port')
  const httpsPort = portOf(domain, map, 'https-port')
  return {
    domain,
    selector,
    type: typeof map['type'] === 'string' ? map['type'] : '',
    ...(port !== undefined && { port }),
    ...(httpsPort !== undefined && { httpsPort }),
  }
}

/** Labels of DNS with dots between; a single one (`localhost`) will do. Any other would make every URL below it invalid. */
const isDomain = (text: string): boolean =>
  text.length <= 253 &&
  /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(text)

function selectorOf(domain: string, value: YamlValue | undefined): Record<string, YamlValue> {
  if (value === undefined || value === null) return {}
  const map = asMap(value)
  if (!map) throw new Error(`${domain}: selector must be a map of labels`)
  return map
}

function portOf(
  domain: string,
  map: Readonly<Record<string, YamlValue>>,
  key: string,
): number | undefined {
  const value = map[key]
  if (value === undefined || value === null) return undefined
  if (typeof value === 'number' && isPort(value)) return value
  throw new Error(`${domain}: ${key} = ${JSON.stringify(value)}, must be in [1, 65535] range`)
}

const isPort = (value: YamlValue): boolean =>
  typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65_535

function reading<T>(key: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw new Error(`${key}: ${error instanceof Error ? error.message : error}`, { cause: error })
  }
}

/**
 * The domain of a Route with these labels: the rule with most selector labels among those that match, then the
 * alphabetically first. Without any that matches, and with the label `visibility=cluster-local`, `svc.<cluster domain>`.
 */
export function domainFor(
  config: DomainConfig,
  labels: Readonly<Record<string, string>> = {},
  clusterDomain: string = defaultClusterDomain,
): ChosenDomain {
  let chosen: DomainRule | undefined
  if (labels[label.visibility] !== clusterLocal) {
    for (const candidate of config.rules) {
      const selector = Object.entries(candidate.selector)
      if (!selector.every(([key, value]) => labels[key] === value)) continue
      if (chosen && !isBefore(candidate, chosen)) continue
      chosen = candidate
    }
  }
  if (!chosen) return { domain: `svc.${clusterDomain}` }
  const { port, httpsPort } = chosen
  return {
    domain: chosen.domain,
    ...(port !== undefined && { port }),
    ...(httpsPort !== undefined && { httpsPort }),
  }
}

function isBefore(a: DomainRule, b: DomainRule): boolean {
  const more = Object.keys(a.selector).length - Object.keys(b.selector).length
  return more === 0 ? a.domain < b.domain : more > 0
}

/** True when hosts of this domain are reachable only inside. */
export const isClusterLocalDomain = (
  domain: string,
  clusterDomain: string = defaultClusterDomain,
): boolean => domain === `svc.${clusterDomain}` || domain.endsWith(`.svc.${clusterDomain}`)

export const configDomain: Config<DomainConfig> = defineConfig({
  name: 'config-domain',
  component: 'controller',
  parse: (data: ConfigData) => ({
    rules: Object.entries(data)
      .filter(([key]) => key !== '_example')
      .map(([domain, text]) => rule(domain, text)),
  }),
  example: `
# Each key is a domain that Routes are served under: <name>.<namespace>.<domain>.
# Copy a line to the top level of the ConfigMap, directly below "data", to make
# it count.

# The domain of all Routes that no other key selects.
example.com: |

# The domain of Routes with the label app=nonprofit. The rule with most labels
# wins.
example.org: |
  selector:
    app: nonprofit

# With ports, which http and https URLs of this domain then show. Routing
# ignores them.
example.net: |
  selector:
    app: local
  port: 8080
  https-port: 8443

# Routes under svc.cluster.local are not served outside. The label
# networking.knative.dev/visibility=cluster-local does the same.
svc.cluster.local: |
  selector:
    app: secret
`,
})
