/** Which images of the store something runs, or may start again: those of pods, and those that Revisions keep near. */
import type { StoredImage } from '../../image/collection.ts'
import { InvalidReference, parseReference, referenceText } from '../../image/reference.ts'
import type { Pod } from '../../kube/api/pod.ts'
import type { Image } from '../../serving/api/image.ts'

export interface ImageUsers {
  readonly pods: readonly Pod[]
  readonly images: readonly Image[]
}

export interface UsedImages {
  /** True for images that may not go. */
  readonly has: (image: StoredImage) => boolean
  /** Manifests that are needed, whether they have a name or not: a name may mean something newer by now. */
  readonly digests: ReadonlySet<string>
}

export function usedImages({ pods, images }: ImageUsers): UsedImages {
  const used = new Set<string>()
  const add = (text: string) => {
    try {
      const reference = parseReference(text)
      used.add(reference.digest ?? referenceText(reference))
    } catch (error) {
      if (!(error instanceof InvalidReference)) throw error
    }
  }
  for (const { spec, status } of pods) {
    if (status?.phase === 'Succeeded' || status?.phase === 'Failed') continue
    for (const { image } of [...(spec.initContainers ?? []), ...spec.containers]) add(image ?? '')
    for (const { imageID } of status?.containerStatuses ?? []) add(imageID)
  }
  for (const { spec } of images) add(spec.image)
  return {
    has: ({ digest, names }) => used.has(digest) || names.some((name) => used.has(name)),
    digests: new Set([...used].filter((text) => text.startsWith('sha256:'))),
  }
}
