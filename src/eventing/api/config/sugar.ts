/**
 * config-sugar: which Namespaces and Triggers have their Broker made for them (knative.dev/eventing `pkg/apis/sugar`).
 * The injection labels and annotations count without it.
 */
import { parseYaml } from '../../../lib/yaml.ts'
import { defineConfig, type Config } from '../../../knative/config-map.ts'
import {
  selectorMatcher,
  type LabelMatcher,
  type LabelSelector,
} from '../../../kube/api/selectors.ts'

export interface SugarConfig {
  /** Of the labels of Namespaces: these get the Broker `default`. */
  readonly namespaces: LabelMatcher
  /** Of the labels of Triggers: these get the Broker that they name. */
  readonly triggers: LabelMatcher
}

const none: LabelMatcher = () => false

/** '' = none; `{}` = all; else a LabelSelector, JSON or YAML. */
function selectorIn(data: Readonly<Record<string, string>>, key: string): LabelMatcher {
  const text = data[key]?.trim() ?? ''
  if (text === '') return none
  const value: unknown = parseYaml(text)
  const isSelector =
    typeof value === 'object' &&
    value !== null &&
    Object.keys(value).every((each) => each === 'matchLabels' || each === 'matchExpressions')
  if (!isSelector)
    throw new Error(
      `invalid value ${JSON.stringify(text)} for key ${key}: expected a LabelSelector with matchLabels and matchExpressions`,
    )
  return selectorMatcher(value as LabelSelector)
}

export const configSugar: Config<SugarConfig> = defineConfig({
  name: 'config-sugar',
  component: 'eventing-controller',
  example: `
################################
#                              #
#    EXAMPLE CONFIGURATION     #
#                              #
################################

# Namespaces whose labels match get a Broker of the name "default". Nothing is
# selected by default; {} selects all. Namespaces with the label
# eventing.knative.dev/injection=enabled get one whatever stands here.
namespace-selector: |
  matchExpressions:
  - key: "eventing.knative.dev/injection"
    operator: "In"
    values: ["enabled"]

# Triggers whose labels match get the Broker that they name.
trigger-selector: |
  matchExpressions:
  - key: "eventing.knative.dev/injection"
    operator: "In"
    values: ["enabled"]
`,
  parse: (data) => ({
    namespaces: selectorIn(data, 'namespace-selector'),
    triggers: selectorIn(data, 'trigger-selector'),
  }),
})
