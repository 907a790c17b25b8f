/**
 * config-registries: where images come from and how long they stay. Ebb's own ConfigMap; its key `registries.yaml` has
 * the shape of k3s' file, and the thresholds have the kubelet's names and meaning (KubeletConfiguration, imageGC…).
 */
import { quantityProblem, quantityValue } from '../../../kube/api/quantity.ts'
import { defineConfig, type Config } from '../../../knative/config-map.ts'
import {
  asBoolean,
  asDurationMs,
  asInteger,
  type ConfigData,
} from '../../../knative/config-values.ts'
import { parseSmallYaml } from '../../../knative/small-yaml.ts'
import { parseRegistries, type Registries } from '../../../lib/registries.ts'

export interface RegistriesConfig {
  readonly registries: Registries
  /** True when the ConfigMap itself says which registries there are; otherwise the flag's file does. */
  readonly saysRegistries: boolean
  /** Blobs downloaded at a time. */
  readonly maxParallel: number
  /** Compressed size of an image that is still pulled. */
  readonly maxImageBytes: number
  /** Unpacked size of an image. */
  readonly maxUnpackedBytes: number
  /** How many times its size a layer may unpack to, beyond its first 512 MiB. */
  readonly maxCompressionRatio: number
  readonly gc: {
    /** Use of the disk in percent above which unused images go, and down to which. */
    readonly highPercent: number
    readonly lowPercent: number
    /** Size of the store above which unused images go; Infinity = only the disk counts. */
    readonly maxBytes: number
    /** Younger ones are left alone. */
    readonly minAgeMs: number
    /** Unused for longer than this they go in any case; 0 = never. */
    readonly maxAgeMs: number
  }
}

function bytes(data: ConfigData, key: string, fallback: number): number {
  const text = data[key]
  if (text === undefined || text === '') return fallback
  const value = quantityProblem(text) === undefined ? quantityValue(text) : Number.NaN
  if (!(value > 0))
    throw new Error(
      `failed to parse ${JSON.stringify(key)}: expected a size such as 20Gi, found ${JSON.stringify(text)}`,
    )
  return value
}

function within(data: ConfigData, key: string, fallback: number, min: number, max: number): number {
  const value = asInteger(data, fallback, key)
  if (value < min || value > max)
    throw new Error(`${key} must be from ${min} to ${max}, was: ${value}`)
  return value
}

export const registriesKey = 'registries.yaml'

function parse(data: ConfigData): RegistriesConfig {
  const text = data[registriesKey]
  const gc: RegistriesConfig['gc'] = {
    highPercent: within(data, 'image-gc-high-threshold-percent', 85, 0, 100),
    lowPercent: within(data, 'image-gc-low-threshold-percent', 80, 0, 100),
    maxBytes: bytes(data, 'image-store-max-size', Number.POSITIVE_INFINITY),
    minAgeMs: asDurationMs(data, 120_000, 'image-minimum-gc-age'),
    maxAgeMs: asDurationMs(data, 0, 'image-maximum-gc-age'),
  }
  if (gc.lowPercent > gc.highPercent)
    throw new Error(
      `image-gc-low-threshold-percent(${gc.lowPercent}) must be <= image-gc-high-threshold-percent(${gc.highPercent})`,
    )
  return {
    registries: {
      offline: asBoolean(data, false, 'offline'),
      ...readRegistries(text ?? '', (name) => data[name]),
    },
    saysRegistries: text !== undefined && text.trim() !== '',
    maxParallel: within(data, 'max-parallel-downloads', 4, 1, 64),
    maxImageBytes: bytes(data, 'max-image-size', 20 * 2 ** 30),
    maxUnpackedBytes: bytes(data, 'max-unpacked-size', 16 * 2 ** 30),
    maxCompressionRatio: within(data, 'max-compression-ratio', 250, 2, 1_000_000),
    gc,
  }
}

/** Reads the text of a `registries.yaml`. Throws an Error with what was found and expected. */
export function readRegistries(
  text: string,
  textOf?: (name: string) => string | undefined,
): Pick<Registries, 'mirrors' | 'access'> {
  try {
    return parseRegistries(parseSmallYaml(text), textOf)
  } catch (error) {
    throw new Error(
      `failed to parse ${registriesKey}: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    )
  }
}

export const configRegistries: Config<RegistriesConfig> = defineConfig({
  name: 'config-registries',
  component: 'controller',
  parse,
  example: `
# Examples, with the defaults as values. Copy a line to the top level of the
# ConfigMap, directly below "data", to make it count.

# Never ask a registry: what is not in the image store is missing.
offline: "false"

# Mirrors and credentials, in the format of k3s' registries.yaml. Mirrors are
# tried in order, then the registry itself unless fallback is false. "*" means
# every registry that is not named. "rewrite" changes the repository for the
# mirrors. "tls.ca" names a key of this ConfigMap with a PEM certificate.
registries.yaml: |
  mirrors:
    registry.cn-hangzhou.aliyuncs.com:
      endpoint:
        - "http://localhost:5000"
      rewrite:
        "^team/(.*)": "mirror/team/$1"
      fallback: true
  configs:
    "registry.example.com:5000":
      auth:
        username: me
        password: secret
      tls:
        ca_file: /etc/ssl/example.pem
        insecure_skip_verify: false

# Layers downloaded at a time.
max-parallel-downloads: "4"

# Images that are larger are refused: as they are sent, and unpacked.
max-image-size: "20Gi"
max-unpacked-size: "16Gi"

# How many times its size a layer may unpack to, beyond its first 512 MiB.
max-compression-ratio: "250"

# Unused images go, the longest unused first, when the disk is fuller than the
# high threshold or the store larger than its maximum, until it is below the
# low one (80 percent of the maximum). What ebb build made stays.
image-gc-high-threshold-percent: "85"
image-gc-low-threshold-percent: "80"
image-store-max-size: ""
image-minimum-gc-age: "2m"

# Unused for longer than this they go in any case; 0s means never.
image-maximum-gc-age: "0s"
`,
})
