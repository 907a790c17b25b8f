/** The spec of pods and pod templates: defaults and validation, shared by every workload kind. */
import type {
  PodSpec as PodSpecType,
  PodTemplateSpec as PodTemplateSpecType,
  Volume as VolumeType,
} from 'kubernetes-types/core/v1.js'
import { changed, containerProblems, defaultContainer, type Container } from './container.ts'
import { unsupportedValues } from './type-errors.ts'
import { compareQuantities } from './quantity.ts'
import { builtin } from './schema.ts'
import type { FieldCause } from './status-error.ts'
import type { DeepReadonly } from './stored.ts'
import {
  duplicate,
  fieldPrefix,
  fill,
  labelProblem,
  mapSame,
  notAllowed,
  notSupported,
  required,
  subdomainProblem,
  wrong,
  type Complaints,
} from './validation.ts'

export type PodSpec = DeepReadonly<PodSpecType>
export type PodTemplateSpec = DeepReadonly<PodTemplateSpecType>
type Volume = DeepReadonly<VolumeType>

const podSpecSchema = builtin('io.k8s.api.core.v1.PodSpec')

/** A pod spec with everything filled in that Kubernetes fills in wherever a pod spec stands. */
export function defaultPodSpec(spec: PodSpec): PodSpec {
  const filled = fill(spec, {
    restartPolicy: 'Always',
    dnsPolicy: 'ClusterFirst',
    terminationGracePeriodSeconds: 30,
    schedulerName: 'default-scheduler',
    securityContext: {},
  })
  const account = filled.serviceAccountName || filled.serviceAccount
  return changed(filled, {
    containers: mapSame(filled.containers ?? [], defaultContainer),
    ...(filled.initContainers && {
      initContainers: mapSame(filled.initContainers, defaultContainer),
    }),
    ...(filled.volumes && { volumes: mapSame(filled.volumes, defaultVolume) }),
    ...(account && { serviceAccountName: account, serviceAccount: account }),
  })
}

/** What only pods themselves get, not templates. */
export function defaultPodOnly(spec: PodSpec): PodSpec {
  const filled = fill(spec, {
    enableServiceLinks: true,
    serviceAccountName: 'default',
    serviceAccount: spec.serviceAccountName || 'default',
    priority: 0,
    preemptionPolicy: 'PreemptLowerPriority',
  })
  return changed(filled, {
    containers: mapSame(filled.containers, requestsFromLimits),
    ...(filled.initContainers && {
      initContainers: mapSame(filled.initContainers, requestsFromLimits),
    }),
    tolerations: withNodeTolerations(filled.tolerations ?? []),
  })
}

/** A container that says only its limits requests as much. */
function requestsFromLimits(container: Container): Container {
  const { limits, requests = {} } = container.resources ?? {}
  const missing = Object.entries(limits ?? {}).filter(([name]) => requests[name] === undefined)
  if (missing.length === 0) return container
  return {
    ...container,
    resources: {
      ...container.resources,
      requests: { ...requests, ...Object.fromEntries(missing) },
    },
  }
}

type Tolerations = NonNullable<PodSpec['tolerations']>

/** Pods stay five minutes on a node that went away, unless they say otherwise. */
function withNodeTolerations(tolerations: Tolerations): Tolerations {
  const missing = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'].filter(
    (key) =>
      !tolerations.some(
        (each) =>
          (each.key === key || (!each.key && each.operator === 'Exists')) &&
          (!each.effect || each.effect === 'NoExecute'),
      ),
  )
  if (missing.length === 0) return tolerations
  return [
    ...tolerations,
    ...missing.map((key) => ({
      key,
      operator: 'Exists',
      effect: 'NoExecute',
      tolerationSeconds: 300,
    })),
  ]
}

const NOT_SOURCES = new Set(['name'])
const sourcesOf = (volume: Volume) =>
  Object.entries(volume).filter(([key, value]) => !NOT_SOURCES.has(key) && value !== undefined)

const fileMode = { defaultMode: 0o644 }

