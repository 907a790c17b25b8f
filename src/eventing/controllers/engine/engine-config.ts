/**
 * The whole configuration of the event engine, from the objects as they are: its logs, what emits and transforms events
 * in its process, and whom it trusts. Pure; recomputed when anything changes, as there are few of them.
 */
import type { Reader } from '../../../kube/controller/reconciler.ts'
import { featuresIn, readConfig } from '../../api/config/read.ts'
import { configEventingObservability } from '../../api/config/system.ts'
import { EventTransform } from '../../api/eventing/event-transform.ts'
import { RequestReply } from '../../api/eventing/request-reply.ts'
import { CronJobSource } from '../../api/former/former-sources.ts'
import { brokerIngressHost, hostNames, requestReplyHost } from '../../api/names.ts'
import { PingSource } from '../../api/sources/ping-source.ts'
import type { EngineConfig, TokenIssuer } from '../../broker/feed.ts'
import { gateIn } from '../authorization/gate.ts'
import { dialOf, type DialWorld, type ToDestination } from '../destination/dial.ts'
import { transformConfig } from '../eventing/event-transform.ts'
import { requestReplyConfig } from '../eventing/request-reply/request-reply.ts'
import { cronPingOf, pingConfig, pingOf } from '../sources/ping-source/ping-config.ts'
import { trustBundle } from '../transport/trust-bundle.ts'
import { brokerLogs, channelLogs } from './engine-logs.ts'

/** Whose tokens are believed that the document at this URL tells of. */
type IssuerAt = (baseUrl: string) => TokenIssuer | undefined

export function engineConfig(
  read: Reader,
  world: DialWorld,
  issuerAt: IssuerAt = () => undefined,
): EngineConfig {
  const {
    authenticationOidc: identified,
    oidcDiscoveryBaseUrl,
    transportEncryption,
  } = featuresIn(read)
  const trusted = trustBundle(read)
  const issuer = identified ? issuerAt(oidcDiscoveryBaseUrl) : undefined
  const to: ToDestination = (url, caCerts, audience, account) => {
    if (!url) return undefined
    const dial = dialOf(url, read, world)
    return {
      url,
      ...(dial && { dial }),
      ...(caCerts && { caCerts }),
      ...(audience && { audience }),
      ...(account && audience && identified && { account }),
    }
  }
  return {
    brokerHosts: hostNames(brokerIngressHost),
    ...(issuer && { issuer }),
    ...(transportEncryption !== 'disabled' && { transport: transportEncryption }),
    ...(trusted !== undefined && { trusted }),
    ...tracingIn(read),
    channels: [...brokerLogs(read, to, identified), ...channelLogs(read, to, identified)],
    pings: [
      ...read.list(PingSource, '').map((source) => pingConfig(source, pingOf(source), to)),
      ...read.list(CronJobSource, '').map((source) => pingConfig(source, cronPingOf(source), to)),
    ].filter((each) => each !== undefined),
    transforms: read
      .list(EventTransform, '')
      .map((transform) => transformConfig(transform, to, gateIn(EventTransform, transform, read)))
      .filter((each) => each !== undefined),
    requestReplyHosts: hostNames(requestReplyHost),
    requestReplies: read
      .list(RequestReply, '')
      .map((each) => requestReplyConfig(each, read, to))
      .filter((each) => each !== undefined),
  }
}

/** An endpoint is needed but for stdout; what is half said traces nothing. */
function tracingIn(read: Reader): Pick<EngineConfig, 'tracing'> {
  const { tracingProtocol, tracingEndpoint, tracingSamplingRate } = readConfig(
    configEventingObservability,
    read,
  )
  if (tracingProtocol === 'none') return {}
  if (tracingProtocol !== 'stdout' && tracingEndpoint === '') return {}
  const tracing = { protocol: tracingProtocol, endpoint: tracingEndpoint }
  return { tracing: { ...tracing, samplingRate: tracingSamplingRate } }
}
