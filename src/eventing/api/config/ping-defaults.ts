/** config-ping-defaults: how much data a PingSource may have (knative.dev/eventing `sources/config`). */
import { defineConfig } from '../../../knative/config-map.ts'

export interface PingDefaultsConfig {
  /** Bytes; negative = any. */
  readonly dataMaxSize: number
}

export const configPingDefaults = defineConfig<PingDefaultsConfig>({
  name: 'config-ping-defaults',
  component: 'eventing-controller',
  example: `
# Bytes that data of a PingSource may have at most; -1 = any number.
data-max-size: "-1"
`,
  parse(data) {
    const text = data['data-max-size'] ?? '-1'
    const dataMaxSize = Number(text)
    if (!Number.isInteger(dataMaxSize))
      throw new Error(`data-max-size: ${JSON.stringify(text)} is not a whole number`)
    return { dataMaxSize }
  },
})
