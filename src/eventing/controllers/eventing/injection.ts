/**
 * Brokers that come by themselves (knative.dev/eventing `pkg/reconciler/sugar`): `default` in Namespaces that ask for
 * it by a label or are selected by config-sugar; the one a Trigger names when it asks by its annotation. Made once;
 * never changed, never deleted.
 */
import { apiVersionOf } from '../../../kube/api/kind.ts'
import { ConfigMap } from '../../../kube/api/config-map.ts'
import { Namespace } from '../../../kube/api/namespace.ts'
import type { Apply, Reader, Reconciler } from '../../../kube/controller/reconciler.ts'
import { Broker } from '../../api/eventing/broker.ts'
import { readConfig } from '../../api/config/read.ts'
import { configSugar } from '../../api/config/sugar.ts'
import { annotation, label, systemNamespace } from '../../api/names.ts'
import { brokerOf, Trigger } from '../../api/eventing/trigger.ts'

interface World {
  /** That is wanted and is not there. */
  readonly missing?: { readonly namespace: string; readonly name: string }
}

const isSugar = ({ metadata }: { metadata: { name: string; namespace?: string } }): boolean =>
  metadata.namespace === systemNamespace && metadata.name === configSugar.name

const wanted = (read: Reader, namespace: string, name: string): World =>
  read.get(Broker, { namespace, name }) ? {} : { missing: { namespace, name } }

const broker = (namespace: string, name: string): Apply => ({
  kind: Broker,
  desired: {
    apiVersion: apiVersionOf(Broker),
    kind: Broker.kind,
    metadata: { name, namespace, labels: { [label.injected]: 'true' } },
    spec: {},
  } as Broker,
  merge: (existing) => existing,
  created: {
    type: 'Normal',
    reason: 'BrokerCreated',
    message: `Default eventing.knative.dev Broker "${name}" created.`,
  },
})

const plan = ({ missing }: World) =>
  missing ? { apply: [broker(missing.namespace, missing.name)] } : {}

const isEnabled = (
  said: Readonly<Record<string, string>> | undefined,
  key: string,
  former: string,
): boolean =>
  said?.[key] === 'enabled' || (said?.[key] === undefined && said?.[former] === 'enabled')

export const namespaceInjection: Reconciler<Namespace, World> = {
  name: 'sugar-controller',
  kind: Namespace,
  watches: [
    { kind: Broker, wake: 'none' },
    {
      kind: ConfigMap,
      wake: (changed, read) =>
        isSugar(changed)
          ? read.list(Namespace, '').map(({ metadata }) => ({ namespace: '', name: metadata.name }))
          : [],
    },
  ],
  observe({ metadata }, read) {
    const { name, labels, deletionTimestamp } = metadata
    const asked = isEnabled(labels, label.injection, label.formerInjection)
    const chosen = asked || readConfig(configSugar, read).namespaces(labels)
    return chosen && !deletionTimestamp ? wanted(read, name, 'default') : {}
  },
  plan,
}

export const triggerInjection: Reconciler<Trigger, World> = {
  name: 'sugar-controller',
  kind: Trigger,
  watches: [
    { kind: Broker, wake: 'none' },
    {
      kind: ConfigMap,
      wake: (changed, read) =>
        isSugar(changed)
          ? read
              .list(Trigger, '')
              .map(({ metadata: { namespace = '', name } }) => ({ namespace, name }))
          : [],
    },
  ],
  observe(trigger, read) {
    const { labels, annotations, namespace = '', deletionTimestamp } = trigger.metadata
    const asked = isEnabled(annotations, annotation.injection, annotation.formerInjection)
    const chosen = asked || readConfig(configSugar, read).triggers(labels)
    const name = brokerOf(trigger)
    return chosen && name !== '' && !trigger.spec.brokerRef && !deletionTimestamp
      ? wanted(read, namespace, name)
      : {}
  },
  plan,
}
