/**
 * Clients written in Go that tests run as they are: taken from the PATH, else, where EBB_TEST_KN (or EBB_TEST_HELM) asks
 * for it, built once from their modules into a folder of the machine's own. A build takes minutes.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'

interface GoProgram {
  readonly name: string
  readonly module: string
  readonly version: string
  readonly package: string
}

/** kn 1.14: later releases need a module beside theirs that is not published under its version. */
export const kn: GoProgram = {
  name: 'kn',
  module: 'knative.dev/client',
  version: 'v0.41.0',
  package: 'knative.dev/client/cmd/kn',
}
export const helm: GoProgram = {
  name: 'helm',
  module: 'helm.sh/helm/v3',
  version: 'v3.17.0',
  package: 'helm.sh/helm/v3/cmd/helm',
}

const wish = (program: GoProgram) => `EBB_TEST_${program.name.toUpperCase()}`

/** Path of the program; undefined when it is neither there nor wished for. Throws when its build fails. */
export function goProgram(program: GoProgram): string | undefined {
  const onPath = (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((folder) => join(folder, program.name))
    .find((file) => existsSync(file))
  if (onPath) return onPath
  const folder = join(tmpdir(), 'ebb-go-programs', `${program.name}-${program.version}`)
  const built = join(folder, program.name)
  if (existsSync(built)) return built
  return process.env[wish(program)] ? build(program, folder, built) : undefined
}

/** Why a test is skipped; false when it can run. */
export const withoutProgram = (program: GoProgram, path: string | undefined): string | false =>
  path === undefined &&
  `no ${program.name} on the PATH; with ${wish(program)}=1 and Go it is built (minutes)`

/** As a module that needs it, so that exactly this version is asked for, with checked sums. */
function build({ name, module, version, package: main }: GoProgram, folder: string, file: string) {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'go.mod'), `module built\n\ngo 1.21\n\nrequire ${module} ${version}\n`)
  const tools = `//go:build tools\n\npackage built\n\nimport _ "${main}"\n`
  writeFileSync(join(folder, 'tools.go'), tools)
  const args = ['build', '-mod=mod', '-buildvcs=false', '-o', `${file}.part`, main]
  const ran = spawnSync('go', args, { cwd: folder, encoding: 'utf8', timeout: 1_200_000 })
  if (ran.status !== 0)
    throw new Error(`go could not build ${name} ${version}: ${ran.error?.message ?? ran.stderr}`)
  const moved = spawnSync('mv', [`${file}.part`, file])
  if (moved.status !== 0) throw new Error(`${file} could not be put in its place`)
  return file
}
