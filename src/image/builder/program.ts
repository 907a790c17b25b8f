/** What a toolchain makes of a folder, and what it is handed for that. */
import type { ContentStore } from '../content-store.ts'
import type { Layer } from '../layer.ts'
import type { HostRuntime, Platform } from '../manifest.ts'
import type { SourceFolder } from './folder.ts'
import type { LayerCache } from './layer-cache.ts'

/** A piece of somebody else's software in an image, for its SBOM. */
export interface Package {
  readonly name: string
  /** '' when nobody says. */
  readonly version: string
  /** Package URL (purl-spec): `pkg:npm/left-pad@1.3.0`. */
  readonly purl: string
  /** SPDX expression as the package itself says it. */
  readonly license?: string
  /** Names of the programs it brings, where that matters. */
  readonly programs?: readonly string[]
}

export interface ImageLayer extends Layer {
  readonly what: 'base' | 'dependencies' | 'runtime' | 'program' | 'bundle'
  /** Everything in it lies below this folder, and nothing of other layers does. */
  readonly folder?: string
}

export interface Program {
  /** The lowest first. */
  readonly layers: readonly ImageLayer[]
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** What of the machine, or of a base image, starts it; undefined = it needs nothing. */
  readonly runtime: HostRuntime | undefined
  readonly labels?: Readonly<Record<string, string>>
  readonly packages: readonly Package[]
  /** Toolchains that took part, by name: their versions. */
  readonly tools: Readonly<Record<string, string>>
  /** SHA-256 of what pins the dependencies, by file. */
  readonly locks: Readonly<Record<string, string>>
  /** What the user should know, a sentence each. */
  readonly notes: readonly string[]
  /** The project's file that Node starts. */
  readonly entry?: string
}

export interface Workshop {
  readonly store: ContentStore
  readonly layers: LayerCache
  /** Where toolchains keep what they may need again. */
  readonly cacheFolder: string
  /** Where Go keeps what it compiled. */
  readonly goCache: string
  /** Of every file of the image, in seconds. */
  readonly mtimeS: number
  readonly platform: Platform
  /** It goes on a base image, whose files then start it. */
  readonly onBase: boolean
  /** Lines of toolchains as they come. */
  readonly say: (line: string) => void
}

export interface SourceOptions {
  /** The file or Go package to start, where several could be. */
  readonly entry?: string
  /** Node: one file of program and packages. */
  readonly bundle?: boolean
  /** Static: paths that are no file get index.html. */
  readonly spa?: boolean
}

export type Toolchain = (
  folder: SourceFolder,
  workshop: Workshop,
  options: SourceOptions,
) => Promise<Program>

/** Where the program lies in the image, and is started. */
export const appFolder = 'app'
