/** The pieces that the statuses of several kinds share (knative.dev/pkg duck types: Status, Addressable). */
import type { Condition } from './conditions.ts'
import { integer, list, map, object, string, type Schema, type Static } from '../kube/api/schema.ts'

const condition = object(
  {
    type: string({ description: 'Type of condition.' }),
    status: string({ description: 'True, False or Unknown.' }),
    severity: string({
      description: 'Error when absent, Info for conditions Ready does not depend on.',
    }),
    lastTransitionTime: string({
      description: 'Last time the condition changed from one state to another.',
    }),
    reason: string({ description: 'One word for why.' }),
    message: string({ description: 'Why, for people.' }),
  },
  { required: ['type', 'status'] },
)

/** The fields every status has; spread into a kind's own `object({ … })`. */
export const statusFields = {
  annotations: map(string(), {
    description: 'Additional status fields for the resource to save between reconciles.',
  }),
  conditions: list(condition, {
    description: 'The latest available observations of the state of the resource.',
  }) as Schema<readonly Condition[]>,
  observedGeneration: integer({
    format: 'int64',
    description: 'The metadata.generation that the status speaks of.',
  }),
}

export const Addressable = object(
  {
    name: string(),
    url: string(),
    CACerts: string(),
    audience: string(),
    hostname: string({ description: 'Form of 2018, answered for old clients.' }),
  },
  { description: 'Where the resource can be reached.' },
)
export type Addressable = Static<typeof Addressable>

export const objectReference = object({
  apiVersion: string(),
  kind: string(),
  name: string(),
  namespace: string(),
  uid: string(),
  resourceVersion: string(),
  fieldPath: string(),
})
export type ObjectReference = Static<typeof objectReference>
