/** The ConfigMaps of knative-eventing as admission and reconcilers read them: of this moment, never failing. */
import type { Config } from '../../../knative/config-map.ts'
import { ConfigMap } from '../../../kube/api/config-map.ts'
import type { AdmissionContext, Kind } from '../../../kube/api/kind.ts'
import type { KubeObject, ObjectKey } from '../../../kube/api/meta.ts'
import { systemNamespace } from '../names.ts'
import { configEventingFeatures, type EventingFeatures } from './features.ts'

/** Both readers: of admission and of reconcilers. */
export interface ConfigReader {
  get<T extends KubeObject>(kind: Kind<T>, key: ObjectKey): T | undefined
}

/** Admission keeps bad values out; should one be there all the same, the defaults hold. */
export function readConfig<C>(config: Config<C>, read: ConfigReader): C {
  try {
    return config.from(read.get(ConfigMap, { namespace: systemNamespace, name: config.name }))
  } catch {
    return config.defaults
  }
}

export const featuresIn = (read: ConfigReader): EventingFeatures =>
  readConfig(configEventingFeatures, read)

/** The same in admission. */
export const readerOf = <T extends KubeObject>({
  read,
}: Pick<AdmissionContext<T>, 'read'>): ConfigReader => ({ get: read })

export const featuresOf = <T extends KubeObject>(
  context: Pick<AdmissionContext<T>, 'read'>,
): EventingFeatures => featuresIn(readerOf(context))
