/** Which objects of a kind a list, watch or deletecollection means: its selectors as one test over stored objects. */
import type { KubeObject } from '../../api/meta.ts'
import { fieldMatcher, parseFieldSelector, parseLabelSelector } from '../../api/selectors.ts'
import type { Target } from '../machinery.ts'
import { storeKey, storePrefix } from '../registry.ts'

export interface Selection {
  /** Store keys to look under. Can be longer than the kind's prefix, never shorter. */
  readonly prefix: string
  /** Absent when everything under the prefix is meant. */
  readonly matches?: (object: KubeObject) => boolean
  /** True when the request carries a selector. */
  readonly selective: boolean
}

/** Throws BadRequest for selectors that can't be read. */
export function selectionOf(target: Target): Selection {
  const { labelSelector = '', fieldSelector = '' } = target.request.options
  const { kind, namespace } = target
  const prefix = storePrefix(kind, namespace === '' ? undefined : namespace)
  const fields = parseFieldSelector(fieldSelector)
  const tests: ((object: KubeObject) => boolean)[] = []
  if (labelSelector !== '') {
    const labels = parseLabelSelector(labelSelector)
    tests.push((object) => labels(object.metadata.labels))
  }
  if (fields.length > 0) tests.push(fieldMatcher(fields, kind.selectableFields))
  const [first, second] = tests
  if (!first) return { prefix, selective: false }
  // `metadata.name=x` is how clients watch one object: look at its key only.
  const byName = fields.find((each) => each.field === 'metadata.name' && each.operator === '=')
  const scoped = namespace !== '' || !kind.namespaced
  return {
    prefix: byName && scoped ? storeKey(kind, { namespace, name: byName.value }) : prefix,
    matches: second ? (object) => first(object) && second(object) : first,
    selective: true,
  }
}
