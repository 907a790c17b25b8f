/** config-gc: how long Revisions without traffic are kept. */
import { defineConfig, type Config } from '../../../knative/config-map.ts'
import {
  asInteger,
  asString,
  parseInteger,
  type ConfigData,
} from '../../../knative/config-values.ts'
import { durationError, parseDuration } from '../../../knative/duration.ts'

/** `undefined` = the rule is disabled. */
export interface GcConfig {
  /** Since its creation a Revision is kept at least this long. */
  readonly retainSinceCreateTimeMs: number | undefined
  /** Since it last had traffic a Revision is kept at least this long. */
  readonly retainSinceLastActiveTimeMs: number | undefined
  /** This many non-active Revisions are kept whatever their age. */
  readonly minNonActiveRevisions: number
  /** Above this many the oldest go, whatever their age. */
  readonly maxNonActiveRevisions: number | undefined
}

const isDisabled = (text: string) => text.toLowerCase() === 'disabled'

function duration(data: ConfigData, key: string, fallback: string): number | undefined {
  const text = asString(data, fallback, key) || fallback
  if (isDisabled(text)) return undefined
  const ms = parseDuration(text)
  if (ms === undefined) throw new Error(`failed to parse ${key}: ${durationError(text)}`)
  if (ms < 0) throw new Error(`failed to parse ${key}: must be non-negative`)
  return ms
}

function most(data: ConfigData): number | undefined {
  const key = 'max-non-active-revisions'
  const text = asString(data, '1000', key) || '1000'
  if (isDisabled(text)) return undefined
  const value = parseInteger(text)
  const problem = typeof value === 'string' ? value : text.startsWith('-') && 'invalid syntax'
  if (problem) {
    throw new Error(
      `failed to parse ${key}: strconv.ParseUint: parsing ${JSON.stringify(text)}: ${problem}`,
    )
  }
  return Number(value)
}

export const configGc: Config<GcConfig> = defineConfig({
  name: 'config-gc',
  component: 'controller',
  parse(data) {
    const config: GcConfig = {
      retainSinceCreateTimeMs: duration(data, 'retain-since-create-time', '48h'),
      retainSinceLastActiveTimeMs: duration(data, 'retain-since-last-active-time', '15h'),
      minNonActiveRevisions: asInteger(data, 20, 'min-non-active-revisions'),
      maxNonActiveRevisions: most(data),
    }
    const { minNonActiveRevisions: min, maxNonActiveRevisions: max } = config
    if (min < 0) throw new Error(`min-non-active-revisions must be non-negative, was: ${min}`)
    if (max !== undefined && min > max) {
      throw new Error(
        `min-non-active-revisions(${min}) must be <= max-non-active-revisions(${max})`,
      )
    }
    return config
  },
  example: `
# Examples, with the defaults as values. Copy a line to the top level of the
# ConfigMap, directly below "data", to make it count.

# How long a Revision is kept after its creation, or "disabled".
retain-since-create-time: "48h"

# How long a Revision is kept after it last had traffic, or "disabled".
retain-since-last-active-time: "15h"

# How many Revisions without traffic are always kept.
min-non-active-revisions: "20"

# Above how many Revisions without traffic the oldest go at once, or "disabled".
# Everything "disabled" keeps all; both times "disabled" and 0 here keeps none.
max-non-active-revisions: "1000"
`,
})
