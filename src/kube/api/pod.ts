/** Pod: containers that run together on the node. Its defaults, what of it can change, and its columns. */
import type { Pod as PodType } from 'kubernetes-types/core/v1.js'
import { ageColumn, nameColumn } from './columns.ts'
import { changed } from './container.ts'
import { defaultEphemeral, ephemeralAtCreation, ephemeralProblems } from './ephemeral-containers.ts'
import type { AdmissionContext, Column, KindDefinition } from './kind.ts'
import { defaultPodOnly, defaultPodSpec, podSpecProblems, type PodSpec } from './pod-spec.ts'
import { summarizePod } from './pod-status.ts'
import { commaList } from './printer.ts'
import { builtin } from './schema.ts'
import { withAccount } from './service-account-volume.ts'
import { ServiceAccount } from './service-account.ts'
import { forbidden } from './status-error.ts'
import type { Stored } from './stored.ts'
import { notAllowed, refuseInvalid, sameJson, wrong, type Complaints } from './validation.ts'
import { compareQuantities } from './quantity.ts'

export type Pod = Stored<PodType, 'spec'>
export type { PodSpec } from './pod-spec.ts'

const columns: readonly Column<Pod>[] = [
  nameColumn,
  {
    name: 'Ready',
    type: 'string',
    description: 'Containers that are ready, of all.',
    value: (pod, nowMs) => summarizePod(pod, nowMs).ready,
  },
  {
    name: 'Status',
    type: 'string',
    description: 'What the pod is doing, or what keeps it from running.',
    value: (pod, nowMs) => summarizePod(pod, nowMs).status,
  },
  {
    name: 'Restarts',
    type: 'string',
    description: 'How often containers were restarted, and when last.',
    value: (pod, nowMs) => summarizePod(pod, nowMs).restarts,
  },
  ageColumn,
  {
    name: 'IP',
    type: 'string',
    priority: 1,
    description: 'The address of the pod.',
    value: ({ status }) => status?.podIP || '<none>',
  },
  {
    name: 'Node',
    type: 'string',
    priority: 1,
    description: 'The node that the pod runs on.',
    value: ({ spec }) => spec.nodeName || '<none>',
  },
  {
    name: 'Nominated Node',
    type: 'string',
    priority: 1,
    description: 'The node that the pod waits for.',
    value: ({ status }) => status?.nominatedNodeName || '<none>',
  },
  {
    name: 'Readiness Gates',
    type: 'string',
    priority: 1,
    description: 'Readiness gates that are passed, of all.',
    value: readinessGates,
  },
]

function readinessGates({ spec, status }: Pod): string {
  const gates = spec.readinessGates ?? []
  if (gates.length === 0) return '<none>'
  const passed = gates.filter(({ conditionType }) =>
    status?.conditions?.some(({ type, status: is }) => type === conditionType && is === 'True'),
  )
  return `${passed.length}/${gates.length}`
}

export const Pod: KindDefinition<Pod> = {
  group: '',
  version: 'v1',
  kind: 'Pod',
  plural: 'pods',
  singular: 'pod',
  shortNames: ['po'],
  categories: ['all'],
  namespaced: true,
  description: 'A Pod is a group of containers that run together on one node and share an address.',
  schema: builtin<Pod>('io.k8s.api.core.v1.Pod'),
  flavour: 'builtin',
  hasStatus: true,
  hasGeneration: false,
  columns,
  selectableFields: {
    'spec.nodeName': ({ spec }) => spec.nodeName ?? '',
    'spec.host': ({ spec }) => spec.nodeName ?? '',
    'spec.restartPolicy': ({ spec }) => spec.restartPolicy ?? '',
    'spec.schedulerName': ({ spec }) => spec.schedulerName ?? '',
    'spec.serviceAccountName': ({ spec }) => spec.serviceAccountName ?? '',
    'spec.hostNetwork': ({ spec }) => String(spec.hostNetwork ?? false),
    'status.phase': ({ status }) => status?.phase ?? '',
    'status.podIP': ({ status }) => status?.podIP ?? '',
    'status.podIPs': ({ status }) => commaListOrEmpty(status?.podIPs?.map(({ ip }) => ip ?? '')),
    'status.nominatedNodeName': ({ status }) => status?.nominatedNodeName ?? '',
  },
  admit(pod, context) {
    if (context.subresource === 'status') return pod
    if (context.subresource === 'ephemeralcontainers') {
      const added = changed(pod, { spec: defaultEphemeral(pod.spec) })
      const before = context.old?.spec ?? added.spec
      return refuseInvalid(Pod, added, ephemeralProblems(added.spec, before))
    }
    const defaulted = changed(pod, { spec: defaultPodOnly(defaultPodSpec(pod.spec ?? {})) })
    if (context.operation === 'UPDATE')
      return refuseInvalid(Pod, defaulted, updateProblems(defaulted.spec, context.old?.spec))
    refuseInvalid(Pod, defaulted, ephemeralAtCreation(defaulted.spec))
    refuseInvalid(Pod, defaulted, podSpecProblems(defaulted.spec, 'spec'))
    const spec = withAccount(
      defaulted.spec,
      accountOf(defaulted, context),
      defaulted.metadata.uid ?? '',
    )
    return { ...defaulted, spec, status: { phase: 'Pending', qosClass: qosClass(spec) } }
  },
  /** An unassigned or finished pod has nothing to stop, so it goes at once. */
  gracefulDeletion({ spec, status }) {
    if (!spec.nodeName || status?.phase === 'Succeeded' || status?.phase === 'Failed')
      return undefined
    return { gracePeriodSeconds: spec.terminationGracePeriodSeconds ?? 30 }
  },
}

