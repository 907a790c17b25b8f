/** Whose budget the evaluation that runs now is spending. Evaluations are synchronous, so there is one at a time. */
import type { Budget } from './engine.ts'

/** Runs `work` on `budget`; library functions charge it by `spending.current`. */
export function spending<T>(budget: Budget, work: () => T): T {
  const before = spending.current
  spending.current = budget
  try {
    return work()
  } finally {
    spending.current = before
  }
}

spending.current = undefined as Budget | undefined
