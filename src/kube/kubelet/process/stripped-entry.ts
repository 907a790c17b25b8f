/**
 * Node keeps its TypeScript stripper (a WebAssembly module, some 19 MB) in every process that loads a `.ts` file. The
 * small processes of the platform are therefore started from a copy whose types were stripped here, in the process
 * that has the stripper anyway. In the published package sources are JavaScript already and nothing is copied.
 *
 * Copies lie beside the installed packages, so that only the first start of a checkout makes them (a start that strips
 * nothing saves those 19 MB too, and 150 ms), or with the platform's data where that folder is not ours to write.
 */
import { createHash } from 'node:crypto'
import { accessSync, constants, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const importPattern = /((?:from|import)\s*\(?\s*')(\.[^']+)\.ts'/g

const root = join(import.meta.dirname, '..', '..', '..')
const packages = join(root, '..', 'node_modules')

/**
 * Path of a file that Node runs without stripping: `entry` itself when it is JavaScript, else its copy under `shared`, or
 * under `own` where that can't be written, made together with everything it imports by relative name. Copies of the
 * very text that the sources have now are kept.
 */
export function strippedEntry(
  entry: URL,
  own: string,
  shared = join(packages, '.cache', 'ebb'),
): string {
  const source = fileURLToPath(entry)
  if (!source.endsWith('.ts')) return source
  const cache = isWritable(shared) ? shared : own
  const target = (path: string) => join(cache, relative(root, path).replace(/\.ts$/, '.mjs'))
  const seen = new Set<string>()
  const copy = (path: string): void => {
    if (seen.has(path)) return
    seen.add(path)
    const text = readFileSync(path, 'utf8')
    const to = target(path)
    const mark = markOf(text)
    const imports: string[] = []
    const make = () => {
      const stripped = strip(text).replaceAll(importPattern, "$1$2.mjs'") + mark
      mkdirSync(dirname(to), { recursive: true, mode: 0o700 })
      writeFileSync(`${to}.${process.pid}`, stripped, { mode: 0o600 })
      renameSync(`${to}.${process.pid}`, to)
      return stripped
    }
    const known = readIfThere(to)
    const stripped = known.endsWith(mark) ? known : make()
    // Imports of types alone are gone by now.
    for (const [, , specifier] of stripped.matchAll(/((?:from|import)\s*\(?\s*')(\.[^']+)\.mjs'/g))
      imports.push(join(dirname(path), `${specifier}.ts`))
    for (const other of imports) copy(other)
  }
  copy(source)
  return target(source)
}

/**
 * Ends each copy: one that a crash of the machine cut short is made anew, and so is one of another text. Times would not
 * do: checkouts that share their packages share the copies, and tools that copy sources keep their times.
 */
const markOf = (text: string): string =>
  `\n// complete ${createHash('sha256').update(text).digest('base64url')}\n`

/** The stripper announces itself as experimental, on the terminal of whoever runs `ebb up`. */
function strip(text: string): string {
  const emitWarning = process.emitWarning.bind(process)
  process.emitWarning = () => {}
  try {
    return stripTypeScriptTypes(text)
  } finally {
    process.emitWarning = emitWarning
  }
}

/** Makes the folder when it is missing. */
function isWritable(folder: string): boolean {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    accessSync(folder, constants.W_OK | constants.X_OK)
    return true
  } catch {
    return false
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
