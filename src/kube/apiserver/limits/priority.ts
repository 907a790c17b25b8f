/** Pods get the number that their PriorityClass stands for (upstream: the Priority admission plugin). */
import type { KubeObject } from '../../api/meta.ts'
import { Pod } from '../../api/pod.ts'
import { PriorityClass, systemPriorityClasses } from '../../api/priority-class.ts'
import { forbidden } from '../../api/status-error.ts'
import { rfc3339 } from '../../../lib/clock.ts'
import type { AdmissionPlugin, Machinery } from '../machinery.ts'
import { randomUuid } from '../metadata.ts'
import { storeKey } from '../registry.ts'

export const priorities: AdmissionPlugin = {
  kind: Pod,
  admit(object: KubeObject, context) {
    const { operation, subresource } = context
    if (operation !== 'CREATE' || subresource !== '') return object
    const pod = object as Pod
    const name = pod.spec.priorityClassName
    const found = name
      ? context.read(PriorityClass, { namespace: '', name })
      : context.list(PriorityClass, '').find(({ globalDefault }) => globalDefault)
    if (name && !found)
      throw forbidden(Pod, pod.metadata.name, `no PriorityClass with name ${name} was found`)
    if (!found) return object
    const { preemptionPolicy = 'PreemptLowerPriority' } = found
    return {
      ...pod,
      spec: {
        ...pod.spec,
        priorityClassName: found.metadata.name,
        priority: found.value,
        preemptionPolicy,
      },
    } as KubeObject
  },
}

/** Makes the classes that are always there, where the store lacks them. */
export function bootstrapPriorityClasses({ store, registry, random, clock, log }: Machinery): void {
  if (!registry.byKind(PriorityClass.group, PriorityClass.kind)) return
  for (const each of systemPriorityClasses) {
    const { name } = each.metadata
    const key = storeKey(PriorityClass, { namespace: '', name })
    if (store.get(key)) continue
    const metadata = {
      name,
      uid: randomUuid(random),
      generation: 1,
      creationTimestamp: rfc3339(clock.now()),
    }
    const made = { ...each, metadata, preemptionPolicy: 'PreemptLowerPriority' }
    store.put(key, made, 0).durable.catch((error: unknown) => {
      log.error('a first priority class is not durable', { name, error })
    })
  }
}
