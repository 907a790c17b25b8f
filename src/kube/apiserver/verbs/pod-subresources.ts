/** POST pods/binding (a scheduler's word) and pods/eviction (a polite DELETE). */
import { rfc3339 } from '../../../lib/clock.ts'
import type { ApiResponse } from '../../api/protocol.ts'
import { badRequest, conflict } from '../../api/status-error.ts'
import type { Pod } from '../../api/pod.ts'
import { replace } from './commit.ts'
import { removeNow } from './delete.ts'
import { spendBudget } from '../limits/eviction.ts'
import { answerBody, settled, storedObject } from '../machinery.ts'
import type { Target } from '../machinery.ts'
import { fieldsOf, open } from '../values.ts'

/** Binds a pod to a node; a pod is bound once. */
export async function bind(target: Target): Promise<ApiResponse> {
  const { name } = fieldsOf(fieldsOf(target.request.body)['target'])
  if (typeof name !== 'string' || name === '') throw badRequest('Binding.target.name is required')
  const pod = open(storedObject(target))
  const spec = fieldsOf(pod['spec'])
  if (spec['nodeName'])
    throw conflict(
      target.kind,
      target.name,
      `pod ${target.name} is already assigned to node ${JSON.stringify(spec['nodeName'])}`,
    )
  if (pod.metadata.deletionTimestamp !== undefined)
    throw conflict(
      target.kind,
      target.name,
      `pod ${target.name} is being deleted, cannot be assigned to a host`,
    )
  const status = fieldsOf(pod['status'])
  const others = Array.isArray(status['conditions']) ? status['conditions'] : []
  const scheduled = {
    type: 'PodScheduled',
    status: 'True',
    lastProbeTime: null,
    lastTransitionTime: rfc3339(target.machinery.clock.now()),
  }
  const bound = {
    ...pod,
    spec: { ...spec, nodeName: name },
    status: {
      ...status,
      conditions: [
        ...others.filter((each) => fieldsOf(each)['type'] !== 'PodScheduled'),
        scheduled,
      ],
    },
  }
  const { writes } = replace(target, pod, bound)
  await settled(target, ...writes)
  return answerBody(target, 201, success)
}

/** Deletes a pod with the options of the Eviction, unless a PodDisruptionBudget objects. */
export async function evict(target: Target): Promise<ApiResponse> {
  const options = fieldsOf(fieldsOf(target.request.body)['deleteOptions'])
  const { gracePeriodSeconds } = options
  const { uid, resourceVersion } = fieldsOf(options['preconditions'])
  const request = {
    ...target.request,
    options: {
      ...target.request.options,
      ...(typeof gracePeriodSeconds === 'number' && { gracePeriodSeconds }),
      preconditions: {
        ...(typeof uid === 'string' && { uid }),
        ...(typeof resourceVersion === 'string' && { resourceVersion }),
      },
    },
  }
  const pod = storedObject(target)
  const spent = spendBudget({ ...target, request }, pod as Pod)
  const { writes } = removeNow({ ...target, request }, pod)
  await settled(target, ...spent, ...writes)
  return answerBody(target, 201, success)
}

const success = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 }
