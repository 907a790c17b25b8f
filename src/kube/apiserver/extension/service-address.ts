/** Where a Service is reached from this process: one of the addresses behind it, as the endpoints controller found them. */
import type { ObjectKey } from '../../api/meta.ts'
import type { Store } from '../../store/store.ts'
import { storeKey } from '../registry.ts'
import { fieldsOf, isRecord, open } from '../values.ts'

const services = { group: '', plural: 'services' }
const endpoints = { group: '', plural: 'endpoints' }

/** An address, or why there is none. */
export function serviceAddress(
  store: Store,
  key: ObjectKey,
  port: number,
): { readonly host: string; readonly port: number } | string {
  const service = store.get(storeKey(services, key))
  if (!service) return `service "${key.name}" not found`
  const spec = fieldsOf(open(service)['spec'])
  const served = listOf(spec['ports']).find((each) => each['port'] === port)
  if (!served) return `no service port ${port} found for service "${key.name}"`
  if (spec['type'] === 'ExternalName')
    return typeof spec['externalName'] === 'string'
      ? { host: spec['externalName'], port }
      : `service "${key.name}" has no external name`
  const behind = store.get(storeKey(endpoints, key))
  for (const subset of listOf(behind && open(behind)['subsets'])) {
    const [address] = listOf(subset['addresses'])
    const name = served['name'] ?? ''
    const target = listOf(subset['ports']).find((each) => (each['name'] ?? '') === name)
    const host = address?.['ip']
    const number = target?.['port']
    if (typeof host === 'string' && typeof number === 'number') return { host, port: number }
  }
  return `no endpoints available for service "${key.name}"`
}

const listOf = (value: unknown): readonly Readonly<Record<string, unknown>>[] =>
  Array.isArray(value) ? value.filter(isRecord) : []
