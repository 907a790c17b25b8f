/**
 * Joins a Node program and the packages it imports into one file by esbuild, because finding and reading a thousand
 * small files is most of the start of a program with a framework. The original files stay in the image: every module keeps
 * its own `__dirname`, `import.meta.url` and `require`, so that assets, native addons, workers and names computed at run
 * time are found where they always were.
 */
import { readFile } from 'node:fs/promises'
import { dirname, extname, join, relative } from 'node:path'
import type { Loader, Metafile, Plugin } from 'esbuild'

export interface Bundle {
  /** Beside the program's first file, relative to the project. */
  readonly file: string
  readonly code: Uint8Array
  readonly map: Uint8Array
  /** What the user should know, a sentence each. */
  readonly notes: readonly string[]
}

/** The program is taken as it is; the message says why. */
export class NotBundled extends Error {
  override readonly name = 'NotBundled'
}

const loaders: Readonly<Record<string, Loader>> = {
  '.js': 'js',
  '.mjs': 'js',
  '.cjs': 'js',
  '.jsx': 'jsx',
  '.ts': 'ts',
  '.mts': 'ts',
  '.cts': 'ts',
  '.tsx': 'tsx',
}
/** Names that the prefix of a module declares, for what differs from file to file. */
const perFile = {
  __dirname: '__ebb_dirname',
  __filename: '__ebb_filename',
  'import.meta.url': '__ebb_url',
  'import.meta.dirname': '__ebb_dirname',
  'import.meta.filename': '__ebb_filename',
  'import.meta.main': '__ebb_main',
  'require.main': '__ebb_main_module',
  'require.resolve': '__ebb_require.resolve',
}
const perFilePattern = /__dirname|__filename|import\.meta|require\.(main|resolve)/
/** Followed by anything but one string and the bracket that closes. Calls of methods of that name are none. */
const computed = String.raw`(\s*\((?!\s*(?:'[^'\n]*'|"[^"\n]*"|\`[^\`$\n]*\`)\s*[,)]))`
const computedRequire = new RegExp(String.raw`(?<![.\w$]|function\s+)require${computed}`, 'g')
const computedImport = new RegExp(String.raw`(?<![.\w$])import${computed}`, 'g')
const directive = /^\s*(?:(?:\/\/[^\n]*\n|\/\*[\s\S]*?\*\/)\s*)*['"]use strict['"]/

/** Ends up before everything else, in one line. Reads the source map when the first stack trace is looked at, not before. */
const banner = `import __ebb_module from 'node:module';
import { join as __ebb_join } from 'node:path';
import { readFileSync as __ebb_read } from 'node:fs';
import { fileURLToPath as __ebb_path, pathToFileURL as __ebb_url_of } from 'node:url';
const require = __ebb_module.createRequire(import.meta.url);
const __ebb_at = (path) => __ebb_join(import.meta.dirname, path);
{
  let map;
  const load = () => {
    try { return new __ebb_module.SourceMap(JSON.parse(__ebb_read(import.meta.filename + '.map', 'utf8'))); } catch { return null; }
  };
  const place = (site) => {
    const text = String(site);
    if (site.getFileName() !== import.meta.url) return text;
    if (map === undefined) map = load();
    const line = site.getLineNumber(), column = site.getColumnNumber();
    const found = map?.findEntry(line - 1, column - 1);
    if (!found?.originalSource) return text;
    const file = __ebb_path(new URL(found.originalSource, import.meta.url));
    return text.replace(import.meta.url + ':' + line + ':' + column, file + ':' + (found.originalLine + 1) + ':' + (found.originalColumn + 1));
  };
  Error.prepareStackTrace = (error, sites) => {
    let head;
    try { head = Error.prototype.toString.call(error); } catch { head = '<error>'; }
    return [head, ...sites.map(place)].join('\\n    at ');
  };
}`.replaceAll(/\n\s*/g, ' ')

/** Bundles `entry`, a file relative to `root`. Throws NotBundled. */
export async function bundleProgram(root: string, entry: string): Promise<Bundle> {
  const { build } = await import('esbuild')
  const folder = dirname(join(root, entry))
  const file = entry.replace(/\.[^./]+$/, '') + '.bundle.mjs'
  const loading = new Set<string>()
  let result
  try {
    result = await build({
      absWorkingDir: root,
      entryPoints: [join(root, entry)],
      outfile: join(root, file),
      bundle: true,
      write: false,
      platform: 'node',
      format: 'esm',
      target: 'node24',
      conditions: [], // not "module", which Node does not know
      keepNames: true,
      sourcemap: 'external',
      sourcesContent: false,
      legalComments: 'none',
      metafile: true,
      logLevel: 'silent',
      define: perFile,
      banner: { js: banner },
      plugins: [missingPackages, ownPlaces(root, join(root, entry), folder, loading)],
    })
  } catch (error) {
    throw new NotBundled(`${entry} can't be bundled: ${firstError(error)}`)
  }
  const output = (suffix: string) => {
    const found = result.outputFiles.find(({ path }) => path === join(root, file) + suffix)
    if (!found) throw new NotBundled(`${entry}: esbuild wrote no ${file}${suffix}`)
    return found.contents
  }
  return { file, code: output(''), map: output('.map'), notes: notesOf(result.metafile, loading) }
}

/** A package that is not there may never be asked for, as optional ones are not: the program finds out, as it always did. */
const missingPackages: Plugin = {
  name: 'missing-packages',
  setup(build) {
    build.onResolve({ filter: /^[^./]/ }, async ({ path, pluginData, ...options }) => {
      if (options.kind === 'entry-point' || pluginData === missingPackages) return undefined
      const found = await build.resolve(path, { ...options, pluginData: missingPackages })
      return found.errors.length > 0 ? { path, external: true } : found
    })
  },
}

/** Gives each module that asks for it its own names of itself, as an expression of where the bundle lies. */
function ownPlaces(root: string, entry: string, folder: string, loading: Set<string>): Plugin {
  return {
    name: 'own-places',
    setup(build) {
      build.onLoad({ filter: /\.([cm]?[jt]s|[jt]sx)$/ }, async ({ path }) => {
        let text = await readFile(path, 'utf8')
        const loads = text.search(computedRequire) >= 0 || text.search(computedImport) >= 0
        if (loads) loading.add(relative(root, path))
        else if (!perFilePattern.test(text)) return undefined
        text = text
          .replace(/^#!.*/, '')
          .replaceAll(computedRequire, '__ebb_require$1')
          .replaceAll(computedImport, '__ebb_import$1')
        const at = `__ebb_at(${JSON.stringify(relative(folder, path))})`
        const uses = (name: RegExp, declaration: string) => (name.test(text) ? declaration : '')
        const prefix = [
          directive.test(text) ? '"use strict";' : '',
          uses(/__filename|import\.meta\.filename/, `var __ebb_filename = ${at};`),
          uses(/__dirname|import\.meta\.dirname/, `var __ebb_dirname = __ebb_join(${at}, "..");`),
          uses(/import\.meta\.url/, `var __ebb_url = __ebb_url_of(${at}).href;`),
          uses(
            /__ebb_import/,
            `var __ebb_import = (name, options) => import(/^\\.\\.?\\//.test(name) ? new URL(name, __ebb_url_of(${at})).href : name, options);`,
          ),
          uses(/import\.meta\.main/, `var __ebb_main = ${path === entry};`),
          uses(
            /require\.main/,
            path === entry
              ? 'var __ebb_main_module = module;'
              : `var __ebb_main_module = { filename: __ebb_at(${JSON.stringify(relative(folder, entry))}) };`,
          ),
          uses(
            /__ebb_require|require\.resolve/,
            `var __ebb_require = __ebb_module.createRequire(${at});`,
          ),
        ].join('')
        return { contents: prefix + text, loader: loaders[extname(path)] ?? 'js' }
      })
      // Native addons are loaded from where they are.
      build.onLoad({ filter: /\.node$/ }, ({ path }) => {
        const at = `__ebb_at(${JSON.stringify(relative(folder, path))})`
        return {
          contents: `module.exports = __ebb_module.createRequire(${at})(${at})`,
          loader: 'js',
        }
      })
    },
  }
}

function notesOf({ inputs }: Metafile, loading: ReadonlySet<string>): readonly string[] {
  const own = [...loading].filter((file) => !file.includes('node_modules/')).sort()
  const packages = [
    ...new Set(
      [...loading].flatMap((file) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1] ?? []),
    ),
  ].sort()
  const count = Object.keys(inputs).length
  return [
    count === 1 ? '1 file is one now' : `${count} files are one now`,
    ...(own.length > 0
      ? [
          `${own.join(', ')}: what is loaded there by a computed name is read from its own file, and shares no module with the bundle`,
        ]
      : []),
    ...(packages.length > 0
      ? [`what ${packages.join(', ')} may load by a computed name is read from its own file`]
      : []),
  ]
}

function firstError(error: unknown): string {
  const errors: unknown = typeof error === 'object' && error && Reflect.get(error, 'errors')
  const [first] = Array.isArray(errors) ? errors : []
  if (first === undefined) return error instanceof Error ? error.message : String(error)
  const { text, location } = first as { text: string; location?: { file: string; line: number } }
  return location ? `${location.file}:${location.line}: ${text}` : text
}
