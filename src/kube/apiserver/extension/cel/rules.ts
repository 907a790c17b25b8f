/** placeholder, filled in below */
import type { FieldCause } from '../../../api/status-error.ts'
import type { KubeObject } from '../../../api/meta.ts'
import type { CustomSchema } from '../custom-schema.ts'
export const hasRules = (_schema: CustomSchema): boolean => false
export const ruleProblems = (
  _s: CustomSchema,
  _now: KubeObject,
  _old: KubeObject | undefined,
): FieldCause[] => []
export const compileProblems = (
  _s: CustomSchema,
  _f: string,
  _w: (text: string) => void,
): FieldCause[] => []
