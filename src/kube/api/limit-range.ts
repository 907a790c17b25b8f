/** LimitRange: what containers, pods and claims of a namespace must stay within, and get by default (v1). */
import type { LimitRange as LimitRangeType } from 'kubernetes-types/core/v1.js'
import { nameColumn } from './columns.ts'
import { changed } from './container.ts'
import type { KindDefinition } from './kind.ts'
import { canonicalQuantity, compareQuantities } from './quantity.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import { notAllowed, refuseInvalid, required, wrong, type Complaints } from './validation.ts'

export type LimitRange = Stored<LimitRangeType>
export type LimitRangeItem = NonNullable<LimitRange['spec']>['limits'][number]
type Amounts = Readonly<Record<string, string>>

export const LimitRange: KindDefinition<LimitRange> = {
  group: '',
  version: 'v1',
  kind: 'LimitRange',
  plural: 'limitranges',
  singular: 'limitrange',
  shortNames: ['limits'],
  namespaced: true,
  description:
    'A LimitRange says what containers of a namespace ask for by default, and at least and at most.',
  schema: builtin<LimitRange>('io.k8s.api.core.v1.LimitRange'),
  flavour: 'builtin',
  hasStatus: false,
  hasGeneration: false,
  columns: [
    nameColumn,
    {
      name: 'Created At',
      type: 'date',
      description: 'When it was made.',
      value: ({ metadata }) => metadata.creationTimestamp,
    },
  ],
  admit(range) {
    const limits = range.spec?.limits
    const defaulted = limits
      ? changed(range, { spec: { ...range.spec, limits: limits.map(defaultItem) } })
      : range
    return refuseInvalid(LimitRange, defaulted, problems(defaulted))
  },
}

const amounts = ['min', 'max', 'default', 'defaultRequest', 'maxLimitRequestRatio'] as const

/** A container's default limit is the most it may have; its default request the default limit, or the least. */
function defaultItem(given: LimitRangeItem): LimitRangeItem {
  const item: Record<string, unknown> = { ...given }
  for (const field of amounts) {
    const map = given[field]
    if (map)
      item[field] = Object.fromEntries(
        Object.entries(map).map(([name, amount]) => [name, canonicalQuantity(amount)]),
      )
  }
  const canonical: LimitRangeItem = { ...given, ...item }
  if (canonical.type !== 'Container') return canonical
  const { min = {}, max = {} } = canonical
  const limit: Amounts = { ...max, ...canonical.default }
  const request: Amounts = { ...min, ...limit, ...canonical.defaultRequest }
  return {
    ...canonical,
    ...(Object.keys(limit).length > 0 && { default: limit }),
    ...(Object.keys(request).length > 0 && { defaultRequest: request }),
  }
}

function* problems({ spec }: LimitRange): Complaints {
  for (const [i, item] of (spec?.limits ?? []).entries()) {
    const at = `spec.limits[${i}]`
    if (!item.type) yield required(`${at}.type`)
    for (const field of ['default', 'defaultRequest'] as const)
      if (item.type === 'Pod' && item[field])
        yield notAllowed(`${at}.${field}`, "may not be specified when `type` is 'Pod'")
    if (item.type === 'PersistentVolumeClaim' && !item.min?.['storage'] && !item.max?.['storage'])
      yield required(
        `${at}.limits`,
        'either minimum or maximum storage value is required, but neither was provided',
      )
    const { min = {}, max = {}, default: limit = {}, defaultRequest: request = {} } = item
    yield* notAbove(at, 'min', min, 'max', max)
    yield* notAbove(at, 'min', min, 'defaultRequest', request)
    yield* notAbove(at, 'defaultRequest', request, 'max', max)
    yield* notAbove(at, 'defaultRequest', request, 'default', limit)
    yield* notAbove(at, 'min', min, 'default', limit)
    yield* notAbove(at, 'default', limit, 'max', max)
  }
}

function* notAbove(
  at: string,
  lowName: string,
  low: Amounts,
  highName: string,
  high: Amounts,
): Complaints {
  const words: Readonly<Record<string, string>> = {
    defaultRequest: 'default request value',
    default: 'default limit value',
  }
  const name = (field: string) => words[field] ?? `${field} value`
  for (const [resource, amount] of Object.entries(low)) {
    const most = high[resource]
    if (most === undefined || compareQuantities(amount, most) <= 0) continue
    yield wrong(
      `${at}.${lowName === 'min' && highName !== 'max' ? highName : lowName}[${resource}]`,
      amount,
      lowName === 'min' && highName !== 'max'
        ? `min value ${amount} is greater than ${name(highName)} ${most}`
        : `${name(lowName)} ${amount} is greater than ${name(highName)} ${most}`,
    )
  }
}
