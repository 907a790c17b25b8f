/**
 * Tells pods where to send events in the moment their owner is stored, so that they never start without knowing: what
 * Knative's webhook `sinkbindings.webhook.sources.knative.dev` does (knative.dev/pkg `webhook/psbinding`).
 */
import {
  CustomResourceDefinition,
  definedKind,
} from '../../../../kube/api/custom-resource-definition.ts'
import { ConfigMap } from '../../../../kube/api/config-map.ts'
import type { AdmissionContext, Kind } from '../../../../kube/api/kind.ts'
import type { KubeObject } from '../../../../kube/api/meta.ts'
import { Namespace } from '../../../../kube/api/namespace.ts'
import { selectorMatcher } from '../../../../kube/api/selectors.ts'
import { groupOf } from '../../../../kube/controller/custom-kinds.ts'
import type { Reader } from '../../../../kube/controller/reconciler.ts'
import { destinationIn } from '../../../api/duck/destination.ts'
import { SinkBinding } from '../../../api/sources/sink-binding.ts'
import { isResolved, resolve } from '../../destination/resolver.ts'
import { bundleCopyName } from '../../transport/trust-bundle.ts'
import { sinkVariables, withBinding } from './environment.ts'
import { isFixed, isSubjectOf, podOf, podspecableKinds, type Podspecable } from './podspecable.ts'
import { isLeftAlone, type SelectionMode } from './selection.ts'

/** The object as its SinkBindings want it. */
function bind(object: Podspecable, context: AdmissionContext, mode: SelectionMode): Podspecable {
  const pod = podOf(object)
  const { namespace = '', labels, name } = object.metadata
  const kind = { group: groupOf(object.apiVersion), kind: object.kind ?? '' }
  if (context.subresource !== '' || !pod || namespace === '') return object
  if (context.operation === 'UPDATE' && isFixed({ ...kind, ...unversioned })) return object
  const bindings = context.list(SinkBinding, namespace).filter(({ metadata, spec }) => {
    const { subject = {} } = spec
    if (metadata.deletionTimestamp || !isSubjectOf(subject, kind)) return false
    return subject.selector ? selectorMatcher(subject.selector)(labels) : subject.name === name
  })
  if (bindings.length === 0) return object
  const around = context.read(Namespace, { namespace: '', name: namespace })
  const copy = context.read(ConfigMap, { namespace, name: bundleCopyName })
  let bound = pod
  for (const binding of bindings) {
    if (isLeftAlone(mode, binding, object, around)) continue
    const { spec, status } = binding
    const sink = resolve(destinationIn(spec.sink, namespace) ?? {}, namespace, reader(context))
    if (isResolved(sink))
      bound = withBinding(bound, {
        variables: sinkVariables(sink, spec.ceOverrides),
        tokenSecret: status?.oidcTokenSecretName,
        trustBundle: copy && bundleCopyName,
      })
  }
  if (bound === pod) return object
  return {
    ...object,
    spec: { ...object.spec, template: { ...object.spec?.template, spec: bound } },
  }
}

const unversioned = { version: '', plural: '', namespaced: true }

const reader = (context: AdmissionContext): Pick<Reader, 'get' | 'custom'> => ({
  get: <T extends KubeObject>(each: Kind<T>, key: { namespace: string; name: string }) =>
    context.read(each, key),
  custom: ({ apiVersion, kind, group = groupOf(apiVersion) }) => {
    const definition = context
      .list(CustomResourceDefinition, '')
      .find(({ spec }) => spec.group === group && spec.names.kind === kind)
    return definition && definedKind(definition)
  },
})

/** Plugins for the API server; the last is for kinds of CustomResourceDefinitions. */
export const sinkBindingAdmission = (mode: SelectionMode) =>
  [...podspecableKinds, { group: '*', kind: '*' }].map(({ group, kind }) => ({
    kind: { group, kind },
    admit: (object: KubeObject, context: AdmissionContext): KubeObject =>
      bind(object, context, mode),
  }))
