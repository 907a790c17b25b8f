/**
 * The stand-in apps as container images with nothing of this machine in them: one static Go program FROM scratch that
 * answers for all of them, and busybox for one. Written as `docker save` would write them.
 */
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tarOf } from '../../../src/testing/registry.ts'
import { staticBusybox } from '../dockerd.ts'
import { installed } from '../installed.ts'
import { appDir, run } from '../platform.ts'
import { skopeo } from '../registry.ts'
import type { App } from './walkthrough.ts'

/** Why they can't be made on this machine; false when they can. */
export const withoutPrograms = (): string | false =>
  (!installed('go', 'golang-go') && 'there is no Go here to build static programs with') ||
  (!installed('busybox', 'busybox-static') && 'there is no static busybox here') ||
  false

export interface ContainerImages extends AsyncDisposable {
  /** Pushes the app under a name like `127.0.0.1:5000/mirror/app:v1`, without TLS. */
  push(app: App, name: string): Promise<void>
}

export async function buildContainerImages(): Promise<ContainerImages> {
  const folder = await mkdtemp(join(tmpdir(), 'ebb-images-'))
  const program = join(folder, 'app')
  const built = await run('go', ['build', '-C', appDir('container'), '-trimpath', '-o', program], {
    env: { CGO_ENABLED: '0' },
    timeoutMs: 300_000,
  })
  if (built.code !== 0) throw new Error(`go build: ${built.stderr}`)
  const scratch = await tarOf([{ name: 'app', mode: 0o755, text: await readFile(program) }])
  const busybox = await tarOf([
    { name: 'bin/', type: 'directory', mode: 0o755 },
    { name: 'bin/busybox', mode: 0o755, text: (await staticBusybox()) ?? '' },
    { name: 'bin/sh', type: 'symlink', linkname: '/bin/busybox' },
  ])
  const page = await tarOf([
    { name: 'www/', type: 'directory', mode: 0o755 },
    { name: 'www/index.html', text: 'Hello Serverless!\n' },
  ])
  // As an init that asks for SIGTERM, which the kernel keeps from a first process that does not.
  const serve = 'trap exit TERM; /bin/busybox httpd -f -p "${PORT:-8080}" -h /www & wait $!'

  const archiveOf = (app: App) =>
    app === 'hello-serverless'
      ? dockerArchive([busybox, page], { Entrypoint: ['/bin/sh', '-c'], Cmd: [serve] })
      : dockerArchive([scratch], { Entrypoint: ['/app'], Cmd: [app], User: '65532:65532' })

  return {
    async push(app, name) {
      const file = join(folder, `${app}.tar`)
      await writeFile(file, await archiveOf(app))
      const flags = ['--dest-tls-verify=false', '--quiet']
      await skopeo('copy', ...flags, `docker-archive:${file}`, `docker://${name}`)
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

async function dockerArchive(layers: readonly Buffer[], config: object): Promise<Buffer> {
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
