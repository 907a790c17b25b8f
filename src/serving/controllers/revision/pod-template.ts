/**
 * The pod that runs a Revision. There is no sidecar: the gateway does its work, so the
 * user's own probes stay on his containers and nothing stands between the port and the program.
 */
import type { StringMap } from '../../../kube/api/meta.ts'
import { annotation, label, userPortName } from '../../api/names.ts'
import type { Container } from '../../api/pod-spec.ts'
import type { Revision } from '../../api/revision.ts'
import type { DeploymentConfig } from '../../api/config/deployment.ts'
import { deploymentAnnotations, revisionLabels } from '../copied-metadata.ts'

type Probe = NonNullable<Container['readinessProbe']>

const defaultPort = 8080
const defaultTimeoutSeconds = 300

/** The container that gets the requests: the one with a port, or the only one. */
const servingContainer = (revision: Revision): Container | undefined => {
  const { containers } = revision.spec
  return containers.find(({ ports }) => ports && ports.length > 0) ?? containers[0]
}

/** The port that the program listens on. */
const userPort = (revision: Revision): number =>
  servingContainer(revision)?.ports?.[0]?.containerPort || defaultPort

/** How the program is spoken to: the name of its port says so. */
export const protocolOf = (revision: Revision): 'http1' | 'h2c' =>
  servingContainer(revision)?.ports?.[0]?.name === 'h2c' ? 'h2c' : 'http1'

/** Metadata and spec of the pods. `digests` maps container names to what their images resolved to. */
export function podTemplate(
  revision: Revision,
  digests: ReadonlyMap<string, string>,
  config: DeploymentConfig,
): { readonly metadata: { labels: StringMap; annotations: StringMap }; readonly spec: object } {
  const {
    containerConcurrency: _concurrency,
    timeoutSeconds,
    responseStartTimeoutSeconds: _start,
    idleTimeoutSeconds: _idle,
    containers,
    initContainers,
    ...pod
  } = revision.spec
  const serving = servingContainer(revision)
  const affinity = pod.affinity ?? defaultAffinity(revision, config)
  return {
    metadata: {
      labels: revisionLabels(revision.metadata),
      annotations: {
        ...deploymentAnnotations(revision.metadata),
        ...(serving?.name && { [annotation.defaultContainer]: serving.name }),
      },
    },
    spec: {
      ...pod,
      ...(affinity && { affinity }),
      ...(initContainers && {
        initContainers: initContainers.map((container) => withDigest(container, digests)),
      }),
      containers: containers.map((container) =>
        podContainer(revision, container, container === serving, digests),
      ),
      restartPolicy: 'Always',
      terminationGracePeriodSeconds: timeoutSeconds ?? defaultTimeoutSeconds,
    },
  }
}

function podContainer(
  revision: Revision,
  container: Container,
  serving: boolean,
  digests: ReadonlyMap<string, string>,
): Container {
  const port = userPort(revision)
  const { metadata } = revision
  const { readinessProbe, livenessProbe, startupProbe, ports: _ports, ...rest } = container
  return {
    ...withDigest(rest, digests),
    ...(serving && { ports: [{ name: userPortName, containerPort: port, protocol: 'TCP' }] }),
    env: [
      ...(container.env ?? []),
      ...(serving ? [{ name: 'PORT', value: String(port) }] : []),
      { name: 'K_REVISION', value: metadata.name },
      { name: 'K_CONFIGURATION', value: metadata.labels?.[label.configuration] ?? '' },
      { name: 'K_SERVICE', value: metadata.labels?.[label.service] ?? '' },
    ],
    ...(readinessProbe && { readinessProbe: eager(onPort(readinessProbe, port)) }),
    ...(livenessProbe && { livenessProbe: onPort(livenessProbe, port) }),
    ...(startupProbe && { startupProbe: onPort(startupProbe, port) }),
    terminationMessagePolicy: container.terminationMessagePolicy ?? 'FallbackToLogsOnError',
  }
}

const withDigest = <C extends Container>(
  container: C,
  digests: ReadonlyMap<string, string>,
): C => ({
  ...container,
  image: digests.get(container.name) || container.image,
})

/** Port 0 or none means the user's port. */
function onPort(probe: Probe, port: number): Probe {
  const { httpGet, tcpSocket, grpc } = probe
  if (httpGet) return { ...probe, httpGet: { ...httpGet, port: httpGet.port || port } }
  if (grpc) return { ...probe, grpc: { ...grpc, port: grpc.port || port } }
  if (tcpSocket) return { ...probe, tcpSocket: { ...tcpSocket, port: tcpSocket.port || port } }
  return probe
}

/** Without a period Knative probes as often as is useful: said by an explicit 0, which the node agent understands. */
const eager = (probe: Probe): Probe => ({ ...probe, periodSeconds: probe.periodSeconds ?? 0 })

function defaultAffinity({ metadata }: Revision, { defaultAffinityType }: DeploymentConfig) {
  if (defaultAffinityType !== 'prefer-spread-revision-over-nodes') return undefined
  return {
    podAntiAffinity: {
      preferredDuringSchedulingIgnoredDuringExecution: [
        {
          weight: 100,
          podAffinityTerm: {
            topologyKey: 'kubernetes.io/hostname',
            labelSelector: { matchLabels: { [label.revision]: metadata.name } },
          },
        },
      ],
    },
  }
}
