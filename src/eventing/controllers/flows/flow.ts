/**
 * What Sequence and Parallel have in common: channels of a template, the first of which takes events in, Subscriptions
 * between them, and a status that repeats how all of these stand.
 */
import type { Kind } from '../../../kube/api/kind.ts'
import type { Reconciler } from '../../../kube/controller/reconciler.ts'
import { finish, type ConditionedObject, type ConditionSet } from '../../../knative/conditions.ts'
import type { ChannelTemplate } from '../../api/duck/channelable.ts'
import { Subscription } from '../../api/messaging/subscription.ts'
import { channelKinds, noChannelKind, templateKind } from '../messaging/channel-kinds.ts'
import {
  derivedPolicies,
  derivedWorld,
  withAccounts,
  type Behind,
  type DerivedWorld,
} from '../authorization/derived-policies.ts'
import { complaint } from '../complaint.ts'
import {
  policiesFor,
  policyWatches,
  withPolicies,
  type Policies,
} from '../authorization/policies.ts'
import {
  channelApply,
  deletion,
  isReady,
  subscriptionWrites,
  type FlowChannel,
  type Item,
  type WantedSubscription,
} from './flow-objects.ts'

export interface Flow extends ConditionedObject {
  readonly spec: { readonly channelTemplate?: ChannelTemplate }
  readonly status?: ConditionedObject['status'] & {
    readonly address?: { readonly url?: string }
    readonly auth?: { readonly serviceAccountNames?: readonly string[] }
  }
}

export interface World<F extends Flow = Flow> {
  readonly flow: F
  /** Of the template; undefined = nobody serves it. */
  readonly kind: Kind | undefined
  readonly channels: readonly { readonly kind: Kind; readonly object: FlowChannel }[]
  readonly subscriptions: readonly Subscription[]
  readonly policies: Policies | undefined
  readonly derived: DerivedWorld
}

/** What a flow is made of. */
export interface Parts {
  /** The first takes events in. */
  readonly channels: readonly string[]
  readonly subscriptions: readonly WantedSubscription[]
}

/** How its parts stand: as the status says it, and all of them in one line. */
export interface Standing<F extends Flow> {
  readonly status: F['status'] & {}
  readonly channels: readonly Item[]
  readonly subscriptions: readonly Item[]
}

export interface Found {
  channel(name: string): FlowChannel | undefined
  subscription(name: string): Subscription | undefined
}

/** One of the two. */
export interface FlowKind<F extends Flow> {
  readonly kind: Kind<F>
  readonly conditions: ConditionSet
  /** Label with the flow's name, of policies made for its channels. */
  readonly nameLabel: string
  /** What a condition is of which something is not ready yet. */
  readonly unready: 'Unknown' | 'False'
  readonly partsOf: (flow: F, kind: Kind) => Parts
  /** `begun` with the parts of the status that speak of them. */
  readonly standing: (flow: F, kind: Kind, found: Found, begun: F['status'] & {}) => Standing<F>
}

export const flowReconciler = <F extends Flow>(of: FlowKind<F>): Reconciler<F, World<F>> => ({
  name: `${of.kind.kind.toLowerCase()}-controller`,
  kind: of.kind,
  watches: [
    ...[Subscription, ...channelKinds].map((kind) => ({ kind, wake: 'owner' as const })),
    ...policyWatches(of.kind),
  ],

  observe: (flow, read) => ({
    flow,
    kind: templateKind(flow.spec.channelTemplate),
    channels: channelKinds.flatMap((kind) =>
      read.owned(kind, flow).map((object) => ({ kind, object })),
    ),
    subscriptions: read.owned(Subscription, flow),
    policies: policiesFor(of.kind, flow, read),
    derived: derivedWorld(of.kind, flow, read),
  }),

  plan(world, nowMs) {
    const { flow, kind, channels, subscriptions } = world
    const { generation = 0, name } = flow.metadata
    const begun = of.conditions.begin<F['status'] & {}>(flow.status ?? {}, generation, nowMs)
    const done = (status: F['status'] & {}) => finish(status, flow.status, generation, nowMs)
    const { channelTemplate } = flow.spec
    if (!kind || !channelTemplate) {
      const mark = marker(of, begun, nowMs)
      const status = mark(
        'ChannelsReady',
        false,
        'ChannelsNotReady',
        noChannelKind(channelTemplate),
      )
      const events = complaint(flow.status, status, 'ChannelsReady', 'InternalError')
      return { status: done(status), events }
    }
    const owner = { kind: of.kind, object: flow }
    const parts = of.partsOf(flow, kind)
    const writes = subscriptionWrites(owner, parts.subscriptions, subscriptions)
    const labels = { [of.nameLabel]: name }
    const derived = derivedPolicies(flow, labels, behind(parts, kind), world.derived)
    const left = channels.filter(
      (each) => each.kind !== kind || !parts.channels.includes(each.object.metadata.name),
    )
    return {
      apply: [
        ...parts.channels.map((each) => channelApply(owner, each, kind, channelTemplate)),
        ...writes.apply,
        ...derived.apply,
      ],
      delete: [
        ...writes.delete,
        ...derived.delete,
        ...left
          .filter(({ object }) => !object.metadata.deletionTimestamp)
          .map((each) => deletion(each.kind, each.object)),
      ],
      status: done(decide(of, world, kind, parts, begun, nowMs)),
    }
  },
})

