/**
 * What the gateway is told of events: the hosts of Brokers and channels lead to the event engine. So pods and people
 * reach them as everything else of the cluster, and the engine listens for itself alone.
 */
import { createFacts, type FeedPart } from '../../serving/controllers/ingress/feed-part.ts'
import type { EngineConfig } from '../../eventing/broker/feed.ts'
import type { Address } from '../config.ts'

export interface EventHosts extends FeedPart {
  /** From now on these hosts lead there. */
  lead(config: EngineConfig, engine: Address): void
  /** This host leads there, whatever the engine has. */
  leadHost(host: string, to: Address): void
}

const target = 'knative-eventing/broker-ingress:80'
const route = '~events'

export function createEventHosts(): EventHosts {
  const facts = createFacts()
  facts.complete()
  return {
    ...facts,
    leadHost(host, to) {
      const key = `knative-eventing/${host.split('.')[0] ?? ''}:80`
      facts.tell({
        type: 'revision',
        revision: {
          key,
          kind: 'service',
          service: host,
          configuration: '',
          protocol: 'http1',
          containerConcurrency: 0,
          timeoutMs: 60_000,
          responseStartTimeoutMs: 0,
          idleTimeoutMs: 0,
          backends: [{ ...to, pod: 'control-plane' }],
        },
      })
      const paths = [{ splits: [{ service: key, percent: 100 }] }]
      const hosts = [host, host.replace(/\.cluster\.local$/, ''), host.replace(/\.svc\..*$/, '')]
      facts.tell({
        type: 'ingress',
        ingress: {
          key: `${route}/${host}`,
          hash: '',
          rules: [{ hosts, visibility: 'ClusterLocal', paths }],
        },
      })
    },
    lead({ brokerHosts, channels, transforms = [] }, engine) {
      facts.tell({
        type: 'revision',
        revision: {
          key: target,
          kind: 'service',
          service: 'broker-ingress',
          configuration: '',
          protocol: 'http1',
          containerConcurrency: 0,
          timeoutMs: 60_000,
          responseStartTimeoutMs: 0,
          idleTimeoutMs: 0,
          backends: [{ ...engine, pod: 'event-engine' }],
        },
      })
      const hosts = [
        ...brokerHosts,
        ...channels.flatMap((each) => each.hosts ?? []),
        ...transforms.flatMap((each) => each.hosts),
      ]
      const paths = [{ splits: [{ service: target, percent: 100 }] }]
      facts.tell({
        type: 'ingress',
        ingress: { key: route, hash: '', rules: [{ hosts, visibility: 'ClusterLocal', paths }] },
      })
    },
  }
}
