/**
 * The stand-in apps as container images with nothing of this machine in them: one static Go program FROM scratch that
 * answers for several of them, and busybox for one. The others, and where there is no Go that is new enough those too, are
 * Node with its libraries and the apps as they are, FROM scratch as well. Written as `docker save` would write them.
 */
import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tarOf } from '../../../src/testing/registry.ts'
import { staticBusybox } from '../dockerd.ts'
import { hasGo } from '../go.ts'
import { installed } from '../installed.ts'
import { appDir, run } from '../platform.ts'
import { skopeo } from '../registry.ts'
import type { App } from './walkthrough.ts'

/** Why they can't be made on this machine; false when they can. */
export const withoutPrograms = (): string | false =>
  (!installed('busybox', 'busybox-static') && 'there is no static busybox here') || false

export interface ContainerImages extends AsyncDisposable {
  /** Pushes the app under a name like `127.0.0.1:5000/mirror/app:v1`, without TLS. */
  push(app: App, name: string): Promise<void>
}

interface Image {
  readonly layers: readonly Buffer[]
  readonly config: object
}

export async function buildContainerImages(): Promise<ContainerImages> {
  const folder = await mkdtemp(join(tmpdir(), 'ebb-images-'))
  // Cleartext HTTP/2 is in Go's own library since 1.24.
  const go = hasGo(24) ? await ofGo(join(folder, 'app')) : undefined
  let node: Promise<ImageOf> | undefined
  const imageOf = async (app: App) =>
    go && inGo.has(app) ? await go(app) : await (await (node ??= ofNode()))(app)
  const busybox = await ofBusybox()
  return {
    async push(app, name) {
      const file = join(folder, `${app}.tar`)
      const image = app === 'hello-serverless' ? busybox : await imageOf(app)
      await writeFile(file, await dockerArchive(image))
      const flags = ['--dest-tls-verify=false', '--quiet']
      await skopeo('copy', ...flags, `docker-archive:${file}`, `docker://${name}`)
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

/** Those for which `test/apps/container` answers. */
const inGo: ReadonlySet<App> = new Set([
  'autoscale-go',
  'grpc-ping',
  'helloworld-go',
  'helloworld-nodejs',
  'rest-api-go',
  'websocket-chat',
])

type ImageOf = (app: App) => Image | Promise<Image>

async function ofGo(program: string): Promise<ImageOf> {
  const flags = ['-trimpath', '-buildvcs=false', '-o', program]
  const built = await run('go', ['build', '-C', appDir('container'), ...flags], {
    env: { CGO_ENABLED: '0' },
    timeoutMs: 300_000,
  })
  if (built.code !== 0) throw new Error(`go build: ${built.stderr}`)
  const layer = await tarOf([{ name: 'app', mode: 0o755, text: await readFile(program) }])
  return (app) => ({
    layers: [layer],
    config: { Entrypoint: ['/app'], Cmd: [app], User: '65532:65532' },
  })
}

/** The first process of a container has to ask for SIGTERM, else the kernel keeps it from it. */
const nodeEntry = `process.on('SIGTERM', () => process.exit(0))
await import(process.argv[2])
`

async function ofNode(): Promise<ImageOf> {
  const { stdout } = await run('ldd', [process.execPath])
  const libraries = [...stdout.matchAll(/(\/\S+) \(0x/g)].map(([, path = '']) => path)
  if (libraries.length === 0)
    throw new Error(`ldd ${process.execPath}: no libraries in "${stdout}"`)
  const layer = await tarOf([
    { name: 'bin/node', mode: 0o755, text: await readFile(process.execPath) },
    { name: 'entry.mjs', text: nodeEntry },
    ...(await Promise.all(
      libraries.map(async (path) => ({
        name: path.slice(1),
        mode: 0o755,
        text: await readFile(path),
      })),
    )),
  ])
  return async (app) => {
    const files = await readdir(appDir(app))
    const own = await tarOf(
      await Promise.all(
        files.map(async (name) => ({
          name: `app/${name}`,
          text: await readFile(join(appDir(app), name)),
        })),
      ),
    )
    const main = files.find((name) => name.endsWith('.js')) ?? ''
    const Cmd = ['/bin/node', '/entry.mjs', `/app/${main}`]
    return { layers: [layer, own], config: { Cmd, User: '65532:65532' } }
  }
}

async function ofBusybox(): Promise<Image> {
  const system = await tarOf([
    { name: 'bin/', type: 'directory', mode: 0o755 },
    { name: 'bin/busybox', mode: 0o755, text: (await staticBusybox()) ?? '' },
    { name: 'bin/sh', type: 'symlink', linkname: '/bin/busybox' },
  ])
  const page = await tarOf([
    { name: 'www/', type: 'directory', mode: 0o755 },
    { name: 'www/index.html', text: 'Hello Serverless!\n' },
  ])
  const serve = 'trap exit TERM; /bin/busybox httpd -f -p "${PORT:-8080}" -h /www & wait $!'
  return { layers: [system, page], config: { Entrypoint: ['/bin/sh', '-c'], Cmd: [serve] } }
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

async function dockerArchive({ layers, config }: Image): Promise<Buffer> {
  const value = {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config,
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => `sha256:${sha256(layer)}`) },
  }
  const names = layers.map((_, i) => `${i}.tar`)
  return await tarOf([
    ...layers.map((text, i) => ({ name: names[i] ?? '', text })),
    { name: 'config.json', text: JSON.stringify(value) },
    {
      name: 'manifest.json',
      text: JSON.stringify([{ Config: 'config.json', RepoTags: null, Layers: names }]),
    },
  ])
}
