/**
 * What a Broker's configuration says of its channel: a ConfigMap with a template. Here a Broker keeps its events in a
 * log of its own; the template tells whether somebody wants a kind that is not served.
 */
import { parseYaml } from '../../../lib/yaml.ts'
import { isFields } from '../../../knative/old-form.ts'
import type { ConfigMapLike } from '../../../knative/config-map.ts'
import type { ChannelTemplate } from '../duck/channelable.ts'

export const templateKey = 'channel-template-spec'
const formerKey = 'channelTemplateSpec'

/** What follows shows the text: a condition has one line. */
const firstLine = (error: unknown): string =>
  (error instanceof Error ? error.message : '').split('\n', 1)[0]?.replace(/:$/, '') ?? ''

/** The template, or why there is none. */
export function channelTemplateIn({
  data = {},
  metadata,
}: ConfigMapLike): ChannelTemplate | { readonly problem: string } {
  const text = data[templateKey] ?? data[formerKey]
  const at = `ConfigMap ${metadata.namespace ?? ''}/${metadata.name}`
  if (text === undefined) return { problem: `${at} has no key ${templateKey}` }
  let value: unknown
  try {
    value = parseYaml(text)
  } catch (error) {
    return {
      problem: `${at}: ${templateKey} is no YAML: ${firstLine(error)}`,
    }
  }
  if (
    !isFields(value) ||
    typeof value['kind'] !== 'string' ||
    typeof value['apiVersion'] !== 'string'
  )
    return { problem: `${at}: ${templateKey} needs apiVersion and kind` }
  return value as ChannelTemplate
}
