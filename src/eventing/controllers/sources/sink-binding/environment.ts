/**
 * What a SinkBinding writes into pods, and takes back (knative.dev/eventing
 * `pkg/apis/sources/v1/sinkbinding_lifecycle.go`). Pure.
 */
import type { PodSpec } from '../../../../kube/api/pod-spec.ts'
import type { CloudEventOverrides } from '../../../api/duck/source-spec.ts'
import type { Resolved } from '../../destination/resolver.ts'

type Container = PodSpec['containers'][number]
type Variable = NonNullable<Container['env']>[number]

const own = new Set(['K_SINK', 'K_CA_CERTS', 'K_CE_OVERRIDES'])

/** The variables in their order. */
export const sinkVariables = (
  sink: Resolved,
  overrides: CloudEventOverrides | undefined,
): readonly Variable[] => [
  { name: 'K_SINK', value: sink.url },
  ...(sink.caCerts === undefined ? [] : [{ name: 'K_CA_CERTS', value: sink.caCerts }]),
  { name: 'K_CE_OVERRIDES', value: overridesText(overrides) },
]

/** By name, as Go writes it: whoever orders them anew has changed nothing. */
function overridesText(overrides: CloudEventOverrides | undefined): string {
  if (!overrides?.extensions) return ''
  const sorted = Object.entries(overrides.extensions).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify({ extensions: Object.fromEntries(sorted) })
}

/** The pod with these variables in every container, instead of those of before; none of them = without any. */
export function withVariables(pod: PodSpec, variables: readonly Variable[]): PodSpec {
  const bind = (container: Container): Container => {
    const { env = [], ...rest } = container
    const next = [...env.filter(({ name }) => !own.has(name)), ...variables]
    if (next.length === env.length && next.every((each, i) => sameVariable(each, env[i])))
      return container
    return next.length > 0 ? { ...rest, env: next } : rest
  }
  const containers = (pod.containers ?? []).map(bind)
  const initContainers = pod.initContainers?.map(bind)
  const same =
    containers.every((each, i) => each === pod.containers[i]) &&
    (initContainers ?? []).every((each, i) => each === pod.initContainers?.[i])
  return same ? pod : { ...pod, containers, ...(initContainers && { initContainers }) }
}

/** All that a SinkBinding does to a pod. */
export interface Bound {
  readonly variables: readonly Variable[]
  /** The Secret with the token that the sink asks for; absent = it asks for none. */
  readonly tokenSecret?: string | undefined
  /** The ConfigMap with certificates to trust; absent = the usual ones. */
  readonly trustBundle?: string | undefined
}

export const unbound: Bound = { variables: [] }

/** The pod itself when it is as it is to be. */
export function withBinding(pod: PodSpec, { variables, tokenSecret, trustBundle }: Bound): PodSpec {
  const secret = tokenSecret === undefined ? undefined : { secret: { name: tokenSecret } }
  const configMap = trustBundle === undefined ? undefined : { configMap: { name: trustBundle } }
  return withFolder(withFolder(withVariables(pod, variables), { ...tokenPlace, source: secret }), {
    ...bundlePlace,
    source: configMap,
  })
}

const tokenPlace = { volume: 'oidc-token', path: '/oidc' }
const bundlePlace = { volume: 'kne-bundle-combined', path: '/knative-custom-certs' }

interface Folder {
  /** Of the volume, which is ours by its name. */
  readonly volume: string
  readonly path: string
  /** Absent = the pod is to be without. */
  readonly source: NonNullable<NonNullable<Volume['projected']>['sources']>[number] | undefined
}

type Volume = NonNullable<PodSpec['volumes']>[number]

/** The pod with a projected volume that is mounted in every container, or without. */
function withFolder(pod: PodSpec, { volume, path, source }: Folder): PodSpec {
  const { volumes = [], containers, initContainers = [] } = pod
  const found = volumes.find(({ name }) => name === volume)
  const mounts = [...(containers ?? []), ...initContainers].map(({ volumeMounts = [] }) =>
    volumeMounts.find(({ name }) => name === volume),
  )
  const [held] = found?.projected?.sources ?? []
  const isSame =
    held?.secret?.name === source?.secret?.name && held?.configMap?.name === source?.configMap?.name
  if (
    source
      ? isSame && mounts.every((each) => each?.mountPath === path)
      : !found && !mounts.some(Boolean)
  )
    return pod
  const mount = (container: Container): Container => {
    const { volumeMounts = [], ...rest } = container
    const others = volumeMounts.filter(({ name }) => name !== volume)
    const next = source ? [...others, { name: volume, mountPath: path, readOnly: true }] : others
    return next.length > 0 ? { ...rest, volumeMounts: next } : rest
  }
  const others = volumes.filter(({ name }) => name !== volume)
  const next = source ? [...others, { name: volume, projected: { sources: [source] } }] : others
  const { volumes: _, ...rest } = pod
  return {
    ...rest,
    containers: (containers ?? []).map(mount),
    ...(pod.initContainers && { initContainers: initContainers.map(mount) }),
    ...(next.length > 0 && { volumes: next }),
  }
}

const sameVariable = (a: Variable, b: Variable | undefined): boolean =>
  a === b || (a.name === b?.name && (a.value ?? '') === (b.value ?? '') && !b.valueFrom)
