/** The `scale` subresource: a kind's replicas seen as autoscaling/v1 Scale (contracts/kube §3.13). */
import type { ScaleSubresource } from '../api/kind.ts'
import type { KubeObject } from '../api/meta.ts'
import { badRequest, invalid } from '../api/status-error.ts'
import type { Target } from './machinery.ts'
import { fieldsOf, isRecord } from './values.ts'

const scaleKind = { group: 'autoscaling', kind: 'Scale', plural: 'scales' }

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
    throw invalid(scaleKind, name, [
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
