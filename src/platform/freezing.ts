/** What the node agent has to ask before it freezes a pod, and how much memory frozen pods may keep. */
import { totalmem } from 'node:os'
import { ConfigMap } from '../kube/api/config-map.ts'
import { Endpoints } from '../kube/api/endpoints.ts'
import type { Pod } from '../kube/api/pod.ts'
import type { Informers } from '../kube/client/informer.ts'
import { configAutoscaler } from '../serving/api/config/autoscaler.ts'
import { label, systemNamespace } from '../serving/api/names.ts'

/**
 * Resolves when no Endpoints lists the pod as ready any more. Only then may its backend be drained: a gateway that hears
 * of the drain first would take the pod for one that ends.
 */
export function leftEndpoints(informers: Informers, pod: Pod, signal: AbortSignal): Promise<void> {
  const { uid, namespace = '', labels } = pod.metadata
  const informer = informers.for(Endpoints)
  const revision = labels?.[label.revision]
  const isListed = (): boolean =>
    informer
      .list(namespace, revision === undefined ? undefined : { [label.revision]: revision })
      .some(({ subsets }) =>
        subsets?.some(({ addresses }) =>
          addresses?.some(({ targetRef }) => targetRef?.uid === uid),
        ),
      )
  return new Promise((resolve) => {
    const check = (): void => {
      if (!signal.aborted && isListed()) return
      subscription[Symbol.dispose]()
      signal.removeEventListener('abort', check)
      resolve()
    }
    const subscription = informer.subscribe((_type, changed) => {
      if (changed.metadata.namespace === namespace) queueMicrotask(check)
    })
    signal.addEventListener('abort', check)
    check()
  })
}

/** Bytes that frozen pods may keep together, as config-autoscaler says now. */
export function frozenMemoryLimit(informers: Informers): number {
  const key = { namespace: systemNamespace, name: configAutoscaler.name }
  const map = informers.for(ConfigMap).get(key)
  return (percentage(map) / 100) * totalmem()
}

function percentage(map: ConfigMap | undefined): number {
  try {
    return configAutoscaler.from(map).freezeMemoryPercentage
  } catch {
    // Admission refuses such a ConfigMap; one from elsewhere counts as not said.
    return configAutoscaler.defaults.freezeMemoryPercentage
  }
}
