/**
 * The Secret with the token that a SinkBinding's pods send: made when the sink has an audience and authentication-oidc
 * is on, renewed at half of the token's life, gone with the feature.
 */
import { childName } from '../../../../knative/child-name.ts'
import type { ConditionSet } from '../../../../knative/conditions.ts'
import { controllerOf, controllerRef, keyOf } from '../../../../kube/api/meta.ts'
import { Secret } from '../../../../kube/api/secret.ts'
import type { Apply, Delete, Reader } from '../../../../kube/controller/reconciler.ts'
import type { SinkBinding, SinkBindingStatus } from '../../../api/sources/sink-binding.ts'
import type { Identity } from '../../identity/identity.ts'
import type { Tokens } from '../../identity/tokens.ts'
import { isResolved, type Resolution } from '../../destination/resolver.ts'

export interface TokenSecret {
  readonly binding: SinkBinding
  /** The feature is on, and the sink has an audience. */
  readonly wanted: boolean
  readonly isOn: boolean
  /** The newest there is. */
  readonly token: string | undefined
  readonly existing: Secret | undefined
}

export const tokenSecretName = (binding: string): string => childName(binding, '-oidc-token')

export function tokenSecretFor(
  binding: SinkBinding,
  sink: Resolution,
  { wanted: isOn, account, existing: owner, problem }: Identity,
  read: Reader,
  tokens: Pick<Tokens, 'of'> | undefined,
): TokenSecret {
  const { namespace = '', name } = binding.metadata
  const audience = isResolved(sink) ? sink.audience : undefined
  const wanted = isOn && audience !== undefined && problem === undefined
  return {
    binding,
    wanted,
    isOn,
    token: wanted && owner ? tokens?.of({ account: keyOf(account), audience }) : undefined,
    existing: read.get(Secret, { namespace, name: tokenSecretName(name) }),
  }
}

/** Pods would start without a token that their sink asks for. */
export const isWaiting = ({ wanted, token, existing }: TokenSecret): boolean =>
  wanted && token === undefined && !existing

export function tokenSecretWrites({ binding, wanted, token, existing }: TokenSecret): {
  readonly apply: readonly Apply[]
  readonly delete: readonly Delete[]
} {
  const { namespace = '', name, uid } = binding.metadata
  if (wanted) {
    if (token === undefined) return { apply: [], delete: [] }
    const desired: Secret = {
      apiVersion: 'v1',
      kind: Secret.kind,
      metadata: {
        name: tokenSecretName(name),
        namespace,
        ownerReferences: [controllerRef(binding)],
      },
      type: 'Opaque',
      data: { token: Buffer.from(token).toString('base64') },
    }
    return { apply: [{ kind: Secret, desired }], delete: [] }
  }
  if (!existing || controllerOf(existing)?.uid !== uid) return { apply: [], delete: [] }
  return {
    apply: [],
    delete: [
      {
        kind: Secret,
        key: keyOf(existing),
        ...(existing.metadata.uid !== undefined && { uid: existing.metadata.uid }),
      },
    ],
  }
}

/** `status` with the Secret's name and the condition OIDCTokenSecretCreated. */
export function withTokenSecret(
  status: SinkBindingStatus,
  secret: TokenSecret,
  conditions: ConditionSet,
  nowMs: number,
): SinkBindingStatus {
  const type = 'OIDCTokenSecretCreated'
  const { oidcTokenSecretName: _, ...bare } = status
  const { isOn, wanted, binding } = secret
  if (!isOn)
    return conditions.markTrueWithReason(
      bare,
      type,
      'authentication-oidc feature disabled',
      '',
      nowMs,
    )
  if (!wanted)
    return conditions.markTrueWithReason(bare, type, 'sink has no audience set', '', nowMs)
  if (isWaiting(secret))
    return conditions.markUnknown(
      bare,
      type,
      'TokenPending',
      'the token of the service account is asked for',
      nowMs,
    )
  return conditions.markTrue(
    { ...bare, oidcTokenSecretName: tokenSecretName(binding.metadata.name) },
    type,
    nowMs,
  )
}
