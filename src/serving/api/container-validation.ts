/** What must hold of a Revision's containers. Paths begin at the container. */
import {
  asWarning,
  disallowedFields,
  genericError,
  invalidValue,
  missingField,
  missingOneOf,
  multipleOneOf,
  outOfBounds,
  via,
  type FieldError,
} from '../../knative/field-error.ts'
import type { FeaturesConfig } from './config/features.ts'
import { imageReferenceProblem } from './image-reference.ts'
import type { Container, EnvVar, PodSecurityContext, SecurityContext, Volume } from './pod-spec.ts'
import {
  validateInitProbes,
  validateServingProbes,
  validateSidecarProbes,
} from './probe-validation.ts'
import { validateMounts } from './volume-validation.ts'

/** `serving` gets the requests, a `sidecar` does not, an `init` runs before them. */
export type ContainerRole = 'serving' | 'sidecar' | 'init'

export interface ContainerWorld {
  readonly role: ContainerRole
  readonly features: FeaturesConfig
  readonly volumes: ReadonlyMap<string, Volume>
  readonly podSecurity: PodSecurityContext | undefined
}

const maxInt32 = 2_147_483_647
const reservedPorts = new Set([8008, 8012, 8013, 8022, 9090, 9091])
const reservedEnv = new Set(['PORT', 'K_SERVICE', 'K_CONFIGURATION', 'K_REVISION'])

const containerFields = new Set([
  'name',
  'image',
  'imagePullPolicy',
  'command',
  'args',
  'workingDir',
  'env',
  'envFrom',
  'ports',
  'resources',
  'livenessProbe',
  'readinessProbe',
  'startupProbe',
  'securityContext',
  'terminationMessagePath',
  'terminationMessagePolicy',
  'volumeMounts',
  // Named by the checks for init containers.
  'lifecycle',
])

export function* validateContainer(
  container: Container,
  world: ContainerWorld,
): Generator<FieldError> {
  const { role, features } = world
  const unknown = Object.keys(container).filter((field) => !containerFields.has(field))
  if (unknown.length > 0) yield disallowedFields(...unknown)
  if (role !== 'init' && container.lifecycle) yield disallowedFields('lifecycle')

  if (container.name === 'queue-proxy')
    yield genericError(`${JSON.stringify(container.name)} is a reserved container name`, 'name')
  yield* validateImage(container.image)
  yield* validatePolicies(container)
  yield* validateEnv(container.env ?? [], world)
  yield* validateEnvFrom(container.envFrom ?? [])
  yield* validatePorts(container, role)
  switch (role) {
    case 'serving':
      yield* validateServingProbes(container)
      break
    case 'sidecar':
      yield* validateSidecarProbes(container, features.multiContainerProbing === 'Enabled')
      break
    case 'init':
      yield* validateInitProbes(container)
      break
  }
  yield* validateMounts(container, world.volumes, features)
  yield* via('securityContext', validateSecurity(container.securityContext ?? {}, features))
  yield* via('securityContext', insecureDefaults(container.securityContext, world))
}

function* validateImage(image: string | undefined): Generator<FieldError> {
  if (!image) {
    yield missingField('image')
    return
  }
  const problem = imageReferenceProblem(image)
  if (problem !== undefined) {
    yield {
      message: 'Failed to parse image reference',
      paths: ['image'],
      details: `image: ${JSON.stringify(image)}, error: ${problem}`,
    }
  }
}

function* validatePolicies(container: Container): Generator<FieldError> {
  const { imagePullPolicy = '', terminationMessagePolicy = '' } = container
  if (!['', 'Always', 'IfNotPresent', 'Never'].includes(imagePullPolicy))
    yield invalidValue(imagePullPolicy, 'imagePullPolicy')
  if (!['', 'File', 'FallbackToLogsOnError'].includes(terminationMessagePolicy))
    yield invalidValue(terminationMessagePolicy, 'terminationMessagePolicy')
}

