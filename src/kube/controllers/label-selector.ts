/** metav1.LabelSelector: does a set of labels match? An empty selector matches everything, an absent one nothing. */
import type { StringMap } from '../api/meta.ts'

export interface LabelSelector {
  readonly matchLabels?: StringMap
  readonly matchExpressions?: readonly {
    readonly key: string
    readonly operator: string
    readonly values?: readonly string[]
  }[]
}

export function matches(selector: LabelSelector | undefined, labels: StringMap = {}): boolean {
  if (!selector) return false
  for (const key in selector.matchLabels)
    if (labels[key] !== selector.matchLabels[key]) return false
  return (selector.matchExpressions ?? []).every(({ key, operator, values = [] }) => {
    const value = labels[key]
    switch (operator) {
      case 'In':
        return value !== undefined && values.includes(value)
      case 'NotIn':
        return value === undefined || !values.includes(value)
      case 'Exists':
        return value !== undefined
      case 'DoesNotExist':
        return value === undefined
      default:
        return false
    }
  })
}
