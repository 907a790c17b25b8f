/**
 * Go programs: one static binary, the same bytes wherever it is built by the same toolchain, in a layer with nothing of a
 * system but certificates, users and /tmp. It runs anywhere, on this machine's platform or another.
 */
import { basename, join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { BuildError } from '../build-error.ts'
import { layerFiles, packFiles, type LayerFile } from '../layer.ts'
import { platformText } from '../manifest.ts'
import type { SourceFolder } from './folder.ts'
import { fingerprint } from './layer-cache.ts'
import { locksOf } from './node.ts'
import {
  appFolder,
  type Package,
  type Program,
  type SourceOptions,
  type Workshop,
} from './program.ts'
import { withStage } from './stage.ts'
import { NoTool, runTool, runToolWell } from './tool.ts'

export const isGo = (folder: SourceFolder): boolean => folder.has('go.mod')

/** Throws BuildError. */
export async function buildGo(
  folder: SourceFolder,
  workshop: Workshop,
  { entry }: SourceOptions,
): Promise<Program> {
  const { root } = folder
  const version = await findGo(root)
  const { store, mtimeS, platform, cacheFolder, goCache, say } = workshop
  const variant = platform.variant?.replace(/^v/, '')
  const env = {
    CGO_ENABLED: '0',
    GOOS: platform.os,
    GOARCH: platform.architecture,
    ...(platform.architecture === 'arm' && { GOARM: variant ?? '7' }),
    GOCACHE: goCache,
  }
  const target = await mainPackage(folder, env, entry)
  return await withStage(cacheFolder, async (stage) => {
    const program = programName(target, await moduleName(folder))
    const binary = join(stage, program)
    say(`go build ${target} for ${platformText(platform)}`)
    await runToolWell(
      'go',
      ['build', '-trimpath', '-buildvcs=false', '-ldflags=-s -w -buildid=', '-o', binary, target],
      `${root} can't be built`,
      { cwd: root, env },
    )
    const system = await workshop.layers.keep(
      fingerprint(['go system', process.versions.node, String(mtimeS)]),
      async () => ({ ...(await packFiles(store, systemFiles(), mtimeS)), packages: [] }),
    )
    // What programs read beside themselves: templates, static files.
    const beside = folder.files.filter(
      (file) => !/\.go$|^go\.(mod|sum|work|work\.sum)$|^vendor\/|(^|\/)testdata\//.test(file),
    )
    if (beside.includes(program))
      throw new BuildError(
        `${root} has a file named ${program}, which is the name of the program; leave it out by .dockerignore`,
      )
    const packed = await packFiles(
      store,
      [
        ...layerFiles(root, beside, appFolder),
        { name: `${appFolder}/${program}`, from: binary, mode: 0o755 },
      ],
      mtimeS,
    )
    return {
      layers: [
        { ...system, what: 'runtime' },
        { ...packed, what: 'program' },
      ],
      command: [`/${appFolder}/${program}`],
      env: {},
      runtime: undefined,
      packages: await linkedPackages(binary),
      tools: { go: version },
      locks: await locksOf(folder, ['go.mod', 'go.sum']),
      notes: [],
    }
  })
}

async function findGo(root: string): Promise<string> {
  const missing = `${root} is a Go module, which needs go; install it (https://go.dev/dl, Debian: apt install golang-go)`
  const asked = await runTool('go', ['env', 'GOVERSION'], { cwd: root, limitMs: 600_000 }).catch(
    (error: unknown) => {
      if (error instanceof NoTool) throw new BuildError(missing, { cause: error })
      throw error
    },
  )
  if (asked.exitCode !== 0) throw new BuildError(`${missing}; found: ${asked.output.trim()}`)
  return asked.stdout.trim().replace(/^go/, '')
}

const moduleName = async ({ text }: SourceFolder): Promise<string> =>
  /^module\s+"?([^\s"]+)/m.exec((await text('go.mod')) ?? '')?.[1] ?? 'app'

/** The package with `main`: the one asked for, the folder itself, the only one, or the one named like the module. */
async function mainPackage(
  folder: SourceFolder,
  env: Readonly<Record<string, string>>,
  entry: string | undefined,
): Promise<string> {
  const { root } = folder
  if (entry !== undefined) return `./${entry.replace(/^\.\//, '').replace(/\/?(main\.go)?$/, '')}`
  const { stdout } = await runToolWell(
    'go',
    ['list', '-e', '-f', '{{if eq .Name "main"}}{{.ImportPath}}{{end}}', './...'],
    `the packages of ${root} can't be listed`,
    { cwd: root, env },
  )
  const module = await moduleName(folder)
  const mains = stdout
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map((path) => (path === module ? '.' : `.${path.slice(module.length)}`))
  if (mains.includes('.')) return '.'
  const named = mains.find((path) => basename(path) === basename(module))
  const only = mains.length === 1 ? mains[0] : named
  if (only !== undefined) return only
  throw new BuildError(
    mains.length === 0
      ? `${root}: found no package main; expected one in the folder itself or below cmd/`
      : `${root}: found several programs; say which by --entry: ${mains.join(', ')}`,
  )
}

/** As `go build` would call it: the last part of the path, without the version of a module. */
function programName(target: string, module: string): string {
  const path = target === '.' ? module.replace(/\/v\d+$/, '') : target
  return basename(path) || 'app'
}

/** What a program may expect of a system. Certificates are Mozilla's, as Node brings them. */
function systemFiles(): readonly LayerFile[] {
  const text = (...lines: readonly string[]) => Buffer.from(`${lines.join('\n')}\n`)
  return [
    { name: 'etc/ssl/certs/ca-certificates.crt', from: text(...rootCertificates) },
    {
      name: 'etc/passwd',
      from: text(
        'root:x:0:0:root:/root:/sbin/nologin',
        'nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin',
        'nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin',
      ),
    },
    { name: 'etc/group', from: text('root:x:0:', 'nobody:x:65534:', 'nonroot:x:65532:') },
    { name: 'tmp/', from: Buffer.alloc(0), mode: 0o1777 },
  ]
}

/** Modules linked into a binary, as it says itself. */
async function linkedPackages(binary: string): Promise<readonly Package[]> {
  const { stdout } = await runTool('go', ['version', '-m', binary], { limitMs: 60_000 })
  const found: Package[] = []
  for (const line of stdout.split('\n')) {
    const [, kind, name = '', version = ''] = /^\t(dep|=>)\t(\S+)(?:\t(\S+))?/.exec(line) ?? []
    if (kind === undefined) continue
    if (kind === '=>') found.pop() // it stands in for the one before
    found.push({ name, version, purl: `pkg:golang/${name}@${encodeURIComponent(version)}` })
  }
  const go = /: go(\S+)/.exec(stdout)?.[1]
  if (go !== undefined) found.push({ name: 'stdlib', version: go, purl: `pkg:golang/stdlib@${go}` })
  return found.sort((a, b) => (a.purl < b.purl ? -1 : 1))
}
