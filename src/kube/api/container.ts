/** Containers of pods: their defaults and what must hold of them (Kubernetes' messages). */
import type {
  Container as ContainerType,
  Probe as ProbeType,
  ResourceRequirements as ResourceRequirementsType,
} from 'kubernetes-types/core/v1.js'
import { canonicalQuantity, compareQuantities } from './quantity.ts'
import type { FieldCause } from './status-error.ts'
import type { DeepReadonly } from './stored.ts'
import {
  absent,
  duplicate,
  fill,
  labelProblem,
  mapSame,
  notAllowed,
  notNegative,
  portNameProblem,
  portNumberProblem,
  portProblem,
  required,
  wrong,
  type Complaints,
} from './validation.ts'

export type Container = DeepReadonly<ContainerType>
export type Probe = DeepReadonly<ProbeType>
type ResourceRequirements = DeepReadonly<ResourceRequirementsType>

/** The pull policy that an image gets when none is said: Always for `latest` and for no tag at all. */
export function defaultPullPolicy(image: string): 'Always' | 'IfNotPresent' {
  if (image.includes('@')) return 'IfNotPresent'
  const tag = /:([^/:]+)$/.exec(image)?.[1]
  return tag === undefined || tag === 'latest' ? 'Always' : 'IfNotPresent'
}

/** A container with everything filled in that Kubernetes fills in. */
export function defaultContainer(container: Container): Container {
  const defaulted = fill(container, {
    imagePullPolicy: defaultPullPolicy(container.image ?? ''),
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    resources: {},
  })
  return changed(defaulted, {
    ...(defaulted.ports && {
      ports: mapSame(defaulted.ports, (port) => fill(port, { protocol: 'TCP' })),
    }),
    ...(defaulted.env && { env: mapSame(defaulted.env, defaultEnv) }),
    ...(defaulted.resources && { resources: canonicalResources(defaulted.resources) }),
    ...(defaulted.livenessProbe && { livenessProbe: defaultProbe(defaulted.livenessProbe) }),
    ...(defaulted.readinessProbe && {
      readinessProbe: defaultProbe(defaulted.readinessProbe, 'readiness'),
    }),
    ...(defaulted.startupProbe && { startupProbe: defaultProbe(defaulted.startupProbe) }),
    ...(defaulted.lifecycle && { lifecycle: defaultLifecycle(defaulted.lifecycle) }),
  })
}

/** `object` with `fields`, or the same reference when all of them are as they were. */
export function changed<T extends object>(object: T, fields: Partial<T>): T {
  for (const key in fields) if (fields[key] !== object[key]) return { ...object, ...fields }
  return object
}

type EnvVar = NonNullable<Container['env']>[number]

function defaultEnv(variable: EnvVar): EnvVar {
  const fieldRef = variable.valueFrom?.fieldRef
  if (!fieldRef || fieldRef.apiVersion) return variable
  return {
    ...variable,
    valueFrom: { ...variable.valueFrom, fieldRef: { ...fieldRef, apiVersion: 'v1' } },
  }
}

/**
 * A probe with its defaults. An explicit `periodSeconds: 0` of a readiness probe is kept: in Knative's API it
 * means "as often as is sensible", which our node agent does.
 */
function defaultProbe(probe: Probe, use?: 'readiness'): Probe {
  const eager = use === 'readiness' && probe.periodSeconds === 0
  const zeroes = { timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 }
  const numbers = changed(probe, {
    timeoutSeconds: probe.timeoutSeconds || zeroes.timeoutSeconds,
    periodSeconds: eager ? 0 : probe.periodSeconds || zeroes.periodSeconds,
    successThreshold: probe.successThreshold || zeroes.successThreshold,
    failureThreshold: probe.failureThreshold || zeroes.failureThreshold,
  })
  return changed(numbers, {
    ...(numbers.httpGet && { httpGet: fill(numbers.httpGet, { path: '/', scheme: 'HTTP' }) }),
    ...(numbers.grpc &&
      numbers.grpc.service === undefined && {
        grpc: { ...numbers.grpc, service: '' },
      }),
  })
}

function defaultLifecycle(lifecycle: NonNullable<Container['lifecycle']>) {
  const { postStart, preStop } = lifecycle
  const http = { path: '/', scheme: 'HTTP' }
  return changed(lifecycle, {
    ...(postStart?.httpGet && {
      postStart: changed(postStart, { httpGet: fill(postStart.httpGet, http) }),
    }),
    ...(preStop?.httpGet && {
      preStop: changed(preStop, { httpGet: fill(preStop.httpGet, http) }),
    }),
  })
}

