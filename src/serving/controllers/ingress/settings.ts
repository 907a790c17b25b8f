/** The cluster-wide settings of the data plane, out of the config-* ConfigMaps, told to the gateway as they change. */
import { ConfigMap } from '../../../kube/api/config-map.ts'
import { configDefaults, type DefaultsConfig } from '../../api/config/defaults.ts'
import { configObservability, type ObservabilityConfig } from '../../api/config/observability.ts'
import { systemNamespace } from '../../api/names.ts'
import type { GatewaySettings } from '../../gateway/feed.ts'
import { createReadConfig } from '../config.ts'
import type { FeedSource } from './feed-client.ts'
import { createFacts, type FeedPart } from './feed-part.ts'

export function gatewaySettings(
  observability: ObservabilityConfig,
  { longLivedStreams }: Pick<DefaultsConfig, 'longLivedStreams'>,
): GatewaySettings {
  const { enableRequestLog, requestLogTemplate, enableProbeRequestLog, tracing, serverTiming } =
    observability
  const { protocol, endpoint, samplingRate } = tracing
  return {
    ...(enableRequestLog && requestLogTemplate && { requestLogTemplate: requestLogTemplate.text }),
    ...(enableProbeRequestLog && { logProbes: true }),
    ...(protocol !== 'none' && { tracing: { protocol, endpoint, samplingRate } }),
    serverTiming,
    longLivedStreams,
  }
}

/** Keeps telling them. Begins once the ConfigMaps are cached. */
export function settingsPart(source: FeedSource): FeedPart & Disposable {
  const facts = createFacts()
  const readConfig = createReadConfig()
  const names = new Set([configObservability.name, configDefaults.name])
  const tell = () =>
    facts.tell({
      type: 'settings',
      settings: gatewaySettings(
        readConfig(source.read, configObservability),
        readConfig(source.read, configDefaults),
      ),
    })
  let synced = false
  const cancel = source.onChange(ConfigMap, ({ metadata }) => {
    if (synced && metadata.namespace === systemNamespace && names.has(metadata.name)) tell()
  })
  void source.synced().then(() => {
    synced = true
    tell()
    facts.complete()
  })
  return { ...facts, [Symbol.dispose]: cancel }
}
