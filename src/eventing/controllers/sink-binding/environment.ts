/** What a SinkBinding writes into pods, and takes back (contract eventing §6.2). Pure. */
import type { PodSpec } from '../../../kube/api/pod-spec.ts'
import type { CloudEventOverrides } from '../../api/source-spec.ts'
import type { Resolved } from '../resolver.ts'

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
  {
    name: 'K_CE_OVERRIDES',
    value: overrides?.extensions ? JSON.stringify({ extensions: overrides.extensions }) : '',
  },
]

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

const sameVariable = (a: Variable, b: Variable | undefined): boolean =>
  a === b || (a.name === b?.name && (a.value ?? '') === (b.value ?? '') && !b.valueFrom)
