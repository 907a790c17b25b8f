/** What must hold of a Revision's spec. Paths begin at the spec. */
import {
  disallowedFields,
  genericError,
  invalidValue,
  missingField,
  outOfBounds,
  via,
  type FieldError,
} from '../../knative/field-error.ts'
import { subdomainProblem } from '../../kube/api/validation.ts'
import type { FeaturesConfig } from './config/features.ts'
import {
  identity,
  validateContainer,
  type ContainerRole,
  type ContainerWorld,
} from './container-validation.ts'
import type { Container, PodSecurityContext } from './pod-spec.ts'
import type { RevisionSpec } from './revision-spec.ts'
import type { ServingConfigs } from './serving-configs.ts'
import { validateVolumes } from './volume-validation.ts'

export function* validateRevisionSpec(
  spec: RevisionSpec | undefined,
  { defaults, features }: Pick<ServingConfigs, 'defaults' | 'features'>,
): Generator<FieldError> {
  yield* validatePodSpec(spec, features)
  if (!spec) return
  const { timeoutSeconds = 0, containerConcurrency = 0 } = spec
  const { maxRevisionTimeoutSeconds: longest, containerConcurrencyMaxLimit: most } = defaults
  if (timeoutSeconds < 0 || timeoutSeconds > longest)
    yield outOfBounds(timeoutSeconds, 0, longest, 'timeoutSeconds')
  const least = defaults.allowContainerConcurrencyZero ? 0 : 1
  if (containerConcurrency < least || containerConcurrency > most)
    yield outOfBounds(containerConcurrency, least, most, 'containerConcurrency')
}

/** Pod fields that need a feature which is not `Disabled`. */
const gated = [
  ['affinity', 'podSpecAffinity'],
  ['topologySpreadConstraints', 'podSpecTopologySpreadConstraints'],
  ['hostAliases', 'podSpecHostAliases'],
  ['nodeSelector', 'podSpecNodeSelector'],
  ['tolerations', 'podSpecTolerations'],
  ['runtimeClassName', 'podSpecRuntimeClassName'],
  ['securityContext', 'podSpecSecurityContext'],
  ['shareProcessNamespace', 'podSpecShareProcessNamespace'],
  ['hostIPC', 'podSpecHostIPC'],
  ['hostPID', 'podSpecHostPID'],
  ['hostNetwork', 'podSpecHostNetwork'],
  ['priorityClassName', 'podSpecPriorityClassName'],
  ['schedulerName', 'podSpecSchedulerName'],
  ['dnsPolicy', 'podSpecDNSPolicy'],
  ['dnsConfig', 'podSpecDNSConfig'],
] as const satisfies readonly (readonly [keyof RevisionSpec, keyof FeaturesConfig])[]

function* validatePodSpec(
  spec: RevisionSpec | undefined,
  features: FeaturesConfig,
): Generator<FieldError> {
  const containers = spec?.containers ?? []
  const initContainers = spec?.initContainers ?? []
  if (!spec || containers.length === 0) {
    yield missingField('containers')
    if (!spec) return
  }
  const forbidden = gated
    .filter(([field, feature]) => isSet(spec[field]) && features[feature] === 'Disabled')
    .map(([field]) => field)
  if (forbidden.length > 0) yield disallowedFields(...forbidden)
  if (spec.automountServiceAccountToken === true)
    yield disallowedFields('automountServiceAccountToken')
  if (features.podSpecSecurityContext !== 'Disabled')
    yield* via('securityContext', validatePodSecurity(spec.securityContext))
  yield* validateServiceAccount(spec.serviceAccountName)

  if (containers.length > 1 && features.multiContainer === 'Disabled')
    yield genericError(`multi-container is off, but found ${containers.length} containers`)
  if (initContainers.length > 0 && features.podSpecInitContainers !== 'Enabled') {
    yield genericError(
      `pod spec support for init-containers is off, but found ${initContainers.length} init containers`,
    )
  }
  yield* validateNames(containers, initContainers)
  yield* validatePortCount(containers)

  const volumes = spec.volumes ?? []
  const all = [...containers, ...initContainers]
  const mounted = new Set(all.flatMap((each) => (each.volumeMounts ?? []).map(({ name }) => name)))
  yield* validateVolumes(volumes, mounted, features)

  const world = (role: ContainerRole): ContainerWorld => ({
    role,
    features,
    volumes: new Map(volumes.map((volume) => [volume.name, volume])),
    podSecurity: spec.securityContext,
  })
  for (const [i, container] of containers.entries()) {
    const serves = containers.length === 1 || (container.ports?.length ?? 0) > 0
    yield* via(
      `containers[${i}]`,
      validateContainer(container, world(serves ? 'serving' : 'sidecar')),
    )
  }
  for (const [i, container] of initContainers.entries())
    yield* via(`initContainers[${i}]`, validateContainer(container, world('init')))
}

/** As Go's `omitempty` sees it: empty maps and lists, '' and false are not there. */
function isSet(value: unknown): boolean {
  if (value === undefined || value === '' || value === false) return false
  return typeof value !== 'object' || value === null || Object.keys(value).length > 0
}

function* validateServiceAccount(name: string | undefined): Generator<FieldError> {
  const problem = name ? subdomainProblem(name) : undefined
  if (name && problem) yield invalidValue(name, 'serviceAccountName', problem)
}

function* validateNames(
  containers: readonly Container[],
  initContainers: readonly Container[],
): Generator<FieldError> {
  const seen = new Set<string>()
  for (const [field, list] of Object.entries({ containers, initContainers })) {
    for (const [i, { name }] of list.entries()) {
      if (name && seen.has(name)) {
        yield genericError(
          `duplicate container name ${JSON.stringify(name)}`,
          `${field}[${i}].name`,
        )
      }
      seen.add(name)
    }
  }
}

function* validatePortCount(containers: readonly Container[]): Generator<FieldError> {
  const count = containers.reduce((sum, { ports = [] }) => sum + ports.length, 0)
  if (containers.length > 1 && count === 0) yield missingField('containers[*].ports')
  if (count > 1) {
    yield {
      message: 'more than one container port is set',
      paths: ['containers[*].ports'],
      details: 'Only a single port is allowed across all containers',
    }
  }
}

function* validatePodSecurity(security: PodSecurityContext | undefined): Generator<FieldError> {
  if (!security) return
  const allowed = new Set([
    'runAsUser',
    'runAsGroup',
    'runAsNonRoot',
    'fsGroup',
    'supplementalGroups',
    'seccompProfile',
  ])
  const refused = Object.keys(security).filter((field) => !allowed.has(field))
  if (refused.length > 0) yield disallowedFields(...refused)
  for (const field of ['runAsUser', 'runAsGroup', 'fsGroup'] as const)
    yield* identity(security[field], field)
  for (const [i, group] of (security.supplementalGroups ?? []).entries())
    yield* identity(group, `supplementalGroups[${i}]`)
}
