/**
 * The ServiceAccount that something sends events as, while authentication-oidc is on (knative eventing
 * `auth.SetupOIDCServiceAccount`): made and owned by the sender, named in its status, and gone with the feature.
 */
import { childName } from '../../../knative/child-name.ts'
import type { ConditionSet, ConditionsStatus } from '../../../knative/conditions.ts'
import { ConfigMap } from '../../../kube/api/config-map.ts'
import type { Kind } from '../../../kube/api/kind.ts'
import { controllerOf, controllerRef, keyOf, type KubeObject } from '../../../kube/api/meta.ts'
import { ServiceAccount } from '../../../kube/api/service-account.ts'
import type { Apply, Delete, Reader, Reconciler } from '../../../kube/controller/reconciler.ts'
import { featuresIn } from '../../api/config/read.ts'
import { systemNamespace } from '../../api/names.ts'
import { isFeatures } from '../feature-watch.ts'

/** What `observe` sees of it. */
export interface Identity {
  /** The feature is on. */
  readonly wanted: boolean
  /** As it is to be. */
  readonly account: ServiceAccount
  /** As it is. */
  readonly existing: ServiceAccount | undefined
  /** Why it can't be used: it is there and somebody else's. */
  readonly problem?: string
}

export const identityName = ({ group, kind }: Pick<Kind, 'group' | 'kind'>, name: string): string =>
  childName(name, `-oidc-${group}-${kind}`).toLowerCase()

export function identityFor(kind: Kind, object: KubeObject, read: Reader): Identity {
  const { namespace = '', name } = object.metadata
  const wanted = featuresIn(read).authenticationOidc && !object.metadata.deletionTimestamp
  const account = accountOf(kind, object)
  const existing = read.get(ServiceAccount, { namespace, name: account.metadata.name })
  const isOurs = !existing || controllerOf(existing)?.uid === object.metadata.uid
  return {
    wanted,
    account,
    existing,
    ...(!isOurs && {
      problem: `service account ${account.metadata.name} not owned by ${kind.kind} ${name}`,
    }),
  }
}

const identityLabel = 'eventing.knative.dev/oidc'

/** Events may be sent as this account: of an object, or of a part of the platform. */
export const isSender = ({ metadata }: ServiceAccount): boolean =>
  metadata.labels?.[identityLabel] !== undefined || metadata.namespace === systemNamespace

const accountOf = (kind: Kind, object: KubeObject): ServiceAccount => {
  const { namespace = '', name } = object.metadata
  return {
    apiVersion: 'v1',
    kind: ServiceAccount.kind,
    metadata: {
      name: identityName(kind, name),
      namespace,
      labels: { [identityLabel]: 'enabled' },
      annotations: {
        description: `Service Account for OIDC Authentication for ${kind.kind} "${name}"`,
      },
      ownerReferences: [controllerRef(object)],
    },
  }
}

/** What to write so that it is there, or gone. */
export function identityWrites({ wanted, account, existing, problem }: Identity): {
  readonly apply: readonly Apply[]
  readonly delete: readonly Delete[]
} {
  if (problem !== undefined) return { apply: [], delete: [] }
  if (wanted)
    return {
      // One that is there keeps what others put on it: image pull secrets, more annotations.
      apply: [
        {
          kind: ServiceAccount,
          desired: account,
          merge: (found) => ({
            ...found,
            metadata: {
              ...found.metadata,
              labels: { ...found.metadata.labels, ...account.metadata.labels },
              annotations: { ...found.metadata.annotations, ...account.metadata.annotations },
            },
          }),
        },
      ],
      delete: [],
    }
  if (!existing || existing.metadata.deletionTimestamp) return { apply: [], delete: [] }
  const { uid } = existing.metadata
  return {
    apply: [],
    delete: [{ kind: ServiceAccount, key: keyOf(existing), ...(uid !== undefined && { uid }) }],
  }
}

interface AuthFields extends ConditionsStatus {
  readonly auth?: {
    readonly serviceAccountName?: string
    readonly serviceAccountNames?: readonly string[]
  }
}

/** `status` with `auth` and the condition OIDCIdentityCreated. */
export function withIdentity<S extends AuthFields>(
  status: S,
  identity: Identity,
  conditions: ConditionSet,
  nowMs: number,
): S {
  const { auth: _, ...rest } = status
  const bare = rest as unknown as S
  if (!identity.wanted) return withoutIdentity(bare, conditions, nowMs)
  const type = 'OIDCIdentityCreated'
  if (identity.problem !== undefined)
    return conditions.markFalse(
      bare,
      type,
      'Unable to resolve service account for OIDC authentication',
      identity.problem,
      nowMs,
    )
  return conditions.markTrue(
    { ...bare, auth: { serviceAccountName: identity.account.metadata.name } },
    type,
    nowMs,
  )
}

/** What a reconciler of `kind` watches for it. */
export const identityWatches = (kind: Kind): Reconciler<KubeObject, unknown>['watches'] => [
  { kind: ServiceAccount, wake: 'owner' },
  {
    kind: ConfigMap,
    wake: (changed, read) =>
      isFeatures(changed) ? read.list(kind, '').map((each) => keyOf(each)) : [],
  },
]

const withoutIdentity = <S extends ConditionsStatus>(
  status: S,
  conditions: ConditionSet,
  nowMs: number,
): S =>
  conditions.markTrueWithReason(
    status,
    'OIDCIdentityCreated',
    'authentication-oidc feature disabled',
    '',
    nowMs,
  )
