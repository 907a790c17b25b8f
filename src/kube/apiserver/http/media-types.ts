/** What a client wants to see (`Accept`) and what it sent (`Content-Type`). */

/** How an answer is to be written. */
export interface Representation {
  readonly format: 'json' | 'yaml'
  readonly as: 'object' | 'Table' | 'PartialObjectMetadata'
  /** Of meta.k8s.io, for the transforms. */
  readonly version: 'v1' | 'v1beta1'
}

const plainJson: Representation = { format: 'json', as: 'object', version: 'v1' }
const clauseLimit = 32

/**
 * The first clause, by q and then position, that can be served; undefined = 406. Protobuf clauses are passed over, which
 * every client accepts.
 */
export function negotiate(accept: string | undefined): Representation | undefined {
  if (accept === undefined || accept.trim() === '') return plainJson
  const clauses = accept
    .split(',')
    .slice(0, clauseLimit)
    .map(parseMediaType)
    .filter(({ quality }) => quality > 0)
    .toSorted((a, b) => b.quality - a.quality)
  for (const { type, parameters } of clauses) {
    const format = formats.get(type)
    if (!format) continue
    const as = parameters.get('as')
    if (as === undefined) return { ...plainJson, format }
    const version = parameters.get('v') ?? 'v1'
    if (parameters.get('g') !== 'meta.k8s.io' || (version !== 'v1' && version !== 'v1beta1'))
      continue
    if (as === 'Table') return { format, as: 'Table', version }
    if (as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList')
      return { format, as: 'PartialObjectMetadata', version }
  }
  return undefined
}

const formats: ReadonlyMap<string, 'json' | 'yaml'> = new Map([
  ['application/json', 'json'],
  ['application/*', 'json'],
  ['*/*', 'json'],
  ['application/yaml', 'yaml'],
])

interface MediaType {
  readonly type: string
  readonly parameters: ReadonlyMap<string, string>
  readonly quality: number
}

export function parseMediaType(text: string): MediaType {
  const [type = '', ...rest] = text.split(';')
  const parameters = new Map(
    rest.map((each) => {
      const equals = each.indexOf('=')
      const name = equals < 0 ? each : each.slice(0, equals)
      const value = equals < 0 ? '' : each.slice(equals + 1)
      return [name.trim().toLowerCase(), value.trim().replace(/^"(.*)"$/, '$1')] as const
    }),
  )
  const quality = Number(parameters.get('q') ?? 1)
  return {
    type: type.trim().toLowerCase(),
    parameters,
    quality: Number.isFinite(quality) ? quality : 0,
  }
}
