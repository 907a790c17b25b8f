/** Runs a kind's own defaulting and validation, then the plugins, over an object that is about to be stored. */
import { groupKind } from '../api/kind.ts'
import type { AdmissionContext, Kind } from '../api/kind.ts'
import type { KubeObject } from '../api/meta.ts'
import { readStored } from './machinery.ts'
import type { Machinery, Target } from './machinery.ts'
import { storePrefix } from './registry.ts'

export function admit(
  target: Target,
  operation: 'CREATE' | 'UPDATE',
  object: KubeObject,
  old?: KubeObject,
): KubeObject {
  const context = admissionContext(target, operation, old)
  let admitted = target.kind.admit ? target.kind.admit(object, context) : object
  for (const plugin of target.machinery.admission.get(groupKind(target.kind)) ?? [])
    admitted = plugin.admit(admitted, context)
  return admitted
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
