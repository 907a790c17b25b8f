/** Where the gateway is reached: the flags that `ebb up` and `ebb controllers` have in common, and how they are read. */
import {
  defaultGateway,
  parseAddress,
  parseMetricsAddress,
  parseTlsAddress,
  type Address,
  type WantedAddress,
} from '../platform/config.ts'
import { UsageError, type Arguments, type Flag } from './command.ts'

export const gatewayFlags = {
  gateway: {
    type: 'string',
    value: 'HOST:PORT',
    default: defaultGateway,
    description: 'where services are reached',
  },
  'gateway-tls': {
    type: 'string',
    value: 'HOST:PORT',
    description: 'where services are reached by TLS, or off (default: port 8443 of the gateway)',
  },
  metrics: {
    type: 'string',
    value: 'HOST:PORT',
    description: 'where the gateway tells its metrics, or off (default: 127.0.0.1:9090)',
  },
} as const satisfies Readonly<Record<string, Flag>>

export interface GatewayAddresses {
  readonly gateway: Address
  /** Undefined = switched off. */
  readonly gatewayTls: WantedAddress | undefined
  readonly metrics: WantedAddress | undefined
}

/** Throws UsageError for what is no address. */
export function gatewayAddresses(args: Arguments): GatewayAddresses {
  const gateway = addressOf(() => parseAddress(args.string('gateway') ?? '', 'gateway'))
  return {
    gateway,
    gatewayTls: addressOf(() => parseTlsAddress(args.string('gateway-tls'), gateway)),
    metrics: addressOf(() => parseMetricsAddress(args.string('metrics'), gateway)),
  }
}

/** What `parse` answers; what it throws is a mistake in the command line. */
export function addressOf<T>(parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}