function defaultVolume(volume: Volume): Volume {
  if (sourcesOf(volume).length === 0) return { ...volume, emptyDir: {} }
  const { configMap, secret, projected, downwardAPI, hostPath } = volume
  return changed(volume, {
    ...(configMap && { configMap: fill(configMap, fileMode) }),
    ...(secret && { secret: fill(secret, fileMode) }),
    ...(projected && { projected: fill(projected, fileMode) }),
    ...(downwardAPI && { downwardAPI: fill(downwardAPI, fileMode) }),
    ...(hostPath && hostPath.type === undefined && { hostPath: { ...hostPath, type: '' } }),
  })
}

/** All complaints about a pod spec; `at` is its path. */
export function* podSpecProblems(spec: PodSpec, at: string): Complaints {
  const volumes = new Set<string>()
  for (const [i, volume] of (spec.volumes ?? []).entries())
    yield* volumeProblems(volume, `${at}.volumes[${i}]`, volumes)
  if (!spec.containers?.length) yield required(`${at}.containers`)
  const names = new Set<string>()
  for (const list of ['containers', 'initContainers'] as const) {
    for (const [i, container] of (spec[list] ?? []).entries()) {
      const path = `${at}.${list}[${i}]`
      yield* containerProblems(container, path, { volumes, init: list === 'initContainers' })
      if (container.name && names.has(container.name))
        yield duplicate(`${path}.name`, container.name)
      names.add(container.name)
    }
  }
  yield* fieldPrefix(at, unsupportedValues(podSpecSchema, spec))
  const { activeDeadlineSeconds: deadline, terminationGracePeriodSeconds: grace } = spec
  if (deadline !== undefined && (deadline < 1 || deadline > 2_147_483_647))
    yield wrong(
      `${at}.activeDeadlineSeconds`,
      deadline,
      'must be between 1 and 2147483647, inclusive',
    )
  if (grace !== undefined && grace < 0)
    yield wrong(`${at}.terminationGracePeriodSeconds`, grace, 'must be non-negative integer')
  for (const field of ['serviceAccountName', 'nodeName'] as const) {
    const problem = spec[field] && subdomainProblem(spec[field])
    if (problem) yield wrong(`${at}.${field}`, spec[field], problem)
  }
  for (const field of ['hostname', 'subdomain'] as const) {
    const problem = spec[field] && labelProblem(spec[field])
    if (problem) yield wrong(`${at}.${field}`, spec[field], problem)
  }
  yield* securityProblems(spec, at)
}

function* securityProblems(spec: PodSpec, at: string): Complaints {
  const contexts = [
    [`${at}.securityContext`, spec.securityContext],
    ...(spec.containers ?? []).map(
      ({ securityContext }, i) =>
        [`${at}.containers[${i}].securityContext`, securityContext] as const,
    ),
  ] as const
  for (const [path, context] of contexts)
    for (const field of ['runAsUser', 'runAsGroup'] as const) {
      const id = context?.[field]
      if (id !== undefined && (id < 0 || id > 2_147_483_647))
        yield wrong(`${path}.${field}`, id, 'must be between 0 and 2147483647, inclusive')
    }
}

