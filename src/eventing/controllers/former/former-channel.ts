/**
 * The address of a channel of 2018, `<channel>-channel.<namespace>`: a Service of that name, which leads to the channel
 * of today; the engine answers that host too (`engine-logs.ts`).
 */
import { Service as CoreService } from '../../../kube/api/service.ts'
import type { Apply } from '../../../kube/controller/reconciler.ts'
import {
  BusChannel,
  formerChannelHost,
  formerChannelRole,
  formerChannelService,
} from '../../api/former/buses.ts'
import type { LegacyObject } from '../../api/former/legacy-kind.ts'
import { label } from '../../api/names.ts'
import { channelHost } from '../../api/messaging/in-memory-channel.ts'
import { ownedMetadata } from '../flows/flow-objects.ts'

/** Longer names had no address of then. */
const hasAddress = ({ metadata }: LegacyObject): boolean =>
  formerChannelService(metadata.name).length <= 63

/** Somebody else's Service of that name is left alone. */
export function formerChannelObjects(channel: LegacyObject): readonly Apply[] {
  if (!hasAddress(channel)) return []
  const { name, namespace = '' } = channel.metadata
  const owner = { kind: BusChannel.kind, object: channel }
  const service: CoreService = {
    apiVersion: 'v1',
    kind: CoreService.kind,
    metadata: {
      ...ownedMetadata(owner, formerChannelService(name)),
      labels: { channel: name, [label.role]: formerChannelRole },
    },
    spec: {
      type: 'ExternalName',
      externalName: channelHost(namespace, name),
      ports: [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 80 }],
    },
  }
  return [{ kind: CoreService, desired: service, merge: (existing) => existing }]
}

/** What the status of such a channel had beside its conditions. */
export function formerChannelStatus(channel: LegacyObject) {
  const { name, namespace = '' } = channel.metadata
  if (!hasAddress(channel)) return {}
  return {
    service: { name: formerChannelService(name), namespace },
    domainInternal: formerChannelHost(namespace, name),
  }
}
