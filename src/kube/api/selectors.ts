/**
 * Label and field selectors: their text form (`a=b,c in (x,y),!d` and `status.phase!=Failed`), the LabelSelector
 * object of specs, and matching. Follows apimachinery's `labels` and `fields` packages. Runs in browsers too:
 * informers and indexes filter by the same functions as the API server.
 */
import type { KubeObject, StringMap } from './meta.ts'
import { badRequest } from './status-error.ts'

export type LabelOperator = '=' | '!=' | 'in' | 'notin' | 'exists' | '!' | '>' | '<'

/** One condition on one label; a selector is all of its requirements together. */
export interface LabelRequirement {
  readonly key: string
  readonly operator: LabelOperator
  /** One for `=`, `!=`, `>`, `<`; any number for `in` and `notin`; none for the others. */
  readonly values: readonly string[]
}

export type LabelMatcher = (labels: StringMap | undefined) => boolean

/** metav1.LabelSelector, as it stands in specs. */
export interface LabelSelector {
  readonly matchLabels?: StringMap
  readonly matchExpressions?: readonly {
    readonly key: string
    readonly operator: string
    readonly values?: readonly string[]
  }[]
}

/** Text to matcher. Empty text matches everything. Throws BadRequest `unable to parse requirement: …`. */
export function parseLabelSelector(text: string): LabelMatcher {
  return labelMatcher(parseLabelRequirements(text))
}

/** All requirements hold. */
export function labelMatcher(requirements: readonly LabelRequirement[]): LabelMatcher {
  if (requirements.length === 0) return () => true
  return (labels) => requirements.every((requirement) => holds(requirement, labels))
}

/**
 * A LabelSelector object as requirements. An empty object selects everything; `undefined` selects nothing, which
 * callers say themselves (`selectorMatcher`). Throws BadRequest for an unknown operator.
 */
export function selectorRequirements(selector: LabelSelector): readonly LabelRequirement[] {
  const requirements: LabelRequirement[] = Object.entries(selector.matchLabels ?? {}).map(
    ([key, value]) => ({ key, operator: '=', values: [value] }),
  )
  for (const { key, operator, values = [] } of selector.matchExpressions ?? []) {
    const known = expressionOperators.get(operator)
    if (known === undefined)
      throw badRequest(`${JSON.stringify(operator)} is not a valid label selector operator`)
    requirements.push({ key, operator: known, values })
  }
  return requirements
}

const expressionOperators: ReadonlyMap<string, LabelOperator> = new Map([
  ['In', 'in'],
  ['NotIn', 'notin'],
  ['Exists', 'exists'],
  ['DoesNotExist', '!'],
])

/** A LabelSelector object as matcher; `undefined` matches nothing, `{}` everything (metav1's rule). */
export function selectorMatcher(selector: LabelSelector | undefined): LabelMatcher {
  return selector === undefined ? () => false : labelMatcher(selectorRequirements(selector))
}

/** A LabelSelector object in text form, keys sorted, as Scale's `status.selector` and list options want it. */
export function selectorText(selector: LabelSelector): string {
  return selectorRequirements(selector)
    .toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(requirementText)
    .join(',')
}

function requirementText({ key, operator, values }: LabelRequirement): string {
  switch (operator) {
    case 'exists':
      return key
    case '!':
      return `!${key}`
    case 'in':
    case 'notin':
      return `${key} ${operator} (${values.toSorted().join(',')})`
    default:
      return `${key}${operator}${values[0] ?? ''}`
  }
}

function holds(
  { key, operator, values }: LabelRequirement,
  labels: StringMap | undefined,
): boolean {
  const value = labels !== undefined && Object.hasOwn(labels, key) ? labels[key] : undefined
  switch (operator) {
    case '=':
      return value !== undefined && value === values[0]
    case '!=':
      return value !== values[0]
    case 'in':
      return value !== undefined && values.includes(value)
    case 'notin':
      return value === undefined || !values.includes(value)
    case 'exists':
      return value !== undefined
    case '!':
      return value === undefined
    case '>':
      return (
        value !== undefined && /^-?\d+$/.test(value) && BigInt(value) > BigInt(values[0] ?? '0')
      )
    case '<':
      return (
        value !== undefined && /^-?\d+$/.test(value) && BigInt(value) < BigInt(values[0] ?? '0')
      )
  }
}

/** Words, operators and punctuation of a label selector; spaces separate. */
const token = /\s*(==|!=|[=!,()<>]|[^\s=!,()<>]+)/y

