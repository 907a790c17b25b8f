/**
 * The core Services that some route names, told to the gateway as targets: only these, because a cluster has many more.
 * Whoever names one says so; its Service, Endpoints and EndpointSlices are followed until nobody names it any more.
 */
import { EndpointSlice } from '../../../kube/api/endpoint-slice.ts'
import { Endpoints } from '../../../kube/api/endpoints.ts'
import { keyOf, keyText, type KubeObject, type ObjectKey } from '../../../kube/api/meta.ts'
import { Service as CoreService } from '../../../kube/api/service.ts'
import type { FeedSource } from './feed-client.ts'
import { createFacts, type FeedPart } from './feed-part.ts'
import { serviceTarget } from './service-target.ts'

export interface ServiceTargets extends FeedPart, Disposable {
  /** From now on `by` names exactly these targets, `namespace/name:port`; an empty list when it is gone. */
  name(by: string, targets: readonly string[]): void
}

/** The label that says whose a slice is. */
const sliceOf = 'kubernetes.io/service-name'

export function createServiceTargets(source: FeedSource): ServiceTargets {
  const { read } = source
  const facts = createFacts()
  /** Who names what, and the other way round: Service -> target -> who. */
  const named = new Map<string, readonly string[]>()
  const services = new Map<string, Map<string, Set<string>>>()

  const tell = (target: string) => {
    const { service: key, port } = parse(target)
    const service = read.get(CoreService, key)
    if (!service) return facts.tell({ type: 'revision-gone', key: target })
    const slices = read.list(EndpointSlice, key.namespace, { [sliceOf]: key.name })
    const revision = serviceTarget(service, port, read.get(Endpoints, key), slices)
    facts.tell({ type: 'revision', revision })
  }
  const changed = (key: ObjectKey) => {
    for (const target of services.get(keyText(key))?.keys() ?? []) tell(target)
  }
  const release = (target: string, by: string) => {
    const service = keyText(parse(target).service)
    const targets = services.get(service)
    const names = targets?.get(target)
    names?.delete(by)
    if (!targets || names?.size !== 0) return
    targets.delete(target)
    if (targets.size === 0) services.delete(service)
    facts.tell({ type: 'revision-gone', key: target })
  }

  const cancels = [
    source.onChange(CoreService, (object) => changed(keyOf(object))),
    source.onChange(Endpoints, (object) => changed(keyOf(object))),
    source.onChange(EndpointSlice, (object) => {
      const name = serviceOfSlice(object)
      if (name) changed({ namespace: object.metadata.namespace ?? '', name })
    }),
  ]
  void source.synced().then(() => {
    for (const targets of services.values()) for (const target of targets.keys()) tell(target)
    facts.complete()
  })

  return {
    ...facts,
    name(by, targets) {
      const before = named.get(by) ?? []
      if (targets.length > 0) named.set(by, targets)
      else named.delete(by)
      for (const target of targets) {
        if (before.includes(target)) continue
        const service = keyText(parse(target).service)
        const all = services.get(service) ?? new Map<string, Set<string>>()
        services.set(service, all)
        const names = all.get(target) ?? new Set()
        all.set(target, names.add(by))
        if (names.size === 1) tell(target)
      }
      for (const target of before) if (!targets.includes(target)) release(target, by)
    },
    [Symbol.dispose]() {
      for (const cancel of cancels) cancel()
    },
  }
}

const serviceOfSlice = ({ metadata }: KubeObject): string | undefined => metadata.labels?.[sliceOf]

function parse(target: string): { readonly service: ObjectKey; readonly port: number } {
  const colon = target.lastIndexOf(':')
  const [namespace = '', name = ''] = target.slice(0, colon).split('/')
  return { service: { namespace, name }, port: Number(target.slice(colon + 1)) }
}
