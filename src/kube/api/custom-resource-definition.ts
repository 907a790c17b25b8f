/**
 * CustomResourceDefinition: a kind that users bring. Shape and defaults only; what it may say and
 * what it does is known to the API server's `extension/`.
 */
import type { CustomResourceDefinition as CustomResourceDefinitionType } from 'kubernetes-types/apiextensions/v1.js'
import { nameColumn } from './columns.ts'
import type { Kind, KindDefinition } from './kind.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import { fill } from './validation.ts'

export type CustomResourceDefinition = Stored<CustomResourceDefinitionType, 'spec'>
export type CustomVersion = CustomResourceDefinition['spec']['versions'][number]
export type CustomNames = CustomResourceDefinition['spec']['names']

export const CustomResourceDefinition: KindDefinition<CustomResourceDefinition> = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  singular: 'customresourcedefinition',
  shortNames: ['crd', 'crds'],
  categories: ['api-extensions'],
  namespaced: false,
  description: 'A CustomResourceDefinition adds a kind of objects to the API.',
  schema: builtin<CustomResourceDefinition>(
    'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition',
  ),
  flavour: 'builtin',
  hasStatus: true,
  hasGeneration: true,
  columns: [
    nameColumn,
    {
      name: 'Created At',
      type: 'date',
      description: 'When the definition was made.',
      value: ({ metadata }) => metadata.creationTimestamp,
    },
  ],
  admit: (definition, { subresource }) =>
    subresource === '' ? withDefaults(definition) : definition,
}

/** `definition` with the names and the conversion that it leaves to the server. */
export function withDefaults(definition: CustomResourceDefinition): CustomResourceDefinition {
  const { spec } = definition
  const { names } = spec
  if (typeof names?.kind !== 'string') return definition
  const conversion = spec.conversion ?? { strategy: 'None' }
  const service = conversion.webhook?.clientConfig?.service
  return {
    ...definition,
    spec: {
      ...spec,
      names: fill(names, { singular: names.kind.toLowerCase(), listKind: `${names.kind}List` }),
      conversion:
        service && conversion.webhook && service.port === undefined
          ? {
              ...conversion,
              webhook: {
                ...conversion.webhook,
                clientConfig: {
                  ...conversion.webhook.clientConfig,
                  service: { ...service, port: 443 },
                },
              },
            }
          : conversion,
    },
  }
}

/** A condition of a definition's status, if it is there. */
export const definitionCondition = ({ status }: CustomResourceDefinition, type: string) =>
  status?.conditions?.find((each) => each.type === type)

/** The kind of a definition in a version that is served; undefined as long as none is. */
export function definedKind(definition: CustomResourceDefinition): Kind | undefined {
  const { group, names, scope, versions } = definition.spec
  if (definitionCondition(definition, 'Established')?.status !== 'True') return undefined
  const version =
    versions.find((each) => each.storage && each.served) ?? versions.find((each) => each.served)
  if (!version) return undefined
  return {
    group,
    version: version.name,
    kind: names.kind,
    plural: names.plural,
    namespaced: scope === 'Namespaced',
  }
}
