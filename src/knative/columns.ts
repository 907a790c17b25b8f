/** Printer columns that Knative's kinds share: Ready and Reason. None of them has an AGE. */
import type { Column } from '../kube/api/kind.ts'
import { conditionOf, type ConditionedObject } from './conditions.ts'

export const readyColumns: readonly Column<ConditionedObject>[] = [
  { name: 'Ready', type: 'string', value: ({ status }) => conditionOf(status, 'Ready')?.status },
  { name: 'Reason', type: 'string', value: ({ status }) => conditionOf(status, 'Ready')?.reason },
]
