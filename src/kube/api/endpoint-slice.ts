/** EndpointSlice: a part of the addresses and ports behind a Service. */
import type { EndpointSlice as EndpointSliceType } from 'kubernetes-types/discovery/v1.js'
import { ageColumn, nameColumn } from './columns.ts'
import type { KindDefinition } from './kind.ts'
import { shortList } from './printer.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import {
  isIp,
  notSupported,
  refuseInvalid,
  required,
  wrong,
  type Complaints,
} from './validation.ts'

export type EndpointSlice = Stored<EndpointSliceType, 'addressType'>

export const EndpointSlice: KindDefinition<EndpointSlice> = {
  group: 'discovery.k8s.io',
  version: 'v1',
  kind: 'EndpointSlice',
  plural: 'endpointslices',
  singular: 'endpointslice',
  namespaced: true,
  description: 'An EndpointSlice holds a part of the addresses and ports that implement a Service.',
  schema: builtin<EndpointSlice>('io.k8s.api.discovery.v1.EndpointSlice'),
  flavour: 'builtin',
  hasStatus: false,
  hasGeneration: true,
  columns: [
    nameColumn,
    {
      name: 'AddressType',
      type: 'string',
      description: 'IPv4, IPv6 or FQDN.',
      value: ({ addressType }) => addressType,
    },
    {
      name: 'Ports',
      type: 'string',
      description: 'Ports of all endpoints.',
      value: ({ ports = [] }) =>
        shortList(
          ports.map(({ port, name }) => (port ? String(port) : name || '*')),
          3,
          '<unset>',
        ),
    },
    {
      name: 'Endpoints',
      type: 'string',
      description: 'Addresses of the endpoints.',
      value: ({ endpoints }) =>
        shortList(
          endpoints.flatMap(({ addresses }) => addresses),
          3,
          '<unset>',
        ),
    },
    ageColumn,
  ],
  admit(slice, { old }) {
    const defaulted: EndpointSlice =
      slice.endpoints === undefined ? { ...slice, endpoints: [] } : slice
    return refuseInvalid(EndpointSlice, defaulted, problems(defaulted, old))
  },
}

const addressTypes = ['FQDN', 'IPv4', 'IPv6']
const MAX_ENDPOINTS = 1000

function* problems(slice: EndpointSlice, old: EndpointSlice | undefined): Complaints {
  const { addressType, endpoints, ports = [] } = slice
  if (!addressType) yield required('addressType')
  else if (!addressTypes.includes(addressType))
    yield notSupported('addressType', addressType, addressTypes)
  if (old && old.addressType !== addressType)
    yield wrong('addressType', addressType, 'field is immutable')
  if (endpoints.length > MAX_ENDPOINTS)
    yield {
      reason: 'FieldValueTooMany',
      field: 'endpoints',
      detail: `Too many: ${endpoints.length}: must have at most ${MAX_ENDPOINTS} items`,
    }
  for (const [i, { addresses = [] }] of endpoints.entries()) {
    if (addresses.length === 0)
      yield required(`endpoints[${i}].addresses`, 'must contain at least 1 address')
    for (const [j, address] of addresses.entries())
      if (addressType !== 'FQDN' && !isIp(address))
        yield wrong(
          `endpoints[${i}].addresses[${j}]`,
          address,
          'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
        )
  }
  const names = new Set<string>()
  for (const [i, { name = '' }] of ports.entries()) {
    if (names.has(name))
      yield {
        reason: 'FieldValueDuplicate',
        field: `ports[${i}].name`,
        detail: `Duplicate value: ${JSON.stringify(name)}`,
      }
    names.add(name)
  }
}
