/**
 * `optMap` and `optFlatMap` of optional values, which rules with `optionalOldSelf` use: macros as the library's own `bind`
 * is one, since the expression inside must not be evaluated when there is no value.
 */
import { Optional, type Environment } from '@marcbachmann/cel-js'
import { CelFailure } from './engine.ts'

interface Scope {
  forkWithVariable(name: string, type: unknown): Scope
  reuse(scope: Scope): Scope
  setIterValue(value: unknown, evaluator: unknown): Scope
}

interface Checker {
  readonly dynType: unknown
  readonly optionalType: unknown
  check(node: unknown, scope: Scope): unknown
}

interface Evaluator {
  run(node: unknown, scope: Scope): unknown
}

interface Call {
  readonly ast: { setMeta(key: string, value: unknown): unknown }
  readonly receiver: unknown
  readonly args: readonly { readonly op: string; readonly args: unknown }[]
}

interface Macro {
  readonly args: readonly unknown[]
  inner: Scope | undefined
  readonly async: boolean
  typeCheck(checker: Checker, macro: Macro, scope: Scope): unknown
  evaluate(evaluator: Evaluator, macro: Macro, scope: Scope): unknown
}

export function registerOptionalMacros(environment: Environment): void {
  add(environment, 'optMap', (value) => Optional.of(value))
  add(environment, 'optFlatMap', (value) => {
    if (value instanceof Optional) return value
    throw new CelFailure('optFlatMap() needs an expression that is an optional value')
  })
}

function add(environment: Environment, name: string, finish: (value: unknown) => unknown): void {
  const expand = ({ receiver, args: [variable, expression] }: Call): Macro => {
    if (variable?.op !== 'id') throw new Error(`${name}() needs the name of a variable`)
    const bound = String(variable.args)
    return {
      args: [receiver, expression],
      inner: undefined,
      async: false,
      typeCheck(checker, macro, scope) {
        checker.check(receiver, scope)
        macro.inner = scope.forkWithVariable(bound, checker.dynType)
        checker.check(expression, macro.inner)
        return checker.dynType
      },
      evaluate(evaluator, macro, scope) {
        const optional = evaluator.run(receiver, scope)
        if (!(optional instanceof Optional))
          throw new CelFailure(`${name}() is for optional values`)
        if (!optional.hasValue()) return Optional.none()
        const inner = macro.inner?.reuse(scope).setIterValue(optional.value(), evaluator)
        return inner && finish(evaluator.run(expression, inner))
      },
    }
  }
  environment.registerFunction(`optional.${name}(ast, ast): dyn`, expand, { async: false })
}
