/** OpenAPI documents made from the kinds (contracts/kube 2.5): the v3 index, one document a group version, and v2. */
import type { KindDefinition } from '../api/kind.ts'

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
}

/** Nothing is built before it is asked for. */
export function createOpenApi(_kinds: readonly KindDefinition[]): OpenApi {
  throw new Error('being written')
}