/** Quantities in their canonical spelling. */
function canonicalResources(resources: ResourceRequirements): ResourceRequirements {
  return changed(resources, {
    ...(resources.limits && { limits: canonicalMap(resources.limits) }),
    ...(resources.requests && { requests: canonicalMap(resources.requests) }),
  })
}

/** A map of quantities in their canonical spelling. */
function canonicalMap(
  quantities: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  let answer: Record<string, string> | undefined
  for (const [name, quantity] of Object.entries(quantities)) {
    const canonical = canonicalQuantity(quantity)
    if (canonical !== quantity) (answer ??= { ...quantities })[name] = canonical
  }
  return answer ?? quantities
}

/** What the pod around a container has to offer it. */
export interface ContainerScope {
  readonly volumes: ReadonlySet<string>
  /** Init containers (but for sidecars) take no probes and no lifecycle. */
  readonly init: boolean
}

/** Complaints about one container; `at` is its path. */
export function* containerProblems(
  container: Container,
  at: string,
  scope: ContainerScope,
): Complaints {
  const { name, image = '' } = container
  if (!name) yield required(`${at}.name`)
  else {
    const problem = labelProblem(name)
    if (problem) yield wrong(`${at}.name`, name, problem)
  }
  if (!image) yield required(`${at}.image`)
  else if (image !== image.trim())
    yield wrong(`${at}.image`, image, 'must not have leading or trailing whitespace')
  yield* portsProblems(container, `${at}.ports`)
  yield* envProblems(container, `${at}.env`)
  for (const [i, source] of (container.envFrom ?? []).entries())
    if (!source.configMapRef && !source.secretRef)
      yield wrong(`${at}.envFrom[${i}]`, '', 'must specify one of: `configMapRef` or `secretRef`')
  yield* mountProblems(container, `${at}.volumeMounts`, scope.volumes)
  yield* resourceProblems(container.resources ?? {}, `${at}.resources`)
  const sidecar = container.restartPolicy === 'Always'
  for (const probe of ['livenessProbe', 'readinessProbe', 'startupProbe'] as const) {
    if (!container[probe]) continue
    if (scope.init && !sidecar)
      yield notAllowed(
        `${at}.${probe}`,
        'may not be set for init containers without restartPolicy=Always',
      )
    else yield* probeProblems(container[probe], `${at}.${probe}`, probe === 'readinessProbe')
  }
  if (container.lifecycle && scope.init && !sidecar)
    yield notAllowed(
      `${at}.lifecycle`,
      'may not be set for init containers without restartPolicy=Always',
    )
  else
    for (const hook of ['postStart', 'preStop'] as const) {
      const handler = container.lifecycle?.[hook]
      if (handler)
        yield* handlerProblems(handler, `${at}.lifecycle.${hook}`, [
          'exec',
          'httpGet',
          'tcpSocket',
          'sleep',
        ])
    }
}

function* portsProblems({ ports = [] }: Container, at: string): Complaints {
  const names = new Set<string>()
  for (const [i, port] of ports.entries()) {
    if (!port.containerPort) yield required(`${at}[${i}].containerPort`)
    else {
      const problem = portNumberProblem(port.containerPort)
      if (problem) yield wrong(`${at}[${i}].containerPort`, port.containerPort, problem)
    }
    const hostProblem = port.hostPort && portNumberProblem(port.hostPort)
    if (hostProblem) yield wrong(`${at}[${i}].hostPort`, port.hostPort, hostProblem)
    if (!port.name) continue
    const problem = portNameProblem(port.name)
    if (problem) yield wrong(`${at}[${i}].name`, port.name, problem)
    else if (names.has(port.name)) yield duplicate(`${at}[${i}].name`, port.name)
    names.add(port.name)
  }
}

function* envProblems({ env = [] }: Container, at: string): Complaints {
  for (const [i, { name, value, valueFrom }] of env.entries()) {
    if (!name) yield required(`${at}[${i}].name`)
    else if (!/^[ -<>-~]+$/.test(name))
      yield wrong(
        `${at}[${i}].name`,
        name,
        "a valid environment variable name must consist only of printable ASCII characters other than '='",
      )
    if (!valueFrom) continue
    const field = `${at}[${i}].valueFrom`
    const sources = Object.values(valueFrom).filter((source) => source !== undefined).length
    if (sources === 0)
      yield wrong(
        field,
        '',
        'must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`',
      )
    else if (value) yield wrong(field, '', 'may not be specified when `value` is not empty')
    else if (sources > 1)
      yield wrong(field, '', 'may not have more than one field specified at a time')
    for (const ref of ['configMapKeyRef', 'secretKeyRef'] as const)
      if (valueFrom[ref] && !valueFrom[ref].key) yield required(`${field}.${ref}.key`)
    if (valueFrom.fieldRef && !valueFrom.fieldRef.fieldPath)
      yield required(`${field}.fieldRef.fieldPath`)
  }
}

