/** The keys that a Trigger's expressions ask for by `KN_VERIFY_CORRELATION_ID(attribute, "name", "namespace", …)`. */
import type { Reader } from '../../../../kube/controller/reconciler.ts'
import type { SubscriptionsApiFilter } from '../../../api/eventing/trigger-filter.ts'
import type { KeysByOwner } from '../../../broker/delivery/correlation.ts'
import { keysFor } from './keys.ts'

const text = `\\s*(?:"([^"]*)"|'([^']*)')\\s*`
const asked = new RegExp(`KN_VERIFY_CORRELATION_ID\\s*\\([^,]*,${text},${text},`, 'gi')

/** Names have to be written out: one that is put together is none. */
export function askedKeys(
  filters: readonly SubscriptionsApiFilter[],
  read: Pick<Reader, 'get'>,
): KeysByOwner {
  const found: Record<string, readonly string[]> = {}
  for (const expression of expressions(filters))
    for (const [, name1, name2, namespace1, namespace2] of expression.matchAll(asked)) {
      const [name = '', namespace = ''] = [name1 ?? name2, namespace1 ?? namespace2]
      found[`${namespace}.${name}`] = keysFor({ namespace, name }, read).map((each) => each.text)
    }
  return found
}

function* expressions(filters: readonly SubscriptionsApiFilter[]): Generator<string> {
  for (const { all, any, not, cesql } of filters) {
    if (cesql) yield cesql
    yield* expressions([...(all ?? []), ...(any ?? []), ...(not ? [not] : [])])
  }
}
