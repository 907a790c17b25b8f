/**
 * Keeps the status of ResourceQuotas: what is used of what may be (upstream: pkg/controller/resourcequota). Admission
 * counts for itself; this is for people to read.
 */
import type { Kind } from '../../api/kind.ts'
import { keyOf, keyText } from '../../api/meta.ts'
import { isAbout, isCounted, sumUsage, usageOf } from '../../api/quota-usage.ts'
import { ResourceQuota } from '../../api/resource-quota.ts'
import { semanticallyEqual } from '../../controller/difference.ts'
import type { ControllerDeps } from '../../controller/loop.ts'
import { startWorker } from '../worker.ts'

interface Deps extends ControllerDeps {
  /** All kinds that may be counted. */
  readonly kinds: readonly Kind[]
}

export function startQuotaStatus({ kinds, ...deps }: Deps): AsyncDisposable {
  const { client, informers } = deps
  const quotas = informers.for(ResourceQuota)
  const subscriptions = new DisposableStack()

  const work = async (text: string): Promise<void> => {
    const [namespace = '', name = ''] = text.split('/')
    const quota = quotas.get({ namespace, name })
    if (!quota || quota.metadata.deletionTimestamp) return
    const hard = quota.spec?.hard ?? {}
    const names = Object.keys(hard)
    const usages = kinds
      .filter((kind) => kind.namespaced && names.some((each) => isAbout(each, kind)))
      .flatMap((kind) =>
        informers
          .for(kind)
          .list(namespace)
          .filter((object) => isCounted(quota, kind, object))
          .map((object) => usageOf(kind, object)),
      )
    const status = { hard, used: sumUsage(names, usages) }
    if (semanticallyEqual(status, quota.status)) return
    quotas.wrote(await client.updateStatus(ResourceQuota, { ...quota, status }))
  }

  const queue = startWorker('resourcequota-controller', deps, work, () =>
    [...quotas.values()].map((each) => keyText(keyOf(each))),
  )
  const counted = kinds.filter(
    ({ namespaced, group, kind }) => namespaced && !(group === '' && kind === 'Event'),
  )
  void informers.synced(counted).then(() => {
    if (subscriptions.disposed) return
    subscriptions.use(quotas.subscribe((_, quota) => queue.add(keyText(keyOf(quota)))))
    for (const kind of counted)
      if (kind !== ResourceQuota)
        subscriptions.use(
          informers.for(kind).subscribe((_, { metadata }) => {
            for (const quota of quotas.list(metadata.namespace ?? ''))
              if (Object.keys(quota.spec?.hard ?? {}).some((each) => isAbout(each, kind)))
                queue.add(keyText(keyOf(quota)))
          }),
        )
  })
  return {
    async [Symbol.asyncDispose]() {
      subscriptions.dispose()
      await queue[Symbol.asyncDispose]()
    },
  }
}