const commaListOrEmpty = (items: readonly string[] = []): string =>
  items.length === 0 ? '' : commaList(items)

/** `default` comes with each namespace, and comes back if it is deleted; another account has to be there. */
function accountOf(pod: Pod, context: AdmissionContext<Pod>): ServiceAccount | undefined {
  const name = pod.spec.serviceAccountName ?? 'default'
  const namespace = pod.metadata.namespace ?? ''
  const account = context.read(ServiceAccount, { namespace, name })
  if (name === 'default' || account) return account
  throw forbidden(
    Pod,
    pod.metadata.name,
    `error looking up service account ${namespace}/${name}: serviceaccount "${name}" not found`,
  )
}

/** Images and more tolerations may change, the deadline may come nearer; a pod without a node may be given one. */
function* updateProblems(now: PodSpec, before: PodSpec | undefined): Complaints {
  if (before === undefined || now === before) return
  const { activeDeadlineSeconds: deadline } = now
  const { activeDeadlineSeconds: oldDeadline } = before
  if (oldDeadline !== undefined && (deadline === undefined || deadline > oldDeadline))
    yield wrong(
      'spec.activeDeadlineSeconds',
      deadline ?? null,
      deadline === undefined
        ? 'must not update from a positive integer to nil value'
        : 'must be less than or equal to previous value',
    )
  const keptTolerations = (before.tolerations ?? []).every((old) =>
    now.tolerations?.some((each) => sameJson(each, old)),
  )
  const same = sameJson(immutablePart(now, before), immutablePart(before, before))
  if (same && keptTolerations) return
  yield notAllowed(
    'spec',
    'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
  )
}

function immutablePart(spec: PodSpec, before: PodSpec): unknown {
  const { activeDeadlineSeconds: _d, tolerations: _t, nodeName, ...rest } = spec
  const withoutImages = (containers: PodSpec['containers'] | undefined) =>
    containers?.map(({ image: _i, ...container }) => container)
  return {
    ...rest,
    nodeName: before.nodeName ? nodeName : undefined,
    containers: withoutImages(spec.containers),
    initContainers: withoutImages(spec.initContainers),
  }
}

/** Guaranteed: each container's cpu and memory limits equal its requests; BestEffort: nothing is said at all. */
export function qosClass(spec: PodSpec): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  const all = [...spec.containers, ...(spec.initContainers ?? [])]
  const says = (amount: string | undefined) =>
    amount !== undefined && compareQuantities(amount, '0') > 0
  let anything = false
  let guaranteed = true
  for (const { resources } of all)
    for (const name of ['cpu', 'memory']) {
      const limit = resources?.limits?.[name]
      const request = resources?.requests?.[name]
      if (says(limit) || says(request)) anything = true
      if (!limit || compareQuantities(limit, request ?? limit) !== 0) guaranteed = false
    }
  if (!anything) return 'BestEffort'
  return guaranteed ? 'Guaranteed' : 'Burstable'
}
