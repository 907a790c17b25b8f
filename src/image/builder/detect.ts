/**
 * What a folder is. The first that fits decides, in this order: Go, Node, Python, static. Whoever wants another says so by
 * `--as`. A Dockerfile goes before all of them, where the caller can build one.
 */
import { BuildError } from '../build-error.ts'
import { buildGo, isGo } from './go.ts'
import type { SourceKind } from './kinds.ts'
import { buildNode, startsNode } from './node.ts'
import type { Toolchain } from './program.ts'
import { buildPython, isPython } from './python.ts'
import { buildStatic, siteFolder } from './static-site.ts'
import type { SourceFolder } from './folder.ts'

export const toolchains: Readonly<Record<SourceKind, Toolchain>> = {
  node: buildNode,
  python: buildPython,
  go: buildGo,
  static: buildStatic,
}

/** Throws BuildError that says what was found and what is expected. */
export async function detectKind(folder: SourceFolder): Promise<SourceKind> {
  if (isGo(folder)) return 'go'
  if (folder.has('package.json') && (await startsNode(folder))) return 'node'
  if (isPython(folder)) return 'python'
  if (await startsNode(folder)) return 'node'
  if (siteFolder(folder) !== undefined) return 'static'
  // A Procfile says by itself what is started; so does package.json, if only what is missing.
  if (folder.has('Procfile') || folder.has('package.json')) return 'node'
  const there = [...new Set(folder.files.map((file) => file.replace(/\/.*/, '/')))]
  throw new BuildError(
    `${folder.root}: found nothing to start in ${
      there.length === 0
        ? 'an empty folder'
        : `it (${there.slice(0, 8).join(', ')}${there.length > 8 ? ', …' : ''})`
    }; expected a Dockerfile, a package.json with a start script or main, an index, server or app file (.js, .mjs, .ts), ` +
      'requirements.txt, pyproject.toml or app.py, go.mod, index.html, or an executable with a Procfile (web: ./server)',
  )
}
