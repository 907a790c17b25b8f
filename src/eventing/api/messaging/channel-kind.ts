/** What definitions and defaults of all channel kinds have in common. */
import { readyColumns } from '../../../knative/columns.ts'
import type { AdmissionContext, Column } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { sameJson } from '../../../kube/api/validation.ts'
import { ageColumn, urlColumn } from '../duck/address-status.ts'
import { deliveryIn, type DeliverySpec } from '../duck/delivery-spec.ts'
import { followingSubresources } from '../following.ts'
import { withMetadata, withUserInfo } from '../admission/metadata.ts'
import { annotation, definitionLabels, messagingGroup } from '../names.ts'

/** Any channel, as far as all of them are alike. */
interface Channelable extends KubeObject {
  readonly spec: { readonly delivery?: DeliverySpec }
}

/** What is filled in for every channel kind; `more` is said before of the spec, and is the kind's own. */
export function channelDefaults<T extends Channelable>(
  more: (spec: T['spec'], context: AdmissionContext<T>, namespace: string) => T['spec'],
): (channel: T, context: AdmissionContext<T>) => T {
  const filled = (channel: T, context: AdmissionContext<T>): T => {
    const { namespace = '' } = channel.metadata
    const spec = more({ ...channel.spec }, context, namespace)
    const { delivery } = spec
    return withMetadata(
      {
        ...channel,
        spec: { ...spec, ...(delivery && { delivery: deliveryIn(delivery, namespace) }) },
      },
      { annotations: { [annotation.subscribable]: 'v1' } },
    )
  }
  return (sent, context) => {
    const channel = filled(sent, context)
    const { old } = context
    const changed = !old || !sameJson(channel.spec, filled(old, context).spec)
    return withUserInfo(channel, messagingGroup, context, changed)
  }
}

/** Of the definition of every channel kind; spread into it. */
export const channelKindFields = {
  group: messagingGroup,
  version: 'v1',
  categories: ['all', 'knative', 'messaging', 'channel'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  subresources: followingSubresources,
  definition: { labels: definitionLabels.channel },
  columns: [urlColumn as Column, ageColumn, ...readyColumns],
} as const
