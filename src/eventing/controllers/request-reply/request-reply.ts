/** RequestReply: kept and checked, and not served yet, which is what it says (contract eventing §2.6). */
import { keyOf } from '../../../kube/api/meta.ts'
import type { Reconciler } from '../../../kube/controller/reconciler.ts'
import { conditionOf, finish } from '../../../knative/conditions.ts'
import { Broker } from '../../api/broker.ts'
import {
  RequestReply,
  requestReplyConditions as conditions,
  type RequestReplyStatus,
} from '../../api/request-reply.ts'

export interface World {
  readonly object: RequestReply
  readonly broker: Broker | undefined
}

const notServed =
  'RequestReply is not served here yet: send the event to the Broker, and the answer by a Trigger that filters on its reply attribute'

export const requestReplyReconciler: Reconciler<RequestReply, World> = {
  name: 'requestreply-controller',
  kind: RequestReply,
  watches: [
    {
      kind: Broker,
      wake: (changed, read) =>
        read
          .list(RequestReply, changed.metadata.namespace ?? '')
          .filter(({ spec }) => spec.brokerRef?.name === changed.metadata.name)
          .map((each) => keyOf(each)),
    },
  ],

  observe(object, read) {
    const { namespace } = keyOf(object)
    return {
      object,
      broker: read.get(Broker, { namespace, name: object.spec.brokerRef?.name ?? '' }),
    }
  },

  plan({ object, broker }, nowMs) {
    const { generation = 0 } = object.metadata
    let status: RequestReplyStatus = conditions.begin(object.status ?? {}, generation, nowMs)
    const name = object.spec.brokerRef?.name ?? ''
    const isReady = conditionOf(broker?.status, 'Ready')?.status === 'True'
    if (!broker)
      status = conditions.markUnknown(
        status,
        'BrokerReady',
        'NotFound',
        `Broker "${name}" does not exist`,
        nowMs,
      )
    else
      status = isReady
        ? conditions.markTrue(status, 'BrokerReady', nowMs)
        : conditions.markFalse(
            status,
            'BrokerReady',
            'NotReady',
            `Broker "${name}" is not ready`,
            nowMs,
          )
    status = conditions.markTrueWithReason(
      status,
      'EventPoliciesReady',
      'NotImplemented',
      '',
      nowMs,
    )
    status = conditions.markFalse(status, 'Addressable', 'NotServed', notServed, nowMs)
    status = conditions.markFalse(status, 'TriggersReady', 'NotServed', notServed, nowMs)
    return { status: finish(status, object.status, generation, nowMs) }
  },
}
