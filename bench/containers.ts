/**
 * What a root of its own costs a container's start: the same static program (busybox, serving HTTP) as a plain process, as a
 * container of the process runtime and as a container of dockerd, each through its Runtime: `start` alone, and from
 * `createSandbox` to the first answer. 20 of each after 3 that do not count, one after another.
 */
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { arch, tmpdir } from 'node:os'
import { join } from 'node:path'
import { openContentStore, type ContentStore } from '../src/image/content-store.ts'
import { packFiles } from '../src/image/layer.ts'
import { findEngine } from '../src/kube/kubelet/docker/discovery.ts'
import { dockerRuntime } from '../src/kube/kubelet/docker/docker-runtime.ts'
import { openImages } from '../src/kube/kubelet/images/images.ts'
import { processRuntime } from '../src/kube/kubelet/process/process-runtime.ts'
import type { ImageHandle, Runtime } from '../src/kube/kubelet/runtime.ts'
import { systemClock } from '../src/lib/clock.ts'
import { silent } from '../src/lib/log.ts'
import { openDockerd } from '../test/e2e/dockerd.ts'
import { installed } from '../test/e2e/installed.ts'
import { median, percentile, type Row } from './row.ts'

const counted = 20
const warmUp = 3
const port = 8080

export async function rows(): Promise<readonly Row[]> {
  if (!installed('busybox', 'busybox-static')) throw new Error('busybox-static is not installed')
  const dataDir = await mkdtemp(join(tmpdir(), 'ebb-bench-'))
  try {
    const store = await openContentStore(dataDir)
    await makeImage(store)
    const found: Row[] = []
    {
      const clock = systemClock
      const socketPath = join(dataDir, 'l.sock')
      const options = { dataDir, socketPath, clock, log: silent, network: 'auto' } as const
      await using runtime = await processRuntime(options)
      const image = await openImages(store).ensure('busybox', 'Never')
      found.push(...(await measure('plain process', runtime, image, dataDir, false)))
      found.push(...(await measure('root of its own', runtime, image, dataDir, true)))
    }
    found.push(...(await docker(store, dataDir)))
    return found
  } finally {
    await rm(dataDir, { recursive: true, force: true })
  }
}

async function docker(store: ContentStore, dataDir: string): Promise<readonly Row[]> {
  const opened = await openDockerd()
  if (typeof opened === 'string') return []
  await using dockerd = opened
  const around = { env: { DOCKER_HOST: dockerd.host }, home: dataDir, platform: 'linux', uid: 0 }
  const engine = await findEngine(around, systemClock)
  const options = { engine, store, dataDir, clock: systemClock, log: silent }
  await using runtime = await dockerRuntime(options)
  const images = openImages(store, (digest) => runtime.prepareImage(digest))
  const image = await images.ensure('busybox', 'Never')
  return await measure('container of dockerd', runtime, image, dataDir, true)
}

/** FROM scratch, with one file. */
async function makeImage(store: ContentStore): Promise<void> {
  const from = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path)) ?? ''
  const layer = await packFiles(store, [{ name: 'bin/busybox', from, mode: 0o755 }])
  const put = (type: string, value: unknown) =>
    store.put(`application/vnd.oci.image.${type}.v1+json`, Buffer.from(JSON.stringify(value)))
  const config = await put('config', {
    architecture: arch() === 'x64' ? 'amd64' : arch(),
    os: 'linux',
    config: { WorkingDir: '/' },
    rootfs: { type: 'layers', diff_ids: [layer.diffId] },
  })
  const manifest = await put('manifest', {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config,
    layers: [layer.descriptor],
  })
  await store.tag('docker.io/library/busybox:latest', manifest.digest, systemClock.now())
}

async function measure(
  name: string,
  runtime: Runtime,
  image: ImageHandle,
  dataDir: string,
  ownRoot: boolean,
): Promise<readonly Row[]> {
  const starts: number[] = []
  const answers: number[] = []
  for (let i = 0; i < warmUp + counted; i++) {
    const podUid = `${name.replaceAll(' ', '-')}-${i}`
    const began = performance.now()
    const { podIP, hostPorts } = await runtime.createSandbox({
      podUid,
      namespace: 'bench',
      name: podUid,
      ports: [port],
    })
    const starting = performance.now()
    await runtime.start({
      podUid,
      namespace: 'bench',
      podName: podUid,
      container: 'c',
      attempt: 0,
      image,
      command: ['/bin/busybox', 'httpd', '-f', '-p', String(hostPorts?.[port] ?? port), '-h', '/'],
      workingDir: '/',
      env: {},
      mounts: [],
      ownRoot,
      logPath: join(dataDir, 'logs', podUid),
    })
    const started = performance.now()
    await firstAnswer(podIP, hostPorts?.[port] ?? port)
    const answered = performance.now()
    await runtime.removeSandbox(podUid)
    if (i < warmUp) continue
    starts.push(started - starting)
    answers.push(answered - began)
  }
  return [
    { name: `start of a container, ${name}, p50 of ${counted}`, value: median(starts), unit: 'ms' },
    { name: `the same, p95`, value: percentile(starts, 95), unit: 'ms' },
    { name: `pod to first answer, ${name}, p50`, value: median(answers), unit: 'ms' },
  ]
}

async function firstAnswer(host: string, at: number): Promise<void> {
  for (;;) {
    const status = await new Promise<number | undefined>((resolve) => {
      const call = request({ host, port: at, path: '/' }, (answer) => {
        answer.resume()
        resolve(answer.statusCode)
      })
      call.on('error', () => resolve(undefined))
      call.end()
    })
    if (status !== undefined) return
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}
