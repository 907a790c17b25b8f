/** Whether a changed ConfigMap is config-features: what depends on a feature is looked at again. */
import type { KubeObject } from '../../kube/api/meta.ts'
import { configEventingFeatures } from '../api/config/features.ts'
import { systemNamespace } from '../api/names.ts'

export const isFeatures = ({ metadata }: KubeObject): boolean =>
  metadata.namespace === systemNamespace && metadata.name === configEventingFeatures.name
