/**
 * Variables by which programs find Services without DNS (Kubernetes' "service links"): those of the pod's namespace where
 * it asks for them, and in every pod the API server's.
 */
import type { Service } from '../../api/service.ts'

/** Where programs in pods reach the API server. */
export interface ApiForPods {
  readonly host: string
  readonly port: number
}

interface Port {
  readonly name?: string
  readonly port: number
  readonly protocol?: string
}

/** Of the API server under the name `kubernetes`, and of `services` as they are named. Headless ones have none. */
export function serviceEnv(
  services: readonly Service[],
  api: ApiForPods | undefined,
): Readonly<Record<string, string>> {
  const env: Record<string, string> = {}
  for (const { metadata, spec } of services) {
    const address = spec?.clusterIP
    if (!address || address === 'None' || !spec?.ports?.length) continue
    if (api && metadata.namespace === 'default' && metadata.name === 'kubernetes') continue
    put(env, metadata.name, address, spec.ports)
  }
  if (api) put(env, 'kubernetes', api.host, [{ name: 'https', port: api.port, protocol: 'TCP' }])
  return env
}

function put(
  env: Record<string, string>,
  service: string,
  address: string,
  ports: readonly Port[],
): void {
  const prefix = upper(service)
  const [first] = ports
  if (!first) return
  const url = ({ port, protocol = 'TCP' }: Port) => `${protocol.toLowerCase()}://${address}:${port}`
  env[`${prefix}_SERVICE_HOST`] = address
  env[`${prefix}_SERVICE_PORT`] = String(first.port)
  for (const { name, port } of ports)
    if (name) env[`${prefix}_SERVICE_PORT_${upper(name)}`] = String(port)
  env[`${prefix}_PORT`] = url(first)
  for (const each of ports) {
    const { port, protocol = 'TCP' } = each
    const begin = `${prefix}_PORT_${port}_${protocol.toUpperCase()}`
    env[begin] = url(each)
    env[`${begin}_PROTO`] = protocol.toLowerCase()
    env[`${begin}_PORT`] = String(port)
    env[`${begin}_ADDR`] = address
  }
}

const upper = (name: string): string => name.toUpperCase().replaceAll('-', '_')
