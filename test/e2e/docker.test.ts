/**
 * The Docker runtime on a real dockerd: the contract of runtimes, then a whole platform whose pods are containers FROM
 * scratch, from the image store to nothing left behind.
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { buildImage } from '../../src/image/build.ts'
import { importArchive } from '../../src/image/archive.ts'
import { openContentStore } from '../../src/image/content-store.ts'
import { readManifest } from '../../src/image/manifest.ts'
import { unpackImage } from '../../src/image/unpack.ts'
import { findEngine } from '../../src/kube/kubelet/docker/discovery.ts'
import { dockerRuntime, type DockerRuntime } from '../../src/kube/kubelet/docker/docker-runtime.ts'
import { engineBuilder } from '../../src/kube/kubelet/docker/image-build.ts'
import { imageArchive } from '../../src/kube/kubelet/docker/image-archive.ts'
import { platformOf } from '../../src/kube/kubelet/docker/remains.ts'
import { openImages } from '../../src/kube/kubelet/images/images.ts'
import {
  runtimeContract,
  type RuntimeUnderTest,
  type Scope,
} from '../../src/kube/kubelet/runtime.contract.ts'
import type { ContainerSpec, ImageHandle } from '../../src/kube/kubelet/runtime.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { silent } from '../../src/lib/log.ts'
import { openDockerd, staticBusybox } from './dockerd.ts'
import { hurry, startEbb, until, withoutKubectl, type Ebb } from './platform.ts'

const busybox = await staticBusybox()
/** The engine, or why there is none. */
const started = busybox ? await openDockerd() : 'there is no static busybox'

