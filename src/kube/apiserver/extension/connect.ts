/**
 * Connections into an object (exec, attach, port-forward, proxy) as admission sees them: operation CONNECT, with the
 * options of the connection as its object (apiserver `endpoints/handlers`, ConnectResource).
 */
import type { UnknownObject } from '../../api/meta.ts'
import type { ResourcePath } from '../http/request-path.ts'

const kinds: Readonly<Record<string, string>> = {
  'pods/exec': 'PodExecOptions',
  'pods/attach': 'PodAttachOptions',
  'pods/portforward': 'PodPortForwardOptions',
  'pods/proxy': 'PodProxyOptions',
  'services/proxy': 'ServiceProxyOptions',
  'nodes/proxy': 'NodeProxyOptions',
}

const flags = ['stdin', 'stdout', 'stderr', 'tty']

/** The options of the connection that a URL asks for; undefined when it asks for none. */
export function connectOptions(
  path: ResourcePath,
  query: URLSearchParams,
): UnknownObject | undefined {
  const kind = path.group === '' ? kinds[`${path.resource}/${path.subresource}`] : undefined
  if (kind === undefined) return undefined
  const base = { apiVersion: 'v1', kind, metadata: { name: '' } }
  if (path.subresource === 'proxy') return { ...base, path: `/${path.rest}` }
  if (path.subresource === 'portforward')
    return { ...base, ports: query.getAll('ports').map(Number) }
  const options = {
    ...Object.fromEntries(
      flags.map((flag) => [flag, query.get(flag) === 'true' || query.get(flag) === '1']),
    ),
    ...(query.has('container') && { container: query.get('container') }),
    ...(path.subresource === 'exec' && { command: query.getAll('command') }),
  }
  return { ...base, ...options }
}
