/**
 * Python programs, run by the machine's (or a base image's) python3. What requirements.txt or pyproject.toml asks for is
 * installed by pip into a layer of its own. Nothing of what pip leaves that depends on place or time gets into it: no
 * compiled files, no paths of this machine in scripts and records.
 */
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path'
import { BuildError } from '../build-error.ts'
import { layerFiles, packFiles } from '../layer.ts'
import { procfileLine, withPrograms } from './command.ts'
import { readFolder, type SourceFolder } from './folder.ts'
import { fingerprint, type CachedLayer } from './layer-cache.ts'
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

/** Where the dependencies lie, beside the program; Azure's functions have them there too. */
const packagesFolder = '.python_packages'
/** Says which Python the packages were installed for: `3.11`. */
const pythonVersionLabel = 'dev.ebb.python'

const projectFiles = ['requirements.txt', 'pyproject.toml', 'setup.py', 'Pipfile', 'manage.py']
const mainFiles = ['app.py', 'main.py', 'server.py', 'wsgi.py', 'asgi.py', 'application.py']

/** True when the folder is a Python project. */
export const isPython = (folder: SourceFolder): boolean =>
  [...projectFiles, ...mainFiles].some((file) => folder.has(file))

/** Throws BuildError. */
export async function buildPython(
  folder: SourceFolder,
  workshop: Workshop,
  options: SourceOptions,
): Promise<Program> {
  const python = await findPython(folder.root)
  const dependencies = await dependencyLayer(folder, python, workshop)
  const names = new Set((dependencies?.packages ?? []).map(({ name }) => plainName(name)))
  const command = await startCommand(folder, names, dependencies?.programs ?? [], options.entry)
  const { store, mtimeS } = workshop
  const files = folder.files.filter((file) => !file.startsWith(`${packagesFolder}/`))
  const packed = await packFiles(store, layerFiles(folder.root, files, appFolder), mtimeS)
  const hasSource = folder.files.some((file) => /^src\/[^/]+(\/__init__)?\.py$/.test(file))
  const paths = [...(dependencies ? [packagesFolder] : []), '.', ...(hasSource ? ['src'] : [])]
  return {
    layers: [
      ...(dependencies
        ? [
            {
              ...dependencies,
              what: 'dependencies',
              folder: `${appFolder}/${packagesFolder}`,
            } as const,
          ]
        : []),
      { ...packed, what: 'program' },
    ],
    command,
    // Relative to where it is started, as a plain process has no root of its own.
    env: {
      PYTHONPATH: (workshop.onBase ? paths.map((path) => join(`/${appFolder}`, path)) : paths).join(
        ':',
      ),
      PYTHONUNBUFFERED: '1',
    },
    runtime: 'python',
    labels: { [pythonVersionLabel]: python.short },
    packages: dependencies?.packages ?? [],
    tools: { python: python.version, ...(dependencies && { pip: python.pip }) },
    locks: await locksOf(folder, ['requirements.txt', 'pyproject.toml', 'uv.lock', 'poetry.lock']),
    notes: dependencies?.notes ?? [],
  }
}

interface Python {
  readonly version: string
  /** `3.11`. */
  readonly short: string
  /** What binary packages are made for: `cpython-311-x86_64-linux-gnu`. */
  readonly abi: string
  /** Version; '' when there is none. */
  readonly pip: string
}

const askPython = `
import json, sys, sysconfig, platform
try:
    import pip
    pip_version = pip.__version__
except Exception:
    pip_version = ''
print(json.dumps([platform.python_version(), sysconfig.get_config_var('SOABI') or '', pip_version]))
`

async function findPython(root: string): Promise<Python> {
  const missing = `${root} is a Python project, which needs python3 (3.8 or later); install it (Debian: apt install python3 python3-pip)`
  const asked = await runTool('python3', ['-c', askPython], { limitMs: 60_000 }).catch(
    (error: unknown) => {
      if (error instanceof NoTool) throw new BuildError(missing, { cause: error })
      throw error
    },
  )
  try {
    const [version, abi, pip] = JSON.parse(asked.stdout) as readonly string[]
    const [, major, minor] = /^(\d+)\.(\d+)/.exec(version ?? '') ?? []
    if (version === undefined || major !== '3' || Number(minor) < 8) throw new Error(version)
    return { version, short: `${major}.${minor}`, abi: abi ?? '', pip: pip ?? '' }
  } catch {
    throw new BuildError(`${missing}; found: ${asked.output.trim().slice(0, 300) || 'nothing'}`)
  }
}

