/** ClusterChannelProvisioner of 2019: Ready when the kind of channel that it has become is served. */
import type { Reconciler } from '../../../kube/controller/reconciler.ts'
import { finish } from '../../../knative/conditions.ts'
import { textOf } from '../../../knative/old-form.ts'
import { provisionedBy } from '../../api/conversion/broker.ts'
import {
  ClusterChannelProvisioner,
  provisionerConditions as conditions,
} from '../../api/former/legacy-channel.ts'
import { noChannelKind, templateKind } from '../messaging/channel-kinds.ts'

export const provisionerReconciler: Reconciler<
  ClusterChannelProvisioner,
  ClusterChannelProvisioner
> = {
  name: 'provisioner-controller',
  kind: ClusterChannelProvisioner,
  watches: [],
  observe: (provisioner) => provisioner,
  plan({ metadata, status }, nowMs) {
    const { generation = 0, name } = metadata
    const begun = conditions.begin(status ?? {}, generation, nowMs)
    const { apiVersion, kind = name } = provisionedBy(name) ?? {}
    const template = { apiVersion: textOf(apiVersion), kind: textOf(kind) }
    const decided = templateKind(template)
      ? conditions.markTrue(begun, 'Ready', nowMs)
      : conditions.markFalse(begun, 'Ready', 'NotServed', noChannelKind(template), nowMs)
    return { status: finish(decided, status, generation, nowMs) }
  },
}
