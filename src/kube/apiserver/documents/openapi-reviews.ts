/**
 * What OpenAPI says of the reviews, which are answered without being stored (the answers are in
 * access/reviews.ts): so that `kubectl explain`, `kubectl create -f` and generated clients know them too.
 */
import { builtin } from '../../api/schema.ts'
import { wholeSchema } from '../../api/structural.ts'
import type { KindDefinition } from '../../api/kind.ts'
import type { ServedKind } from '../served.ts'

function review(
  group: 'authentication' | 'authorization',
  kind: string,
  description: string,
  { version = 'v1', namespaced = false } = {},
): ServedKind {
  const singular = kind.toLowerCase()
  const definition: KindDefinition = {
    group: `${group}.k8s.io`,
    version,
    kind,
    singular,
    plural: `${singular}s`,
    namespaced,
    description,
    schema: builtin(`io.k8s.api.${group}.v1.${kind}`),
    flavour: 'builtin',
    columns: [],
    hasStatus: false,
    hasGeneration: false,
  }
  return {
    definition,
    version,
    name: `io.k8s.api.${group}.${version}.${kind}`,
    schema: wholeSchema(definition, version),
    createOnly: true,
  }
}

const whoAmI = 'Asks the server who the caller is: name, groups and what else is known.'

/** By the path of their document. */
export const reviewKinds: ReadonlyMap<string, readonly ServedKind[]> = new Map([
  [
    'apis/authentication.k8s.io/v1',
    [
      review('authentication', 'SelfSubjectReview', whoAmI),
      review(
        'authentication',
        'TokenReview',
        'Asks the server whether a token is good, and whose.',
      ),
    ],
  ],
  [
    'apis/authentication.k8s.io/v1beta1',
    [review('authentication', 'SelfSubjectReview', whoAmI, { version: 'v1beta1' })],
  ],
  [
    'apis/authorization.k8s.io/v1',
    [
      review(
        'authorization',
        'LocalSubjectAccessReview',
        'Asks whether somebody may do something in one namespace.',
        { namespaced: true },
      ),
      review(
        'authorization',
        'SelfSubjectAccessReview',
        'Asks whether the caller may do something.',
      ),
      review(
        'authorization',
        'SelfSubjectRulesReview',
        'Asks what the caller may do in a namespace.',
      ),
      review('authorization', 'SubjectAccessReview', 'Asks whether somebody may do something.'),
    ],
  ],
])
