/**
 * OpenAPI documents made from the kinds: the v3 index, one document a group version, and v2.
 * kubectl reads them for `explain`, for the merge keys of `apply`, and to learn that the server validates fields.
 */
import { createHash } from 'node:crypto'
import { referencedName } from '../../api/builtin.ts'
import type { KindDefinition } from '../../api/kind.ts'
import { wholeSchema } from '../../api/structural.ts'
import { componentsFor } from './openapi-components.ts'
import { pathsOf } from './openapi-paths.ts'
import { reviewKinds } from './openapi-reviews.ts'
import { openApiV2 } from './openapi-v2.ts'
import { servedGroups, type ServedKind } from '../served.ts'

export interface OpenApiDocument {
  /** JSON text, or empty for the protobuf form of v2. */
  readonly body: string
  readonly contentType: string
  /** Upper-case hex SHA-512: of the body, or of what says when the body changes. */
  readonly hash: string
}

export interface OpenApi {
  /** `/openapi/v3`. */
  index(): OpenApiDocument
  /** `/openapi/v3/<path>`, path as `api/v1` or `apis/apps/v1`; undefined where there is none. */
  groupVersion(path: string): OpenApiDocument | undefined
  /** `/openapi/v2`; an empty document for clients that take only protobuf. */
  v2(accept: string | undefined): OpenApiDocument
  /** Those that have been made. */
  readonly documents: ReadonlyMap<string, Kept>
}

const info = { title: 'Kubernetes', version: 'v1.32.13' }
const protobufV2 = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf'

/** A document, and the kinds that it was made of. */
interface Kept {
  readonly of: readonly KindDefinition[]
  readonly document: OpenApiDocument
}

/** Documents of custom kinds that are kept at a time; the others are made again when they are asked for. */
const maxCustomDocuments = 100

/** Nothing is built before it is asked for; then it is kept. `before`: of other kinds, for what they share. */
export function createOpenApi(kinds: readonly KindDefinition[], before?: OpenApi): OpenApi {
  const documents = new Map<string, Kept>(before?.documents)
  const customPaths = new Set<string>()
  let versions: ReadonlyMap<string, readonly ServedKind[]> | undefined
  let indexed: OpenApiDocument | undefined
  let second: OpenApiDocument | undefined
  const served = () => (versions ??= byPath(kinds))

  function groupVersion(path: string): OpenApiDocument | undefined {
    const inside = served().get(path)
    if (!inside) return undefined
    const of = inside.map(({ definition }) => definition)
    const known = documents.get(path)
    if (known && isSame(known.of, of)) return known.document
    const body = JSON.stringify({
      openapi: '3.0.0',
      info,
      paths: pathsOf(inside),
      components: {
        schemas: componentsFor(inside, '#/components/schemas/'),
        securitySchemes: {
          BearerToken: {
            type: 'apiKey',
            description: 'Bearer token',
            name: 'authorization',
            in: 'header',
          },
        },
      },
    })
    const hash = customHash(path, of)
    const document =
      hash === undefined
        ? documentOf(body, 'application/json')
        : { body, contentType: 'application/json', hash }
    documents.set(path, { of, document })
    if (hash !== undefined) {
      const [oldest] = customPaths
      if (customPaths.size >= maxCustomDocuments && oldest !== undefined) {
        customPaths.delete(oldest)
        documents.delete(oldest)
      }
      customPaths.add(path)
    }
    return document
  }

  /** Without making the document, where its kinds say when they change: there may be thousands. */
  function hashOf(path: string): string {
    const of = (served().get(path) ?? []).map(({ definition }) => definition)
    return customHash(path, of) ?? groupVersion(path)?.hash ?? ''
  }

  return {
    groupVersion,
    documents,
    index: () =>
      (indexed ??= documentOf(
        JSON.stringify({
          paths: Object.fromEntries(
            [...served().keys()].map((path) => [
              path,
              { serverRelativeURL: `/openapi/v3/${path}?hash=${hashOf(path)}` },
            ]),
          ),
        }),
        'application/json',
      )),
    v2: (accept) =>
      // An empty message is a valid document of kubectl 1.27 and 1.28, which do their work by v3 all the same.
      accept?.includes('proto-openapi')
        ? documentOf('', protobufV2)
        : (second ??= documentOf(
            JSON.stringify(openApiV2([...served().values()], info)),
            'application/json',
          )),
  }
}

const isSame = (a: readonly KindDefinition[], b: readonly KindDefinition[]): boolean =>
  a.length === b.length && a.every((each, i) => each === b[i])

/** Of a group version that has custom kinds alone. */
function customHash(path: string, of: readonly KindDefinition[]): string | undefined {
  const revisions = of.map(({ custom }) => custom?.revision)
  if (revisions.includes(undefined)) return undefined
  return hashText(JSON.stringify([path, info, ...revisions]))
}

const hashText = (text: string): string =>
  createHash('sha512').update(text).digest('hex').toUpperCase()

const documentOf = (body: string, contentType: string): OpenApiDocument => ({
  body,
  contentType,
  hash: hashText(body),
})

function byPath(kinds: readonly KindDefinition[]): ReadonlyMap<string, readonly ServedKind[]> {
  const answer = new Map<string, readonly ServedKind[]>()
  for (const { group, versions } of servedGroups(kinds))
    for (const { version, resources } of versions)
      answer.set(
        group ? `apis/${group}/${version}` : `api/${version}`,
        resources.map(({ definition, subresources }) => ({
          ...servedKind(definition, version),
          subresources,
        })),
      )
  for (const [path, reviews] of reviewKinds)
    answer.set(path, [...(answer.get(path) ?? []), ...reviews])
  return answer
}

function servedKind(definition: KindDefinition, version: string): ServedKind {
  const { group, kind } = definition
  const reversed = group.split('.').toReversed().join('.')
  const own = version === definition.version ? referencedName(definition.schema) : undefined
  return {
    definition,
    version,
    name: own ?? `${reversed}.${version}.${kind}`,
    schema: wholeSchema(definition, version),
  }
}
