/** ReferenceGrant: lets routes of other namespaces name objects of this one (gateway.networking.k8s.io/v1beta1). */
import { ageColumn } from '../../kube/api/columns.ts'
import type { KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { list, object, type Static } from '../../kube/api/schema.ts'
import { gatewayGroup, group, kind, namespaceName, objectName } from './gateway-api.ts'

export const ReferenceGrantSpec = object(
  {
    from: list(
      object(
        { group: group(), kind: kind(), namespace: namespaceName },
        { required: ['group', 'kind', 'namespace'] },
      ),
      { minItems: 1, maxItems: 16, description: 'Who may refer.' },
    ),
    to: list(
      object({ group: group(), kind: kind(), name: objectName }, { required: ['group', 'kind'] }),
      {
        minItems: 1,
        maxItems: 16,
        description: 'To what; without a name to all of the kind.',
      },
    ),
  },
  { required: ['from', 'to'] },
)

export interface ReferenceGrant extends KubeObject {
  readonly spec: Static<typeof ReferenceGrantSpec>
}

export const ReferenceGrant: KindDefinition<ReferenceGrant> = {
  group: gatewayGroup,
  version: 'v1beta1',
  kind: 'ReferenceGrant',
  plural: 'referencegrants',
  singular: 'referencegrant',
  shortNames: ['refgrant'],
  categories: ['gateway-api'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: false,
  hasGeneration: true,
  description: 'Lets routes of other namespaces name objects of this namespace.',
  schema: object({ spec: ReferenceGrantSpec }),
  columns: [ageColumn],
}

interface Named {
  readonly group: string
  readonly kind: string
}

/** True when one of `grants`, all of the namespace referred to, allows the reference. */
export const isGranted = (
  grants: readonly ReferenceGrant[],
  from: Named & { readonly namespace: string },
  to: Named & { readonly name: string },
): boolean =>
  grants.some(
    ({ spec }) =>
      spec.from.some(
        (one) =>
          one.group === from.group && one.kind === from.kind && one.namespace === from.namespace,
      ) &&
      spec.to.some(
        (one) =>
          one.group === to.group && one.kind === to.kind && (!one.name || one.name === to.name),
      ),
  )