function* volumeProblems(volume: Volume, at: string, names: Set<string>): Complaints {
  if (!volume.name) yield required(`${at}.name`)
  else {
    const problem = labelProblem(volume.name)
    if (problem) yield wrong(`${at}.name`, volume.name, problem)
    else if (names.has(volume.name)) yield duplicate(`${at}.name`, volume.name)
    names.add(volume.name)
  }
  const sources = sourcesOf(volume)
  if (sources.length === 0) yield required(at, 'must specify a volume type')
  for (const [source] of sources.slice(1))
    yield notAllowed(`${at}.${source}`, 'may not specify more than 1 volume type')
  if (volume.configMap && !volume.configMap.name) yield required(`${at}.configMap.name`)
  if (volume.secret && !volume.secret.secretName) yield required(`${at}.secret.secretName`)
  if (volume.hostPath && !volume.hostPath.path) yield required(`${at}.hostPath.path`)
  if (volume.hostPath?.path?.split('/').includes('..'))
    yield wrong(`${at}.hostPath.path`, volume.hostPath.path, "must not contain '..'")
  const { medium = '', sizeLimit } = volume.emptyDir ?? {}
  if (medium !== '' && medium !== 'Memory' && !medium.startsWith('HugePages'))
    yield notSupported(`${at}.emptyDir.medium`, medium, ['', 'HugePages', 'Memory'])
  if (sizeLimit !== undefined && compareQuantities(sizeLimit, '0') < 0)
    yield notAllowed(
      `${at}.emptyDir.sizeLimit`,
      'SizeLimit field must be a valid resource quantity',
    )
  yield* itemsProblems(volume.configMap?.items, `${at}.configMap.items`)
  yield* itemsProblems(volume.secret?.items, `${at}.secret.items`)
  for (const [i, source] of (volume.projected?.sources ?? []).entries()) {
    const here = `${at}.projected.sources[${i}]`
    yield* itemsProblems(source.configMap?.items, `${here}.configMap.items`)
    yield* itemsProblems(source.secret?.items, `${here}.secret.items`)
    const token = source.serviceAccountToken
    if (token && !token.path) yield required(`${here}.serviceAccountToken.path`)
    else if (token) yield* insideProblems(token.path, `${here}.serviceAccountToken.path`)
    const seconds = token?.expirationSeconds
    if (seconds !== undefined && seconds < 600)
      yield wrong(
        `${here}.serviceAccountToken.expirationSeconds`,
        seconds,
        'may not specify a duration less than 10 minutes',
      )
  }
  if (volume.persistentVolumeClaim && !volume.persistentVolumeClaim.claimName)
    yield required(`${at}.persistentVolumeClaim.claimName`)
}

type Items = NonNullable<NonNullable<Volume['configMap']>['items']>

function* itemsProblems(items: Items | undefined, at: string): Complaints {
  for (const [i, { key, path, mode }] of (items ?? []).entries()) {
    if (!key) yield required(`${at}[${i}].key`)
    if (!path) yield required(`${at}[${i}].path`)
    else yield* insideProblems(path, `${at}[${i}].path`)
    if (mode !== undefined && (mode < 0 || mode > 0o777))
      yield wrong(
        `${at}[${i}].mode`,
        mode,
        'must be a number between 0 and 0777 (octal), both inclusive',
      )
  }
}

/** A path of a file in a volume. */
function* insideProblems(path: string, at: string): Complaints {
  if (path.startsWith('/')) yield wrong(at, path, 'must be a relative path')
  if (path.split('/').includes('..')) yield wrong(at, path, "must not contain '..'")
  else if (path.startsWith('..')) yield wrong(at, path, "must not start with '..'")
}

/**
 * A template with its pod spec defaulted, for `spec.template` of workloads. Server-owned metadata that clients
 * send along (`creationTimestamp: null`) was dropped with the nulls.
 */
export const defaultTemplate = (template: PodTemplateSpec): PodTemplateSpec =>
  changed(template, { spec: defaultPodSpec(template.spec ?? { containers: [] }) })

/** Complaints about a workload's template: the pod spec, and that its pods are restarted forever. */
export function* alwaysRestartedTemplateProblems(
  template: PodTemplateSpec | undefined,
  at: string,
): Generator<FieldCause, void, undefined> {
  const spec = template?.spec ?? { containers: [] }
  yield* podSpecProblems(spec, `${at}.spec`)
  if (spec.restartPolicy && spec.restartPolicy !== 'Always')
    yield notSupported(`${at}.spec.restartPolicy`, spec.restartPolicy, ['Always'])
  if (spec.activeDeadlineSeconds !== undefined)
    yield notAllowed(
      `${at}.spec.activeDeadlineSeconds`,
      'activeDeadlineSeconds in ReplicaSet is not Supported',
    )
}
