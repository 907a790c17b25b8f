/** Starts the controllers of Knative Eventing and keeps the event engine told. */
import { randomBytes } from 'node:crypto'
import { ConfigMap } from '../../kube/api/config-map.ts'
import { Endpoints } from '../../kube/api/endpoints.ts'
import type { Kind, UserInfo } from '../../kube/api/kind.ts'
import type { Client } from '../../kube/client/client.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { Secret } from '../../kube/api/secret.ts'
import { ServiceAccount } from '../../kube/api/service-account.ts'
import { Service as CoreService } from '../../kube/api/service.ts'
import { lazily } from '../../kube/controller/lazily.ts'
import { startController, type ControllerDeps } from '../../kube/controller/loop.ts'
import type { Reconciler } from '../../kube/controller/reconciler.ts'
import { Broker } from '../api/eventing/broker.ts'
import { InMemoryChannel } from '../api/messaging/in-memory-channel.ts'
import { EventPolicy } from '../api/eventing/event-policy.ts'
import { EventTransform } from '../api/eventing/event-transform.ts'
import {
  asToday,
  cronJobAttributes,
  CronJobSource,
  unservedSources,
} from '../api/former/former-sources.ts'
import { PingSource } from '../api/sources/ping-source.ts'
import { RequestReply } from '../api/eventing/request-reply.ts'
import { Trigger } from '../api/eventing/trigger.ts'
import { startApiServerSources } from './sources/api-server-source/start.ts'
import { brokerReconciler } from './eventing/broker.ts'
import { channelReconciler } from './messaging/channel.ts'
import type { DialAddress } from './destination/dial.ts'
import type { EngineConfig } from '../broker/feed.ts'
import { engineConfig } from './engine/engine-config.ts'
import { connectEngine, type EngineLink, type EngineLinkOptions } from './engine/engine-link.ts'
import { askEngine } from './engine/engine-question.ts'
import { startEngineWarnings } from './engine/engine-warnings.ts'
import { systemServiceReconciler } from './engine/system-services.ts'
import { isForEngine } from './feature-watch.ts'
import type { Issuers } from './identity/issuer.ts'
import { isSender } from './identity/identity.ts'
import { tokensFor } from './identity/senders.ts'
import { createTokens, type IssuedToken, type Tokens, type TokenWish } from './identity/tokens.ts'
import { containerSourceReconciler } from './sources/container-source/container-source.ts'
import { formerContainerSourceReconciler } from './sources/container-source/former-container-source.ts'
import { unservedSourceReconciler } from './sources/unserved.ts'
import { eventTransformReconciler } from './eventing/event-transform.ts'
import { jobSinkReconciler } from './sinks/job-sink.ts'
import { startLostPings } from './sources/ping-source/lost-pings.ts'
import { pingAttributes } from './sources/ping-source/ping-config.ts'
import { pingSourceReconciler } from './sources/ping-source/ping-source.ts'
import { inMemoryChannelReconciler } from './messaging/in-memory-channel.ts'
import { parallelReconciler } from './flows/parallel.ts'
import { eventPolicyReconciler } from './eventing/event-policy.ts'
import { startAutoCreate } from './eventing/auto-create.ts'
import { featuresIn } from '../api/config/read.ts'
import { isServerSecret, serverCertificates } from './transport/server-secrets.ts'
import { startServerSecrets, type Sign } from './transport/start.ts'
import { isTrustBundle } from './transport/trust-bundle.ts'
import { isKeysSecret } from './eventing/request-reply/keys.ts'
import { requestReplyReconciler } from './eventing/request-reply/request-reply.ts'
import { eventTypeReconciler } from './eventing/event-type.ts'
import { sourceEventTypeReconcilers } from './eventing/source-event-types.ts'
import { namespaceInjection, triggerInjection } from './eventing/injection.ts'
import { sequenceReconciler } from './flows/sequence.ts'
import { rareForms } from '../api/kinds.ts'
import { withFormerConditions } from './former/cron-job-conditions.ts'
import { readAs } from './former/read-as.ts'
import { legacyReconcilers } from './former/legacy-kind.ts'
import { provisionerReconciler } from './former/provisioner.ts'
import type { SelectionMode } from './sources/sink-binding/selection.ts'
import { sinkBindingReconciler } from './sources/sink-binding/sink-binding.ts'
import { subscriptionReconciler } from './messaging/subscription.ts'
import { triggerReconciler } from './eventing/trigger.ts'

export interface EventingDeps extends ControllerDeps {
  /** Whom SinkBindings bind; default: all but what is excluded. */
  readonly sinkBindings?: SelectionMode
  /** The engine's control socket. */
  readonly engineSocket: string
  /** Starts an engine on that socket; asked when there is something for it and nobody answers. */
  readonly startEngine: () => void
  /** The gateway's listener for names of the cluster. */
  readonly gateway: () => DialAddress | undefined
  /** Hears what an engine at this address has taken. */
  readonly onTold?: EngineLinkOptions['onTold']
  /** Hears what an engine is going to be told, before one is there. */
  readonly onWanted?: (config: EngineConfig) => void
  /** Requests to the API come from this user: what sources see is what their accounts may see. */
  readonly clientAs: (user: UserInfo) => Client
  /** Where JobSinks take events. */
  readonly jobSink: () => DialAddress | undefined
  /** Whose tokens are believed. */
  readonly issuers: Pick<Issuers, 'of' | 'onChange'>
  /** Certificates that addresses are served with over TLS. */
  readonly signServer: Sign
  /** A token of a ServiceAccount. */
  readonly requestToken: (wish: TokenWish, seconds: number) => Promise<IssuedToken>
}

