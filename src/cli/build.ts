/** `ebb build`: source or a Dockerfile to an OCI image in the platform's own content store, and perhaps to a registry. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { noRegistries, type Registries } from '../lib/registries.ts'
import { systemClock } from '../lib/clock.ts'
import type { Built } from '../image/build.ts'
import { sourceKinds, type SourceKind } from '../image/builder/kinds.ts'
import type { Platform } from '../image/manifest.ts'
import { dataDirOf, layoutOf, sourceDateEpochS } from '../platform/config.ts'
import type { BuildRequest } from '../platform/images/image-building.ts'
import { UsageError, type Arguments, type Command, type Flag, type Output } from './command.ts'

/** Of `ebb build` and `ebb deploy`. */
export const buildFlags: Readonly<Record<string, Flag>> = {
  file: {
    type: 'string',
    short: 'f',
    value: 'FILE',
    description: 'Dockerfile (default: Dockerfile or Containerfile in the folder, if there is one)',
  },
  'build-arg': {
    type: 'string',
    value: 'KEY=VALUE',
    multiple: true,
    description: 'Dockerfile: value of an ARG (may be repeated)',
  },
  target: { type: 'string', value: 'STAGE', description: 'Dockerfile: the stage to build' },
  network: {
    type: 'string',
    value: 'MODE',
    description: "Dockerfile: network of its commands, host or none (default: the builder's)",
  },
  platform: {
    type: 'string',
    value: 'OS/ARCH',
    description: 'one platform, linux/arm64 for example (default: this machine)',
  },
  as: {
    type: 'string',
    value: 'KIND',
    description: `build from source as ${sourceKinds.join(', ')}, whatever else is there`,
  },
  entry: {
    type: 'string',
    value: 'PATH',
    description: 'the file (Node, Python) or package (Go) to start',
  },
  base: {
    type: 'string',
    value: 'IMAGE',
    description: 'put the program on this image, so that it runs on any container platform',
  },
  bundle: {
    type: 'boolean',
    description: 'join a Node program and its packages into one file, which starts sooner',
  },
  'no-bundle': { type: 'boolean', description: 'do not, though package.json asks for it' },
  spa: {
    type: 'boolean',
    description: 'static folder: paths that are no file get index.html',
  },
  'no-cache': { type: 'boolean', description: 'use nothing of earlier builds' },
  registries: {
    type: 'string',
    value: 'FILE',
    description:
      'registries.yaml with mirrors and credentials (default: config-registries of the running platform)',
  },
}

export const build: Command = {
  name: 'build',
  usage: '[PATH] [-t NAME] [--push [NAME]] [--base IMAGE]',
  summary:
    'Make an image from a Dockerfile, or from Node, TypeScript, Python, Go or static files without one',
  details:
    'The image lands in the content store of the data directory; `image: NAME` in YAML finds it there under\n' +
    'whatever registry name it was given. The same source makes the same digest.\n' +
    'What PATH is decides in this order: Dockerfile, go.mod, package.json, Python, other Node files, index.html.',
  flags: {
    tag: {
      type: 'string',
      short: 't',
      value: 'NAME',
      description: 'name of the image (default dev.local/NAME-OF-FOLDER:latest)',
    },
    push: {
      type: 'string',
      value: 'NAME',
      description: 'push it to its registry, under NAME if given (ghcr.io/me/app:v1)',
      takesNext: looksLikeName,
    },
    ...buildFlags,
  },
  positionals: [0, 1],
  async run(args, out) {
    const path = resolve(args.positionals[0] ?? '.')
    const tag = args.string('tag')
    const pushName = args.string('push')
    const reference = tag ?? (pushName || defaultReference(path))
    const { digest, notes, request } = await buildPath(path, reference, args, out)
    for (const note of notes) out.note(`ebb build: ${note}`)
    if (pushName === undefined) out.print(`${reference}@${digest}`)
    else out.print(await pushed(pushName || reference, digest, request, out))
    return 0
  },
}

/** A name with a registry, so that a path behind `--push` is still a path. */
function looksLikeName(word: string): boolean {
  const [host = '', ...rest] = word.split('/')
  return rest.length > 0 && /^(localhost|[^.:/-][^/]*[.:][^/]*)$/.test(host) && !existsSync(word)
}

async function pushed(
  name: string,
  digest: string,
  request: BuildRequest,
  out: Output,
): Promise<string> {
  const { push } = await import('../platform/images/image-building.ts')
  const result = await push({ ...request, reference: name, digest })
  const { sent, mounted, present } = result.blobs
  out.note(
    `Pushed ${sent} blob(s) (${result.sentBytes} bytes), ${mounted} mounted, ${present} there before; ` +
      `${result.referrers} attestation(s)`,
  )
  return result.reference
}

/** `dev.local/hello:latest` for `/src/hello` or `/src/hello.ts`. */
export function defaultReference(path: string): string {
  const name = imageName(path)
  // Knative takes no repository of one letter.
  return `dev.local/${name.length < 2 ? `app-${name}` : name}:latest`
}