interface Dependencies extends CachedLayer {
  /** Names of the programs that packages bring. */
  readonly programs: readonly string[]
  readonly notes: readonly string[]
}

/** Undefined when the project asks for none. */
async function dependencyLayer(
  folder: SourceFolder,
  python: Python,
  workshop: Workshop,
): Promise<Dependencies | undefined> {
  const wanted = await requirementsOf(folder)
  if (wanted.text.trim() === '') return undefined
  if (python.pip === '')
    throw new BuildError(
      `${join(folder.root, wanted.file)} asks for packages, and python3 has no pip to install them; install it (Debian: apt install python3-pip)`,
    )
  const key = [
    'pip',
    String(workshop.mtimeS),
    python.abi,
    python.short,
    workshop.platform.architecture,
    wanted.text,
    ...(await namedFiles(folder.root, wanted.text)),
  ]
  const layer = await workshop.layers.keep(fingerprint(key), () =>
    install(folder.root, wanted, workshop),
  )
  return {
    ...layer,
    programs: layer.packages.flatMap(({ programs = [] }) => programs),
    notes: unpinned(wanted),
  }
}

interface Requirements {
  readonly file: string
  readonly text: string
}

/** What is to be installed, in pip's words; '' = nothing. */
async function requirementsOf({ root, text }: SourceFolder): Promise<Requirements> {
  const requirements = await text('requirements.txt')
  if (requirements !== undefined)
    // pip does not install what is to stay editable into a folder.
    return {
      file: 'requirements.txt',
      text: requirements.replaceAll(/^\s*(-e|--editable)[ =]\s*/gm, ''),
    }
  const project = await text('pyproject.toml')
  if (project !== undefined) return { file: 'pyproject.toml', text: await ofProject(root, project) }
  if ((await text('Pipfile')) !== undefined)
    throw new BuildError(
      `${root}: Pipfile is not read; write its packages to requirements.txt ("pipenv requirements > requirements.txt")`,
    )
  return { file: '', text: '' }
}

const askProject = `
import json, sys
try:
    import tomllib
except ImportError:
    from pip._vendor import tomli as tomllib
project = tomllib.loads(sys.stdin.read())
poetry = project.get('tool', {}).get('poetry', {}).get('dependencies')
print(json.dumps([project.get('project', {}).get('dependencies', []), bool(poetry) and 'project' not in project]))
`

async function ofProject(root: string, text: string): Promise<string> {
  const path = join(root, 'pyproject.toml')
  const { stdout } = await runToolWell('python3', ['-c', askProject], `${path} can't be read`, {
    input: text,
    limitMs: 60_000,
  })
  const [found, isPoetry] = JSON.parse(stdout) as readonly [unknown, unknown]
  if (isPoetry === true)
    throw new BuildError(
      `${path} has dependencies for Poetry alone; expected [project] dependencies, or a requirements.txt ("poetry export -o requirements.txt")`,
    )
  if (!Array.isArray(found) || found.some((item) => typeof item !== 'string'))
    throw new BuildError(`${path}: expected project.dependencies to be a list of texts`)
  return found.join('\n')
}

/** Contents of files and folders that requirements name: what they hold decides as well. */
async function namedFiles(root: string, text: string): Promise<readonly string[]> {
  const parts: string[] = []
  const seen = new Set<string>()
  const read = async (lines: string, from: string): Promise<void> => {
    for (const line of lines.split('\n')) {
      const nested = /^\s*(?:-r|-c|--requirement|--constraint)[ =]?\s*(\S+)/.exec(line)?.[1]
      const local =
        /^\s*(?:[\w.[\]-]+\s*@\s*)?(?:file:(?:\/\/)?)?(\.{0,2}\/[^\s;]*|[^\s;]+\.(?:whl|tar\.gz|zip)|\.)(?:\s|;|$)/.exec(
          line,
        )?.[1]
      const named = nested ?? local
      if (named === undefined || /^https?:/.test(named)) continue
      const path = normalize(join(named.startsWith('/') ? '/' : from, named))
      if (seen.has(path)) continue
      seen.add(path)
      const info = await stat(path).catch(() => undefined)
      if (info?.isDirectory()) {
        const inside = await readFolder(path)
        for (const file of inside.files)
          parts.push(file, (await readFile(join(path, file)).catch(() => '')).toString('latin1'))
      } else if (info) {
        const content = await readFile(path)
        parts.push(named, content.toString('latin1'))
        if (nested !== undefined) await read(content.toString('utf8'), dirname(path))
      }
    }
  }
  await read(text, root)
  return parts
}

