/** Secret: confidential data. `stringData` is a way to write, never stored. */
import type { Secret as SecretType } from 'kubernetes-types/core/v1.js'
import { ageColumn, nameColumn } from './columns.ts'
import type { AdmissionContext, KindDefinition } from './kind.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import {
  configKeyProblem,
  fill,
  notAllowed,
  refuseInvalid,
  required,
  sameJson,
  tooLong,
  wrong,
  type Complaints,
} from './validation.ts'

export type Secret = Stored<SecretType>

const MAX_BYTES = 1024 * 1024

/** Keys that a type of Secret must have. */
const keysOfType: Readonly<Record<string, readonly string[]>> = {
  'kubernetes.io/dockercfg': ['.dockercfg'],
  'kubernetes.io/dockerconfigjson': ['.dockerconfigjson'],
  'kubernetes.io/ssh-auth': ['ssh-privatekey'],
  'kubernetes.io/tls': ['tls.crt', 'tls.key'],
}

const dockerConfigKeys: Readonly<Record<string, string>> = {
  'kubernetes.io/dockercfg': '.dockercfg',
  'kubernetes.io/dockerconfigjson': '.dockerconfigjson',
}

export const Secret: KindDefinition<Secret> = {
  group: '',
  version: 'v1',
  kind: 'Secret',
  plural: 'secrets',
  singular: 'secret',
  namespaced: true,
  description: 'A Secret holds confidential data, such as passwords and keys.',
  schema: builtin<Secret>('io.k8s.api.core.v1.Secret'),
  flavour: 'builtin',
  hasStatus: false,
  hasGeneration: false,
  columns: [
    nameColumn,
    {
      name: 'Type',
      type: 'string',
      description: 'The type of the data.',
      value: ({ type }) => type,
    },
    {
      name: 'Data',
      type: 'string',
      description: 'How many entries it has.',
      value: ({ data = {} }) => String(Object.keys(data).length),
    },
    ageColumn,
  ],
  selectableFields: { type: ({ type }) => type ?? '' },
  admit(secret, context) {
    const filled = fill(secret, { type: context.old?.type || 'Opaque' })
    const stored = filled.stringData === undefined ? filled : withTextsEncoded(filled)
    return refuseInvalid(Secret, stored, problems(stored, context))
  },
}

function withTextsEncoded({ stringData = {}, ...rest }: Secret): Secret {
  const texts = Object.entries(stringData).map(([key, text]) => [key, base64(text)])
  return { ...rest, data: { ...rest.data, ...Object.fromEntries(texts) } }
}

/** UTF-8 as base64, with what browsers have too. */
function base64(text: string): string {
  let binary = ''
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCodePoint(byte)
  return btoa(binary)
}

function holdsJson(base64Text: string): boolean {
  try {
    const bytes = Uint8Array.from(atob(base64Text), (char) => char.codePointAt(0) ?? 0)
    JSON.parse(new TextDecoder().decode(bytes))
    return true
  } catch {
    return false
  }
}

function* problems(
  { data = {}, type = '', immutable, metadata }: Secret,
  { old }: AdmissionContext<Secret>,
): Complaints {
  let bytes = 0
  for (const [key, value] of Object.entries(data)) {
    const problem = configKeyProblem(key)
    if (problem) yield wrong(`data[${key}]`, key, problem)
    bytes += (value.length * 3) / 4
  }
  if (bytes > MAX_BYTES) yield tooLong('data', MAX_BYTES)
  for (const key of keysOfType[type] ?? [])
    if (!Object.hasOwn(data, key)) yield required(`data[${key}]`)
  const dockerConfig = dockerConfigKeys[type]
  if (dockerConfig && data[dockerConfig] !== undefined && !holdsJson(data[dockerConfig]))
    yield {
      reason: 'FieldValueInvalid',
      field: `data[${dockerConfig}]`,
      detail: 'Invalid value: "<secret contents redacted>": must be valid JSON',
    }
  if (type === 'kubernetes.io/basic-auth' && !('username' in data) && !('password' in data)) {
    yield required('data[username]')
    yield required('data[password]')
  }
  const accountName = 'kubernetes.io/service-account.name'
  if (type === 'kubernetes.io/service-account-token' && !metadata.annotations?.[accountName])
    yield required(`metadata.annotations[${accountName}]`)
  if (!old) return
  if (type !== old.type) yield wrong('type', type, 'field is immutable')
  if (!old.immutable) return
  const why = 'field is immutable when `immutable` is set'
  if (!immutable) yield notAllowed('immutable', why)
  if (!sameJson(data, old.data ?? {})) yield notAllowed('data', why)
}
