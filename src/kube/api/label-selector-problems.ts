/** What is wrong with a metav1.LabelSelector (apimachinery `metav1/validation`). */
import { labelKeyProblem, labelValueProblem } from './selectors.ts'
import { notAllowed, notSupported, required, wrong, type Complaints } from './validation.ts'

const operators = ['In', 'NotIn', 'Exists', 'DoesNotExist']

export function* labelSelectorProblems(at: string, selector: unknown): Complaints {
  const { matchLabels, matchExpressions } = fieldsOf(selector)
  for (const [key, value] of Object.entries(fieldsOf(matchLabels))) {
    const problem = labelKeyProblem(key) ?? labelValueProblem(String(value))
    if (problem) yield wrong(`${at}.matchLabels`, key, problem)
  }
  if (!Array.isArray(matchExpressions)) return
  for (const [i, each] of matchExpressions.entries()) {
    const { key, operator, values } = fieldsOf(each)
    const here = `${at}.matchExpressions[${i}]`
    const count = Array.isArray(values) ? values.length : 0
    if ((operator === 'In' || operator === 'NotIn') && count === 0)
      yield required(`${here}.values`, "must be specified when `operator` is 'In' or 'NotIn'")
    else if ((operator === 'Exists' || operator === 'DoesNotExist') && count > 0)
      yield notAllowed(
        `${here}.values`,
        "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
      )
    else if (typeof operator !== 'string' || !operators.includes(operator))
      yield notSupported(`${here}.operator`, operator, operators)
    const problem = labelKeyProblem(typeof key === 'string' ? key : '')
    if (problem) yield wrong(`${here}.key`, key, problem)
  }
}

const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value))
    : {}
