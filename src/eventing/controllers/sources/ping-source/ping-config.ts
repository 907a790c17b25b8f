/** PingSources as the engine has them: with their sink resolved and the whole event but its id and time. */
import {
  cronJobAttributes,
  cronJobPing,
  type FormerSource,
} from '../../../api/former/former-sources.ts'
import { separated } from '../../../api/sources/ping-schedule.ts'
import {
  pingEventSource,
  pingEventType,
  type PingSource,
} from '../../../api/sources/ping-source.ts'
import type { CloudEventOverrides, SourceStatus } from '../../../api/duck/source-spec.ts'
import { listedFields } from '../../../../kube/api/cron-schedule.ts'
import type { KubeObject } from '../../../../kube/api/meta.ts'
import { accountText } from '../../identity/senders.ts'
import type { PingConfig } from '../../../broker/feed.ts'
import type { ToDestination } from '../../destination/dial.ts'

export const pingAttributes = ({ metadata }: PingSource) => ({
  type: pingEventType,
  source: pingEventSource(metadata.namespace ?? '', metadata.name),
})

/** What every kind that emits by the clock comes to. */
export interface Ping {
  readonly schedule: string
  readonly timezone: string
  readonly attributes: Readonly<Record<string, string>>
  /** Base64. */
  readonly data: string | undefined
}

export const pingOf = (source: PingSource): Ping => {
  const { schedule = '', timezone = '', contentType, data = '', dataBase64 = '' } = source.spec
  return {
    schedule,
    timezone,
    attributes: {
      ...pingAttributes(source),
      ...(contentType && { datacontenttype: contentType }),
    },
    data: dataBase64 !== '' ? dataBase64 : data === '' ? undefined : base64(data),
  }
}

export function cronPingOf(source: FormerSource): Ping {
  const { schedule, timezone, data } = cronJobPing(source)
  const attributes = { ...cronJobAttributes(source), datacontenttype: 'application/json' }
  return { schedule, timezone, attributes, data: base64(data) }
}

const base64 = (text: string): string => Buffer.from(text).toString('base64')

interface Emitting extends KubeObject {
  readonly spec: { readonly ceOverrides?: CloudEventOverrides }
  readonly status?: SourceStatus
}

/** Undefined = it has no sink yet, or is being deleted. */
export function pingConfig(
  { metadata, spec, status }: Emitting,
  ping: Ping,
  to: ToDestination,
): PingConfig | undefined {
  const account = accountText(metadata.namespace ?? '', status?.auth)
  const sink = to(status?.sinkUri, status?.sinkCACerts, status?.sinkAudience, account)
  if (!sink || metadata.deletionTimestamp) return undefined
  const { uid = '', namespace = '', name } = metadata
  const { fields, zone } = separated(ping.schedule, ping.timezone)
  return {
    uid,
    namespace,
    name,
    schedule: listedFields(fields),
    ...(zone !== undefined && { timezone: zone }),
    attributes: { ...ping.attributes, ...overrides(spec.ceOverrides) },
    ...(ping.data !== undefined && { data: ping.data }),
    sink,
  }
}

/** Names of attributes are lower case, however they were written. */
export const overrides = (wanted: CloudEventOverrides | undefined): Record<string, string> =>
  Object.fromEntries(
    Object.entries(wanted?.extensions ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
  )
