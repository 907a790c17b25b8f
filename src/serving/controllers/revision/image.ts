/** Asks for the images of a Revision to be kept near: one caching Image a container. */
import { apiVersionOf } from '../../../kube/api/kind.ts'
import { controllerRef } from '../../../kube/api/meta.ts'
import type { Apply } from '../../../kube/controller/reconciler.ts'
import { childName } from '../../../knative/child-name.ts'
import { Image } from '../../api/image.ts'
import type { Container } from '../../api/pod-spec.ts'
import type { Revision } from '../../api/revision.ts'
import { deploymentAnnotations, revisionLabels } from '../copied-metadata.ts'

const imageName = (revision: string, container: string): string =>
  childName(childName(revision, '-cache'), `-${container}`)

export function desiredImage(
  revision: Revision,
  container: Container,
  digests: ReadonlyMap<string, string>,
): Image {
  const { name, namespace } = revision.metadata
  const { serviceAccountName, imagePullSecrets } = revision.spec
  return {
    apiVersion: apiVersionOf(Image),
    kind: Image.kind,
    metadata: {
      name: imageName(name, container.name),
      ...(namespace && { namespace }),
      labels: revisionLabels(revision.metadata),
      annotations: deploymentAnnotations(revision.metadata),
      ownerReferences: [controllerRef(revision)],
    },
    spec: {
      image: digests.get(container.name) || container.image || '',
      ...(serviceAccountName && { serviceAccountName }),
      ...(imagePullSecrets && {
        imagePullSecrets: imagePullSecrets.map((secret) => ({ name: secret.name ?? '' })),
      }),
    },
  }
}

/** Made once and then left alone. */
export const applyImage = (desired: Image): Apply => ({
  kind: Image,
  desired,
  merge: (existing) => existing,
})