/** The last part of a path as a DNS label; `app` when nothing of it can be kept. */
export const imageName = (path: string): string =>
  basename(path)
    .replace(/\.[cm]?[jt]s$/, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 50) || 'app'

/** Builds `path` into the content store of the data directory, as the flags say. Throws UsageError. */
export async function buildPath(
  path: string,
  reference: string,
  args: Arguments,
  out: Output,
): Promise<Built & { readonly request: BuildRequest }> {
  const request = await requestOf(path, reference, args, out)
  const { build: make } = await import('../platform/images/image-building.ts')
  return { ...(await make(request)), request }
}

async function requestOf(
  path: string,
  reference: string,
  args: Arguments,
  out: Output,
): Promise<BuildRequest> {
  const dataDir = dataDirOf(args.string('data-dir'))
  const [file, target, network, base, entry] = ['file', 'target', 'network', 'base', 'entry'].map(
    (name) => args.string(name),
  )
  const kind = kindOf(args.string('as'))
  if (kind !== undefined && file !== undefined)
    throw new UsageError('--as and --file exclude each other')
  const platform = platformOf(args.string('platform'))
  const bundle = bundleOf(args)
  const mtimeS = sourceDateEpochS()
  const goCache = process.env['GOCACHE']
  let registries: Promise<Registries> | undefined
  return {
    path,
    reference,
    dataDir,
    clock: systemClock,
    version: await ownVersion(),
    registries: () => (registries ??= registriesFor(args, dataDir)),
    say: (line) => out.note(line),
    buildArgs: buildArgsOf(args.strings('build-arg')),
    noCache: args.boolean('no-cache'),
    forRegistry: args.string('push') !== undefined,
    ...(file !== undefined && { dockerfile: resolve(file) }),
    ...(target !== undefined && { target }),
    ...(network !== undefined && { network }),
    ...(base !== undefined && { base }),
    ...(entry !== undefined && { entry }),
    ...(kind !== undefined && { kind }),
    ...(platform && { platform }),
    ...(bundle !== undefined && { bundle }),
    ...(args.boolean('spa') && { spa: true }),
    ...(mtimeS !== undefined && { mtimeS }),
    ...(goCache && { goCache }),
  }
}

/** Undefined when neither flag is given: package.json decides. */
function bundleOf(args: Arguments): boolean | undefined {
  if (args.boolean('bundle') && args.boolean('no-bundle'))
    throw new UsageError('--bundle and --no-bundle exclude each other')
  return args.boolean('bundle') ? true : args.boolean('no-bundle') ? false : undefined
}

function kindOf(text: string | undefined): SourceKind | undefined {
  if (text === undefined) return undefined
  const found = sourceKinds.find((kind) => kind === text)
  if (!found) throw new UsageError(`--as: expected ${sourceKinds.join(', ')}; found "${text}"`)
  return found
}

function platformOf(text: string | undefined): Platform | undefined {
  if (text === undefined) return undefined
  const [, os, architecture, variant] = /^([a-z]+)\/([a-z0-9]+)(?:\/(v\d+))?$/.exec(text) ?? []
  if (os === undefined || architecture === undefined)
    throw new UsageError(
      `--platform: expected one platform such as linux/amd64, found "${text}"${text.includes(',') ? '; build once for each' : ''}`,
    )
  return { os, architecture, ...(variant !== undefined && { variant }) }
}

function buildArgsOf(texts: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    texts.map((text) => {
      const [, name, value = process.env[name ?? ''] ?? ''] =
        /^([A-Za-z_]\w*)(?:=(.*))?$/s.exec(text) ?? []
      if (name === undefined)
        throw new UsageError(`--build-arg: expected KEY=VALUE, found "${text}"`)
      return [name, value]
    }),
  )
}

/** The file's, else what a running platform was told. */
async function registriesFor(args: Arguments, dataDir: string): Promise<Registries> {
  const file = args.string('registries')
  if (file !== undefined) {
    const { registriesFile } = await import('../platform/images/image-building.ts')
    return registriesFile(file)
  }
  const { kubeconfig, controlSocket } = layoutOf(dataDir)
  if (!existsSync(controlSocket)) return noRegistries
  const [{ clientOf }, { ConfigMap }, { configRegistries }] = await Promise.all([
    import('./api-client.ts'),
    import('../kube/api/config-map.ts'),
    import('../serving/api/config/registries.ts'),
  ])
  try {
    await using connection = await clientOf(kubeconfig)
    const key = { namespace: 'knative-serving', name: configRegistries.name }
    const map = await connection.client.get(ConfigMap, key)
    return configRegistries.from(map).registries
  } catch {
    return noRegistries // a platform that does not answer is not needed for building
  }
}

async function ownVersion(): Promise<string> {
  const file = new URL('../../package.json', import.meta.url)
  return (JSON.parse(await readFile(file, 'utf8')) as { version: string }).version
}
