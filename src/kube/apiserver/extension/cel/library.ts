/**
 * The engine on `@marcbachmann/cel-js`. What the library has no hooks for is added from outside: each step of an
 * evaluation is counted, `matches` searches in linear time (the library would use the interpreter's backtracking
 * expressions), and Kubernetes' functions are registered (`functions.ts`, `kubernetes-functions.ts`).
 */
import { Environment, Optional } from '@marcbachmann/cel-js'
import { registerAuthorizer } from './authorizer.ts'
import { Budget, BudgetExceeded, CelFailure, CelProblem } from './engine.ts'
import type { CelEngine, CelProgram } from './engine.ts'
import { renameMatches, referencesIn } from './expression.ts'
import { registerFunctions } from './functions.ts'
import { registerKubernetesFunctions } from './kubernetes-functions.ts'
import { registerOptionalMacros } from './optional-macros.ts'
import { spending } from './spending.ts'

/** Characters of an expression; Kubernetes bounds them by the cost. */
const maxSource = 32 * 1024
const maxTextLength = 4 * 1024 * 1024

interface Evaluator {
  run(
    node: { evaluate(evaluator: Evaluator, node: unknown, scope: unknown): unknown },
    scope: unknown,
  ): unknown
}

const isEvaluator = (value: unknown): value is Evaluator =>
  typeof value === 'object' && value !== null && 'run' in value && typeof value.run === 'function'

export function createEngine(): CelEngine {
  const base = new Environment({
    unlistedVariablesAreDyn: false,
    homogeneousAggregateLiterals: false,
    enableOptionalTypes: true,
    limits: { maxDepth: 100, maxAstNodes: 20_000 },
  })
  registerFunctions(base)
  registerKubernetesFunctions(base)
  registerAuthorizer(base)
  registerOptionalMacros(base)
  const environments = new Map<string, Environment>()

  function environmentFor(variables: readonly string[]): Environment {
    const name = variables.join(' ')
    const known = environments.get(name)
    if (known) return known
    const made = base.clone()
    for (const variable of variables) made.registerVariable(variable, 'dyn')
    countSteps(made)
    // Policies may name many variables: their environments are few, but nobody promises that.
    if (environments.size > 200) environments.clear()
    environments.set(name, made)
    return made
  }

  function compile(source: string, variables: readonly string[]): CelProgram {
    if (source.length > maxSource)
      throw new CelProblem(`the expression is longer than ${maxSource} characters`, true)
    const environment = environmentFor(variables)
    let parsed: ReturnType<Environment['parse']>
    try {
      parsed = environment.parse(source)
    } catch (thrown) {
      throw new CelProblem(`Syntax error: ${wordsOf(thrown)}`, true)
    }
    const { names, paths } = referencesIn(parsed.ast)
    renameMatches(parsed.ast)
    const checked = parsed.check()
    if (!checked.valid) throw problemOf(checked.error)
    return {
      type: checked.type ?? 'dyn',
      paths,
      uses: (variable) => names.has(variable),
      evaluate(values, budget) {
        if (budget.isExceeded) throw new BudgetExceeded()
        const result = spending(budget, () => {
          try {
            return { value: unwrapped(parsed({ ...values })) }
          } catch (thrown) {
            if (thrown instanceof CelFailure) throw thrown
            throw new CelFailure(failureWords(thrown), { cause: thrown })
          }
        })
        // A budget that ended inside `||` may have been taken for an error of one side.
        if (budget.isExceeded) throw new BudgetExceeded()
        return result.value
      },
    }
  }

  const toTimestamp = compile('timestamp(text)', ['text'])
  const toDuration = compile('duration(text)', ['text'])
  const small = () => new Budget(1000)
  return {
    compile,
    timestamp: (text) => toTimestamp.evaluate({ text }, small()),
    duration: (text) => toDuration.evaluate({ text }, small()),
    absent: Optional.none(),
    present: (value) => Optional.of(value),
  }
}

const unwrapped = (value: unknown): unknown => {
  if (value instanceof Promise) throw new CelFailure('the expression does not end')
  return value
}

/**
 * Every node of an expression is evaluated through the evaluator's `run`; a function learns the evaluator, as the library
 * calls it with that.
 */
function countSteps(environment: Environment): void {
  const callers: unknown[] = []
  environment.registerFunction(
    'ebbEvaluator(): bool',
    function (this: unknown) {
      if (callers.length === 0) callers.push(this)
      return true
    },
    { async: false },
  )
  environment.evaluate('ebbEvaluator()', {})
  const [evaluator] = callers
  if (!isEvaluator(evaluator)) throw new Error('the CEL library does not show its evaluator')
  evaluator.run = function run(node, scope) {
    spend(1)
    const value = node.evaluate(this, node, scope)
    if (typeof value === 'string') {
      if (value.length > maxTextLength) throw new BudgetExceeded()
      if (value.length > 64) spend(value.length >> 6)
    } else if (Array.isArray(value) && value.length > 8) spend(value.length >> 3)
    return value
  }
}

function spend(steps: number): void {
  spending.current?.charge(steps)
}

const summaryOf = (thrown: unknown): { readonly code: string; readonly text: string } => {
  const text = thrown instanceof Error ? thrown.message.split('\n')[0]! : String(thrown)
  const code =
    typeof thrown === 'object' && thrown !== null && 'code' in thrown ? String(thrown.code) : ''
  return { code, text }
}

const wordsOf = (thrown: unknown): string => summaryOf(thrown).text

/** What an author is told whose expression does not fit together. */
function problemOf(thrown: unknown): CelProblem {
  const { code, text } = summaryOf(thrown)
  if (code === 'unknown_variable') {
    const name = /: (\S+)$/.exec(text)?.[1] ?? ''
    return new CelProblem(`undeclared reference to '${name}' (in container '')`, true)
  }
  return new CelProblem(text, code === 'no_such_overload' || code === 'invalid_condition_type')
}

function failureWords(thrown: unknown): string {
  const { code, text } = summaryOf(thrown)
  return code === 'no_such_key' ? text.replace('No such key', 'no such key') : text
}
