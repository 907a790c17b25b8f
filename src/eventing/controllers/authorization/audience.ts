/** Whom tokens for an addressable object are meant for (knative eventing `auth.GetAudience`). */
import type { Kind } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { featuresIn, type ConfigReader } from '../../api/config/read.ts'

export const audienceOf = (
  { group, kind }: Pick<Kind, 'group' | 'kind'>,
  { metadata }: KubeObject,
): string => `${group}/${kind}/${metadata.namespace ?? ''}/${metadata.name}`.toLowerCase()

/** Undefined while the feature is off: spread into an address. */
export const audienceIn = (
  read: ConfigReader,
  kind: Kind,
  object: KubeObject,
): string | undefined =>
  featuresIn(read).authenticationOidc ? audienceOf(kind, object) : undefined