function* validateEnv(
  env: readonly EnvVar[],
  { role, features }: ContainerWorld,
): Generator<FieldError> {
  for (const [i, { name, valueFrom }] of env.entries()) {
    const at = `env[${i}]`
    if (!name) yield missingField(`${at}.name`)
    else if (reservedEnv.has(name) && !(name === 'PORT' && role !== 'serving'))
      yield genericError(`${JSON.stringify(name)} is a reserved environment variable`, `${at}.name`)
    if (features.podSpecFieldRef === 'Disabled') {
      for (const ref of ['fieldRef', 'resourceFieldRef'] as const)
        if (valueFrom?.[ref]) yield disallowedFields(`${at}.valueFrom.${ref}`)
    }
    for (const ref of ['configMapKeyRef', 'secretKeyRef'] as const) {
      const selector = valueFrom?.[ref]
      if (!selector) continue
      if (!selector.name) yield missingField(`${at}.valueFrom.${ref}.name`)
      if (!selector.key) yield missingField(`${at}.valueFrom.${ref}.key`)
    }
  }
}

function* validateEnvFrom(sources: NonNullable<Container['envFrom']>): Generator<FieldError> {
  for (const [i, source] of sources.entries()) {
    const refs = ['configMapRef', 'secretRef'] as const
    const set = refs.filter((ref) => source[ref])
    if (set.length === 0) yield* via(`envFrom[${i}]`, [missingOneOf(...refs)])
    if (set.length > 1) yield* via(`envFrom[${i}]`, [multipleOneOf(...refs)])
    for (const ref of set) if (!source[ref]?.name) yield missingField(`envFrom[${i}].${ref}.name`)
  }
}

function* validatePorts({ ports = [] }: Container, role: ContainerRole): Generator<FieldError> {
  if (role === 'init' && ports.length > 0) {
    yield genericError('field not allowed in an init container', 'ports')
    return
  }
  for (const { name = '', protocol = '', containerPort } of ports) {
    if (protocol !== '' && protocol !== 'TCP') yield invalidValue(protocol, 'ports.protocol')
    if (containerPort < 0 || containerPort > 65_535)
      yield outOfBounds(containerPort, 0, 65_535, 'ports.containerPort')
    if (reservedPorts.has(containerPort)) {
      yield invalidValue(
        `${containerPort} is a reserved port`,
        'ports.containerPort',
        `${containerPort} is a reserved port, please use a different value`,
      )
    }
    if (!['', 'http1', 'h2c'].includes(name)) {
      yield {
        message: `Port name ${name} is not allowed`,
        paths: ['ports'],
        details: "Name must be empty, or one of: 'h2c', 'http1'",
      }
    }
  }
}

function* validateSecurity(
  security: SecurityContext,
  features: FeaturesConfig,
): Generator<FieldError> {
  if (security.privileged) yield disallowedFields('privileged')
  for (const field of ['seLinuxOptions', 'procMount', 'windowsOptions'] as const)
    if (security[field] !== undefined) yield disallowedFields(field)
  if (security.capabilities?.add && features.containerSpecAddCapabilities !== 'Enabled')
    yield disallowedFields('capabilities.add')
  for (const field of ['runAsUser', 'runAsGroup'] as const) yield* identity(security[field], field)
}

/** A user or group ID. */
export function* identity(value: number | undefined, path: string): Generator<FieldError> {
  if (value !== undefined && (value < 0 || value > maxInt32))
    yield outOfBounds(value, 0, maxInt32, path)
}

const insecure = (path: string): FieldError =>
  asWarning(
    genericError(
      'Kubernetes default value is insecure, Knative may default this to secure in a future release',
      path,
    ),
  )

/** Warns of what is unset and would be unsafe; silent where the cluster makes it safe by itself. */
function* insecureDefaults(
  security: SecurityContext | undefined,
  { features, podSecurity }: ContainerWorld,
): Generator<FieldError> {
  if (features.securePodDefaults !== 'Disabled') return
  const runsAsNonRoot = security?.runAsNonRoot ?? podSecurity?.runAsNonRoot
  if (runsAsNonRoot === undefined) yield insecure('runAsNonRoot')
  if (security?.allowPrivilegeEscalation === undefined) yield insecure('allowPrivilegeEscalation')
  const seccomp = security?.seccompProfile ?? podSecurity?.seccompProfile
  if (!seccomp) yield insecure('seccompProfile')
  else if (!seccomp.type) yield insecure('seccompProfile.type')
  const { capabilities } = security ?? {}
  const [dropped] = capabilities?.drop ?? []
  if (!capabilities) yield insecure('capabilities')
  else if (dropped === undefined) yield insecure('capabilities.drop')
  else if (dropped === 'all')
    yield asWarning(invalidValue(dropped, 'capabilities.drop', "Must be spelled as 'ALL'"))
}
