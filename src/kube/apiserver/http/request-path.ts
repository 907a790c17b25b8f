/** What a URL path of the API names. */

/** A path under `/api/<version>` or `/apis/<group>/<version>` with something behind it. */
export interface ResourcePath {
  readonly group: string
  readonly version: string
  /** '' for cluster-scoped resources and for all namespaces. */
  readonly namespace: string
  readonly resource: string
  /** '' for a collection. */
  readonly name: string
  readonly subresource: string
  /** What follows the subresource (`proxy/<path>`). */
  readonly rest: string
  /** The legacy `/watch/` form. */
  readonly watch: boolean
}

/** Undefined for paths that name no resource: discovery, health, documents. */
export function parseResourcePath(path: string): ResourcePath | undefined {
  const segments = decoded(path)
  if (!segments) return undefined
  const [root, ...others] = segments
  const groupVersion = root === 'api' ? ['', ...others] : root === 'apis' ? others : undefined
  if (!groupVersion) return undefined
  const [group, version, ...behind] = groupVersion
  if (group === undefined || version === undefined || behind.length === 0) return undefined
  const watch = behind[0] === 'watch' && behind.length > 1
  const place = watch ? behind.slice(1) : behind
  const base = { group, version, watch }

  if (place[0] === 'namespaces' && place[1] !== undefined) {
    const [, namespace, resource, name = '', subresource = '', ...rest] = place
    const ofNamespace = resource === undefined || resource === 'status' || resource === 'finalize'
    if (ofNamespace)
      return {
        ...base,
        namespace: '',
        resource: 'namespaces',
        name: namespace ?? '',
        subresource: resource ?? '',
        rest: '',
      }
    return { ...base, namespace, resource, name, subresource, rest: rest.join('/') }
  }
  const [resource = '', name = '', subresource = '', ...rest] = place
  return { ...base, namespace: '', resource, name, subresource, rest: rest.join('/') }
}

/** Segments, each decoded by itself; undefined for bad escapes. One slash at the end is tolerated. */
function decoded(path: string): string[] | undefined {
  const trimmed = path.endsWith('/') ? path.slice(1, -1) : path.slice(1)
  try {
    return trimmed.split('/').map(decodeURIComponent)
  } catch {
    return undefined
  }
}