/** Events come into the first channel from whoever may send to the flow, into others from what leads there. */
const behind = ({ channels, subscriptions }: Parts, kind: Kind): readonly Behind[] =>
  channels.map((name, i) => {
    const leading = subscriptions.filter(({ reply, subscriber }) =>
      [reply, subscriber].some((to) => to?.ref?.kind === kind.kind && to.ref.name === name),
    )
    return { kind, name, ...(i > 0 && { from: leading.map((each) => each.name) }) }
  })

/** How many parts are quoted in a condition; the others are in the status one by one. */
const quoted = 3

/** What the parts that fail say goes behind Knative's words, so that whoever describes the flow reads what is missing. */
function withReasons(message: string, items: readonly Item[]): string {
  const failed = items.flatMap(({ ready }) =>
    ready.status === 'False' && ready.message ? [ready.message] : [],
  )
  const said = [...new Set(failed)]
  const more = said.length > quoted ? [`${said.length - quoted} more`] : []
  return [message, ...said.slice(0, quoted), ...more].join('; ')
}

/** Marks one condition after the other; each call answers the status so far. */
function marker<F extends Flow>(
  { conditions, unready }: FlowKind<F>,
  begun: F['status'] & {},
  nowMs: number,
) {
  let status = begun
  return (type: string, isTrue: boolean, reason: string, message: string): F['status'] & {} => {
    if (isTrue) status = conditions.markTrue(status, type, nowMs)
    else if (unready === 'False')
      status = conditions.markFalse(status, type, reason, message, nowMs)
    else status = conditions.markUnknown(status, type, reason, message, nowMs)
    return status
  }
}

function decide<F extends Flow>(
  of: FlowKind<F>,
  { flow, channels, subscriptions, policies }: World<F>,
  kind: Kind,
  parts: Parts,
  begun: F['status'] & {},
  nowMs: number,
): F['status'] & {} {
  const found: Found = {
    channel: (name) => channels.find(({ object }) => object.metadata.name === name)?.object,
    subscription: (name) => subscriptions.find(({ metadata }) => metadata.name === name),
  }
  const all = (items: readonly Item[]): boolean => items.length > 0 && items.every(isReady)
  const standing = of.standing(flow, kind, found, begun)
  const inOrder = parts.subscriptions.map(({ name }) => found.subscription(name))
  const mark = marker(of, withAccounts(standing.status, inOrder), nowMs)
  mark(
    'ChannelsReady',
    all(standing.channels),
    'ChannelsNotReady',
    withReasons('Channels are not ready yet, or there are none', standing.channels),
  )
  mark(
    'SubscriptionsReady',
    all(standing.subscriptions),
    'SubscriptionsNotReady',
    withReasons('Subscriptions are not ready yet, or there are none', standing.subscriptions),
  )
  const { url, CACerts, audience } = found.channel(parts.channels[0] ?? '')?.status?.address ?? {}
  const { address: _, ...bare } = mark(
    'Addressable',
    url !== undefined,
    'emptyAddress',
    'addressable is nil',
  )
  const status = {
    ...bare,
    ...(url !== undefined && {
      address: { url, ...(CACerts && { CACerts }), ...(audience && { audience }) },
    }),
  } as F['status'] & {} // the same with another address
  return withPolicies(status, of.conditions, policies, nowMs)
}
