/** Makes an OCI image out of source. Signature first. */
import type { Clock } from '../lib/clock.ts'
import type { ContentStore } from './content-store.ts'

export interface BuildOptions {
  /** A project's folder, or a single `.js`, `.mjs`, `.cjs` or `.ts` file. */
  readonly path: string
  readonly reference: string
  readonly store: ContentStore
  readonly clock: Clock
}

/** The input can't be made into an image; the message says what was found and what is expected. */
export class BuildError extends Error {
  override readonly name = 'BuildError'
}

/** Builds and tags. The same input makes the same digest. Throws BuildError, InvalidReference. */
export declare function buildImage(
  options: BuildOptions,
): Promise<{ readonly reference: string; readonly digest: string }>
