/**
 * What the gateway is told of events: the hosts of Brokers and channels lead to the event engine. So pods and people
 * reach them as everything else of the cluster, and the engine listens for itself alone.
 */
import { createFacts, type FeedPart } from '../../serving/controllers/ingress/feed-part.ts'
import type { EngineConfig } from '../../eventing/broker/feed.ts'
import type { Address } from '../config.ts'

export interface EventHosts extends FeedPart {
  /**
   * What the engine is going to be told: until it has taken it these hosts are known and have nobody behind them (503),
   * as "no such host" would tell senders to give up. What is told is complete from now on.
   */
  expect(config: EngineConfig): void
  /** From now on these hosts lead there. */
  lead(config: EngineConfig, engine: Address): void
  /** This host leads there, whatever the engine has; undefined = nowhere. */
  leadHost(host: string, to: Address | undefined): void
}

/**
 * Not with a port, which is what a route names and goes with its last route; nor the mere name, which the host
 * `NAME.NAMESPACE` would lead to by itself, as to a revision.
 */
const keyOf = (name: string) => `knative-eventing/${name}:events`
const target = keyOf('broker-ingress')
const requestReplyTarget = keyOf('request-reply')
const route = '~events'

/** Of requests whose time the engine itself minds: longer than any of them. */
const unlimitedMs = 2 ** 31

/** `pod` is what the gateway's log names. */
const backend = (key: string, service: string, timeoutMs: number, to: Address, pod: string) => ({
  type: 'revision' as const,
  revision: {
    key,
    kind: 'service' as const,
    service,
    configuration: '',
    protocol: 'http1' as const,
    containerConcurrency: 0,
    timeoutMs,
    responseStartTimeoutMs: 0,
    idleTimeoutMs: 0,
    backends: [{ ...to, pod }],
  },
})

const rule = (hosts: readonly string[], service: string) => ({
  hosts,
  visibility: 'ClusterLocal' as const,
  paths: [{ splits: [{ service, percent: 100 }] }],
})

export function createEventHosts(): EventHosts {
  const facts = createFacts()
  const tellRules = ({
    brokerHosts,
    channels,
    transforms = [],
    requestReplyHosts = [],
  }: EngineConfig) => {
    const hosts = [
      ...brokerHosts,
      ...channels.flatMap((each) => each.hosts ?? []),
      ...transforms.flatMap((each) => each.hosts),
    ]
    const rules = [rule(hosts, target), rule(requestReplyHosts, requestReplyTarget)]
    facts.tell({ type: 'ingress', ingress: { key: route, hash: '', rules } })
  }
  return {
    ...facts,
    expect(config) {
      if (config.channels.length > 0 || (config.transforms ?? []).length > 0) tellRules(config)
      facts.complete()
    },
    leadHost(host, to) {
      const key = keyOf(host.split('.')[0] ?? '')
      if (!to) {
        facts.tell({ type: 'ingress-gone', key: `${route}/${host}` })
        facts.tell({ type: 'revision-gone', key })
        return
      }
      facts.tell(backend(key, host, 60_000, to, 'control-plane'))
      const hosts = [host, host.replace(/\.cluster\.local$/, ''), host.replace(/\.svc\..*$/, '')]
      facts.tell({
        type: 'ingress',
        ingress: { key: `${route}/${host}`, hash: '', rules: [rule(hosts, key)] },
      })
    },
    lead(config, engine) {
      facts.tell(backend(target, 'broker-ingress', 60_000, engine, 'event-engine'))
      facts.tell(backend(requestReplyTarget, 'request-reply', unlimitedMs, engine, 'event-engine'))
      tellRules(config)
    },
  }
}
