/**
 * config-kreference-mapping: URLs of objects that have no address of their own, by templates. Counts with the feature
 * kreference-mapping.
 */
import { defineConfig, type Config } from '../../../knative/config-map.ts'
import { systemNamespace } from '../names.ts'

export interface MappedObject {
  readonly name: string
  readonly namespace: string
  readonly uid: string
}

export interface KReferenceMapping {
  /** There is a template under this key, said as for `urlOf`. */
  readonly has: (key: string) => boolean
  /** Undefined = there is none for the kind. `key`: `Kind.version.group`, `Kind.version` of the core group. */
  readonly urlOf: (key: string, object: MappedObject) => string | undefined
}

const field = /\{\{\s*\.(\w+)\s*\}\}/g
const fields = ['Name', 'Namespace', 'UID', 'SystemNamespace'] as const

function check(key: string, template: string): void {
  const left = template.replaceAll(field, (whole, name: string) =>
    fields.some((each) => each === name) ? '' : whole,
  )
  if (left.includes('{{') || left.includes('}}'))
    throw new Error(
      `invalid value ${JSON.stringify(template)} for key ${key}: expected a URL in which only ${fields.map((each) => `{{ .${each} }}`).join(', ')} stand for something`,
    )
}

export const configKReferenceMapping: Config<KReferenceMapping> = defineConfig({
  name: 'config-kreference-mapping',
  component: 'eventing-controller',
  example: `
################################
#                              #
#    EXAMPLE CONFIGURATION     #
#                              #
################################

# One key per kind: KIND.VERSION.GROUP, or KIND.VERSION for kinds of the core
# group. The value is the URL, in which {{ .Name }}, {{ .Namespace }}, {{ .UID }}
# and {{ .SystemNamespace }} stand for what they say.
Pod.v1: "https://{{ .SystemNamespace }}.example.com/{{ .Namespace }}/{{ .Name }}"
`,
  parse(data) {
    const templates = new Map(Object.entries(data).filter(([key]) => !key.startsWith('_')))
    for (const [key, template] of templates) check(key, template)
    return {
      has: (key) => templates.has(key),
      urlOf(key, { name, namespace, uid }) {
        const values: Readonly<Record<string, string>> = {
          Name: name,
          Namespace: namespace,
          UID: uid,
          SystemNamespace: systemNamespace,
        }
        return templates.get(key)?.replaceAll(field, (_, each: string) => values[each] ?? '')
      },
    }
  },
})
