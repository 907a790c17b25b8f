/**
 * What a container may take and may do, of its definition and its pod's: resources and securityContext, the container's
 * own fields before the pod's. Pure; runtimes make of it what their containers know.
 */
import type { Pod } from '../../api/pod.ts'
import { quantityValue } from '../../api/quantity.ts'
import type { ContainerDefinition } from '../container/container-state.ts'
import type { ContainerResources, ContainerSecurity } from '../runtime.ts'

/** Undefined when the container states none. */
export function resourcesOf({ resources }: ContainerDefinition): ContainerResources | undefined {
  const memory = resources?.limits?.['memory']
  const cpu = resources?.limits?.['cpu']
  const request = resources?.requests?.['cpu']
  if (memory === undefined && cpu === undefined && request === undefined) return undefined
  return {
    ...(memory !== undefined && { memoryLimitBytes: Math.ceil(quantityValue(memory)) }),
    ...(cpu !== undefined && { cpuLimitMillis: millis(cpu) }),
    ...(request !== undefined && { cpuRequestMillis: millis(request) }),
  }
}

const millis = (quantity: string): number => Math.ceil(quantityValue(quantity) * 1000)

/** Undefined when neither container nor pod says anything. */
export function securityOf(
  pod: Pod,
  { securityContext: inner }: ContainerDefinition,
): ContainerSecurity | undefined {
  const outer = pod.spec.securityContext
  const runAsUser = inner?.runAsUser ?? outer?.runAsUser
  const runAsGroup = inner?.runAsGroup ?? outer?.runAsGroup
  const groups = [
    ...(outer?.fsGroup === undefined ? [] : [outer.fsGroup]),
    ...(outer?.supplementalGroups ?? []),
  ]
  const { add, drop } = inner?.capabilities ?? {}
  const seccomp = seccompOf(inner?.seccompProfile ?? outer?.seccompProfile)
  const security: ContainerSecurity = {
    ...(runAsUser !== undefined && { runAsUser }),
    ...(runAsGroup !== undefined && { runAsGroup }),
    ...(groups.length > 0 && { groups }),
    ...(inner?.privileged !== undefined && { privileged: inner.privileged }),
    ...(inner?.allowPrivilegeEscalation !== undefined && {
      allowPrivilegeEscalation: inner.allowPrivilegeEscalation,
    }),
    ...(inner?.readOnlyRootFilesystem !== undefined && {
      readOnlyRootFilesystem: inner.readOnlyRootFilesystem,
    }),
    ...(add?.length && { addCapabilities: add.map(bare) }),
    ...(drop?.length && { dropCapabilities: drop.map(bare) }),
    ...(seccomp && { seccomp }),
  }
  return Object.keys(security).length > 0 ? security : undefined
}

const bare = (capability: string): string => capability.replace(/^CAP_/, '')

function seccompOf(
  profile: { readonly type: string; readonly localhostProfile?: string } | undefined,
): ContainerSecurity['seccomp'] {
  const { type, localhostProfile } = profile ?? {}
  if (type !== 'RuntimeDefault' && type !== 'Unconfined' && type !== 'Localhost') return undefined
  return { type, ...(localhostProfile !== undefined && { localhostProfile }) }
}
