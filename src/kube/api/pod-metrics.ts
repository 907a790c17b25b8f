/**
 * PodMetrics and NodeMetrics: what containers and the machine use at the moment (metrics.k8s.io/v1beta1), for
 * `kubectl top`. Nobody stores them: whoever asks is answered from what the node agent measures.
 */
import type { Column, KindDefinition } from './kind.ts'
import type { KubeObject } from './meta.ts'
import { humanAge } from './printer.ts'
import { list, map, object, string } from './schema.ts'

/** Amounts as quantities, `cpu` and `memory`. */
export type Usage = Readonly<Record<string, string>>

interface Measured extends KubeObject {
  /** RFC 3339: the end of the window. */
  readonly timestamp: string
  /** How long processor use was averaged over, `15s`. */
  readonly window: string
}
export interface PodMetrics extends Measured {
  readonly containers: readonly { readonly name: string; readonly usage: Usage }[]
}
export interface NodeMetrics extends Measured {
  readonly usage: Usage
}

const usage = map(string({ format: 'quantity' }), { description: 'Processor and memory in use.' })
const window = {
  timestamp: string({ format: 'date-time', description: 'When it was measured.' }),
  window: string({ description: 'How long it was measured.' }),
}

const shared = {
  group: 'metrics.k8s.io',
  version: 'v1beta1',
  flavour: 'builtin',
  hasStatus: false,
  hasGeneration: false,
  readOnly: true,
} as const

const usageColumn = <T extends Measured>(
  name: string,
  value: (object: T) => string,
): Column<T> => ({ name, type: 'string', description: `${name} in use.`, value })

const columnsOf = <T extends Measured>(
  usageOf: (object: T, resource: string) => string,
): readonly Column<T>[] => [
  { name: 'Name', type: 'string', format: 'name', value: ({ metadata }) => metadata.name },
  usageColumn<T>('CPU', (object) => usageOf(object, 'cpu')),
  usageColumn<T>('Memory', (object) => usageOf(object, 'memory')),
  { name: 'Window', type: 'string', value: ({ window: length }) => length },
  { name: 'Age', type: 'string', value: ({ timestamp }, nowMs) => humanAge(timestamp, nowMs) },
]

export const PodMetrics: KindDefinition<PodMetrics> = {
  ...shared,
  kind: 'PodMetrics',
  plural: 'pods',
  singular: 'pod',
  namespaced: true,
  description: 'PodMetrics say what the containers of a pod use.',
  schema: object({
    ...window,
    containers: list(object({ name: string(), usage })),
  }),
  columns: columnsOf<PodMetrics>((pod, resource) =>
    pod.containers.map((each) => each.usage[resource] ?? '0').join(','),
  ),
}

export const NodeMetrics: KindDefinition<NodeMetrics> = {
  ...shared,
  kind: 'NodeMetrics',
  plural: 'nodes',
  singular: 'node',
  namespaced: false,
  description: 'NodeMetrics say what is used of the machine.',
  schema: object({ ...window, usage }),
  columns: columnsOf<NodeMetrics>((node, resource) => node.usage[resource] ?? '0'),
}
