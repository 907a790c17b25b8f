/** What must hold of the probes of a Revision's containers. Paths begin at the container. */
import {
  disallowedFields,
  genericError,
  invalidValue,
  missingOneOf,
  multipleOneOf,
  outOfBounds,
  via,
  type FieldError,
} from '../../knative/field-error.ts'
import type { Container, Probe } from './pod-spec.ts'

const probeFields = ['livenessProbe', 'readinessProbe', 'startupProbe'] as const
const handlers = ['exec', 'grpc', 'httpGet', 'tcpSocket'] as const
const maxInt32 = 2_147_483_647

/** Probes of the container that gets the requests. Named ports must be its own. */
export function* validateServingProbes(container: Container): Generator<FieldError> {
  const [port] = container.ports ?? []
  const portName = port?.name || 'http'
  for (const field of probeFields) {
    const probe = container[field]
    if (!probe) continue
    yield* via(field, validateHandler(probe))
    yield* via(field, namedPortMatches(probe, portName))
    if (field === 'readinessProbe') yield* via(field, validateReadinessNumbers(probe))
  }
}

/** Probes of the other containers: only with the feature multi-container-probing, and with a port each. */
export function* validateSidecarProbes(
  container: Container,
  probing: boolean,
): Generator<FieldError> {
  for (const field of probeFields) {
    const probe = container[field]
    if (!probe) continue
    if (!probing) {
      const set = Object.keys(probe).sort()
      yield disallowedFields(...set.map((name) => `${field}.${name}`))
      continue
    }
    yield* via(field, validateHandler(probe))
    yield* via(field, portGiven(probe))
    if (field === 'readinessProbe') yield* via(field, validateReadinessNumbers(probe))
  }
}

/** Init containers have none. */
export function* validateInitProbes(container: Container): Generator<FieldError> {
  for (const field of [...probeFields, 'lifecycle'] as const) {
    if (container[field]) yield genericError('field not allowed in an init container', field)
  }
}

function* validateHandler(probe: Probe): Generator<FieldError> {
  const set = handlers.filter((name) => probe[name])
  if (set.length === 0) yield missingOneOf(...handlers)
  if (set.length > 1) yield multipleOneOf(...set)
}

type Port = string | number | undefined

function portsOf(probe: Probe): [path: string, port: Port][] {
  return [
    ...(probe.httpGet ? [['httpGet.port', probe.httpGet.port] as [string, Port]] : []),
    ...(probe.tcpSocket ? [['tcpSocket.port', probe.tcpSocket.port] as [string, Port]] : []),
  ]
}

function* namedPortMatches(probe: Probe, portName: string): Generator<FieldError> {
  for (const [path, port] of portsOf(probe)) {
    if (typeof port === 'string' && port !== '' && port !== portName)
      yield invalidValue(port, path, 'Probe port must match container port')
  }
}

function* portGiven(probe: Probe): Generator<FieldError> {
  const grpc: [string, Port][] = probe.grpc ? [['grpc.port', probe.grpc.port]] : []
  for (const [path, port] of [...portsOf(probe), ...grpc]) {
    if (!port) yield invalidValue(port ?? 0, path, 'Probe port must be specified')
  }
}

function* validateReadinessNumbers(probe: Probe): Generator<FieldError> {
  const { periodSeconds = 0, initialDelaySeconds = 0, successThreshold = 1 } = probe
  const { timeoutSeconds = 0, failureThreshold = 0 } = probe
  if (periodSeconds < 0) yield outOfBounds(periodSeconds, 0, maxInt32, 'periodSeconds')
  if (initialDelaySeconds < 0)
    yield outOfBounds(initialDelaySeconds, 0, maxInt32, 'initialDelaySeconds')
  if (successThreshold < 1) yield outOfBounds(successThreshold, 1, maxInt32, 'successThreshold')
  for (const [field, value] of Object.entries({ failureThreshold, timeoutSeconds })) {
    if (periodSeconds === 0) {
      if (value !== 0)
        yield genericError(`${field} is disallowed when periodSeconds is zero`, field)
    } else if (value < 1) yield outOfBounds(value, 1, maxInt32, field)
  }
}