export interface EventingControllers extends AsyncDisposable {
  readonly link: EngineLink
}

/** What the engine's configuration is made of. */
const fed: readonly Kind[] = [
  Broker,
  Trigger,
  InMemoryChannel,
  PingSource,
  CronJobSource,
  EventTransform,
  RequestReply,
  CoreService,
  Endpoints,
  EventPolicy,
]

export async function startEventingControllers(deps: EventingDeps): Promise<EventingControllers> {
  const { informers, clock, log, gateway } = deps
  const started = new AsyncDisposableStack()
  const read = informers.reader()
  const sources = fed.map((kind) => informers.for(kind))
  // Before the engine is told the first time: it must not hear that everybody may send, nor lose its tokens.
  for (const kind of [ConfigMap, ServiceAccount]) informers.for(kind as Kind)
  const keys = informers.for(Secret)
  await informers.synced()
  const dialWorld = () => ({
    gateway: gateway(),
    engine: link.address,
    secure: link.secure,
    jobSink: deps.jobSink(),
  })
  const { issuers, requestToken } = deps
  const tokens = started.use(
    createTokens({ clock, log: log.child({ part: 'tokens' }), read, request: requestToken }),
  )
  const wanted = () => engineConfig(read, dialWorld(), (baseUrl) => issuers.of(baseUrl))
  const link: EngineLink = started.use(
    connectEngine({
      socketPath: deps.engineSocket,
      startEngine: deps.startEngine,
      ...(deps.onTold && { onTold: deps.onTold }),
      wanted,
      tokensFor: (config) => tokensFor(config, tokens),
      certificates: () =>
        featuresIn(read).transportEncryption === 'disabled'
          ? []
          : serverCertificates(read, deps.jobSink()),
      clock,
      log: log.child({ part: 'engine-link' }),
    }),
  )
  deps.onWanted?.(wanted())
  for (const source of sources) started.use(source.subscribe(() => link.changed()))
  // Of Secrets, and there are many, the engine is told one.
  started.use(
    keys.subscribe(
      (_type, secret) => (isKeysSecret(secret) || isServerSecret(secret)) && link.changed(),
    ),
  )
  started.use(
    informers
      .for(ConfigMap)
      .subscribe((_type, map) => void ((isForEngine(map) || isTrustBundle(map)) && link.changed())),
  )
  started.use(
    informers
      .for(ServiceAccount)
      .subscribe((_type, account) => void (isSender(account) && link.changed())),
  )
  started.use(tokens.onChange(() => link.changed()))
  started.use(issuers.onChange(() => link.changed()))
  started.use(startServerSecrets({ ...deps, sign: deps.signServer }))
  started.use(startReconcilers(link, { ...deps, tokens }))
  started.use(startAutoCreate(deps, deps.engineSocket))
  started.use(startLostPings(deps, (signal) => askEngine(deps.engineSocket, '/lost', signal)))
  started.use(
    startEngineWarnings(deps, (signal) => askEngine(deps.engineSocket, '/warnings', signal)),
  )
  started.use(startApiServerSources({ ...deps, dialWorld, tokens }))
  return { link, [Symbol.asyncDispose]: () => started.disposeAsync() }
}

/** All of them, with whatever serves events. */
export function startReconcilers(
  link: EngineLink,
  deps: ControllerDeps &
    Pick<EventingDeps, 'sinkBindings'> &
    Partial<Pick<EventingDeps, 'jobSink'>> & {
      /** What events are sent with; default: none. */
      readonly tokens?: Tokens
    },
): AsyncDisposable {
  const started = new AsyncDisposableStack()
  const start = <T extends KubeObject, World>(reconciler: Reconciler<T, World>) =>
    started.use(startController(reconciler, deps))
  start(brokerReconciler(link))
  start(triggerReconciler(link))
  start(inMemoryChannelReconciler(link))
  start(channelReconciler)
  start(pingSourceReconciler(PingSource, pingAttributes, link))
  start(
    readAs(
      asToday,
      pingSourceReconciler(CronJobSource, cronJobAttributes, link, withFormerConditions),
    ),
  )
  for (const kind of unservedSources) start(unservedSourceReconciler(kind))
  start(sinkBindingReconciler(deps.sinkBindings, deps.tokens))
  start(readAs(asToday, formerContainerSourceReconciler()))
  start(containerSourceReconciler)
  start(eventTransformReconciler(link))
  start(jobSinkReconciler)
  start(subscriptionReconciler())
  start(sequenceReconciler)
  start(parallelReconciler)
  for (const each of legacyReconcilers) start(each)
  start(provisionerReconciler)
  started.use(
    lazily(
      rareForms.map((kind) => ({ kind })),
      deps,
      async () => (await import('./former/start.ts')).startRareForms(deps),
    ),
  )
  start(eventTypeReconciler())
  for (const each of sourceEventTypeReconcilers) start(each)
  start(eventPolicyReconciler())
  start(requestReplyReconciler(link, () => randomBytes(32).toString('base64')))
  start(namespaceInjection)
  start(triggerInjection)
  start(systemServiceReconciler(link, deps.jobSink ?? (() => undefined)))
  return started
}
