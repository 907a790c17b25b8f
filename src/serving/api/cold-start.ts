/**
 * ColdStart: the way of one request that had to wait for its pod, step by step (ebb.dev/v1alpha1). Written by the
 * platform after the answer, so that reading it is `kubectl get coldstarts`; the last twenty of each Revision are kept.
 */
import type { Column, KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { age } from '../../kube/api/printer.ts'
import { list, object, string, type Schema, type Static } from '../../kube/api/schema.ts'

const milliseconds = (description: string): Schema<number> => ({ type: 'number', description })

const Step = object(
  {
    name: string({ description: 'What happened.' }),
    atMs: milliseconds('When, in milliseconds since the first byte of the request.'),
  },
  { required: ['name', 'atMs'] },
)

const Spans = object(
  {
    totalMs: milliseconds('First byte of the request to first byte of the answer.'),
    queueMs: milliseconds('First byte to the wake-up in the control plane.'),
    decideMs: milliseconds('Wake-up to the node agent asking for the process.'),
    spawnMs: milliseconds('Asking for the process to its start; of a frozen pod, to its thaw.'),
    probeMs: milliseconds(
      'Start to the first successful probe: the program itself, for the most part.',
    ),
    forwardMs: milliseconds('First successful probe to the request being sent to the pod.'),
    answerMs: milliseconds('Request sent to the first byte of the answer.'),
  },
  { required: ['totalMs'] },
)

export const ColdStartSpec = object(
  {
    revision: string({ description: 'Name of the Revision.' }),
    pod: string({ description: 'Name of the Pod that answered.' }),
    kind: string({
      description:
        'Started: a new process. Thawed: a frozen pod went on. Running: the pod was starting already.',
      enum: ['Started', 'Thawed', 'Running'],
    }),
    at: string({ description: 'When the first byte came, RFC 3339 with milliseconds.' }),
    spans: Spans,
    steps: list(Step, { description: 'In the order in which they happened.' }),
  },
  { required: ['revision', 'kind', 'spans', 'steps'] },
)
export type ColdStartSpec = Static<typeof ColdStartSpec>

export interface ColdStart extends KubeObject {
  readonly spec: ColdStartSpec
}

const span = (name: string, key: keyof ColdStartSpec['spans']): Column<ColdStart> => ({
  name,
  type: 'string',
  value: ({ spec }) =>
    spec.spans[key] === undefined ? undefined : `${spec.spans[key].toFixed(1)}ms`,
})

export const ColdStart: KindDefinition<ColdStart> = {
  group: 'ebb.dev',
  version: 'v1alpha1',
  kind: 'ColdStart',
  plural: 'coldstarts',
  singular: 'coldstart',
  namespaced: true,
  flavour: 'custom',
  hasStatus: false,
  hasGeneration: false,
  description: 'The way of one request that waited for its pod. Written by the platform.',
  schema: object({ spec: ColdStartSpec }),
  columns: [
    { name: 'Revision', type: 'string', value: ({ spec }) => spec.revision },
    { name: 'Kind', type: 'string', value: ({ spec }) => spec.kind },
    span('Total', 'totalMs'),
    span('Queue', 'queueMs'),
    span('Decide', 'decideMs'),
    span('Spawn', 'spawnMs'),
    span('Probe', 'probeMs'),
    span('Forward', 'forwardMs'),
    span('Answer', 'answerMs'),
    { name: 'Age', type: 'string', value: (object, nowMs) => age(object, nowMs) },
  ],
}
