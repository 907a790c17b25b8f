/** Who made an object of Eventing and who changed it last: annotations with the prefix of its own group. */
import type { AdmissionContext } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'

/** `changed` = the spec differs from before. */
export function withUserInfo<T extends KubeObject>(
  object: T,
  group: string,
  { operation, user }: AdmissionContext<T>,
  changed: boolean,
): T {
  if (operation === 'UPDATE' && !changed) return object
  const annotations = {
    ...object.metadata.annotations,
    ...(operation === 'CREATE' && { [`${group}/creator`]: user.username }),
    [`${group}/lastModifier`]: user.username,
  }
  return { ...object, metadata: { ...object.metadata, annotations } }
}

/** Adds annotations and labels that an object is to have. */
export function withMetadata<T extends KubeObject>(
  object: T,
  more: {
    readonly annotations?: Readonly<Record<string, string>>
    readonly labels?: Readonly<Record<string, string>>
  },
): T {
  const { annotations, labels } = object.metadata
  return {
    ...object,
    metadata: {
      ...object.metadata,
      ...(more.annotations && { annotations: { ...annotations, ...more.annotations } }),
      ...(more.labels && { labels: { ...labels, ...more.labels } }),
    },
  }
}
