/**
 * What led events to a program in 2018: Bind (eventing.elafros.dev), Feed (feeds.knative.dev) and Flow
 * (flows.knative.dev). Of the sources of then, that of Kubernetes' Events is built in: it becomes a
 * KubernetesEventSource of the same name, which sends events of the same type, and a Flow a channel with a subscription
 * as well. Of other sources nothing is made.
 */
import {
  invalidValue,
  missingField,
  missingOneOf,
  multipleOneOf,
  type FieldError,
} from '../../../knative/field-error.ts'
import { fieldsOf, isFields, textOf, type Fields } from '../../../knative/old-form.ts'
import type { Kind } from '../../../kube/api/kind.ts'
import { Channel } from '../messaging/channel.ts'
import { Subscription } from '../messaging/subscription.ts'
import { fullHost, validateHost } from './dns-name.ts'
import { KubernetesEventSource } from './former-sources.ts'
import { keptDefinition, type KeptForm, type KeptKind, type KeptObject } from './kept-kind.ts'

/** An object of today, of the same name. */
export interface Part {
  readonly kind: Kind
  readonly spec: Fields
}

/** A condition that repeats one of a part. */
export interface Repeated {
  readonly of: Kind
  readonly condition: string
}

export interface FeedKind {
  readonly kind: KeptKind['kind']
  /** Undefined = its events have no source here. */
  readonly partsOf: (object: KeptObject) => readonly Part[] | undefined
  /** All kinds of parts. */
  readonly kinds: readonly Kind[]
  readonly conditions: Readonly<Record<string, Repeated>>
}

/** Whether Kubernetes' own Events are meant: `dev.knative.k8s.event` of `k8sevents`, under each name it had. */
export const isOfKubernetes = (trigger: Fields): boolean =>
  [trigger['eventType'], trigger['clusterEventType'], trigger['service']].some((each) =>
    ['dev.knative.k8s.event', 'k8s', 'k8sevents'].includes(textOf(each)),
  ) || textOf(trigger['resource']).startsWith('k8sevents/')

const triggerOf = ({ spec }: KeptObject): Fields => fieldsOf(spec?.['trigger'])

/** What is said when there is no source: by what its events come today. */
export function adviceFor(object: KeptObject): string {
  const trigger = triggerOf(object)
  const type = textOf(trigger['eventType']) || textOf(trigger['clusterEventType'])
  const service = textOf(trigger['service'])
  const ofGitHub = /github/i.test(`${type} ${service}`)
  const how = ofGitHub
    ? "let a webhook of GitHub's send to a Broker"
    : 'run a program that reads them as sources.knative.dev/v1 ContainerSource'
  return `there is no source of "${type}"${service && ` of "${service}"`} here, and nothing was made: ${how}, with an eventing.knative.dev/v1 Trigger for each that wants them; of the sources of 2018 k8sevents is built in`
}

const sourcePart = (object: KeptObject, sink: Fields): Part => {
  const account = textOf(object.spec?.['serviceAccountName'])
  const { namespace } = fieldsOf(triggerOf(object)['parameters'])
  return {
    kind: KubernetesEventSource as unknown as Kind,
    spec: {
      namespace: textOf(namespace) || (object.metadata.namespace ?? ''),
      ...(account && { serviceAccountName: account }),
      sink,
    },
  }
}

/** Several ways to name the type, by the kind. */
function* validateTrigger(spec: Fields, ...names: readonly string[]): Generator<FieldError> {
  const trigger = fieldsOf(spec['trigger'])
  const given = names.filter((name) => textOf(trigger[name]))
  const paths = names.map((name) => `spec.trigger.${name}`)
  if (given.length > 1) yield multipleOneOf(...paths)
  if (given.length === 0) yield names.length > 1 ? missingOneOf(...paths) : missingField(...paths)
}

