/** Kubernetes' "qualified names" (apimachinery `validation.IsQualifiedName`): an optional DNS prefix, a slash, a name. */
import { subdomainProblem } from '../../kube/api/validation.ts'

const form = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/
const wanted =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"

/** What is wrong with a qualified name, in Kubernetes' words; empty when nothing is. */
export function qualifiedNameProblems(value: string): readonly string[] {
  const parts = value.split('/')
  const problems: string[] = []
  const [first = '', second] = parts
  if (parts.length > 2) {
    return [
      "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
    ]
  }
  if (second !== undefined) {
    const problem = first === '' ? 'must be non-empty' : subdomainProblem(first)
    if (problem) problems.push(`prefix part ${problem}`)
  }
  const name = second ?? first
  if (name === '') problems.push('name part must be non-empty')
  else if (name.length > 63) problems.push('name part must be no more than 63 characters')
  if (!form.test(name)) problems.push(wanted)
  return problems
}
