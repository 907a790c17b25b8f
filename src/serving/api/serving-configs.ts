/** The three configs that defaulting and validation of the serving kinds depend on, read at the moment of the request. */
import type { Config } from '../../knative/config-map.ts'
import { ConfigMap } from '../../kube/api/config-map.ts'
import type { AdmissionContext } from '../../kube/api/kind.ts'
import { configAutoscaler, type AutoscalerConfig } from './config/autoscaler.ts'
import { configDefaults, type DefaultsConfig } from './config/defaults.ts'
import { configFeatures, type FeaturesConfig } from './config/features.ts'
import { systemNamespace } from './names.ts'

export interface ServingConfigs {
  readonly autoscaler: AutoscalerConfig
  readonly defaults: DefaultsConfig
  readonly features: FeaturesConfig
}

export const readServingConfigs = (context: Pick<AdmissionContext, 'read'>): ServingConfigs => ({
  autoscaler: readConfig(context, configAutoscaler),
  defaults: readConfig(context, configDefaults),
  features: readConfig(context, configFeatures),
})

/** The stored config; its defaults when it is absent or, having slipped past admission, cannot be read. */
function readConfig<C>(context: Pick<AdmissionContext, 'read'>, config: Config<C>): C {
  try {
    return config.from(context.read(ConfigMap, { namespace: systemNamespace, name: config.name }))
  } catch {
    return config.defaults
  }
}
