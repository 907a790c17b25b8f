/**
 * Knative Eventing as one started part: the event engine's process, the controllers that tell it what holds, and the
 * names under which it is reached.
 */
import { join } from 'node:path'
import { ConfigMap } from '../../kube/api/config-map.ts'
import type { Kind, UserInfo } from '../../kube/api/kind.ts'
import type { TypedClient } from '../../kube/client/typed-client.ts'
import type { ControllerDeps } from '../../kube/controller/loop.ts'
import { bufferedServer } from '../../lib/http1/buffered-server.ts'
import { featuresIn } from '../../eventing/api/config/read.ts'
import { EventPolicy } from '../../eventing/api/eventing/event-policy.ts'
import { JobSink, jobSinkHost } from '../../eventing/api/sinks/job-sink.ts'
import { createGuards } from '../../eventing/broker/authorization/guard.ts'
import type { EngineConfig, TokenIssuer } from '../../eventing/broker/feed.ts'
import { startEventingControllers } from '../../eventing/controllers/controllers.ts'
import { isFeatures } from '../../eventing/controllers/feature-watch.ts'
import { gateOf } from '../../eventing/controllers/authorization/gate.ts'
import { createIssuers } from '../../eventing/controllers/identity/issuer.ts'
import { installEventing } from '../../eventing/controllers/install.ts'
import type { JobSinkGuard } from '../../eventing/sources/job-sink/endpoint.ts'
import type { LocalAuthority } from '../../serving/controllers/certificate/issuance.ts'
import { sinkBindingSelection, type Address, type Layout } from '../config.ts'
import type { EventHosts } from './event-hosts.ts'
import { jsonAt, tokenRequests } from './senders.ts'
import { forkEventEngine, stopEventEngine } from './event-engine-process.ts'

export interface EventingOptions extends ControllerDeps {
  readonly layout: Layout
  /** The gateway's listener for names of the cluster. */
  readonly gatewayLocal: Address
  readonly hosts: EventHosts
  /** Requests come from this user; `durable` ones are answered when they are on disk. */
  readonly clientAs: (user: UserInfo, durable?: boolean) => TypedClient
  /** Whose ServiceAccount tokens are believed. */
  readonly tokenIssuer: () => TokenIssuer
  /** Pods reach events over TLS there from now on, or nowhere. */
  readonly leadSecureTo: (to: Address | undefined) => void
  /** Of the API server, PEM. */
  readonly clusterCA: string
}

/** Resolves when controllers are started; the engine's process comes with the first Broker or channel. */
export async function startEventing(options: EventingOptions): Promise<AsyncDisposable> {
  const { layout, gatewayLocal, hosts, client, clock, log, clientAs } = options
  const issuers = createIssuers({
    clock,
    log: log.child({ part: 'issuers' }),
    own: options.tokenIssuer,
    load: jsonAt(options.clusterCA),
  })
  // Loaded with the first certificate: X.509 is heavy.
  let opened: Promise<LocalAuthority> | undefined
  const authority = () =>
    (opened ??= import('../access/local-authority.ts').then(({ ensureLocalAuthority }) =>
      ensureLocalAuthority(join(layout.certificates, 'events'), clock),
    ))
  await installEventing(client)
  const guards = createGuards(clock)
  const read = options.informers.reader()
  // Before anybody is let in.
  await options.informers.synced([ConfigMap, EventPolicy] as readonly Kind[])
  const jobSink = await startJobSink(options, async (sink, headers, events) => {
    const gate = gateOf(JobSink, sink, read)
    if (!gate) return undefined
    guards.trust(issuers.of(featuresIn(read).oidcDiscoveryBaseUrl))
    return await guards.guard(gate)?.(headers, events)
  })
  // JobSinks need no engine, so it is not what the engine has taken that decides.
  const leadJobSink = () => {
    const isStrict = featuresIn(read).transportEncryption === 'strict'
    hosts.leadHost(jobSinkHost, isStrict ? undefined : jobSink.address)
  }
  leadJobSink()
  const features = options.informers
    .for(ConfigMap)
    .subscribe((_type, map) => void (isFeatures(map) && leadJobSink()))
  const controllers = await startEventingControllers({
    ...options,
    client: clientAs(tokenUser),
    sinkBindings: sinkBindingSelection(),
    engineSocket: layout.eventSocket,
    startEngine: () => forkEventEngine(layout, log),
    gateway: () => gatewayLocal,
    jobSink: () => jobSink.address,
    issuers,
    requestToken: tokenRequests(clientAs(tokenUser)),
    onWanted: (config) => hosts.expect(plainly(config)),
    onTold(config, engine, secure) {
      hosts.lead(plainly(config), engine)
      options.leadSecureTo(secure)
    },
    signServer: async (names) => (await authority()).sign(names),
  })
  return {
    async [Symbol.asyncDispose]() {
      features[Symbol.dispose]()
      await controllers[Symbol.asyncDispose]()
      issuers[Symbol.dispose]()
      await jobSink[Symbol.asyncDispose]()
      await stopEventEngine(layout.eventSocket)
    },
  }
}

/** Names of the cluster lead to the engine plainly, unless TLS alone is to be served. */
const plainly = (config: EngineConfig): EngineConfig =>
  config.transport === 'strict'
    ? { ...config, brokerHosts: [], channels: [], requestReplyHosts: [] }
    : config

/** Who the controllers are: alone may change the subscribers of channels, and asks for tokens of senders. */
const tokenUser: UserInfo = {
  username: 'system:serviceaccount:knative-eventing:eventing-controller',
  groups: ['system:masters', 'system:authenticated'],
}

/** Who makes the Jobs of JobSinks. */
const jobSinkUser: UserInfo = {
  username: 'system:serviceaccount:knative-eventing:job-sink',
  groups: ['system:masters', 'system:authenticated'],
}

/** A Secret holds no more. */
const maxJobEventBytes = 1 << 20

interface RunningJobSink extends AsyncDisposable {
  readonly address: Address
}

/** The endpoint of all JobSinks, on this machine's loopback; its code is loaded by the first event. */
async function startJobSink(
  { clientAs, clock, log }: EventingOptions,
  guard: JobSinkGuard,
): Promise<RunningJobSink> {
  const server = bufferedServer({
    clock,
    maxBodyBytes: maxJobEventBytes,
    onFault: (error) => log.error('an event for a JobSink could not be answered', { error }),
    handle: async (request) => {
      const { jobSinkHandler } = await import('../../eventing/sources/job-sink/endpoint.ts')
      return await jobSinkHandler(clientAs(jobSinkUser, true), guard)(request)
    },
  })
  const host = '127.0.0.1'
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, host, resolve)
  })
  server.unref()
  const at = server.address()
  return {
    address: { host, port: typeof at === 'object' && at ? at.port : 0 },
    async [Symbol.asyncDispose]() {
      server.close()
    },
  }
}
