import assert from 'node:assert/strict'
import { existsSync, globSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { buildImage } from '../../image/build.ts'
import { openContentStore } from '../../image/content-store.ts'
import { systemClock } from '../../lib/clock.ts'
import { silent } from '../../lib/log.ts'
import { inMemoryPlatform } from '../../testing/platform.ts'
import { ConfigMap } from '../api/config-map.ts'
import { Event } from '../api/event.ts'
import { coreKinds } from '../api/kinds.ts'
import { Namespace } from '../api/namespace.ts'
import { Node } from '../api/node.ts'
import { Pod } from '../api/pod.ts'
import { openImages } from './images/images.ts'
import { startKubelet } from './kubelet.ts'
import { markedProcesses } from './launcher/proc.ts'
import { openPodLogs } from './logs/pod-logs.ts'
import { processRuntime, type ProcessRuntime } from './process/process-runtime.ts'

const clock = systemClock
const isRoot = process.getuid?.() === 0

const apps = {
  web: `require('http').createServer((q, r) => r.end(JSON.stringify(process.env))).listen(process.env.PORT || 8080);
    console.log('listening'); process.on('SIGTERM', () => { console.log('bye'); process.exit(0) })`,
  stubborn: `process.on('SIGTERM', () => {}); console.log('deaf'); setInterval(() => {}, 1000)`,
  crash: `console.log('about to fail'); console.error('boom'); process.exit(3)`,
  once: `console.log('done')`,
  family: `require('child_process').spawn(process.execPath, ['-e', 'setInterval(()=>{},1000)'], { detached: true, stdio: 'ignore' }).unref(); setInterval(() => {}, 1000)`,
  files: `console.log(require('fs').readFileSync('/etc/ebb-test/settings/color', 'utf8')); setInterval(() => {}, 1000)`,
}

/** A node agent over an API in memory, with the real runtime; everything is stopped and removed at the end. */
async function startNode(t: TestContext, network: 'host' | 'namespaces' = 'host') {
  const dataDir = await mkdtemp(join(tmpdir(), 'ebb-node-'))
  const store = await openContentStore(dataDir)
  for (const [name, text] of Object.entries(apps)) {
    const file = join(dataDir, 'src', name, 'index.js')
    await mkdir(join(file, '..'), { recursive: true })
    await writeFile(file, text)
    const path = join(file, '..')
    await buildImage({ path, reference: `dev.local/${name}`, store, clock, ahead: true })
  }
  const platform = inMemoryPlatform({ kinds: coreKinds, clock })
  for (const name of ['default', 'kube-node-lease'])
    await platform.client
      .create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
      .catch(() => {})
  const logs = openPodLogs({ dataDir, clock })
  const open = () =>
    processRuntime({
      dataDir,
      socketPath: join(dataDir, 'run', 'l.sock'),
      network,
      clock,
      log: silent,
    })
  let runtime = await open()
  const start = (with_: ProcessRuntime) =>
    startKubelet({
      ...platform,
      runtime: with_,
      images: openImages(store),
      logs,
      nodeName: 'node',
      dataDir,
    })
  let kubelet = await start(runtime)
  const { port1: keepAlive } = new MessageChannel()
  keepAlive.ref() // the clock's alarms keep no process alive
  t.after(async () => {
    await kubelet[Symbol.asyncDispose]()
    await runtime[Symbol.asyncDispose]()
    logs[Symbol.dispose]()
    await platform[Symbol.asyncDispose]()
    keepAlive.close()
    await rm(dataDir, { recursive: true, force: true })
  })
  return {
    ...platform,
    logs,
    dataDir,
    get runtime() {
      return runtime
    },
    /** As after kill -9 of the control plane: nothing is stopped, a new one begins. */
    async restart(meanwhile: () => void | Promise<void> = () => {}) {
      await kubelet[Symbol.asyncDispose]()
      runtime.detach()
      await meanwhile()
      runtime = await open()
      kubelet = await start(runtime)
    },
    create: (name: string, image: string, spec: object = {}, container: object = {}) =>
      platform.client.create(Pod, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, namespace: 'default' },
        spec: {
          nodeName: 'node',
          terminationGracePeriodSeconds: 5,
          ...spec,
          containers: [
            {
              name: 'c',
              image,
              ports: [{ containerPort: 8080 }],
              terminationMessagePolicy: 'FallbackToLogsOnError',
              ...container,
            },
          ],
        } as Pod['spec'],
      }),
    pod: (name: string) => platform.informers.for(Pod).get({ namespace: 'default', name }),
    /** Resolves with the pod once `wanted` holds; fails with what it looked like after ten seconds. */
    until: (name: string, wanted: (pod: Pod | undefined) => boolean) =>
      new Promise<Pod | undefined>((resolve, reject) => {
        const informer = platform.informers.for(Pod)
        const look = () => {
          const pod = informer.get({ namespace: 'default', name })
          if (!wanted(pod)) return
          cancel()
          setImmediate(() => subscription[Symbol.dispose]())
          resolve(pod)
        }
        const cancel = clock.after(10_000, () =>
          reject(
            new Error(
              `${name} is ${JSON.stringify(informer.get({ namespace: 'default', name })?.status, null, 1)}`,
            ),
          ),
        )
        const subscription = informer.subscribe(look)
        look()
      }),
    async events(name: string) {
      await platform.recorder.flushed()
      const { items } = await platform.client.list(Event, 'default')
      return items
        .filter(({ involvedObject }) => involvedObject?.name === name)
        .map(({ type, reason, message }) => `${type} ${reason} ${message}`)
        .sort()
    },
    async log(name: string, options = {}) {
      const pod = platform.informers.for(Pod).get({ namespace: 'default', name })
      assert.ok(pod)
      const all = { follow: false, previous: false, timestamps: false, ...options }
      let text = ''
      for await (const chunk of logs.read(pod, 'c', all, new AbortController().signal))
        text += Buffer.from(chunk).toString()
      return text
    },
  }
}

