/** Whom SinkBindings leave alone, by labels of objects and of their namespaces (knative.dev/pkg `webhook/psbinding`). */
import { controllerOf, type KubeObject } from '../../../../kube/api/meta.ts'

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

/** Made by one controller to go together: a ContainerSource's Deployment and its binding. */
export const areSiblings = (a: KubeObject, b: KubeObject): boolean => {
  const controller = controllerOf(a)
  return controller !== undefined && controller.uid === controllerOf(b)?.uid
}

/** Whether a binding does nothing to an object that it means. */
export function isLeftAlone(
  mode: SelectionMode,
  binding: KubeObject,
  object: KubeObject,
  namespace: KubeObject | undefined,
): boolean {
  if (areSiblings(object, binding)) return false
  return mode === 'exclusion'
    ? carries(object, 'exclude') || carries(namespace, 'exclude')
    : !carries(object, 'include') || !carries(namespace, 'include')
}