const feed = (
  form: Pick<KeptForm, 'group' | 'kind' | 'plural' | 'description' | 'categories'>,
  types: readonly string[],
  validateAction: (action: Fields) => Iterable<FieldError>,
  more: Pick<FeedKind, 'kinds' | 'conditions'> & {
    readonly parts: (object: KeptObject, action: Fields) => readonly Part[]
  },
): FeedKind => ({
  kind: keptDefinition({
    ...form,
    instead: 'a kind of sources.knative.dev with a sink',
    *missing(spec) {
      yield* validateTrigger(spec, ...types)
      yield* validateAction(fieldsOf(spec['action']))
    },
  }),
  partsOf: (object) =>
    isOfKubernetes(triggerOf(object))
      ? more.parts(object, fieldsOf(object.spec?.['action']))
      : undefined,
  kinds: more.kinds,
  conditions: more.conditions,
})

const source = KubernetesEventSource as unknown as Kind

const ofSource = {
  kinds: [source],
  conditions: { DependenciesSatisfied: { of: source, condition: 'Ready' } },
}

/** `http://host/`, also of a name without its namespace. */
const at = (host: string, { metadata }: KeptObject): Fields => ({
  uri: `http://${fullHost(host, metadata.namespace ?? '')}/`,
})

const Bind = feed(
  {
    group: 'eventing.elafros.dev',
    kind: 'Bind',
    plural: 'binds',
    description: 'Leads events of a source to a Route; of 2018.',
  },
  ['eventType'],
  function* ({ routeName }) {
    if (!textOf(routeName)) yield missingField('spec.action.routeName')
  },
  {
    ...ofSource,
    parts: (object, { routeName }) => [
      sourcePart(object, {
        ref: { apiVersion: 'serving.knative.dev/v1', kind: 'Route', name: textOf(routeName) },
      }),
    ],
  },
)

const Feed = feed(
  {
    group: 'feeds.knative.dev',
    kind: 'Feed',
    plural: 'feeds',
    description: 'Leads events of a source to a DNS name; of 2018.',
  },
  ['eventType', 'clusterEventType'],
  function* ({ dnsName }) {
    yield* validateHost(dnsName, 'spec.action.dnsName')
  },
  {
    ...ofSource,
    parts: (object, { dnsName }) => [sourcePart(object, at(textOf(dnsName), object))],
  },
)

const isTarget = (target: unknown): boolean =>
  isFields(target) && textOf(target['kind']) !== '' && textOf(target['name']) !== ''

const Flow = feed(
  {
    group: 'flows.knative.dev',
    kind: 'Flow',
    plural: 'flows',
    // `kubectl get flows` asks for the category, which today's flows have too.
    categories: ['knative', 'eventing', 'flows'],
    description: 'Leads events of a source through a channel to a program; of 2018.',
  },
  ['eventType'],
  function* ({ target, targetURI }) {
    const paths = ['spec.action.target', 'spec.action.targetURI']
    if (isTarget(target) && textOf(targetURI)) yield multipleOneOf(...paths)
    if (!isTarget(target) && !textOf(targetURI)) yield missingOneOf(...paths)
    if (textOf(targetURI) && !/^https?:\/\/[^/?#]/i.test(textOf(targetURI)))
      yield invalidValue(textOf(targetURI), 'spec.action.targetURI', 'an http URL is expected')
  },
  {
    kinds: [source, Channel as unknown as Kind, Subscription as unknown as Kind],
    conditions: {
      FeedReady: { of: source, condition: 'Ready' },
      ChannelReady: { of: Channel as unknown as Kind, condition: 'Ready' },
      SubscriptionReady: { of: Subscription as unknown as Kind, condition: 'Ready' },
      ActionTargetResolved: {
        of: Subscription as unknown as Kind,
        condition: 'ReferencesResolved',
      },
    },
    parts(object, { target, targetURI }) {
      const channel = {
        apiVersion: `${Channel.group}/${Channel.version}`,
        kind: Channel.kind,
        name: object.metadata.name,
      }
      const { apiVersion, kind, name, namespace } = fieldsOf(target)
      const ref = { apiVersion, kind, name, ...(textOf(namespace) && { namespace }) }
      const subscriber = isTarget(target) ? { ref } : { uri: textOf(targetURI) }
      return [
        { kind: Channel as unknown as Kind, spec: {} },
        { kind: Subscription as unknown as Kind, spec: { channel, subscriber } },
        sourcePart(object, { ref: channel }),
      ]
    },
  },
)

/** The oldest group last: of kinds of one name kubectl takes the first. */
export const feedKinds: readonly FeedKind[] = [Feed, Flow, Bind]
