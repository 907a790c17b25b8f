/** What definitions, defaults and status of Sequence and Parallel have in common. */
import { readyColumns } from '../../../knative/columns.ts'
import { conditionSet } from '../../../knative/conditions.ts'
import { objectReference, statusFields } from '../../../knative/status.ts'
import type { AdmissionContext, Column } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { object, string } from '../../../kube/api/schema.ts'
import { sameJson } from '../../../kube/api/validation.ts'
import {
  addressFields,
  ageColumn,
  authFields,
  policyFields,
  urlColumn,
} from '../duck/address-status.ts'
import { defaultTemplate } from '../messaging/channel.ts'
import type { ChannelTemplate } from '../duck/channelable.ts'
import { destinationIn, type Destination } from '../duck/destination.ts'
import { withUserInfo } from '../admission/metadata.ts'
import { definitionLabels, flowsGroup } from '../names.ts'

/** A Ready condition of something that was made, as flows repeat it. */
const readyCopy = object({
  type: string(),
  status: string(),
  severity: string(),
  lastTransitionTime: string(),
  reason: string(),
  message: string(),
})

export const channelStatusItem = object({ channel: objectReference, ready: readyCopy })
export const subscriptionStatusItem = object({ subscription: objectReference, ready: readyCopy })

/** Spread into the status of a flow. */
export const flowStatusFields = {
  ...statusFields,
  ...addressFields,
  ...authFields,
  ...policyFields,
}

interface FlowObject extends KubeObject {
  readonly spec: { readonly channelTemplate?: ChannelTemplate; readonly reply?: Destination }
}

/** The template and where answers go; `parts` fills in what the flow is made of. */
export function flowDefaults<T extends FlowObject>(
  parts: (spec: T['spec'], namespace: string) => T['spec'],
): (flow: T, context: AdmissionContext<T>) => T {
  const filled = (flow: T, context: AdmissionContext<T>): T => {
    const { namespace = '' } = flow.metadata
    const spec = parts({ ...flow.spec }, namespace)
    const channelTemplate = spec.channelTemplate ?? defaultTemplate(context, namespace)
    const { reply } = spec
    return {
      ...flow,
      spec: {
        ...spec,
        ...(channelTemplate && { channelTemplate }),
        ...(reply && { reply: destinationIn(reply, namespace) }),
      },
    }
  }
  return (sent, context) => {
    const flow = filled(sent, context)
    const { old } = context
    const changed = !old || !sameJson(flow.spec, filled(old, context).spec)
    return withUserInfo(flow, flowsGroup, context, changed)
  }
}

export const flowConditions = () =>
  conditionSet({
    dependents: ['ChannelsReady', 'SubscriptionsReady', 'Addressable', 'EventPoliciesReady'],
  })

/** Of the definition; spread into it. */
export const flowKindFields = {
  group: flowsGroup,
  version: 'v1',
  categories: ['all', 'knative', 'eventing', 'flows'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  definition: { labels: definitionLabels.addressable },
  columns: [urlColumn as Column, ageColumn, ...readyColumns],
} as const
