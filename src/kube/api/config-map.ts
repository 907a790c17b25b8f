/** ConfigMap: configuration for pods and programs to read. */
import type { ConfigMap as ConfigMapType } from 'kubernetes-types/core/v1.js'
import { ageColumn, nameColumn } from './columns.ts'
import type { AdmissionContext, KindDefinition } from './kind.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import {
  configKeyProblem,
  notAllowed,
  refuseInvalid,
  sameJson,
  tooLong,
  wrong,
  type Complaints,
} from './validation.ts'

export type ConfigMap = Stored<ConfigMapType>

const MAX_BYTES = 1024 * 1024

export const ConfigMap: KindDefinition<ConfigMap> = {
  group: '',
  version: 'v1',
  kind: 'ConfigMap',
  plural: 'configmaps',
  singular: 'configmap',
  shortNames: ['cm'],
  namespaced: true,
  description: 'A ConfigMap holds configuration for pods and programs to read.',
  schema: builtin<ConfigMap>('io.k8s.api.core.v1.ConfigMap'),
  flavour: 'builtin',
  hasStatus: false,
  hasGeneration: false,
  columns: [
    nameColumn,
    {
      name: 'Data',
      type: 'string',
      description: 'How many entries it has.',
      value: ({ data = {}, binaryData = {} }) =>
        String(Object.keys(data).length + Object.keys(binaryData).length),
    },
    ageColumn,
  ],
  admit: (configMap, context) => refuseInvalid(ConfigMap, configMap, problems(configMap, context)),
}

function* problems(
  { data = {}, binaryData = {}, immutable }: ConfigMap,
  { old }: AdmissionContext<ConfigMap>,
): Complaints {
  let bytes = 0
  for (const [key, value] of Object.entries(data)) {
    const problem = configKeyProblem(key)
    if (problem) yield wrong(`data[${key}]`, key, problem)
    if (Object.hasOwn(binaryData, key))
      yield wrong(`data[${key}]`, key, 'duplicate of key present in binaryData')
    bytes += value.length
  }
  for (const [key, value] of Object.entries(binaryData)) {
    const problem = configKeyProblem(key)
    if (problem) yield wrong(`binaryData[${key}]`, key, problem)
    bytes += (value.length * 3) / 4
  }
  if (bytes > MAX_BYTES) yield tooLong('', MAX_BYTES)
  if (!old?.immutable) return
  const why = 'field is immutable when `immutable` is set'
  if (!immutable) yield notAllowed('immutable', why)
  if (!sameJson(data, old.data ?? {})) yield notAllowed('data', why)
  if (!sameJson(binaryData, old.binaryData ?? {})) yield notAllowed('binaryData', why)
}