if (typeof started === 'string') test('the Docker runtime', { skip: started }, () => {})
else {
  const dockerd = started
  let box: string
  before(async () => {
    box = await mkdtemp(join(tmpdir(), 'ebb-box-'))
    await mkdir(join(box, 'www'))
    await writeFile(join(box, 'busybox'), busybox ?? '', { mode: 0o755 })
    await writeFile(join(box, 'www', 'index.html'), 'hello from a container\n')
    // Debian's shell in the image is busybox itself.
    await mkdir(join(box, 'www', 'cgi-bin'))
    const script =
      '#!/app/busybox sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n%s\\n" "$TARGET"\n'
    await writeFile(join(box, 'www', 'cgi-bin', 'target'), script, { mode: 0o755 })
    // The first process of a container has to ask for SIGTERM, else the kernel keeps it from it.
    const serve = '#!/app/busybox sh\ntrap exit TERM\n./busybox httpd -f -p 8080 -h www &\nwait\n'
    await writeFile(join(box, 'serve'), serve, { mode: 0o755 })
    await writeFile(join(box, 'Procfile'), 'web: ./serve\n')
  })
  after(async () => {
    await shared?.[Symbol.asyncDispose]()
    await dockerd[Symbol.asyncDispose]()
    await rm(box, { recursive: true, force: true })
  })

  interface Opened extends AsyncDisposable {
    readonly runtime: DockerRuntime
    readonly image: ImageHandle
    readonly dataDir: string
    /** Another control plane on the same directory. */
    again(): Promise<DockerRuntime>
  }
  async function openDocker(reach: 'addresses' | 'ports'): Promise<Opened> {
    const dataDir = await mkdtemp(join(tmpdir(), 'ebb-docker-'))
    const store = await openContentStore(dataDir)
    await buildImage({ path: box, reference: 'box', store, clock: systemClock })
    const open = async () => {
      const engine = await findEngine(
        { env: { DOCKER_HOST: dockerd.host }, home: dataDir, platform: 'linux', uid: 0 },
        systemClock,
      )
      const options = { engine, store, dataDir, clock: systemClock, log: silent, reach }
      return await dockerRuntime(options)
    }
    const runtime = await open()
    const images = openImages(store, (digest) => runtime.prepareImage(digest))
    return {
      runtime,
      image: await images.ensure('box', 'IfNotPresent'),
      dataDir,
      again: open,
      async [Symbol.asyncDispose]() {
        await runtime[Symbol.asyncDispose]()
        await rm(dataDir, { recursive: true, force: true })
      },
    }
  }

  // One for all tests of the contract; each leaves its pods behind for the next to find gone.
  let shared: Opened | undefined
  let folders = 0
  const sleeper = 'trap "exit 143" TERM; while :; do ./busybox sleep 0.05; done'
  const shell = ['./busybox', 'sh', '-c']
  const underTest = async (t: Scope): Promise<RuntimeUnderTest> => {
    shared ??= await openDocker('addresses')
    const { runtime, image, dataDir } = shared
    const folder = join(dataDir, 'logs', String(folders++))
    t.after(() => Promise.all(['a', 'b'].map((podUid) => runtime.removeSandbox(podUid))))
    return {
      runtime,
      sleeper: { ...image, config: { ...image.config, cmd: [...shell, sleeper] } },
      shell: ['./busybox', 'sh', '-c'],
      sleep: './busybox sleep',
      logPath: (attempt) => join(folder, `${attempt}.log`),
    }
  }
  runtimeContract('docker', underTest)

  const get = (host: string, port: number): Promise<string> =>
    new Promise((resolve, reject) => {
      const call = request({ host, port, path: '/index.html' }, (answer) => {
        let body = ''
        answer.setEncoding('utf8')
        answer.on('data', (chunk: string) => (body += chunk))
        answer.on('end', () => resolve(body))
      })
      call.on('error', reject)
      call.end()
    })

  test('docker: after a crash pods are found again with their output; what is not whole is removed', async () => {
    await using opened = await openDocker('ports')
    const { runtime, image, dataDir } = opened
    const spec = (podUid: string, line: string): ContainerSpec => ({
      podUid,
      namespace: 'ns',
      podName: podUid,
      container: 'c',
      attempt: 0,
      image,
      command: [...shell, line],
      workingDir: '/app',
      env: {},
      mounts: [],
      logPath: join(dataDir, `${podUid}.log`),
    })
    const ports = (podUid: string) => ({ podUid, namespace: 'ns', name: podUid, ports: [8080] })
    const sandbox = await runtime.createSandbox(ports('a'))
    await runtime.createSandbox(ports('b'))
    const program =
      'echo one; ./busybox httpd -p 8080 -h www; while [ ! -e go ]; do ./busybox sleep 0.05; done; echo two; exit 5'
    const container = await runtime.start(spec('a', program))
    await runtime.start(spec('b', 'echo gone; exit 9'))
    assert.equal(sandbox.podIP, '127.0.0.1')
    const port = sandbox.hostPorts?.[8080] ?? 0
    await until('it is reached on the loopback', () =>
      get(sandbox.podIP, port).then(
        (body) => body === 'hello from a container\n',
        () => false,
      ),
    )
    await until('its output is copied', async () =>
      (await readFile(join(dataDir, 'a.log'), 'utf8')).includes('one'),
    )
    const limits = { timeoutMs: 5_000, limitBytes: 1_000 }
    await runtime.exec(container.id, [...shell, '(./busybox sleep 0.3; >go) &'], limits)
    runtime.detach()
    await runtime[Symbol.asyncDispose]()

    await using successor = await opened.again()
    assert.ok(successor.adopted)
    const found = await successor.recover()
    const byUid = new Map(found.map((pod) => [pod.sandbox.podUid, pod]))
    assert.deepEqual(byUid.get('a')?.sandbox, sandbox)
    const [adopted] = byUid.get('a')?.containers ?? []
    assert.equal(adopted?.id, container.id)
    assert.equal((await adopted?.exited)?.exitCode, 5)
    assert.equal(await readFile(join(dataDir, 'a.log'), 'utf8'), 'one\ntwo\n')
    assert.equal((await byUid.get('b')?.containers[0]?.exited)?.exitCode, 9)
    assert.equal(await readFile(join(dataDir, 'b.log'), 'utf8'), 'gone\n')
  })

  test('docker: a Dockerfile in stages is built on the engine and lands in the store', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'ebb-docker-'))
    await using cleanup = new AsyncDisposableStack()
    cleanup.defer(() => rm(dataDir, { recursive: true, force: true }))
    const around = { env: { DOCKER_HOST: dockerd.host }, home: dataDir, platform: 'linux', uid: 0 }
    using engine = await findEngine(around, systemClock)
    const file = join(dataDir, 'Dockerfile')
    await writeFile(
      file,
      `FROM scratch AS tools
COPY busybox serve /bin/
FROM tools AS page
ARG WORD=nothing
RUN ["/bin/busybox", "sh", "-c", "echo made of $WORD > /word"]
FROM tools
COPY --from=page /word /www/
CMD ["/bin/serve"]
`,
    )
    const said: string[] = []
    const wanted = {
      context: box,
      file,
      buildArgs: { WORD: 'stages' },
      network: 'none',
      noCache: false,
      say: (line: string) => said.push(line),
    }
    const store = await openContentStore(dataDir)
    const builder = engineBuilder(engine)
    const [image] = await builder.build(wanted, (archive) =>
      importArchive(store, archive, { nowMs: 0, tag: 'staged' }),
    )
    const { layers, config } = await readManifest(store, image?.digest ?? '')
    assert.deepEqual(config.cmd, ['/bin/serve'])
    const root = await unpackImage(store, image?.digest ?? '', layers)
    assert.equal(await readFile(join(root, 'www', 'word'), 'utf8'), 'made of stages\n')
    assert.ok(
      said.some((line) => line.includes('COPY busybox serve /bin/')),
      said.join('\n'),
    )
    await writeFile(file, 'FROM scratch\nCOPY nothing /\n')
    await assert.rejects(
      builder.build(wanted, async () => {}),
      { name: 'BuildError', message: /Dockerfile could not be built: .*nothing/ },
    )
  })

  test('docker: what others remove or end is made again', async () => {
    await using opened = await openDocker('addresses')
    const { runtime, image, dataDir } = opened
    // As `docker system prune --all` does while no pod runs.
    const network = (await dockerd.get('/networks')) as readonly { Name: string; Id: string }[]
    const images = (await dockerd.get('/images/json')) as readonly { RepoTags: readonly string[] }[]
    const platform = platformOf(dataDir)
    for (const tag of images
      .flatMap(({ RepoTags }) => RepoTags)
      .filter((tag) => tag.includes(platform)))
      await dockerd.send('DELETE', `/images/${tag}`)
    for (const { Name, Id } of network)
      if (Name.includes(platform)) await dockerd.send('DELETE', `/networks/${Id}`)
    const sandbox = await runtime.createSandbox({
      podUid: 'a',
      namespace: 'ns',
      name: 'a',
      ports: [],
    })
    const spec = (attempt: number): ContainerSpec => ({
      podUid: 'a',
      namespace: 'ns',
      podName: 'a',
      container: 'c',
      attempt,
      image,
      command: ['./serve'],
      workingDir: '/app',
      env: {},
      mounts: [],
      logPath: join(dataDir, `${attempt}.log`),
    })
    const first = await runtime.start(spec(0)) // As when the engine itself was restarted.
    const all = (await dockerd.get('/containers/json')) as readonly Listed[]
    const own = all.filter(({ Labels }) => Labels['ebb.dev/platform'] === platform)
    assert.equal(own.length, 2)
    for (const { Id } of own) await dockerd.send('POST', `/containers/${Id}/kill`)
    assert.equal((await first.exited).exitCode, 137)
    const second = await runtime.start(spec(1))
    assert.ok(second.pid > 0, 'it runs')
    await until('it is reached at the address the sandbox has now', () =>
      get(sandbox.podIP, 8080).then(
        (body) => body === 'hello from a container\n',
        () => false,
      ),
    )
  })

  describe('ebb up --runtime docker', { skip: withoutKubectl }, () => {
    let ebb: Ebb
    before(async () => {
      process.env['DOCKER_HOST'] = dockerd.host
      ebb = await startEbb({ args: ['--runtime', 'docker'] })
      await hurry(ebb)
      const built = await ebb.ebb('build', box, '--tag', 'dev.local/box')
      assert.equal(built.code, 0, built.stderr)
    })
    after(() => ebb[Symbol.asyncDispose]())

    const service = {
      apiVersion: 'serving.knative.dev/v1',
      kind: 'Service',
      metadata: { name: 'box', namespace: 'default' },
      spec: {
        template: {
          spec: {
            containers: [
              {
                image: 'dev.local/box',
                env: [{ name: 'TARGET', value: 'a = b' }],
                volumeMounts: [{ name: 'files', mountPath: '/app/www/files' }],
              },
            ],
            volumes: [{ name: 'files', configMap: { name: 'files' } }],
          },
        },
      },
    }
    const apply = async (object: object) =>
      ebb.ok('apply', '-f', await ebb.file(`${randomUUID()}.json`, JSON.stringify(object)))
    const running = async () =>
      (await ebb.ok('get', 'pods', '--no-headers')).split('\n').filter((line) => line !== '').length

    test('a service of an image FROM scratch sleeps at zero and wakes for a request', async () => {
      await ebb.ok('create', 'configmap', 'files', '--from-literal=greeting.txt=mounted')
      await apply(service)
      await ebb.ok('wait', 'ksvc/box', '--for=condition=Ready', '--timeout=60s')
      const host = 'box.default.localhost'
      assert.equal((await ebb.get(host, '/cgi-bin/target')).body, 'a = b\n')
      assert.equal((await ebb.get(host, '/files/greeting.txt')).body, 'mounted')
      const node = await ebb.ok('get', 'nodes', '-o', 'jsonpath={..containerRuntimeVersion}')
      assert.match(node, /^docker:\/\/\d/)
      await until('it sleeps', async () => (await running()) === 0, 60_000)
      assert.equal((await ebb.get(host)).body, 'hello from a container\n')
      assert.equal(await running(), 1)
    })

    test('containers of a pod share localhost; ends, limits, users and logs are as they were asked for', async () => {
      const container = (name: string, line: string, more: object = {}) => ({
        name,
        image: 'dev.local/box',
        command: [...shell, line],
        ...more,
      })
      const id = await loadWithDocker('built-here:v1')
      const all = [
        container('web', 'exec ./busybox httpd -f -p 8080 -h www'),
        container(
          'client',
          'until ./busybox wget -q -O - http://127.0.0.1:8080/ 2>/dev/null; do ./busybox sleep 0.1; done',
        ),
        container('fails', 'echo failing >&2; exit 3', { image: 'built-here:v1' }),
        container('pinned', 'exit 0', { image: `index.docker.io/library/built-here@${id}` }),
        container('hungry', 'exec ./busybox tail /dev/zero', {
          resources: { limits: { memory: '24Mi' } },
        }),
        container(
          'user',
          './busybox id -u; ./busybox hostname; ./busybox touch /x 2>/dev/null || echo read-only; echo kept >/data/file && ./busybox cat /data/file',
          {
            securityContext: { runAsUser: 1234, readOnlyRootFilesystem: true },
            volumeMounts: [{ name: 'data', mountPath: '/data' }],
          },
        ),
        container('mighty', 'exit 0', { securityContext: { privileged: true } }),
      ]
      await apply({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'several', namespace: 'default' },
        spec: {
          restartPolicy: 'Never',
          terminationGracePeriodSeconds: 1,
          containers: all,
          volumes: [{ name: 'data', emptyDir: {} }],
        },
      })
      const ends = await until('all but one have ended', async () => {
        const pod = JSON.parse(await ebb.ok('get', 'pod', 'several', '-o', 'json')) as SeenPod
        const states = pod.status.containerStatuses ?? []
        const ended = states.filter(({ state }) => state.terminated)
        return (
          ended.length === all.length - 1 &&
          Object.fromEntries(
            ended.map(({ name, state: { terminated: end } }) => [
              name,
              [end?.exitCode, end?.reason, end?.message ?? ''],
            ]),
          )
        )
      })
      const { mighty = [], ...others } = ends
      assert.deepEqual(others, {
        client: [0, 'Completed', ''],
        fails: [3, 'Error', ''],
        hungry: [137, 'OOMKilled', ''],
        pinned: [0, 'Completed', ''],
        user: [0, 'Completed', ''],
      })
      assert.deepEqual(mighty.slice(0, 2), [128, 'StartError'])
      assert.match(String(mighty[2]), /privileged containers are refused here/)
      const logs = (name: string) => ebb.ok('logs', 'several', '-c', name)
      assert.equal(await logs('client'), 'hello from a container\n')
      assert.equal(await logs('fails'), 'failing\n')
      assert.equal(await logs('user'), '1234\nseveral\nread-only\nkept\n')
      const inside = await ebb.kubectl(
        'exec',
        'several',
        '-c',
        'web',
        '--',
        ...shell,
        'pwd; exit 4',
      )
      assert.deepEqual([inside.code, inside.stdout], [4, '/app\n'], inside.stderr)
      const page = '/api/v1/namespaces/default/pods/several:8080/proxy/index.html'
      assert.equal(await ebb.ok('get', '--raw', page), 'hello from a container\n')
      await ebb.ok('delete', 'pod', 'several')
      await until(
        'its containers are gone',
        async () => (await containersOf('several')).length === 0,
      )
    })

    test('a killed control plane finds its containers again; afterwards nothing of it is left', async () => {
      const host = 'box.default.localhost'
      assert.equal((await ebb.get(host)).status, 200)
      const before = await containersOf('box')
      assert.equal(before.length, 2, 'its holder and its program')
      await ebb.kill()
      assert.equal((await ebb.get(host)).status, 200)
      await ebb.restart()
      assert.equal((await ebb.get(host)).status, 200)
      assert.deepEqual(await containersOf('box'), before)
      await ebb.kill()
      const down = await ebb.ebb('down')
      assert.equal(down.code, 0, down.stderr)
      await assertNothingLeft()
      await ebb.restart()
      await until('it answers again', async () => (await ebb.get(host)).status === 200)
      assert.equal((await ebb.ebb('down')).code, 0)
      await assertNothingLeft()
    })
  })

  /** As if somebody had built an image with Docker: only the engine knows it. Answers its id. */
  async function loadWithDocker(name: string): Promise<string> {
    const dataDir = await mkdtemp(join(tmpdir(), 'ebb-docker-'))
    try {
      const store = await openContentStore(dataDir)
      const { digest } = await buildImage({ path: box, reference: name, store, clock: systemClock })
      using engine = await findEngine(
        { env: { DOCKER_HOST: dockerd.host }, home: dataDir, platform: 'linux', uid: 0 },
        systemClock,
      )
      await engine.loadImage(imageArchive(store, digest, name))
      return (await engine.image(name))?.id ?? ''
    } finally {
      await rm(dataDir, { recursive: true, force: true })
    }
  }

  interface SeenPod {
    readonly status: {
      readonly containerStatuses?: readonly {
        readonly name: string
        readonly state: {
          readonly terminated?: {
            readonly exitCode: number
            readonly reason: string
            readonly message?: string
          }
        }
      }[]
    }
  }

  interface Listed {
    readonly Id: string
    readonly Labels: Readonly<Record<string, string>>
  }
  /** Ids of the containers of pods whose names begin so. */
  async function containersOf(pod: string): Promise<readonly string[]> {
    const all = (await dockerd.get('/containers/json?all=1')) as readonly Listed[]
    return all
      .filter(({ Labels }) => Labels['ebb.dev/pod']?.startsWith(`default/${pod}`))
      .map(({ Id }) => Id)
      .sort()
  }

  /** Of platforms: the contract's own runtime is still there. */
  async function assertNothingLeft(): Promise<void> {
    const own = platformOf(shared?.dataDir ?? '')
    const ours = async (path: string, list: (answer: never) => readonly string[]) =>
      list((await dockerd.get(path)) as never).filter(
        (name) => name.includes('ebb') && !name.includes(own),
      )
    const all = (await dockerd.get('/containers/json?all=1')) as readonly Listed[]
    assert.deepEqual(
      [
        all.flatMap(({ Labels: { 'ebb.dev/platform': platform = own } }) =>
          platform === own ? [] : [platform],
        ),
        await ours('/networks', (list: readonly { Name: string }[]) =>
          list.map(({ Name }) => Name),
        ),
        await ours('/images/json', (list: readonly { RepoTags: readonly string[] | null }[]) =>
          list.flatMap(({ RepoTags }) => RepoTags ?? []),
        ),
      ],
      [[], [], []],
    )
  }
}
