/**
 * What an ApiServerSource names by kind, as the API serves it: its plural, and whether it is in namespaces. Knative
 * guesses the plural; here the guess is for kinds that nobody serves.
 */
import { CustomResourceDefinition } from '../../../../kube/api/custom-resource-definition.ts'
import type { Kind } from '../../../../kube/api/kind.ts'
import { coreKinds } from '../../../../kube/api/kinds.ts'
import type { KubeObject } from '../../../../kube/api/meta.ts'
import { selectorText } from '../../../../kube/api/selectors.ts'
import type { Reader } from '../../../../kube/controller/reconciler.ts'
import type { ApiServerSourceSpec } from '../../../api/sources/api-server-source.ts'
import { guessedPlural } from '../../../sources/api-server/change-event.ts'
import type { Resource } from '../../../sources/api-server/follow.ts'

type Wanted = NonNullable<ApiServerSourceSpec['resources']>[number] & {
  /** Of 2019: tell of the controller of an object instead of the object. */
  readonly controller?: boolean
}

type Named = Pick<Wanted, 'apiVersion' | 'kind'>

export function resourceOf(wanted: Wanted, read: Reader): Resource {
  const { apiVersion = '', kind = '', selector, controller } = wanted
  const { group, version } = splitVersion(apiVersion)
  const served = servedKind(wanted, read)
  return {
    group,
    version,
    kind,
    plural: served?.plural ?? guessedPlural(kind),
    namespaced: served?.namespaced ?? true,
    labelSelector: selector ? selectorText(selector) : '',
    ...(controller === true && { controller }),
  }
}

/** Whether a definition is of the kind that is named. */
export const isDefinedBy = (definition: KubeObject, { apiVersion = '', kind }: Named): boolean => {
  const { spec } = definition as CustomResourceDefinition
  return spec.names.kind === kind && spec.group === splitVersion(apiVersion).group
}

function servedKind(named: Named, read: Reader): Pick<Kind, 'plural' | 'namespaced'> | undefined {
  const { group } = splitVersion(named.apiVersion ?? '')
  const builtin = coreKinds.find((each) => each.kind === named.kind && each.group === group)
  if (builtin) return builtin
  const definition = read
    .list(CustomResourceDefinition, '')
    .find((each) => isDefinedBy(each, named))
  if (!definition) return undefined
  const { names, scope } = definition.spec
  return { plural: names.plural, namespaced: scope === 'Namespaced' }
}

const splitVersion = (apiVersion: string): { readonly group: string; readonly version: string } => {
  const [group = '', version] = apiVersion.split('/')
  return version === undefined ? { group: '', version: group } : { group, version }
}