function* mountProblems(
  { volumeMounts = [] }: Container,
  at: string,
  volumes: ReadonlySet<string>,
): Complaints {
  const paths = new Set<string>()
  for (const [i, { name, mountPath, subPath, subPathExpr }] of volumeMounts.entries()) {
    if (!name) yield required(`${at}[${i}].name`)
    else if (!volumes.has(name)) yield absent(`${at}[${i}].name`, name)
    if (!mountPath) yield required(`${at}[${i}].mountPath`)
    else if (paths.has(mountPath)) yield wrong(`${at}[${i}].mountPath`, mountPath, 'must be unique')
    paths.add(mountPath)
    for (const [field, path] of Object.entries({ subPath, subPathExpr })) {
      if (path?.startsWith('/'))
        yield wrong(`${at}[${i}].${field}`, path, 'must be a relative path')
      if (path?.split('/').includes('..'))
        yield wrong(`${at}[${i}].${field}`, path, "must not contain '..'")
    }
  }
}

const standardResources = new Set(['cpu', 'memory', 'ephemeral-storage', 'storage'])

/** Complaints about limits and requests: names, signs, request above limit. */
function* resourceProblems(
  { limits = {}, requests = {} }: ResourceRequirements,
  at: string,
): Complaints {
  for (const [field, quantities] of Object.entries({ limits, requests })) {
    for (const [name, quantity] of Object.entries(quantities)) {
      const path = `${at}.${field}[${name}]`
      if (!standardResources.has(name) && !name.startsWith('hugepages-') && !name.includes('/'))
        yield wrong(path, name, 'must be a standard resource type or fully qualified')
      if (compareQuantities(quantity, '0') < 0)
        yield wrong(path, quantity, 'must be greater than or equal to 0')
    }
  }
  for (const [name, request] of Object.entries(requests)) {
    const limit = limits[name]
    if (limit !== undefined && compareQuantities(request, limit) > 0)
      yield wrong(
        `${at}.requests`,
        request,
        `must be less than or equal to ${name} limit of ${limit}`,
      )
  }
}

function* probeProblems(probe: Probe, at: string, readiness: boolean): Complaints {
  yield* handlerProblems(probe, at, ['exec', 'httpGet', 'tcpSocket', 'grpc'])
  for (const field of [
    'initialDelaySeconds',
    'timeoutSeconds',
    'periodSeconds',
    'successThreshold',
    'failureThreshold',
  ] as const)
    yield* notNegative(`${at}.${field}`, probe[field])
  const grace = probe.terminationGracePeriodSeconds
  if (grace !== undefined && readiness)
    yield notAllowed(`${at}.terminationGracePeriodSeconds`, 'must not be set for readinessProbes')
  else if (grace !== undefined && grace < 1)
    yield wrong(`${at}.terminationGracePeriodSeconds`, grace, 'must be greater than 0')
  if (!readiness && probe.successThreshold !== undefined && probe.successThreshold !== 1)
    yield wrong(`${at}.successThreshold`, probe.successThreshold, 'must be 1')
}

interface Handler {
  readonly exec?: { readonly command?: readonly string[] }
  readonly httpGet?: { readonly port: number | string; readonly path?: string }
  readonly tcpSocket?: { readonly port: number | string }
  readonly grpc?: { readonly port: number }
  readonly sleep?: { readonly seconds: number }
}

/** Exactly one way to probe or to call, and that one complete. */
function* handlerProblems(
  handler: Handler,
  at: string,
  kinds: readonly (keyof Handler)[],
): Complaints {
  const present = kinds.filter((kind) => handler[kind] !== undefined)
  if (present.length === 0) yield required(at, 'must specify a handler type')
  for (const extra of present.slice(1))
    yield notAllowed(`${at}.${extra}`, 'may not specify more than 1 handler type')
  const { exec, httpGet, tcpSocket, grpc } = handler
  if (exec && !exec.command?.length) yield required(`${at}.exec.command`)
  if (httpGet) yield* portField(`${at}.httpGet.port`, httpGet.port)
  if (tcpSocket) yield* portField(`${at}.tcpSocket.port`, tcpSocket.port)
  if (grpc) yield* portField(`${at}.grpc.port`, grpc.port)
}

function* portField(field: string, port: number | string | undefined): Generator<FieldCause, void> {
  if (port === undefined) return yield required(field)
  const problem = portProblem(port)
  if (problem) yield wrong(field, port, problem)
}
