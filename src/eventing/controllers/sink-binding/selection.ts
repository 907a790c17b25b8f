/** Whom SinkBindings leave alone, by labels of objects and of their namespaces (contract eventing §6.2). */
import type { KubeObject } from '../../../kube/api/meta.ts'

/**
 * `exclusion`: all but what is labelled `bindings.knative.dev/exclude: "true"`, itself or its namespace. `inclusion`: only
 * what is labelled `bindings.knative.dev/include: "true"`, both itself and its namespace.
 */
export type SelectionMode = 'exclusion' | 'inclusion'

/** In words. */
export const selected: Readonly<Record<SelectionMode, string>> = {
  exclusion:
    'bound is all but what is labelled bindings.knative.dev/exclude, itself or its namespace',
  inclusion:
    'bound is only what is labelled bindings.knative.dev/include, itself and its namespace',
}

const carries = (object: KubeObject | undefined, label: string): boolean =>
  object?.metadata.labels?.[`bindings.knative.dev/${label}`] === 'true'

export const isLeftAlone = (
  mode: SelectionMode,
  object: KubeObject,
  namespace: KubeObject | undefined,
): boolean =>
  mode === 'exclusion'
    ? carries(object, 'exclude') || carries(namespace, 'exclude')
    : !carries(object, 'include') || !carries(namespace, 'include')
