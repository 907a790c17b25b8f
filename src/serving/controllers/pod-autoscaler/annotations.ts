/** Scale settings whose meaning takes more than one key. */
import { initialScale, type Annotations } from '../../api/autoscaling-annotations.ts'
import type { AutoscalerConfig } from '../../api/config/autoscaler.ts'

/** Pods a Revision starts with; an annotated 0 counts only where the cluster allows it. */
export function initialScaleOf(annotations: Annotations, config: AutoscalerConfig): number {
  const scale = initialScale(annotations, config)
  return scale === 0 && !config.allowZeroInitialScale ? config.initialScale : scale
}
