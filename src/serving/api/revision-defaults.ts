/**
 * What a Revision's spec gets when its author does not say. Pure: also
 * reconcilers default in memory. The same reference comes back from parts that need nothing.
 */
import type { ObjectMeta } from '../../kube/api/meta.ts'
import {
  renderContainerName,
  type DefaultsConfig,
  type ResourceDefaults,
} from './config/defaults.ts'
import type { FeaturesConfig } from './config/features.ts'
import type { Container, Probe, SecurityContext } from './pod-spec.ts'
import type { RevisionSpec } from './revision-spec.ts'

export interface RevisionDefaulting {
  readonly defaults: DefaultsConfig
  readonly features: FeaturesConfig
  /** enableServiceLinks is defaulted only when the object is created. */
  readonly isCreate: boolean
  /** Metadata of the Service, Configuration or Revision, for the name templates. */
  readonly parent: Partial<ObjectMeta>
}

export function defaultRevisionSpec(
  spec: RevisionSpec,
  { defaults, features, isCreate, parent }: RevisionDefaulting,
): RevisionSpec {
  const timeoutSeconds = spec.timeoutSeconds || defaults.revisionTimeoutSeconds
  const below = (own: number | undefined, cluster: number) =>
    own ?? (cluster !== 0 && cluster < timeoutSeconds ? cluster : undefined)
  const responseStart = below(
    spec.responseStartTimeoutSeconds,
    defaults.revisionResponseStartTimeoutSeconds,
  )
  const idle = below(spec.idleTimeoutSeconds, defaults.revisionIdleTimeoutSeconds)
  const links = spec.enableServiceLinks ?? (isCreate ? defaults.enableServiceLinks : undefined)
  const containers = spec.containers ?? []
  const initContainers = spec.initContainers ?? []

  const taken = new Set([...containers, ...initContainers].map(({ name }) => name))
  const nameOf = namer(taken, renderContainerName(defaults.containerNameTemplate, parent))
  const initNameOf = namer(taken, renderContainerName(defaults.initContainerNameTemplate, parent))
  const writable = new Set(
    (spec.volumes ?? [])
      .filter((volume) => volume.emptyDir || volume.persistentVolumeClaim || volume.ephemeral)
      .map(({ name }) => name),
  )
  const secure = securing(features, spec)
  const common = (container: Container): Container =>
    secure(mountsReadOnly(withResources(container, defaults), writable))

  return {
    ...spec,
    timeoutSeconds,
    containerConcurrency: spec.containerConcurrency ?? defaults.containerConcurrency,
    ...(responseStart !== undefined && { responseStartTimeoutSeconds: responseStart }),
    ...(idle !== undefined && { idleTimeoutSeconds: idle }),
    ...(links !== undefined && { enableServiceLinks: links }),
    containers: containers.map((container) => {
      const serves = containers.length === 1 || (container.ports?.length ?? 0) > 0
      return withProbes(common(named(container, nameOf, containers.length)), serves)
    }),
    ...(spec.initContainers && {
      initContainers: initContainers.map((container) =>
        common(named(container, initNameOf, initContainers.length)),
      ),
    }),
  }
}

/** Gives out names: `base` when there is one container and nobody has it, else the first free `base-N`. */
function namer(taken: Set<string>, base: string): (count: number) => string {
  return (count) => {
    let name = base
    for (let i = 0; count > 1 || taken.has(name); i++) {
      name = `${base}-${i}`
      if (!taken.has(name)) break
    }
    taken.add(name)
    return name
  }
}

const named = (container: Container, nameOf: (count: number) => string, count: number): Container =>
  container.name ? container : { ...container, name: nameOf(count) }

function withResources(container: Container, { requests, limits }: DefaultsConfig): Container {
  const { resources = {} } = container
  const filled = {
    ...resources,
    ...filledQuantities('requests', resources.requests, requests),
    ...filledQuantities('limits', resources.limits, limits),
  }
  return { ...container, resources: filled }
}

/** Empty maps are left out, as Go's encoding does. */
function filledQuantities(
  field: 'requests' | 'limits',
  own: Readonly<Record<string, string>> | undefined,
  defaults: ResourceDefaults,
): Record<string, Readonly<Record<string, string>>> {
  const all = { ...defaults, ...own }
  return Object.keys(all).length > 0 ? { [field]: all } : {}
}

function withProbes(container: Container, serves: boolean): Container {
  const readiness = container.readinessProbe ?? (serves ? {} : undefined)
  return {
    ...container,
    ...(readiness && { readinessProbe: defaultReadiness(readiness, serves) }),
    ...(container.livenessProbe && { livenessProbe: completed(container.livenessProbe) }),
    ...(container.startupProbe && { startupProbe: completed(container.startupProbe) }),
  }
}

function defaultReadiness(given: Probe, serves: boolean): Probe {
  const probe = completed(given)
  const hasHandler = probe.exec ?? probe.httpGet ?? probe.tcpSocket ?? probe.grpc
  const periodic = probe.periodSeconds !== undefined && probe.periodSeconds !== 0
  return {
    ...probe,
    ...(serves && !hasHandler && { tcpSocket: { port: 0 } }),
    successThreshold: probe.successThreshold || 1,
    ...(periodic && {
      failureThreshold: probe.failureThreshold || 3,
      timeoutSeconds: probe.timeoutSeconds || 1,
    }),
  }
}

/** A probe as Go writes it out again: port 0 ("the container's") and an empty gRPC service are there. */
function completed(probe: Probe): Probe {
  const { grpc, httpGet, tcpSocket } = probe
  return {
    ...probe,
    ...(grpc && { grpc: { ...grpc, service: grpc.service ?? '' } }),
    ...(httpGet && { httpGet: { ...httpGet, port: httpGet.port ?? 0 } }),
    ...(tcpSocket && { tcpSocket: { ...tcpSocket, port: tcpSocket.port ?? 0 } }),
  }
}

/** Only emptyDir, persistentVolumeClaim and ephemeral volumes can be written. */
function mountsReadOnly(container: Container, writable: ReadonlySet<string>): Container {
  if (!container.volumeMounts) return container
  return {
    ...container,
    volumeMounts: container.volumeMounts.map((mount) =>
      writable.has(mount.name) || mount.readOnly ? mount : { ...mount, readOnly: true },
    ),
  }
}

/** Fills in a safe securityContext where the feature secure-pod-defaults asks for it. */
function securing(
  { securePodDefaults }: FeaturesConfig,
  spec: RevisionSpec,
): (container: Container) => Container {
  if (securePodDefaults === 'Disabled') return (container) => container
  const pod = spec.securityContext
  return (container) => {
    const own: SecurityContext = container.securityContext ?? {}
    const lowPort = container.ports?.some(({ containerPort }) => containerPort < 1024) ?? false
    const nonRoot =
      own.runAsNonRoot ??
      (securePodDefaults === 'Enabled' && pod?.runAsNonRoot === undefined ? true : undefined)
    return {
      ...container,
      securityContext: {
        ...own,
        allowPrivilegeEscalation: own.allowPrivilegeEscalation ?? false,
        ...(!pod?.seccompProfile && {
          seccompProfile: {
            ...own.seccompProfile,
            type: own.seccompProfile?.type || 'RuntimeDefault',
          },
        }),
        capabilities: own.capabilities ?? {
          drop: ['ALL'],
          ...(lowPort && { add: ['NET_BIND_SERVICE'] }),
        },
        ...(nonRoot !== undefined && { runAsNonRoot: nonRoot }),
      },
    }
  }
}
