/**
 * ClusterDomainClaim: which namespace may use a domain; its name is the domain (networking.internal.knative.dev/v1alpha1).
 */
import { admission } from '../../knative/admission.ts'
import { missingField, type FieldError } from '../../knative/field-error.ts'
import type { KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { object, string, type Static } from '../../kube/api/schema.ts'
import { networkingInternalGroup } from './names.ts'

export const ClusterDomainClaimSpec = object(
  {
    namespace: string({
      description: 'The namespace that may make a DomainMapping of this name.',
    }),
  },
  { required: ['namespace'] },
)
export type ClusterDomainClaimSpec = Static<typeof ClusterDomainClaimSpec>

export interface ClusterDomainClaim extends KubeObject {
  readonly spec: ClusterDomainClaimSpec
}

function* validate({ spec }: ClusterDomainClaim): Generator<FieldError> {
  if (!spec?.namespace) yield missingField('spec.namespace')
}

export const ClusterDomainClaim: KindDefinition<ClusterDomainClaim> = {
  group: networkingInternalGroup,
  version: 'v1alpha1',
  kind: 'ClusterDomainClaim',
  plural: 'clusterdomainclaims',
  singular: 'clusterdomainclaim',
  shortNames: ['cdc'],
  categories: ['knative-internal', 'networking'],
  namespaced: false,
  flavour: 'custom',
  hasStatus: false,
  hasGeneration: true,
  description: 'Gives a domain, its name, to the DomainMappings of one namespace.',
  admit: admission({ validate }),
  schema: object({ spec: ClusterDomainClaimSpec }),
  columns: [],
}
