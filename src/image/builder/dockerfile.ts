/**
 * Building from a Dockerfile, as whoever can do it is asked: an engine (platform/), or the programs buildah and podman.
 * What comes out is an archive that the content store imports.
 */
import { readFile, stat } from 'node:fs/promises'
import { createReadStream } from 'node:fs'
import { join, relative } from 'node:path'
import { BuildError } from '../build-error.ts'
import { ignoreRules } from '../ignore.ts'
import type { LayerFile } from '../layer.ts'
import { platformText, type Platform } from '../manifest.ts'
import { readContext } from './context.ts'
import { withStage } from './stage.ts'
import { NoTool, runTool, runToolWell } from './tool.ts'

export interface DockerfileBuild {
  /** Folder of the context. */
  readonly context: string
  /** Path of the Dockerfile, perhaps outside of the context. */
  readonly file: string
  readonly buildArgs: Readonly<Record<string, string>>
  readonly target?: string
  /** Of the build's commands: `host`, `none`; undefined = as the builder has it. */
  readonly network?: string
  /** Undefined = as the builder has it. */
  readonly platform?: Platform
  /** Nothing of an earlier build is used. */
  readonly noCache: boolean
  /** Output of the build, a line each. */
  readonly say: (line: string) => void
}

export interface DockerfileBuilder {
  /** `Docker 20.10.24 (BuildKit)`, `buildah 1.28.2`. */
  readonly name: string
  /** Builds; hands the image over as an archive (OCI layout or `docker save`). Throws BuildError when the build fails. */
  build<T>(
    wanted: DockerfileBuild,
    use: (archive: AsyncIterable<Uint8Array>) => Promise<T>,
  ): Promise<T>
}

/** The context's file that says how to build; undefined when there is none. */
export async function findDockerfile(folder: string): Promise<string | undefined> {
  for (const name of ['Dockerfile', 'Containerfile']) {
    const info = await stat(join(folder, name)).catch(() => undefined)
    if (info?.isFile()) return join(folder, name)
  }
  return undefined
}

/** Name under which an engine finds the Dockerfile in the context it is sent. */
export const sentDockerfile = (context: string, file: string): string => {
  const path = relative(context, file)
  return path.startsWith('..') ? '.ebb.Dockerfile' : path
}

/** What an engine is sent: the context without what its .dockerignore leaves out, and the Dockerfile in any case. */
export async function contextFiles({
  context,
  file,
}: Pick<DockerfileBuild, 'context' | 'file'>): Promise<readonly LayerFile[]> {
  const text = (path: string) => readFile(path, 'utf8').catch(() => undefined)
  const rules = (await text(`${file}.dockerignore`)) ?? (await text(join(context, '.dockerignore')))
  const ignored = ignoreRules(rules ?? '')
  const name = sentDockerfile(context, file)
  const files = readContext(context, (path) => ignored(path)).filter((other) => other.name !== name)
  return [...files, { name, from: await readFile(file) }]
}

/** Programs in the order in which they are asked for, with how each is told what to do. */
const programs = ['buildah', 'podman'] as const

/** The first of the programs that is here; undefined when none is. */
export async function findBuildProgram(
  cacheFolder: string,
): Promise<DockerfileBuilder | undefined> {
  for (const program of programs) {
    const asked = await runTool(program, ['--version'], { limitMs: 60_000 }).catch(
      (error: unknown) => {
        if (error instanceof NoTool) return undefined
        throw error
      },
    )
    if (asked?.exitCode !== 0) continue
    const version = /\d+(\.\d+)+/.exec(asked.stdout)?.[0] ?? ''
    return byProgram(program, `${program} ${version}`.trim(), cacheFolder)
  }
  return undefined
}

function byProgram(
  program: (typeof programs)[number],
  name: string,
  cacheFolder: string,
): DockerfileBuilder {
  return {
    name,
    async build(wanted, use) {
      const { context, file, buildArgs, target, network, platform, noCache, say } = wanted
      return await withStage(cacheFolder, async (stage) => {
        const idFile = join(stage, 'id')
        const archive = join(stage, 'image.tar')
        const result = await runTool(
          program,
          [
            'build',
            '--file',
            file,
            '--iidfile',
            idFile,
            '--format',
            'oci',
            // Layers are what makes the next build quick.
            ...(program === 'buildah' ? ['--layers'] : []),
            ...Object.entries(buildArgs).flatMap(([key, value]) => [
              '--build-arg',
              `${key}=${value}`,
            ]),
            ...(target === undefined ? [] : ['--target', target]),
            ...(network === undefined ? [] : ['--network', network]),
            ...(platform ? ['--platform', platformText(platform)] : []),
            ...(noCache ? ['--no-cache'] : []),
            context,
          ],
          { onLine: say },
        )
        if (result.exitCode !== 0)
          throw new BuildError(
            `${file} could not be built: ${program} ended with exit code ${result.exitCode}`,
          )
        const id = (await readFile(idFile, 'utf8')).trim()
        const save =
          program === 'buildah'
            ? ['push', '--quiet', id, `oci-archive:${archive}`]
            : ['save', '--quiet', '--format', 'oci-archive', '--output', archive, id]
        await runToolWell(program, save, `the image of ${file} can't be taken over`)
        return await use(createReadStream(archive))
      })
    },
  }
}

/** Whoever has neither. */
export const noBuilder = (file: string, engineProblem: string): BuildError =>
  new BuildError(
    `${file} needs a builder: ${engineProblem}, and neither buildah nor podman is in the PATH. ` +
      'Start Docker, or install one of them (Debian: apt install buildah); ' +
      'or build from source without the Dockerfile by --as node, python, go or static',
  )
