/** Endpoints: the addresses and ports behind a Service, of the same name. */
import type { Endpoints as EndpointsType } from 'kubernetes-types/core/v1.js'
import { ageColumn, nameColumn } from './columns.ts'
import type { KindDefinition } from './kind.ts'
import { shortList } from './printer.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import {
  isIp,
  portNumberProblem,
  refuseInvalid,
  required,
  wrong,
  type Complaints,
} from './validation.ts'

export type Endpoints = Stored<EndpointsType>

export const Endpoints: KindDefinition<Endpoints> = {
  group: '',
  version: 'v1',
  kind: 'Endpoints',
  plural: 'endpoints',
  singular: 'endpoints',
  shortNames: ['ep'],
  namespaced: true,
  description: 'Endpoints are the addresses and ports that implement a Service.',
  schema: builtin<Endpoints>('io.k8s.api.core.v1.Endpoints'),
  flavour: 'builtin',
  hasStatus: false,
  hasGeneration: false,
  createOnUpdate: true,
  columns: [
    nameColumn,
    {
      name: 'Endpoints',
      type: 'string',
      description: 'Ready addresses with their ports.',
      value: ({ subsets = [] }) => shortList(subsets.flatMap(addressTexts)),
    },
    ageColumn,
  ],
  admit: (endpoints) => refuseInvalid(Endpoints, endpoints, problems(endpoints)),
}

type Subset = NonNullable<Endpoints['subsets']>[number]

const addressTexts = ({ addresses = [], ports = [] }: Subset): string[] =>
  ports.length === 0
    ? addresses.map(({ ip }) => ip)
    : ports.flatMap(({ port }) => addresses.map(({ ip }) => `${ip}:${port}`))

function* problems({ subsets = [] }: Endpoints): Complaints {
  for (const [i, { addresses = [], notReadyAddresses = [], ports = [] }] of subsets.entries()) {
    const at = `subsets[${i}]`
    if (addresses.length + notReadyAddresses.length === 0)
      yield required(at, 'must specify `addresses` or `notReadyAddresses`')
    for (const [field, list] of Object.entries({ addresses, notReadyAddresses }))
      for (const [j, { ip }] of list.entries())
        if (!isIp(ip ?? ''))
          yield wrong(
            `${at}.${field}[${j}].ip`,
            ip ?? '',
            'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
          )
    for (const [j, { name, port }] of ports.entries()) {
      if (!name && ports.length > 1) yield required(`${at}.ports[${j}].name`)
      const problem = portNumberProblem(port)
      if (problem) yield wrong(`${at}.ports[${j}].port`, port ?? 0, problem)
    }
  }
}