const ready = (pod: Pod | undefined) =>
  pod?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ===
  true
const state = (pod: Pod | undefined) => pod?.status?.containerStatuses?.[0]?.state
const gone = (pod: Pod | undefined) => pod === undefined
const eager = { readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 0 } }

function fetchText(pod: Pod | undefined): Promise<string> {
  const ports = JSON.parse(pod?.metadata.annotations?.['ebb.dev/host-ports'] ?? '{}') as Record<
    string,
    number
  >
  return new Promise((resolve, reject) => {
    get({ host: pod?.status?.podIP, port: ports['8080'] ?? 8080, agent: false }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () => resolve(text))
    }).on('error', reject)
  })
}

test('a pod runs, becomes ready, logs, and ends within its grace', async (t) => {
  const node = await startNode(t)
  const { metadata } = await node.client.get(Node, { namespace: '', name: 'node' })
  assert.equal(metadata.labels?.['kubernetes.io/os'], 'linux')
  await node.create(
    'web',
    'dev.local/web',
    {},
    {
      ...eager,
      env: [
        { name: 'GREETING', value: 'hi $(POD)' },
        { name: 'POD', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
        { name: 'TWICE', value: '$(POD)$(POD)' },
      ],
    },
  )
  const pod = await node.until('web', ready)
  assert.equal(pod?.status?.phase, 'Running')
  assert.deepEqual(
    pod.status.conditions?.map(({ type, status }) => `${type}=${status}`),
    [
      'PodReadyToStartContainers=True',
      'Initialized=True',
      'Ready=True',
      'ContainersReady=True',
      'PodScheduled=True',
    ],
  )
  const status = pod.status.containerStatuses?.[0]
  assert.match(status?.containerID ?? '', /^process:\/\/[0-9a-f]{64}$/)
  assert.match(status?.imageID ?? '', /^dev\.local\/web@sha256:/)
  const env = JSON.parse(await fetchText(pod)) as Record<string, string>
  assert.equal(env['GREETING'], 'hi $(POD)')
  assert.equal(env['TWICE'], 'webweb')
  assert.deepEqual(
    Object.keys(env).sort(),
    [
      'EBB_CONTAINER_ID',
      'EBB_POD_UID',
      'GREETING',
      'HOME',
      'HOSTNAME',
      'NODE_COMPILE_CACHE',
      'PATH',
      'POD',
      'PORT',
      'TMPDIR',
      'TWICE',
    ],
    'nothing of the platform is in the environment',
  )
  assert.equal(await node.log('web'), 'listening\n')
  assert.match(
    await node.log('web', { timestamps: true }),
    /^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{9}Z listening\n$/,
  )
  assert.deepEqual(await node.events('web'), [
    'Normal Created Created container: c',
    'Normal Pulled Container image "dev.local/web" already present on machine',
    'Normal Started Started container c',
  ])
  const followed = node.log('web', { follow: true })
  await node.client.delete(Pod, { namespace: 'default', name: 'web' })
  await node.until('web', gone)
  assert.equal(await followed, 'listening\nbye\n')
  while ((await readdir(join(node.dataDir, 'logs', 'pods'))).length > 0);
})

test('a crash shows exit code and last log lines, and restarts with back-off', async (t) => {
  const node = await startNode(t)
  await node.create('crash', 'dev.local/crash')
  const pod = await node.until('crash', (it) => state(it)?.waiting?.reason === 'CrashLoopBackOff')
  const status = pod?.status?.containerStatuses?.[0]
  assert.equal(status?.restartCount, 1)
  assert.equal(pod?.status?.phase, 'Running')
  assert.match(
    state(pod)?.waiting?.message ?? '',
    /^back-off 10s restarting failed container=c pod=crash_default\([-0-9a-f]+\)$/,
  )
  const last = status?.lastState?.terminated
  assert.equal(last?.exitCode, 3)
  assert.equal(last?.reason, 'Error')
  assert.equal(last?.message, 'about to fail\nboom\n')
  assert.equal(await node.log('crash', { previous: true, tailLines: 1 }), 'boom\n')
  const events = await node.events('crash')
  assert.ok(
    events.some((text) =>
      text.startsWith(
        'Warning BackOff Back-off restarting failed container c in pod crash_default(',
      ),
    ),
  )
})

test('restartPolicy Never ends in Succeeded; init containers run first', async (t) => {
  const node = await startNode(t)
  await node.create('job', 'dev.local/once', {
    restartPolicy: 'Never',
    initContainers: [{ name: 'before', image: 'dev.local/once' }],
  })
  const pod = await node.until('job', (it) => it?.status?.phase === 'Succeeded')
  assert.equal(pod?.status?.initContainerStatuses?.[0]?.state?.terminated?.reason, 'Completed')
  assert.equal(state(pod)?.terminated?.exitCode, 0)
  assert.equal(
    pod?.status?.conditions?.find(({ type }) => type === 'Ready')?.reason,
    'PodCompleted',
  )
})

test('what can not start says why', async (t) => {
  const node = await startNode(t)
  await node.create('missing', 'example.com/nothing:v1')
  await node.create('badname', 'Not A Name')
  await node.create('noprogram', 'dev.local/web', {}, { command: ['/no/such'] })
  await node.create(
    'noconfig',
    'dev.local/web',
    {},
    { envFrom: [{ configMapRef: { name: 'nocm' } }] },
  )
  const missing = await node.until(
    'missing',
    (it) => state(it)?.waiting?.reason === 'ImagePullBackOff',
  )
  assert.match(
    state(missing)?.waiting?.message ?? '',
    /^Back-off pulling image "example\.com\/nothing:v1": ErrImagePull: .* ebb build DIR --tag/,
  )
  await node.until('badname', (it) => state(it)?.waiting?.reason === 'InvalidImageName')
  const noProgram = await node.until(
    'noprogram',
    (it) => it?.status?.containerStatuses?.[0]?.lastState?.terminated?.reason === 'StartError',
  )
  assert.equal(noProgram?.status?.containerStatuses?.[0]?.lastState?.terminated?.exitCode, 128)
  const noConfig = await node.until(
    'noconfig',
    (it) => state(it)?.waiting?.reason === 'CreateContainerConfigError',
  )
  assert.equal(state(noConfig)?.waiting?.message, 'configmap "nocm" not found')
  await node.client.create(ConfigMap, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'nocm', namespace: 'default' },
    data: { FOUND: 'yes' },
  })
  await node.until('noconfig', ready)
  for (const name of ['missing', 'badname', 'noprogram', 'noconfig']) {
    await node.client.delete(Pod, { namespace: 'default', name })
    await node.until(name, gone)
  }
})

