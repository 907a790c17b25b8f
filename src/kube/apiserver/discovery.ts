/** Discovery documents (contracts/kube 2): which groups, versions and resources there are. */
import type { KindDefinition } from '../api/kind.ts'

export interface DiscoveryDocument {
  /** JSON text. */
  readonly body: string
  readonly contentType: string
  /** Quoted, upper-case hex SHA-512 of the body. */
  readonly etag: string
}

export interface Discovery {
  /**
   * The document at `/api`, `/apis`, `/apis/<group>`, `/api/v1` or `/apis/<group>/<version>`; undefined where
   * there is none. `accept` chooses the aggregated form at `/api` and `/apis`.
   */
  document(
    path: string,
    accept: string | undefined,
    serverAddress: string,
  ): DiscoveryDocument | undefined
}

/** Documents are made when first asked for and kept. */
export function createDiscovery(_kinds: readonly KindDefinition[]): Discovery {
  throw new Error('being written')
}
