/**
 * Differences of two objects in the short form that Knative shows when something immutable changes (its `kmp.ShortDiff`
 * over go-cmp): one block for each value, with the path in Go's field names.
 */

/** JSON names whose Go names are not just capitalised, and structs that Go embeds under a name of their own. */
const goNames: Readonly<Record<string, string>> = {
  httpGet: 'ProbeHandler.HTTPGet',
  tcpSocket: 'ProbeHandler.TCPSocket',
  grpc: 'ProbeHandler.GRPC',
  exec: 'ProbeHandler.Exec',
  httpHeaders: 'HTTPHeaders',
  dnsPolicy: 'DNSPolicy',
  dnsConfig: 'DNSConfig',
  configMap: 'VolumeSource.ConfigMap',
  secret: 'VolumeSource.Secret',
  projected: 'VolumeSource.Projected',
  emptyDir: 'VolumeSource.EmptyDir',
  metadata: 'ObjectMeta',
}

/** Fields of RevisionSpec itself; all its others come from the embedded PodSpec. */
const ownFields = new Set([
  'containerConcurrency',
  'timeoutSeconds',
  'responseStartTimeoutSeconds',
  'idleTimeoutSeconds',
])

const maxDifferences = 50

/** `''` when they are alike. `type` is the Go type of the root: `v1.RevisionSpec`, `v1.RevisionTemplateSpec`. */
export function shortDiff(type: string, before: unknown, after: unknown): string {
  const blocks: string[] = []
  compare(type === 'v1.RevisionSpec' ? 'spec' : 'template', `{${type}}`, before, after)
  return blocks.join('\n')

  function compare(at: 'spec' | 'template' | 'inside', path: string, a: unknown, b: unknown): void {
    if (blocks.length >= maxDifferences) return
    if (isMap(a) && isMap(b)) {
      for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
        const next = at === 'template' && key === 'spec' ? 'spec' : 'inside'
        compare(next, path + step(at, path, key), a[key], b[key])
      }
    } else if (Array.isArray(a) && Array.isArray(b)) {
      for (let i = 0; i < Math.max(a.length, b.length); i++)
        compare('inside', `${path}[${i}]`, a[i], b[i])
    } else if (a !== b) {
      blocks.push(`${path}:\n\t-: ${shown(a)}\n\t+: ${shown(b)}`)
    }
  }
}

function step(at: 'spec' | 'template' | 'inside', path: string, key: string): string {
  if (/\.(Annotations|Labels|Limits|Requests|NodeSelector)$/.test(path))
    return `[${JSON.stringify(key)}]`
  const name = goNames[key] ?? key.charAt(0).toUpperCase() + key.slice(1)
  return at === 'spec' && !ownFields.has(key) ? `.PodSpec.${name}` : `.${name}`
}

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function shown(value: unknown): string {
  if (value === undefined) return '<zero>'
  return typeof value === 'string' ? JSON.stringify(value) : `"${JSON.stringify(value)}"`
}
