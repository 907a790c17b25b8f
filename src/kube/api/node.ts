/** A Node is a machine that runs pods. */
import type { Node as NodeType } from 'kubernetes-types/core/v1.js'
import type { KindDefinition } from './kind.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'

export type Node = Stored<NodeType>

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
  columns: [],
}
