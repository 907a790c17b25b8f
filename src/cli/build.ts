/** `ebb build`: source to an OCI image in the platform's own content store. */
import { basename, resolve } from 'node:path'
import { systemClock } from '../lib/clock.ts'
import type { Built } from '../image/build.ts'
import { dataDirOf } from '../platform/config.ts'
import { UsageError, type Arguments, type Command, type Flag } from './command.ts'

export const bundleFlags: Readonly<Record<string, Flag>> = {
  bundle: {
    type: 'boolean',
    description: 'join a Node program and its packages into one file, which starts sooner',
  },
  'no-bundle': { type: 'boolean', description: 'do not, though package.json asks for it' },
}

/** Undefined when neither flag is given: package.json decides. */
export function bundleOf(args: Arguments): boolean | undefined {
  if (args.boolean('bundle') && args.boolean('no-bundle'))
    throw new UsageError('--bundle and --no-bundle exclude each other')
  return args.boolean('bundle') ? true : args.boolean('no-bundle') ? false : undefined
}

export const build: Command = {
  name: 'build',
  usage: 'DIR [--tag REF] [--bundle]',
  summary:
    'Make an image from a Node or TypeScript project, a single file, or an executable with a Procfile',
  details:
    'The image lands in the content store of the data directory; `image: REF` in YAML finds it there under\n' +
    'whatever registry name it was given. The same input makes the same digest.',
  flags: {
    tag: {
      type: 'string',
      value: 'REF',
      description: 'name of the image (default dev.local/NAME-OF-DIR:latest)',
    },
    ...bundleFlags,
  },
  positionals: [1, 1],
  async run(args, out) {
    const path = resolve(args.positionals[0] ?? '.')
    const reference = args.string('tag') ?? defaultReference(path)
    const bundle = bundleOf(args)
    const dataDir = dataDirOf(args.string('data-dir'))
    const { digest, notes } = await buildPath(path, reference, dataDir, bundle)
    for (const note of notes) out.note(`ebb build: ${note}`)
    out.print(`${reference}@${digest}`)
    return 0
  },
}

/** `dev.local/hello:latest` for `/src/hello` or `/src/hello.ts`. */
export const defaultReference = (path: string): string => `dev.local/${imageName(path)}:latest`

/** The last part of a path as a DNS label; `app` when nothing of it can be kept. */
export const imageName = (path: string): string =>
  basename(path)
    .replace(/\.[cm]?[jt]s$/, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 50) || 'app'

/** Builds `path` into the content store of a data directory. */
export async function buildPath(
  path: string,
  reference: string,
  dataDir: string,
  bundle?: boolean,
): Promise<Built> {
  const { openContentStore } = await import('../image/content-store.ts')
  const { buildImage } = await import('../image/build.ts')
  return await buildImage({
    path,
    reference,
    store: await openContentStore(dataDir),
    clock: systemClock,
    ...(bundle !== undefined && { bundle }),
  })
}
