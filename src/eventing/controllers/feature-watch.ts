/** Whether a changed ConfigMap is config-features: what depends on a feature is looked at again. */
import type { KubeObject } from '../../kube/api/meta.ts'
import { configEventingFeatures } from '../api/config/features.ts'
import { configEventingObservability } from '../api/config/system.ts'
import { systemNamespace } from '../api/names.ts'

export const isFeatures = ({ metadata }: KubeObject): boolean =>
  metadata.namespace === systemNamespace && metadata.name === configEventingFeatures.name

/** Whether what the engine is told depends on it: on features, and on where spans go. */
export const isForEngine = (map: KubeObject): boolean =>
  isFeatures(map) ||
  (map.metadata.namespace === systemNamespace &&
    map.metadata.name === configEventingObservability.name)
