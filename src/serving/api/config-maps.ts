/**
 * The config-* ConfigMaps of knative-serving: the objects a new platform starts with, and the admission that keeps a bad
 * value out. Their `_example` and its checksum are what `kubectl edit` shows people.
 */
import { configWebhook } from '../../knative/admission.ts'
import type { ConfigMapLike } from '../../knative/config-map.ts'
import { checkConfigMap, shippedConfig } from '../../knative/shipped-configs.ts'
import type { ConfigMap } from '../../kube/api/config-map.ts'
import type { AdmissionContext } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { configAcme } from './config/acme.ts'
import { configAutoscaler } from './config/autoscaler.ts'
import { configDefaults } from './config/defaults.ts'
import { configDeployment } from './config/deployment.ts'
import { configDomain } from './config/domain.ts'
import { configFeatures } from './config/features.ts'
import { configGc } from './config/gc.ts'
import { configNetwork, type NetworkConfig } from './config/network.ts'
import { configObservability } from './config/observability.ts'
import { configRegistries } from './config/registries.ts'
import { systemNamespace } from './names.ts'

export { exampleChecksum } from '../../knative/shipped-configs.ts'

/** All configs of Serving, whatever they parse to. */
export const servingConfigs = [
  configAcme,
  configAutoscaler,
  configDefaults,
  configDeployment,
  configDomain,
  configFeatures,
  configGc,
  configNetwork,
  configObservability,
  configRegistries,
] as const

/**
 * The ConfigMaps to create, with `domain` as the domain of all Routes. `domainPort` is shown in their URLs; leave it
 * out when the gateway listens on port 80.
 */
export function servingConfigMaps({
  domain,
  domainPort,
}: {
  readonly domain: string
  readonly domainPort?: number
}): ConfigMap[] {
  const settings: Readonly<Record<string, Record<string, string>>> = {
    [configDomain.name]: { [domain]: domainPort === undefined ? '' : `port: ${domainPort}\n` },
  }
  return servingConfigs.map((config) =>
    shippedConfig(
      config,
      { namespace: systemNamespace, product: 'knative-serving' },
      settings[config.name],
    ),
  )
}

const known = new Map(servingConfigs.map((config) => [config.name, config]))

/** Throws the webhook's denial when a config-* ConfigMap of knative-serving cannot be read. */
function check(configMap: ConfigMapLike, warn: (text: string) => void): void {
  const { name, namespace } = configMap.metadata
  const config = namespace === systemNamespace ? known.get(name) : undefined
  if (!config) return
  const value: unknown = checkConfigMap<unknown>(configMap, config, configWebhook)
  if (config.name === configNetwork.name) warnOfNetwork(value as NetworkConfig, warn)
}

/** Keys that are understood and do nothing, since what they encrypt does not leave the machine. */
function warnOfNetwork(config: NetworkConfig, warn: (text: string) => void): void {
  const without = (key: string, what: string) =>
    warn(`config-network: ${key} has no effect here: ${what}`)
  if (config.clusterLocalDomainTls)
    without('cluster-local-domain-tls', 'cluster-local hosts are served by plain HTTP')
  if (config.systemInternalTls)
    without('system-internal-tls', 'the one hop from gateway to pod stays on the machine')
}

/** Admission plugin of the API server for ConfigMaps. */
export const configMapAdmission = {
  kind: { group: '', kind: 'ConfigMap' },
  admit(object: KubeObject, context: AdmissionContext): KubeObject {
    check(object, (text) => context.warn(text))
    return object
  },
} as const
