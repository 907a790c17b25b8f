/**
 * The ConfigMaps of knative-eventing: the objects a new platform starts with, and the admission that keeps a bad value
 * out.
 */
import { checkConfigMap, shippedConfig } from '../../../knative/shipped-configs.ts'
import type { Config, ConfigMapLike } from '../../../knative/config-map.ts'
import type { ConfigMap } from '../../../kube/api/config-map.ts'
import type { AdmissionContext } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { configBrDefaults } from './br-defaults.ts'
import { templateKey } from './br-channel.ts'
import { configChannelDefaults, configFormerChannelDefaults } from './ch-webhook.ts'
import { configEventingFeatures, isFeatureKey } from './features.ts'
import { configKReferenceMapping } from './kreference-mapping.ts'
import { configPingDefaults } from './ping-defaults.ts'
import { configSugar } from './sugar.ts'
import {
  configDispatcher,
  configEventingLeaderElection,
  configEventingLogging,
  configEventingObservability,
  configEventingTracing,
} from './system.ts'
import { systemNamespace } from '../names.ts'

export const eventingConfigs: readonly Config<unknown>[] = [
  configBrDefaults,
  configChannelDefaults,
  configEventingFeatures,
  configKReferenceMapping,
  configPingDefaults,
  configSugar,
  configDispatcher,
  configEventingLeaderElection,
  configEventingLogging,
  configEventingObservability,
]

const place = { namespace: systemNamespace, product: 'knative-eventing' } as const

export function eventingConfigMaps(): ConfigMap[] {
  const shipped = eventingConfigs.map((config) => shippedConfig(config, place))
  const { metadata } = shippedConfig(configBrDefaults, place)
  const { annotations: _, ...plain } = metadata
  return [
    ...shipped,
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { ...plain, name: 'config-br-default-channel' },
      data: { [templateKey]: 'apiVersion: messaging.knative.dev/v1\nkind: InMemoryChannel\n' },
    },
  ]
}

export const configWebhook = 'config.webhook.eventing.knative.dev'
/** Of the past: read and checked where somebody has them. */
const formerConfigs: readonly Config<unknown>[] = [
  configFormerChannelDefaults,
  configEventingTracing,
]
const known = new Map([...eventingConfigs, ...formerConfigs].map((config) => [config.name, config]))

function check(configMap: ConfigMapLike, warn: (text: string) => void): void {
  const { name, namespace } = configMap.metadata
  const config = namespace === systemNamespace ? known.get(name) : undefined
  if (!config) return
  checkConfigMap<unknown>(configMap, config, configWebhook)
  if (name === configEventingFeatures.name) warnOfFeatures(configMap, warn)
}

/** Keys that mean nothing. */
function warnOfFeatures({ data = {} }: ConfigMapLike, warn: (text: string) => void): void {
  for (const key of Object.keys(data))
    if (!isFeatureKey(key)) warn(`config-features: ${key} is no feature that is known here`)
}

/** Admission plugin of the API server for ConfigMaps. */
export const eventingConfigAdmission = {
  kind: { group: '', kind: 'ConfigMap' },
  admit(object: KubeObject, context: AdmissionContext): KubeObject {
    check(object, (text) => context.warn(text))
    return object
  },
} as const