test('a program deaf to SIGTERM is killed when its grace is over', async (t) => {
  const node = await startNode(t)
  await node.create('deaf', 'dev.local/stubborn', { terminationGracePeriodSeconds: 1 })
  await node.until('deaf', ready)
  while ((await node.log('deaf')) !== 'deaf\n');
  let end: Pod | undefined
  using _ = node.informers.for(Pod).subscribe((_type, pod) => {
    if (state(pod)?.terminated) end = pod
  })
  await node.client.delete(Pod, { namespace: 'default', name: 'deaf' })
  await node.until('deaf', gone)
  assert.equal(state(end)?.terminated?.exitCode, 137)
  assert.equal(end?.status?.phase, 'Failed')
})

test('a failing liveness probe restarts the container', async (t) => {
  const node = await startNode(t)
  await node.create(
    'sick',
    'dev.local/stubborn',
    { terminationGracePeriodSeconds: 1 },
    {
      livenessProbe: { exec: { command: ['/bin/false'] }, periodSeconds: 1, failureThreshold: 1 },
    },
  )
  const pod = await node.until(
    'sick',
    (it) => (it?.status?.containerStatuses?.[0]?.restartCount ?? 0) > 0,
  )
  assert.ok(pod)
  const events = await node.events('sick')
  assert.ok(
    events.includes('Normal Killing Container c failed liveness probe, will be restarted'),
    events.join('\n'),
  )
})