/** Text to requirements. Throws BadRequest `unable to parse requirement: …`. */
export function parseLabelRequirements(text: string): readonly LabelRequirement[] {
  const tokens = tokenize(text)
  const requirements: LabelRequirement[] = []
  let at = 0
  if (tokens.length === 0) return requirements
  for (;;) {
    requirements.push(requirement())
    if (at === tokens.length) return requirements
    if (tokens[at] !== ',') throw refuse(`found '${tokens[at]}', expected: ',' or 'end of string'`)
    at++
  }

  function requirement(): LabelRequirement {
    if (tokens[at] === '!') {
      at++
      return { key: key(), operator: '!', values: [] }
    }
    const name = key()
    const next = tokens[at]
    if (next === undefined || next === ',') return { key: name, operator: 'exists', values: [] }
    at++
    switch (next) {
      case '=':
      case '==':
        return { key: name, operator: '=', values: [value()] }
      case '!=':
        return { key: name, operator: '!=', values: [value()] }
      case '>':
      case '<':
        return { key: name, operator: next, values: [wholeNumber(name, value())] }
      case 'in':
      case 'notin':
        return { key: name, operator: next, values: values() }
      default:
        throw refuse(`found '${next}', expected: in, notin, =, ==, !=, gt, lt`)
    }
  }

  function key(): string {
    const found = tokens[at++]
    if (found === undefined || punctuation.has(found))
      throw refuse(`found '${found ?? ''}', expected: identifier`)
    const problem = labelKeyProblem(found)
    if (problem) throw refuse(`key: Invalid value: ${JSON.stringify(found)}: ${problem}`)
    return found
  }

  /** One value, which may be empty: `a=` and `a=,b` are legal. */
  function value(): string {
    const found = tokens[at]
    if (found === undefined || found === ',' || found === ')') return ''
    if (punctuation.has(found)) throw refuse(`found '${found}', expected: identifier`)
    at++
    const problem = labelValueProblem(found)
    if (problem) throw refuse(`values[0]: Invalid value: ${JSON.stringify(found)}: ${problem}`)
    return found
  }

  function values(): string[] {
    if (tokens[at] !== '(') throw refuse(`found '${tokens[at] ?? ''}', expected: '('`)
    at++
    const all = [value()]
    while (tokens[at] === ',') {
      at++
      all.push(value())
    }
    if (tokens[at] !== ')') throw refuse(`found '${tokens[at] ?? ''}', expected: ',' or ')'`)
    at++
    return all
  }
}

const punctuation = new Set(['=', '==', '!=', '!', ',', '(', ')', '<', '>'])

function tokenize(text: string): string[] {
  const trimmed = text.trim()
  const tokens: string[] = []
  token.lastIndex = 0
  while (token.lastIndex < trimmed.length) {
    const found = token.exec(trimmed)
    if (!found) break
    tokens.push(found[1] ?? '')
  }
  return tokens
}

function wholeNumber(key: string, text: string): string {
  if (/^-?\d+$/.test(text)) return text
  throw refuse(
    `values[0][${key}]: Invalid value: ${JSON.stringify(text)}: for 'Gt', 'Lt' operators, the value must be an integer`,
  )
}

const refuse = (why: string) => badRequest(`unable to parse requirement: ${why}`)

const namePart = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/

/** What is wrong with a label or annotation key (`[prefix/]name`), in Kubernetes' words; undefined when nothing is. */
export function labelKeyProblem(key: string): string | undefined {
  const slash = key.indexOf('/')
  const name = slash < 0 ? key : key.slice(slash + 1)
  if (slash >= 0) {
    const prefix = key.slice(0, slash)
    if (prefix === '') return 'prefix part must be non-empty'
    if (prefix.length > 253) return 'prefix part must be no more than 253 characters'
    if (!subdomain.test(prefix))
      return `prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`
  }
  if (name === '') return 'name part must be non-empty'
  if (name.length > 63) return 'name part must be no more than 63 characters'
  if (!namePart.test(name))
    return `name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`
  return undefined
}

/** What is wrong with a label value, in Kubernetes' words; undefined when nothing is. */
export function labelValueProblem(value: string): string | undefined {
  if (value.length > 63) return 'must be no more than 63 characters'
  if (value !== '' && !namePart.test(value))
    return `a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`
  return undefined
}

/** One condition on one field. */
export interface FieldRequirement {
  readonly field: string
  readonly operator: '=' | '!='
  readonly value: string
}

/** Text to requirements: `k=v`, `k==v`, `k!=v`, comma = AND, backslash escapes `\ , =`. Throws BadRequest. */
export function parseFieldSelector(text: string): readonly FieldRequirement[] {
  return splitUnescaped(text).map((term) => {
    const found = /^((?:[^\\=!]|\\.)*?)(==|!=|=)(.*)$/s.exec(term)
    if (!found) throw badRequest(`invalid selector: '${text}'; can't understand '${term}'`)
    const [, field = '', operator, raw = ''] = found
    return { field: field.trim(), operator: operator === '!=' ? '!=' : '=', value: unescape(raw) }
  })
}

function splitUnescaped(text: string): string[] {
  const terms: string[] = []
  let term = ''
  for (let i = 0; i < text.length; i++) {
    const char = text[i] ?? ''
    if (char === '\\') term += char + (text[++i] ?? '')
    else if (char === ',') {
      terms.push(term)
      term = ''
    } else term += char
  }
  terms.push(term)
  return terms.filter((each) => each.trim() !== '')
}

const unescape = (value: string): string => value.replace(/\\([\\,=])/g, '$1')

/** How a kind reads its selectable fields, by name. */
export type FieldReaders<T extends KubeObject = KubeObject> = Readonly<
  Record<string, (object: T) => string>
>

const metadataFields: FieldReaders = {
  'metadata.name': (object) => object.metadata.name,
  'metadata.namespace': (object) => object.metadata.namespace ?? '',
}

/**
 * Requirements to a matcher over objects of a kind whose own selectable fields are `fields`. Throws BadRequest for
 * a field the kind does not know.
 */
export function fieldMatcher<T extends KubeObject>(
  requirements: readonly FieldRequirement[],
  fields: FieldReaders<T> = {},
): (object: T) => boolean {
  const tests = requirements.map(({ field, operator, value }) => {
    const read = Object.hasOwn(metadataFields, field)
      ? metadataFields[field]
      : Object.hasOwn(fields, field)
        ? fields[field]
        : undefined
    if (!read) throw badRequest(`field label not supported: ${field}`)
    return operator === '='
      ? (object: T) => read(object) === value
      : (object: T) => read(object) !== value
  })
  return (object) => tests.every((test) => test(object))
}
