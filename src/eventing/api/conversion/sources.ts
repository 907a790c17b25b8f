/**
 * Sources as they were first written: a sink that is a bare reference, and what ApiServerSources said in other words;
 * in sources.knative.dev/v1alpha1 and in the groups before it.
 */
import { fieldsOf, isFields, listOf, textOf, type Fields } from '../../../knative/old-form.ts'
import type { ServedVersion } from '../../../kube/api/kind.ts'
import { sourcesGroup } from '../names.ts'
import { destinationOf, mapped } from './destination.ts'
import { oldVersion } from './old-version.ts'

/** A sink as today's sources have it. */
export const withTodaysSink = (spec: Fields, patched: boolean): Fields =>
  mapped(spec, {
    sink: (sink) => (isFields(sink) ? destinationOf(sink, 'spec.sink', patched) : sink),
  })

/** `controller` of a resource has no other word today: it stays where the kind has it. */
export function apiServerSpec(spec: Fields): Fields {
  const given = listOf(spec['resources']).map(fieldsOf)
  const resources = given.map(({ apiVersion, kind, selector, labelSelector, controller }) => {
    const chosen = isFields(selector) ? selector : labelSelector
    return {
      apiVersion: textOf(apiVersion),
      kind: textOf(kind),
      ...(isFields(chosen) && Object.keys(chosen).length > 0 && { selector: chosen }),
      ...(controller === true && { controller }),
    }
  })
  const owner = given.map((each) => fieldsOf(each['controllerSelector'])).find(isOwner)
  return {
    ...(owner && {
      owner: { apiVersion: textOf(owner['apiVersion']), kind: textOf(owner['kind']) },
    }),
    ...spec,
    resources,
    ...(spec['mode'] === 'Ref' && { mode: 'Reference' }),
  }
}

const isOwner = (selector: Fields): boolean =>
  textOf(selector['apiVersion']) !== '' && textOf(selector['kind']) !== ''

/** sources.knative.dev/v1alpha1 of a kind; `convert` for the rest of its spec. */
export const firstSourceVersion = (
  kind: string,
  convert: (spec: Fields, warn: (text: string) => void) => Fields = (spec) => spec,
): ServedVersion =>
  oldVersion({
    group: sourcesGroup,
    version: 'v1alpha1',
    kind,
    toSpec: (spec, patched, warn) => convert(withTodaysSink(spec, patched), warn),
  })

/** `controller` has no place in today's. */
export function firstApiServerSpec(spec: Fields, warn: (text: string) => void): Fields {
  const converted = apiServerSpec(spec)
  const resources = listOf(converted['resources']).map((each, i) => {
    const { controller, ...rest } = fieldsOf(each)
    if (controller === true)
      warn(
        `spec.resources[${i}].controller is not served in sources.knative.dev: events tell of the object itself; a sources.eventing.knative.dev/v1alpha1 ApiServerSource tells of its controller`,
      )
    return rest
  })
  return { ...converted, resources }
}