/** Says once that another day may bring other packages. */
function unpinned({ file, text }: Requirements): readonly string[] {
  const loose = text
    .split('\n')
    .map((line) => line.replace(/\s*#.*/, '').trim())
    .filter((line) => /^[A-Za-z0-9]/.test(line) && !/===?|@|\.whl/.test(line))
  return loose.length === 0
    ? []
    : [
        `${file} does not pin ${loose.slice(0, 3).join(', ')}${loose.length > 3 ? ', …' : ''}: other versions may be installed elsewhere, or with --no-cache`,
      ]
}

/** No compiled files, no questions, nothing said but what is wrong. */
const pipInstall =
  '-m pip install --no-compile --no-input --disable-pip-version-check --no-warn-script-location --quiet --root-user-action=ignore'.split(
    ' ',
  )

async function install(
  root: string,
  { file, text }: Requirements,
  workshop: Workshop,
): Promise<CachedLayer> {
  return await withStage(workshop.cacheFolder, async (stage) => {
    const target = join(stage, 'packages')
    // Beside the project's own, for names in it are relative to where it lies.
    const list = join(stage, 'requirements.txt')
    await mkdir(target)
    await writeFile(list, atRoot(text, root))
    workshop.say(`pip install -r ${file}`)
    await runToolWell(
      'python3',
      [...pipInstall, '--target', target, '-r', list],
      `what ${join(root, file)} asks for can't be installed`,
      {
        cwd: root,
        env: {
          PYTHONDONTWRITEBYTECODE: '1',
          SOURCE_DATE_EPOCH: String(workshop.mtimeS || 315_532_800),
        },
      },
    )
    const packages = await settle(target)
    const { files } = await readFolder(target)
    const prefix = `${appFolder}/${packagesFolder}`
    const layer = await packFiles(
      workshop.store,
      layerFiles(target, files, prefix),
      workshop.mtimeS,
    )
    return { ...layer, packages }
  })
}

/** Nested files of requirements are looked for beside the list that names them. */
const atRoot = (text: string, root: string): string =>
  text.replaceAll(
    /^(\s*(?:-r|-c|--requirement|--constraint|-f|--find-links)[ =]?\s*)(?![a-z]+:\/\/)([^/\s]\S*)/gm,
    (_, option: string, path: string) => `${option}${join(root, path)}`,
  )

/** Takes out of installed packages what says where or when they were installed; answers what they are. */
async function settle(target: string): Promise<readonly Package[]> {
  const bin = join(target, 'bin')
  for (const name of await readdir(bin).catch(() => [])) {
    const path = join(bin, name)
    const script = await readFile(path)
    if (script.subarray(0, 2).toString() !== '#!') continue
    const text = script.toString('utf8')
    // pip writes long or unusual paths as a shell's exec that Python skips as a text.
    const rest = text.replace(/^#!\/bin\/sh\n'''exec' .*\n' '''\n/, '#!python\n')
    if (/^#!.*python/.test(rest))
      await writeFile(path, rest.replace(/^#!.*/, '#!/usr/bin/env python3'))
  }
  const packages: Package[] = []
  for (const name of await readdir(target)) {
    if (!name.endsWith('.dist-info')) continue
    const info = join(target, name)
    const record = await readFile(join(info, 'RECORD'), 'utf8').catch(() => undefined)
    const programs: string[] = []
    if (record !== undefined) {
      const lines = record.split('\n').flatMap((line) => {
        const path = line.split(',')[0] ?? ''
        const program = /(?:^|\/)bin\/([^/]+)$/.exec(path)?.[1]
        if (program !== undefined && path.startsWith('..')) {
          programs.push(program)
          return [`${path},,`]
        }
        return path.endsWith('direct_url.json') || path.endsWith('.pyc') ? [] : [line]
      })
      await writeFile(join(info, 'RECORD'), lines.sort().join('\n'))
    }
    await rm(join(info, 'direct_url.json'), { force: true })
    const found = pythonPackage(await readFile(join(info, 'METADATA'), 'utf8').catch(() => ''))
    if (found) packages.push({ ...found, ...(programs.length > 0 && { programs }) })
  }
  return packages.sort((a, b) => (a.purl < b.purl ? -1 : 1))
}

/** The METADATA of an installed package (core metadata specification); undefined when it is none. */
export function pythonPackage(text: string): Package | undefined {
  const [head = ''] = text.split(/\r?\n\r?\n/)
  const field = (name: string) => new RegExp(`^${name}: *(.+)$`, 'mi').exec(head)?.[1]?.trim()
  const [name, version] = [field('Name'), field('Version')]
  if (name === undefined || version === undefined) return undefined
  const license = field('License-Expression') ?? field('License')
  return {
    name,
    version,
    purl: `pkg:pypi/${plainName(name)}@${encodeURIComponent(version)}`,
    ...(license !== undefined && license.length < 100 && license !== 'UNKNOWN' && { license }),
  }
}

/** As the index of packages compares names (PEP 503). */
const plainName = (name: string): string => name.toLowerCase().replaceAll(/[-_.]+/g, '-')

/** `exec` in a shell that fills in the port, so that the program itself gets the signals. */
const onPort = (line: string): readonly string[] => ['/bin/sh', '-c', `exec python3 -m ${line}`]
const port = '"${PORT:-8080}"'

async function startCommand(
  folder: SourceFolder,
  packages: ReadonlySet<string>,
  programs: readonly string[],
  entry: string | undefined,
): Promise<readonly string[]> {
  const { root, has, text, files } = folder
  const line = entry === undefined ? await procfileLine(folder) : undefined
  if (line !== undefined) {
    const known = new Set(programs)
    const command = withPrograms(line, `${packagesFolder}/bin`, (name) => known.has(name))
    // By the interpreter itself: which one "env python3" finds is another matter.
    if (command[0]?.startsWith(`${packagesFolder}/bin/`)) return ['python3', ...command]
    return command[0] === 'python' ? ['python3', ...command.slice(1)] : command
  }
  if (entry === undefined && has('manage.py')) {
    const wsgi = files.find((file) => /^[^/]+\/wsgi\.py$/.test(file))
    if (packages.has('gunicorn') && wsgi !== undefined)
      return onPort(`gunicorn --bind 0.0.0.0:${port} ${wsgi.replace('/', '.').slice(0, -3)}`)
    return ['/bin/sh', '-c', `exec python3 manage.py runserver --noreload 0.0.0.0:${port}`]
  }
  const file = (entry ?? mainFiles.find((name) => has(name)))?.replace(/^\.\//, '')
  if (file === undefined || !has(file))
    throw new BuildError(
      file === undefined
        ? `${root}: found nothing to start; expected ${mainFiles.join(', ')}, manage.py, a Procfile (web: python app.py), or --entry FILE`
        : `${root}: --entry ${entry} is not there`,
    )
  const code = (await text(file)) ?? ''
  const variable = /^(app|application|api|server)\s*(?::[^=\n]+)?=/m.exec(code)?.[1]
  if (variable === undefined) return ['python3', file]
  const module = `${file.replace(/\.py$/, '').replaceAll('/', '.')}:${variable}`
  const isAsync = /\b(FastAPI|Starlette|Quart|Litestar|BlackSheep|get_asgi_application)\b/.test(
    code,
  )
  const isFlask = /\bFlask\b/.test(code)
  if (isAsync && packages.has('uvicorn')) {
    if (packages.has('gunicorn'))
      return onPort(
        `gunicorn --worker-class uvicorn.workers.UvicornWorker --bind 0.0.0.0:${port} ${module}`,
      )
    return onPort(`uvicorn --host 0.0.0.0 --port ${port} ${module}`)
  }
  if (isAsync && packages.has('hypercorn'))
    return onPort(`hypercorn --bind 0.0.0.0:${port} ${module}`)
  if (!isAsync && packages.has('gunicorn'))
    return onPort(`gunicorn --bind 0.0.0.0:${port} ${module}`)
  if (!isAsync && packages.has('waitress')) return onPort(`waitress --port ${port} ${module}`)
  // A program that serves by itself when it is run.
  if (/__name__\s*==\s*['"]__main__['"]/.test(code)) return ['python3', file]
  if (isFlask && packages.has('flask'))
    return onPort(`flask --app ${module} run --host 0.0.0.0 --port ${port}`)
  return ['python3', file]
}
