/** RuntimeClass: a name for a way to run containers (node.k8s.io/v1). Kept, and not acted upon: there is one way here. */
import type { RuntimeClass as RuntimeClassType } from 'kubernetes-types/node/v1.js'
import { ageColumn, nameColumn } from './columns.ts'
import type { KindDefinition } from './kind.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import { labelProblem, refuseInvalid, required, wrong, type Complaints } from './validation.ts'

export type RuntimeClass = Stored<RuntimeClassType>

export const RuntimeClass: KindDefinition<RuntimeClass> = {
  group: 'node.k8s.io',
  version: 'v1',
  kind: 'RuntimeClass',
  plural: 'runtimeclasses',
  singular: 'runtimeclass',
  namespaced: false,
  description: 'A RuntimeClass names a way to run containers.',
  schema: builtin<RuntimeClass>('io.k8s.api.node.v1.RuntimeClass'),
  flavour: 'builtin',
  hasStatus: false,
  hasGeneration: false,
  columns: [
    nameColumn,
    {
      name: 'Handler',
      type: 'string',
      description: 'What runs the containers.',
      value: ({ handler }) => handler,
    },
    ageColumn,
  ],
  admit: (given, { old }) => refuseInvalid(RuntimeClass, given, problems(given, old)),
}

function* problems({ handler }: RuntimeClass, old: RuntimeClass | undefined): Complaints {
  if (!handler) return yield required('handler')
  const problem = labelProblem(handler)
  if (problem) yield wrong('handler', handler, problem)
  if (old && old.handler !== handler) yield wrong('handler', handler, 'field is immutable')
}
