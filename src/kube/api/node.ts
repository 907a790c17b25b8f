/** Node: the machine that runs pods; here there is one. */
import type { Node as NodeType } from 'kubernetes-types/core/v1.js'
import { ageColumn, nameColumn } from './columns.ts'
import type { Column, KindDefinition } from './kind.ts'
import { commaList } from './printer.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import { notSupported, refuseInvalid, required, type Complaints } from './validation.ts'

export type Node = Stored<NodeType>

const rolePrefix = 'node-role.kubernetes.io/'

function roles({ metadata }: Node): string {
  const found = new Set<string>()
  for (const [key, value] of Object.entries(metadata.labels ?? {})) {
    if (key.startsWith(rolePrefix) && key.length > rolePrefix.length)
      found.add(key.slice(rolePrefix.length))
    else if (key === 'kubernetes.io/role' && value) found.add(value)
  }
  return commaList([...found].toSorted((a, b) => (a < b ? -1 : 1)))
}

function statusOf({ spec, status }: Node): string {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready')
  const state = ready === undefined ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady'
  return spec?.unschedulable ? `${state},SchedulingDisabled` : state
}

const address = (node: Node, wanted: string): string =>
  node.status?.addresses?.find(({ type }) => type === wanted)?.address ?? '<none>'

const wide = (name: string, description: string, value: (node: Node) => string): Column<Node> => ({
  name,
  type: 'string',
  priority: 1,
  description,
  value,
})

export const Node: KindDefinition<Node> = {
  group: '',
  version: 'v1',
  kind: 'Node',
  plural: 'nodes',
  singular: 'node',
  shortNames: ['no'],
  namespaced: false,
  description: 'A Node is a machine that runs pods.',
  schema: builtin<Node>('io.k8s.api.core.v1.Node'),
  flavour: 'builtin',
  hasStatus: true,
  hasGeneration: false,
  columns: [
    nameColumn,
    {
      name: 'Status',
      type: 'string',
      description: 'Whether the node takes and runs pods.',
      value: statusOf,
    },
    { name: 'Roles', type: 'string', description: 'The roles of the node.', value: roles },
    ageColumn,
    {
      name: 'Version',
      type: 'string',
      description: 'The version of the node agent.',
      value: ({ status }) => status?.nodeInfo?.kubeletVersion ?? '',
    },
    wide('Internal-IP', 'The address inside.', (node) => address(node, 'InternalIP')),
    wide('External-IP', 'The address outside.', (node) => address(node, 'ExternalIP')),
    wide(
      'OS-Image',
      'The operating system.',
      ({ status }) => status?.nodeInfo?.osImage || '<unknown>',
    ),
    wide(
      'Kernel-Version',
      'The version of the kernel.',
      ({ status }) => status?.nodeInfo?.kernelVersion || '<unknown>',
    ),
    wide(
      'Container-Runtime',
      'What runs the containers.',
      ({ status }) => status?.nodeInfo?.containerRuntimeVersion || '<unknown>',
    ),
  ],
  selectableFields: {
    'spec.unschedulable': ({ spec }) => String(spec?.unschedulable ?? false),
  },
  admit: (node) => refuseInvalid(Node, node, problems(node)),
}

const effects = ['NoExecute', 'NoSchedule', 'PreferNoSchedule']

function* problems({ spec }: Node): Complaints {
  for (const [i, { key, effect }] of (spec?.taints ?? []).entries()) {
    if (!key) yield required(`spec.taints[${i}].key`)
    if (!effects.includes(effect)) yield notSupported(`spec.taints[${i}].effect`, effect, effects)
  }
}
