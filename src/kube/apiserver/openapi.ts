/**
 * OpenAPI documents made from the kinds (contracts/kube 2.5): the v3 index, one document a group version, and v2.
 * kubectl reads them for `explain`, for the merge keys of `apply`, and to learn that the server validates fields.
 */
import { createHash } from 'node:crypto'
import { referencedName } from '../api/builtin.ts'
import type { KindDefinition } from '../api/kind.ts'
import { wholeSchema } from '../api/structural.ts'
import { componentsFor, type Json } from './openapi-components.ts'
import { pathsOf } from './openapi-paths.ts'
import { servedGroups, type ServedKind } from './served.ts'

export interface OpenApiDocument {
  /** JSON text, or empty for the protobuf form of v2. */
  readonly body: string
  readonly contentType: string
  /** Upper-case hex SHA-512 of the body. */
  readonly hash: string
}

export interface OpenApi {
  /** `/openapi/v3`. */
  index(): OpenApiDocument
  /** `/openapi/v3/<path>`, path as `api/v1` or `apis/apps/v1`; undefined where there is none. */
  groupVersion(path: string): OpenApiDocument | undefined
  /** `/openapi/v2`; an empty document for clients that take only protobuf. */
  v2(accept: string | undefined): OpenApiDocument
  /** The document of a group version, if it has been made of these very kinds. */
  made(path: string, kinds: readonly ServedKind[]): OpenApiDocument | undefined
}

const info = { title: 'Kubernetes', version: 'v1.32.13' }
const protobufV2 = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf'

/** Nothing is built before it is asked for; then it is kept. `before`: of other kinds, for what they share. */
export function createOpenApi(kinds: readonly KindDefinition[], before?: OpenApi): OpenApi {
  let earlier = before
  const made = new Map<string, OpenApiDocument>()
  let versions: ReadonlyMap<string, readonly ServedKind[]> | undefined
  const served = () => (versions ??= byPath(kinds))

  function groupVersion(path: string): OpenApiDocument | undefined {
    const inside = served().get(path)
    if (!inside) return undefined
    const same = earlier?.made(path, inside)
    if (same) made.set(path, same)
    return kept(path, () => ({
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
    }))
  }

  function kept(key: string, build: () => Json): OpenApiDocument {
    const known = made.get(key)
    if (known) return known
    const document = documentOf(JSON.stringify(build()), 'application/json')
    made.set(key, document)
    return document
  }

  return {
    groupVersion,
    made(path, wanted) {
      const document = made.get(path)
      const now = document && served().get(path)
      const same =
        now?.length === wanted.length &&
        now.every(({ definition }, i) => definition === wanted[i]?.definition)
      return same ? document : undefined
    },
    index: () => {
      const index = kept('', () => ({
        paths: Object.fromEntries(
          [...served().keys()].map((path) => [
            path,
            { serverRelativeURL: `/openapi/v3/${path}?hash=${groupVersion(path)?.hash ?? ''}` },
          ]),
        ),
      }))
      // All that is shared with the earlier documents has been taken over.
      earlier = undefined
      return index
    },
    v2: (accept) =>
      // An empty message is a valid document of kubectl 1.27 and 1.28, which do their work by v3 all the same.
      accept?.includes('proto-openapi')
        ? documentOf('', protobufV2)
        : kept('v2', () => ({
            swagger: '2.0',
            info,
            paths: {},
            definitions: componentsFor([...served().values()].flat(), '#/definitions/'),
          })),
  }
}

const documentOf = (body: string, contentType: string): OpenApiDocument => ({
  body,
  contentType,
  hash: createHash('sha512').update(body).digest('hex').toUpperCase(),
})

function byPath(kinds: readonly KindDefinition[]): ReadonlyMap<string, readonly ServedKind[]> {
  const answer = new Map<string, readonly ServedKind[]>()
  for (const { group, versions } of servedGroups(kinds))
    for (const { version, resources } of versions)
      answer.set(
        group ? `apis/${group}/${version}` : `api/${version}`,
        resources.map(({ definition }) => servedKind(definition, version)),
      )
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
