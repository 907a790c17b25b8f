/**
 * LimitRanges of a namespace: containers get what they do not say, and pods and claims that ask for too much or too
 * little are refused (upstream: the LimitRanger admission plugin, whose words these are).
 */
import type { AdmissionContext } from '../../api/kind.ts'
import { LimitRange, type LimitRangeItem } from '../../api/limit-range.ts'
import type { KubeObject } from '../../api/meta.ts'
import { PersistentVolumeClaim } from '../../api/persistent-volume-claim.ts'
import { Pod, qosClass } from '../../api/pod.ts'
import { compareQuantities, quantityValue } from '../../api/quantity.ts'
import { podResources } from '../../api/quota-usage.ts'
import { forbidden } from '../../api/status-error.ts'
import type { AdmissionPlugin } from '../machinery.ts'

type Container = Pod['spec']['containers'][number]
type Amounts = Readonly<Record<string, string>>

/** The plugins of LimitRanges, one for each kind that they speak of. */
export const limitRanges: readonly AdmissionPlugin[] = [
  {
    kind: Pod,
    admit(object, context) {
      if (context.operation !== 'CREATE' || context.subresource !== '') return object
      const ranges = rangesOf(object, context)
      if (ranges.length === 0) return object
      const pod = withDefaults(object as Pod, ranges)
      refuse(Pod, pod, [...podComplaints(pod, ranges)])
      return pod
    },
  },
  {
    kind: PersistentVolumeClaim,
    admit(object, context) {
      if (context.subresource !== '') return object
      const claim = object as PersistentVolumeClaim
      const storage = claim.spec?.resources?.requests ?? {}
      const items = rangesOf(object, context).flatMap(({ spec }) => spec?.limits ?? [])
      const complaints = items
        .filter(({ type }) => type === 'PersistentVolumeClaim')
        .flatMap((item) => [...bounds(item, 'PersistentVolumeClaim', storage, storage)])
      refuse(PersistentVolumeClaim, claim, complaints)
      return object
    },
  },
]

const rangesOf = (object: KubeObject, context: AdmissionContext): readonly LimitRange[] =>
  context.list(LimitRange, object.metadata.namespace ?? '')

function refuse(
  kind: { readonly group: string; readonly plural: string; readonly kind: string },
  object: KubeObject,
  complaints: readonly string[],
): void {
  if (complaints.length === 0) return
  const text = complaints.length === 1 ? complaints[0] : `[${complaints.join(', ')}]`
  throw forbidden(kind, object.metadata.name, text ?? '')
}

function withDefaults(pod: Pod, ranges: readonly LimitRange[]): Pod {
  const limits: Record<string, string> = {}
  const requests: Record<string, string> = {}
  for (const { spec } of ranges)
    for (const item of spec?.limits ?? []) {
      if (item.type !== 'Container') continue
      for (const [name, amount] of Object.entries(item.default ?? {})) limits[name] ??= amount
      for (const [name, amount] of Object.entries(item.defaultRequest ?? {}))
        requests[name] ??= amount
    }
  const notes: string[] = []
  const filled =
    (kindOf: string) =>
    (container: Container): Container => {
      const own = container.resources ?? {}
      const missing = (had: Amounts | undefined, given: Amounts) =>
        Object.entries(given).filter(([name]) => had?.[name] === undefined)
      const newRequests = missing(own.requests, requests)
      const newLimits = missing(own.limits, limits)
      const names = (entries: readonly (readonly [string, string])[]) =>
        entries
          .map(([name]) => name)
          .toSorted()
          .join(', ')
      if (newRequests.length > 0)
        notes.push(`${names(newRequests)} request for ${kindOf} ${container.name}`)
      if (newLimits.length > 0)
        notes.push(`${names(newLimits)} limit for ${kindOf} ${container.name}`)
      if (newRequests.length + newLimits.length === 0) return container
      const allLimits = { ...own.limits, ...Object.fromEntries(newLimits) }
      const allRequests = { ...own.requests, ...Object.fromEntries(newRequests) }
      return {
        ...container,
        resources: {
          ...own,
          ...(Object.keys(allLimits).length > 0 && { limits: allLimits }),
          ...(Object.keys(allRequests).length > 0 && { requests: allRequests }),
        },
      }
    }
  const spec: Pod['spec'] = {
    ...pod.spec,
    containers: pod.spec.containers.map(filled('container')),
    ...(pod.spec.initContainers && {
      initContainers: pod.spec.initContainers.map(filled('init container')),
    }),
  }
  if (notes.length === 0) return pod
  return {
    ...pod,
    metadata: {
      ...pod.metadata,
      annotations: {
        ...pod.metadata.annotations,
        'kubernetes.io/limit-ranger': `LimitRanger plugin set: ${notes.join('; ')}`,
      },
    },
    spec,
    status: { ...pod.status, qosClass: qosClass(spec) },
  }
}

function* podComplaints(pod: Pod, ranges: readonly LimitRange[]): Generator<string> {
  const containers = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])]
  for (const { spec } of ranges)
    for (const item of spec?.limits ?? []) {
      if (item.type === 'Container')
        for (const { resources } of containers)
          yield* bounds(item, 'Container', resources?.requests ?? {}, resources?.limits ?? {})
      if (item.type === 'Pod')
        yield* bounds(item, 'Pod', podResources(pod, 'requests'), podResources(pod, 'limits'))
    }
}

function* bounds(
  { min = {}, max = {}, maxLimitRequestRatio = {} }: LimitRangeItem,
  type: string,
  requests: Amounts,
  limits: Amounts,
): Generator<string> {
  for (const [name, least] of Object.entries(min)) {
    const what = `minimum ${name} usage per ${type} is ${least}`
    const request = requests[name]
    if (request === undefined) yield `${what}.  No request is specified`
    else if (compareQuantities(request, least) < 0) yield `${what}, but request is ${request}`
  }
  for (const [name, most] of Object.entries(max)) {
    const what = `maximum ${name} usage per ${type} is ${most}`
    const [limit, request] = [limits[name], requests[name]]
    if (limit === undefined && type !== 'PersistentVolumeClaim')
      yield `${what}.  No limit is specified`
    else if (limit !== undefined && compareQuantities(limit, most) > 0)
      yield `${what}, but ${type === 'PersistentVolumeClaim' ? 'request' : 'limit'} is ${limit}`
    else if (request !== undefined && compareQuantities(request, most) > 0)
      yield `${what}, but request is ${request}`
  }
  for (const [name, most] of Object.entries(maxLimitRequestRatio)) {
    const what = `${name} max limit to request ratio per ${type} is ${most}`
    const [limit, request] = [limits[name], requests[name]]
    if (request === undefined || quantityValue(request) === 0)
      yield `${what}, but no request is specified or request is 0`
    else if (limit === undefined || quantityValue(limit) === 0)
      yield `${what}, but no limit is specified or limit is 0`
    else if (quantityValue(limit) / quantityValue(request) > quantityValue(most))
      yield `${what}, but provided ratio is ${(quantityValue(limit) / quantityValue(request)).toFixed(6)}`
  }
}