test('pods live on without a control plane, and the next one adopts them', async (t) => {
  const node = await startNode(t)
  await node.create('web', 'dev.local/web', {}, eager)
  await node.create('orphan', 'dev.local/web', {}, eager)
  const before = await node.until('web', ready)
  const orphan = await node.until('orphan', ready)
  await node.restart(async () => {
    assert.match(await fetchText(before), /PORT/)
    await node.client.delete(
      Pod,
      { namespace: 'default', name: 'orphan' },
      { gracePeriodSeconds: 0 },
    )
  })
  const after = await node.until('web', ready)
  assert.equal(
    after?.status?.containerStatuses?.[0]?.containerID,
    before?.status?.containerStatuses?.[0]?.containerID,
  )
  assert.equal(after?.status?.containerStatuses?.[0]?.restartCount, 0)
  assert.match(await fetchText(after), /PORT/)
  while ((await fetchText(orphan).catch(() => 'gone')) !== 'gone')
    await new Promise((resolve) => setImmediate(resolve))
  await node.client.delete(Pod, { namespace: 'default', name: 'web' })
  await node.until('web', gone)
})

test('volumes are mounted where the container expects them', { skip: !isRoot }, async (t) => {
  for (const network of ['host', 'namespaces'] as const) {
    await t.test(network, async (inner) => {
      const node = await startNode(inner, network)
      await node.client.create(ConfigMap, {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'settings', namespace: 'default' },
        data: { color: 'blue' },
      })
      await node.create(
        'files',
        'dev.local/files',
        {
          volumes: [
            { name: 'settings', configMap: { name: 'settings' } },
            { name: 'scratch', emptyDir: {} },
          ],
        },
        {
          volumeMounts: [
            { name: 'settings', mountPath: '/etc/ebb-test/settings' },
            { name: 'scratch', mountPath: '/app/scratch' },
          ],
          readinessProbe: {
            exec: {
              command: ['/bin/sh', '-c', 'cat /etc/ebb-test/settings/color && touch scratch/x'],
            },
            periodSeconds: 0,
          },
        },
      )
      await node.until('files', ready)
      while ((await node.log('files')) !== 'blue\n');
      assert.equal(existsSync('/etc/ebb-test'), false, 'the machine itself sees nothing of it')
      const [scratch] = globSync('pods/*/volumes/scratch/x', { cwd: node.dataDir })
      assert.ok(scratch, 'what was written to the volume is in the volume')
    })
  }
})

