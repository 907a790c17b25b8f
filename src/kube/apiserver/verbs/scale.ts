/** The `scale` subresource: a kind's replicas seen as autoscaling/v1 Scale. */
import type { KindDefinition, ScaleSubresource } from '../../api/kind.ts'
import type { KubeObject } from '../../api/meta.ts'
import { badRequest, invalid } from '../../api/status-error.ts'
import type { Target } from '../machinery.ts'
import { fieldsOf, isRecord, open } from '../values.ts'

/** What tables and messages know of a Scale; it is not a resource of its own. */
export const Scale: KindDefinition = {
  group: 'autoscaling',
  version: 'v1',
  kind: 'Scale',
  plural: 'scales',
  singular: 'scale',
  namespaced: true,
  description: 'The number of replicas of another object, wanted and there.',
  schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
  flavour: 'builtin',
  hasStatus: false,
  hasGeneration: false,
  columns: [
    { name: 'Name', type: 'string', format: 'name', value: ({ metadata }) => metadata.name },
    { name: 'Desired', type: 'integer', value: (scale) => replicasIn(open(scale)['spec']) },
    { name: 'Available', type: 'integer', value: (scale) => replicasIn(open(scale)['status']) },
    {
      name: 'Age',
      type: 'date',
      value: ({ metadata }) => metadata.creationTimestamp,
    },
  ],
}

function replicasIn(part: unknown): number | undefined {
  const { replicas } = fieldsOf(part)
  return typeof replicas === 'number' ? replicas : undefined
}

/** The Scale of an object. */
export function scaleOf(scale: ScaleSubresource<KubeObject>, object: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata
  const selector = scale.selector(object)
  const body = {
    spec: { replicas: scale.replicas(object) },
    status: { replicas: scale.statusReplicas(object), ...(selector !== '' && { selector }) },
  }
  return {
    apiVersion: 'autoscaling/v1',
    kind: 'Scale',
    metadata: {
      name,
      ...(namespace !== undefined && { namespace }),
      ...(uid !== undefined && { uid }),
      ...(resourceVersion !== undefined && { resourceVersion }),
      ...(creationTimestamp !== undefined && { creationTimestamp }),
    },
    ...body,
  }
}

/** `old` with the replicas of a Scale; it carries the Scale's resourceVersion and uid, to be checked. */
export function withScale({ kind, name }: Target, old: KubeObject, body: unknown): KubeObject {
  if (!isRecord(body) || (body['kind'] !== undefined && body['kind'] !== 'Scale'))
    throw badRequest('the object provided is unrecognized (must be of type Scale)')
  const { replicas = 0 } = fieldsOf(body['spec'])
  const metadata = fieldsOf(body['metadata'])
  if (typeof replicas !== 'number' || !Number.isInteger(replicas))
    throw badRequest(
      `Scale in version "v1" cannot be handled as a Scale: json: cannot unmarshal ${typeof replicas} into Go struct field ScaleSpec.spec.replicas of type int32`,
    )
  if (replicas < 0)
    throw invalid(Scale, name, [
      {
        reason: 'FieldValueInvalid',
        field: 'spec.replicas',
        detail: `Invalid value: ${replicas}: must be greater than or equal to 0`,
      },
    ])
  if (typeof metadata['name'] === 'string' && metadata['name'] !== '' && metadata['name'] !== name)
    throw badRequest(
      `the name of the object (${metadata['name']}) does not match the name on the URL (${name})`,
    )
  const scaled = kind.scale ? kind.scale.withReplicas(old, replicas) : old
  const { resourceVersion: _, ...rest } = old.metadata
  const { resourceVersion, uid } = metadata
  return {
    ...scaled,
    metadata: {
      ...rest,
      ...(typeof uid === 'string' && uid !== '' && { uid }),
      ...(typeof resourceVersion === 'string' && resourceVersion !== '' && { resourceVersion }),
    },
  }
}
