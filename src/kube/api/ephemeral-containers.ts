/**
 * Ephemeral containers: added to a running pod to look at it (`kubectl debug`), by the subresource `ephemeralcontainers`
 * alone, and never changed or removed. Rules follow upstream's ValidatePodEphemeralContainersUpdate.
 */
import type { EphemeralContainer as EphemeralContainerType } from 'kubernetes-types/core/v1.js'
import { containerProblems, defaultContainer, type Container } from './container.ts'
import type { PodSpec } from './pod-spec.ts'
import type { DeepReadonly } from './stored.ts'
import { absent, duplicate, mapSame, notAllowed, sameJson, type Complaints } from './validation.ts'

type EphemeralContainer = DeepReadonly<EphemeralContainerType>

/** What stays with containers that are there for long. */
const forbiddenFields = [
  'ports',
  'livenessProbe',
  'readinessProbe',
  'startupProbe',
  'lifecycle',
  'resizePolicy',
  'restartPolicy',
] as const

/** The spec with the defaults of its ephemeral containers, which are those of all containers. */
export function defaultEphemeral(spec: PodSpec): PodSpec {
  const { ephemeralContainers: list } = spec
  if (!list) return spec
  const ephemeralContainers = mapSame(list, (each: EphemeralContainer) => ({
    ...defaultContainer(each as Container),
    ...(each.targetContainerName !== undefined && {
      targetContainerName: each.targetContainerName,
    }),
  }))
  return { ...spec, ephemeralContainers }
}

/** A pod begins without. */
export function* ephemeralAtCreation({ ephemeralContainers }: PodSpec): Complaints {
  if (ephemeralContainers?.length)
    yield notAllowed('spec.ephemeralContainers', 'cannot be set on create')
}

/** What is wrong with the list that is to follow that of `before`. */
export function* ephemeralProblems(now: PodSpec, before: PodSpec): Complaints {
  const at = 'spec.ephemeralContainers'
  const list = now.ephemeralContainers ?? []
  for (const old of before.ephemeralContainers ?? []) {
    const kept = list.find(({ name }) => name === old.name)
    if (!kept)
      yield notAllowed(at, `existing ephemeral containers "${old.name}" may not be removed\n`)
    else if (!sameJson(kept, old))
      yield notAllowed(at, `existing ephemeral containers "${old.name}" may not be changed\n`)
  }
  const others = [...now.containers, ...(now.initContainers ?? [])].map(({ name }) => name)
  const volumes = new Set((now.volumes ?? []).map(({ name }) => name))
  const names = new Set(others)
  for (const [i, container] of list.entries()) {
    const here = `${at}[${i}]`
    yield* containerProblems(container as Container, here, { volumes, init: false })
    if (names.has(container.name)) yield duplicate(`${here}.name`, container.name)
    names.add(container.name)
    for (const field of forbiddenFields)
      if (container[field] !== undefined)
        yield notAllowed(`${here}.${field}`, 'cannot be set for an Ephemeral Container')
    const { limits, requests } = container.resources ?? {}
    if (limits || requests)
      yield notAllowed(`${here}.resources`, 'cannot be set for an Ephemeral Container')
    const { targetContainerName: target } = container
    if (target && !others.includes(target)) yield absent(`${here}.targetContainerName`, target)
    for (const [j, mount] of (container.volumeMounts ?? []).entries())
      if (mount.subPath || mount.subPathExpr)
        yield notAllowed(
          `${here}.volumeMounts[${j}].subPath`,
          'cannot be set for an Ephemeral Container',
        )
  }
}