test('pods survive kill -9 of the launcher, and their end is still noticed', async (t) => {
  const node = await startNode(t)
  await node.create('web', 'dev.local/web', {}, eager)
  const before = await node.until('web', ready)
  const old = node.runtime.launcherPid
  process.kill(old, 'SIGKILL')
  assert.match(await fetchText(before), /PORT/)
  // Needs a launcher: one is started by itself.
  await node.create('second', 'dev.local/web', {}, eager)
  await node.until('second', ready)
  assert.notEqual(node.runtime.launcherPid, old)
  const env = JSON.parse(await fetchText(before)) as Record<string, string>
  const [web] = [...markedProcesses(env['EBB_CONTAINER_ID'] ?? '?')]
  assert.ok(web)
  process.kill(web.pid, 'SIGKILL')
  const after = await node.until(
    'web',
    (it) => it?.status?.containerStatuses?.[0]?.restartCount === 1 && ready(it),
  )
  assert.equal(after?.status?.containerStatuses?.[0]?.lastState?.terminated?.exitCode, 137)
})

test('nothing is left behind after a clean stop, not even daemons of the programs', async (t) => {
  let prefix = ''
  let dataDir = ''
  await t.test('run', async (inner) => {
    const node = await startNode(inner)
    dataDir = node.dataDir
    await node.create('family', 'dev.local/family')
    const pod = await node.until('family', ready)
    prefix = (pod?.status?.containerStatuses?.[0]?.containerID ?? '').slice(
      'process://'.length,
      'process://'.length + 12,
    )
    while ([...markedProcesses(prefix)].length < 2)
      await new Promise((resolve) => setImmediate(resolve))
  })
  assert.equal(prefix.length, 12)
  assert.deepEqual([...markedProcesses(prefix)], [])
  assert.equal(existsSync(dataDir), false)
})

test(
  'each pod has a network of its own, where the machine allows it',
  { skip: !isRoot },
  async (t) => {
    let names: readonly string[] = []
    let addresses: readonly (string | undefined)[] = []
    await t.test('run', async (inner) => {
      const node = await startNode(inner, 'namespaces')
      await node.create('one', 'dev.local/web', {}, eager)
      await node.create('two', 'dev.local/web', {}, eager)
      const pods = [await node.until('one', ready), await node.until('two', ready)]
      addresses = pods.map((pod) => pod?.status?.podIP)
      assert.equal(new Set(addresses).size, 2)
      for (const pod of pods) {
        assert.equal(pod?.metadata.annotations?.['ebb.dev/host-ports'], undefined)
        assert.match(await fetchText(pod), /HOSTNAME/)
      }
      names = (await readdir('/run/netns')).filter((name) => name.startsWith('ebb-'))
      await node.client.delete(Pod, { namespace: 'default', name: 'one' })
      await node.until('one', gone)
    })
    assert.ok(names.length > 0 && addresses.length === 2)
  },
)
