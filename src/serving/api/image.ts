/** Image: asks for an image to be kept near (caching.internal.knative.dev/v1alpha1). */
import type { KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { list, object, string, type Static } from '../../kube/api/schema.ts'
import { cachingInternalGroup } from './names.ts'
import { statusFields } from '../../knative/status.ts'

export const ImageSpec = object(
  {
    image: string({ description: 'The image to keep.' }),
    imagePullSecrets: list(object({ name: string({ default: '' }) })),
    serviceAccountName: string(),
  },
  { required: ['image'] },
)
export type ImageSpec = Static<typeof ImageSpec>

export const ImageStatus = object({ ...statusFields })
export type ImageStatus = Static<typeof ImageStatus>

export interface Image extends KubeObject {
  readonly spec: ImageSpec
  readonly status?: ImageStatus
}

export const Image: KindDefinition<Image> = {
  group: cachingInternalGroup,
  version: 'v1alpha1',
  kind: 'Image',
  plural: 'images',
  singular: 'image',
  categories: ['knative-internal', 'caching'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  description: 'An image to be kept near. Made by the system.',
  schema: object({ spec: ImageSpec, status: ImageStatus }),
  columns: [{ name: 'Image', type: 'string', value: ({ spec }) => spec.image }],
}
