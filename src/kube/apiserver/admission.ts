/** Runs a kind's own defaulting and validation, then the plugins, over an object that is about to be stored. */
import { groupKind } from '../api/kind.ts'
import type { AdmissionContext, Kind } from '../api/kind.ts'
import type { KubeObject } from '../api/meta.ts'
import { StatusError } from '../api/status-error.ts'
import { enforceQuota } from './limits/quota.ts'
import { readStored } from './machinery.ts'
import type { Machinery, Target } from './machinery.ts'
import { storePrefix } from './registry.ts'

const everyCustomKind = groupKind({ group: '*', kind: '*' })

export function admit(
  target: Target,
  operation: 'CREATE' | 'UPDATE',
  object: KubeObject,
  old?: KubeObject,
): KubeObject {
  const context = admissionContext(target, operation, old)
  const { admission, extensions } = target.machinery
  const given = extensions
    ? extensions.mutate(target, operation, object, old, () => defaulted(target, object, context))
    : object
  const own = target.kind.admit ? target.kind.admit(given, context) : given
  const name = groupKind(target.kind)
  const plugins = admission.get(target.kind.custom ? everyCustomKind : name) ?? []
  const within = (admitted: KubeObject): KubeObject => {
    enforceQuota(target, admitted, old)
    return admitted
  }
  const plugged = () => plugins.reduce((object, plugin) => plugin.admit(object, context), own)
  if (!extensions) return within(plugged())
  // Plugins may have effects outside (an address taken), which must not come again with the next run of the verb.
  const once = plugins.length === 0 ? own : extensions.once(target, operation, own, old, plugged)
  const admitted = extensions.plugins.get(name)?.admit(once, context) ?? once
  extensions.validate(target, operation, admitted, old)
  return within(admitted)
}

/** What webhooks are shown: an object that only they make valid is shown as it came. */
function defaulted(
  { kind }: Target,
  object: KubeObject,
  context: AdmissionContext,
): KubeObject | undefined {
  if (!kind.admit || kind.custom) return object
  try {
    return kind.admit(object, { ...context, dryRun: true })
  } catch (thrown) {
    if (thrown instanceof StatusError) return undefined
    throw thrown
  }
}

/** Throws when someone who must be asked refuses the deletion of `old`. */
export function admitDelete(target: Target, old: KubeObject): void {
  target.machinery.extensions?.validate(target, 'DELETE', undefined, old)
}

function admissionContext(
  { machinery, request, subresource, warn }: Target,
  operation: 'CREATE' | 'UPDATE',
  old?: KubeObject,
): AdmissionContext {
  return {
    operation,
    ...(old && { old }),
    subresource,
    user: request.user,
    dryRun: request.options.dryRun ?? false,
    nowMs: machinery.clock.now(),
    read: (kind, key) => typed(kind, readStored(machinery, kind, key)),
    allows: (asked) =>
      machinery.access.authorizer.authorize(request.user, { ...asked, subresource: '' }) ===
      undefined,
    list: (kind, namespace) => typedList(kind, machinery, namespace),
    warn,
  }
}

/** What lies under a kind's key is of its type: only this server writes there, after checking it. */
const typed = <T extends KubeObject>(_kind: Kind<T>, object: KubeObject | undefined) =>
  object as T | undefined

const typedList = <T extends KubeObject>(
  kind: Kind<T>,
  { store }: Machinery,
  namespace: string,
): readonly T[] =>
  store.list(storePrefix(kind, namespace === '' ? undefined : namespace)).items as readonly T[]
