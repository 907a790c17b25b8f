/**
 * ServerlessService: the k8s Services of a Revision, pointing at its pods (Serve) or at the activator (Proxy)
 * (networking.internal.knative.dev/v1alpha1).
 */
import { admission } from '../../knative/admission.ts'
import {
  invalidValue,
  missingField,
  outOfBounds,
  via,
  type FieldError,
} from '../../knative/field-error.ts'
import type { KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { integer, object, string, type Schema, type Static } from '../../kube/api/schema.ts'
import { conditionSet } from '../../knative/conditions.ts'
import { readyColumns } from '../../knative/columns.ts'
import { networkingInternalGroup } from './names.ts'
import { protocolType } from './pod-autoscaler.ts'
import { objectReference, statusFields } from '../../knative/status.ts'

export type ServerlessServiceMode = 'Serve' | 'Proxy'

export const ServerlessServiceSpec = object(
  {
    mode: string({ description: 'Serve or Proxy.' }) as Schema<ServerlessServiceMode>,
    numActivators: integer({
      format: 'int32',
      description: 'Activators in the path in mode Proxy; 0 = all.',
    }),
    objectRef: objectReference,
    protocolType,
  },
  { required: ['objectRef', 'protocolType'] },
)
export type ServerlessServiceSpec = Static<typeof ServerlessServiceSpec>

export const ServerlessServiceStatus = object({
  ...statusFields,
  privateServiceName: string({ description: 'The k8s Service that selects the pods.' }),
  serviceName: string({ description: 'The k8s Service that requests go to.' }),
})
export type ServerlessServiceStatus = Static<typeof ServerlessServiceStatus>

export interface ServerlessService extends KubeObject {
  readonly spec: ServerlessServiceSpec
  readonly status?: ServerlessServiceStatus
}

function* validate({ spec }: ServerlessService): Generator<FieldError> {
  const given: Partial<ServerlessServiceSpec> = spec ?? {}
  const { mode, numActivators = 0, objectRef, protocolType: protocol } = given
  if (!mode) yield missingField('mode')
  else if (mode !== 'Serve' && mode !== 'Proxy') yield invalidValue(mode, 'mode')
  if (numActivators < 0) yield outOfBounds(numActivators, 0, 2_147_483_647, 'numActivators')
  if (!objectRef?.name) yield missingField('objectRef.name')
  if (!objectRef?.kind) yield missingField('objectRef.kind')
  if (protocol !== 'http1' && protocol !== 'h2c') yield invalidValue(protocol ?? '', 'protocolType')
}

/** What Ready of a ServerlessService depends on; ActivatorEndpointsPopulated is informational. */
export const serverlessServiceConditions = conditionSet({ dependents: ['EndpointsPopulated'] })

export const ServerlessService: KindDefinition<ServerlessService> = {
  group: networkingInternalGroup,
  version: 'v1alpha1',
  kind: 'ServerlessService',
  plural: 'serverlessservices',
  singular: 'serverlessservice',
  shortNames: ['sks'],
  categories: ['knative-internal', 'networking'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  description: 'The k8s Services in front of a Revision’s pods. Made by the system.',
  admit: admission({ validate: (object) => via('spec', validate(object)) }),
  schema: object({ spec: ServerlessServiceSpec, status: ServerlessServiceStatus }),
  columns: [
    { name: 'Mode', type: 'string', value: ({ spec }) => spec.mode },
    { name: 'Activators', type: 'integer', value: ({ spec }) => spec.numActivators },
    { name: 'ServiceName', type: 'string', value: ({ status }) => status?.serviceName },
    {
      name: 'PrivateServiceName',
      type: 'string',
      value: ({ status }) => status?.privateServiceName,
    },
    ...readyColumns,
  ],
}
