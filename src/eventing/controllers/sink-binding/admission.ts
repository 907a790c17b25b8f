/**
 * Tells pods where to send events in the moment their owner is stored, so that they never start without knowing: what
 * Knative's webhook `sinkbindings.webhook.sources.knative.dev` does (contract eventing §6.2).
 */
import { Namespace } from '../../../kube/api/namespace.ts'
import type { AdmissionContext, Kind } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { selectorMatcher } from '../../../kube/api/selectors.ts'
import { destinationIn } from '../../api/destination.ts'
import { SinkBinding } from '../../api/sink-binding.ts'
import { isResolved, resolve } from '../resolver.ts'
import { sinkVariables, withVariables } from './environment.ts'
import { isFixed, podspecableKinds, subjectKind, type Podspecable } from './podspecable.ts'

const excluded = 'bindings.knative.dev/exclude'

const isExcluded = (object: KubeObject | undefined): boolean =>
  object?.metadata.labels?.[excluded] === 'true'

/** The object as its SinkBindings want it. */
function bind(
  kind: Kind<Podspecable>,
  object: Podspecable,
  context: AdmissionContext,
): Podspecable {
  const pod = object.spec?.template?.spec
  const { namespace = '', labels, name } = object.metadata
  if (context.subresource !== '' || !pod || (context.operation === 'UPDATE' && isFixed(kind)))
    return object
  const bindings = context.list(SinkBinding, namespace).filter(({ metadata, spec }) => {
    if (metadata.deletionTimestamp || subjectKind(spec.subject ?? {}) !== kind) return false
    const { name: wanted, selector } = spec.subject ?? {}
    return selector ? selectorMatcher(selector)(labels) : wanted === name
  })
  if (bindings.length === 0 || isExcluded(object)) return object
  if (isExcluded(context.read(Namespace, { namespace: '', name: namespace }))) return object
  const read = {
    get: <T extends KubeObject>(each: Kind<T>, key: { namespace: string; name: string }) =>
      context.read(each, key),
  }
  let bound = pod
  for (const { spec } of bindings) {
    const sink = resolve(destinationIn(spec.sink, namespace) ?? {}, namespace, read)
    if (isResolved(sink)) bound = withVariables(bound, sinkVariables(sink, spec.ceOverrides))
  }
  if (bound === pod) return object
  return {
    ...object,
    spec: { ...object.spec, template: { ...object.spec?.template, spec: bound } },
  }
}

/** Plugins for the API server. */
export const sinkBindingAdmission = podspecableKinds.map((kind) => ({
  kind: { group: kind.group, kind: kind.kind },
  admit: (object: KubeObject, context: AdmissionContext): KubeObject => bind(kind, object, context),
}))
