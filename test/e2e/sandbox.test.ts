/** Containers with a root of their own on this machine: the contract of runtimes, and what sets them apart from plain processes. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import {
  processRuntime,
  type ProcessRuntime,
} from '../../src/kube/kubelet/process/process-runtime.ts'
import {
  runtimeContract,
  type RuntimeUnderTest,
  type Scope,
} from '../../src/kube/kubelet/runtime.contract.ts'
import type { Container, ContainerSpec, ImageHandle } from '../../src/kube/kubelet/runtime.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { silent } from '../../src/lib/log.ts'
import { installed } from './installed.ts'
import { until } from './platform.ts'

const skip =
  process.platform !== 'linux'
    ? 'takes Linux'
    : !installed('busybox', 'busybox-static') && 'takes a static busybox (busybox-static)'

const busyboxPath = async (): Promise<string> => {
  for (const path of ['/bin/busybox', '/usr/bin/busybox'])
    try {
      await readFile(path)
      return path
    } catch {
      // the next one
    }
  throw new Error('no busybox')
}

/** Root file system of busybox alone. */
async function busyboxRoot(rootfs: string): Promise<void> {
  await mkdir(join(rootfs, 'bin'), { recursive: true })
  const busybox = join(rootfs, 'bin', 'busybox')
  await copyFile(await busyboxPath(), busybox)
  await chmod(busybox, 0o755)
  for (const name of [
    'sh',
    'sleep',
    'cat',
    'id',
    'ls',
    'touch',
    'hostname',
    'mkdir',
    'ln',
    'stat',
    'dd',
    'tail',
    'head',
  ])
    await symlink('busybox', join(rootfs, 'bin', name))
}

const sleepLine = 'trap "exit 143" TERM; while :; do sleep 0.1; done'

const imageOf = (rootfs: string): ImageHandle => ({
  reference: 'busybox',
  imageID: 'busybox@sha256:0',
  rootfs,
  config: {
    entrypoint: [],
    cmd: ['/bin/sh', '-c', sleepLine],
    env: {},
    workingDir: '/',
    user: '',
    stopSignal: '',
    exposedPorts: [],
    labels: {},
  },
})

/** A first process is deaf to SIGTERM until it has a handler: waits for that of programs that set one. */
async function listening(container: Container, line = ''): Promise<Container> {
  const hears = async () => {
    const status = await readFile(`/proc/${container.pid}/status`, 'utf8').catch(() => 'gone')
    const caught = /^SigCgt:\s+(\w+)/m.exec(status)
    return !caught || (BigInt(`0x${caught[1]}`) & 0x4000n) !== 0n
  }
  if (/^trap .* TERM;/.test(line)) await until('SIGTERM is heard', hears)
  return container
}

interface Opened extends RuntimeUnderTest {
  readonly runtime: ProcessRuntime
  readonly launcherPid: () => number
  readonly dataDir: string
  /** Another control plane on the same directory. */
  readonly again: () => Promise<ProcessRuntime>
}

async function open(t: Scope): Promise<Opened> {
  const dataDir = await mkdtemp(join(tmpdir(), 'ebb-sandbox-'))
  const rootfs = join(dataDir, 'rootfs')
  await busyboxRoot(rootfs)
  const again = () =>
    processRuntime({
      dataDir,
      socketPath: join(dataDir, 'l.sock'),
      network: 'auto',
      clock: systemClock,
      log: silent,
    })
  const opened = [await again()]
  const [runtime] = opened
  if (!runtime) throw new Error('none was opened')
  t.after(async () => {
    const [last = runtime] = opened.slice(-1)
    // At once: as first processes, programs without a handler do not hear SIGTERM.
    for (const podUid of ['a', 'b']) await last.removeSandbox(podUid)
    await last[Symbol.asyncDispose]()
    await rm(dataDir, { recursive: true, force: true })
  })
  return {
    runtime: {
      ...runtime,
      start: async (spec) => await listening(await runtime.start(spec), spec.command[2]),
    },
    launcherPid: () => runtime.launcherPid,
    dataDir,
    again: async () => {
      const next = await again()
      opened.push(next)
      return next
    },
    sleeper: imageOf(rootfs),
    shell: ['/bin/sh', '-c'],
    logPath: (attempt) => join(dataDir, `${attempt}.log`),
  }
}

if (skip === false) runtimeContract('sandbox', open)
else test('containers with a root of their own', { skip }, () => {})

const specOf = (
  image: ImageHandle,
  line: string,
  logPath: string,
  more: Partial<ContainerSpec>,
): ContainerSpec => ({
  podUid: 'a',
  namespace: 'ns',
  podName: 'web-1',
  container: 'c',
  attempt: 0,
  image,
  command: ['/bin/sh', '-c', line],
  workingDir: '/',
  env: {},
  mounts: [],
  logPath,
  ...more,
})

/** Runs a line of shell to its end; its log and how it ended. */
async function run(
  t: TestContext,
  line: string,
  more: Partial<ContainerSpec> = {},
  prepare: (rootfs: string) => Promise<void> = async () => {},
  change = (image: ImageHandle) => image,
) {
  const under = await open(t)
  await prepare(under.sleeper.rootfs)
  await under.runtime.createSandbox({ podUid: 'a', namespace: 'ns', name: 'web-1', ports: [] })
  const container = await under.runtime.start(
    specOf(change(under.sleeper), line, under.logPath(0), more),
  )
  const exit = await container.exited
  return { ...under, exit, log: await readFile(under.logPath(0), 'utf8').catch(() => '') }
}

const isRoot = process.getuid?.() === 0

test('it sees its own files, processes and name only', { skip }, async (t) => {
  const { log, exit } = await run(t, 'ls /; echo $$; hostname; echo told > /dev/stderr; env')
  assert.equal(exit.exitCode, 0, log + exit.message)
  assert.deepEqual(log.split('\n').slice(0, 8), [
    'bin',
    'dev',
    'etc',
    'proc',
    'sys',
    '1',
    'web-1',
    'told',
  ])
  assert.doesNotMatch(log, /EBB_/)
})

test(
  'volumes: folders and files, read-only honoured, no link leads a mount outside',
  { skip },
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'ebb-volume-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    await chmod(folder, 0o777)
    await writeFile(join(folder, 'f'), 'file')
    const escape = join(folder, 'outside')
    const mount = (path: string, hostPath: string, readOnly = false) => ({
      path,
      hostPath,
      readOnly,
    })
    const { log, sleeper } = await run(
      t,
      'cat /etc/f /data/f; echo x > /data/new && echo written; (echo x > /ro/f) 2>&1; ls /away/in; (mkdir /dir) 2>&1; touch /sys/x 2>&1',
      {
        mounts: [
          mount('/data', folder),
          mount('/ro', folder, true),
          mount('/etc/f', join(folder, 'f')),
          mount('/away/in', folder),
        ],
        security: { readOnlyRootFilesystem: true },
      },
      async (rootfs) => await symlink(escape, join(rootfs, 'away')),
    )
    assert.match(log, /^filefilewritten\n/)
    assert.match(log, /can't create \/ro\/f: Read-only file system/)
    assert.match(log, /mkdir: can't create directory '\/dir': Read-only file system/)
    assert.match(log, /touch: \/sys\/x: /)
    assert.match(log, /^f\nnew$/m)
    assert.equal(await readFile(join(folder, 'new'), 'utf8'), 'x\n')
    assert.ok(!existsSync(escape), 'nothing was made on the machine')
    assert.deepEqual(
      (await readdir(sleeper.rootfs)).sort(),
      ['away', 'bin'],
      'the image is as it was',
    )
  },
)

test(
  'folders of data of an image are there, writable though the root is not',
  { skip },
  async (t) => {
    const withVolumes = (found: ImageHandle) => ({
      ...found,
      config: {
        ...found.config,
        volumes: ['/data', '/made/here', '/away', '/own', 'relative', '/'],
      },
    })
    const folder = await mkdtemp(join(tmpdir(), 'ebb-volume-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    const fill = async (rootfs: string) => {
      await mkdir(join(rootfs, 'data'))
      await writeFile(join(rootfs, 'data/seed'), 'seed')
      await symlink('/data', join(rootfs, 'away'))
    }
    const line =
      'cat /data/seed; for each in /data /made/here /own; do echo x > $each/new && echo $each; done; (echo x > /new) 2>&1'
    const mounts = [{ path: '/own', hostPath: folder, readOnly: false }]
    await chmod(folder, 0o777)
    for (const readOnlyRootFilesystem of [false, true]) {
      const { log, sleeper } = await run(
        t,
        line,
        { mounts, security: { readOnlyRootFilesystem } },
        fill,
        withVolumes,
      )
      assert.match(log, /^seed\/data\n\/made\/here\n\/own\n/)
      assert.equal(/Read-only file system/.test(log), readOnlyRootFilesystem)
      assert.deepEqual(
        await readdir(join(sleeper.rootfs, 'data')),
        ['seed'],
        'the image is as it was',
      )
      assert.deepEqual(await readdir(folder), ['new'])
    }
  },
)

test('a restart begins with the files of the image', { skip }, async (t) => {
  const { runtime, sleeper, logPath } = await open(t)
  await runtime.createSandbox({ podUid: 'a', namespace: 'ns', name: 'p', ports: [] })
  for (const attempt of [0, 1]) {
    const container = await runtime.start(
      specOf(sleeper, 'ls /; touch /left', logPath(attempt), { attempt }),
    )
    assert.equal((await container.exited).exitCode, 0)
    assert.doesNotMatch(await readFile(logPath(attempt), 'utf8'), /left/)
  }
})

test('users, groups, capabilities, filtered system calls', { skip }, async (t) => {
  const line =
    'id; grep -E "CapBnd|CapEff|NoNewPrivs|Seccomp:" /proc/self/status; (unshare -U true || mount -t tmpfs x /bin) 2>&1; cat /dev/stdin > /dev/stdout < /dev/null; echo $HOME'
  const passwd = async (rootfs: string) => {
    await mkdir(join(rootfs, 'etc'))
    await writeFile(
      join(rootfs, 'etc/passwd'),
      'root:x:0:0::/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n',
    )
    await writeFile(join(rootfs, 'etc/group'), 'web:x:34:\nextra:x:44:web\n')
  }
  const image = (user: string) => (found: ImageHandle) => ({
    ...found,
    config: { ...found.config, user },
  })
  const { log } = await run(t, line, { security: { groups: [55] } }, passwd, image('web'))
  assert.match(
    log,
    isRoot
      ? /^uid=33\(web\) gid=34\(web\) groups=34\(web\),44\(extra\),55/
      : /^uid=33\(web\) gid=34\(web\)/,
  )
  assert.match(
    log,
    /CapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb\nNoNewPrivs:\t1\nSeccomp:\t2/,
  )
  assert.match(log, /Operation not permitted|Permission denied/)
  assert.match(log, /\/srv$/m)
  const dropped = await run(
    t,
    line,
    {
      security: {
        dropCapabilities: ['ALL'],
        addCapabilities: ['NET_RAW'],
        seccomp: { type: 'Unconfined' },
      },
    },
    passwd,
  )
  assert.match(dropped.log, /^uid=0\(root\)/)
  assert.match(
    dropped.log,
    /CapEff:\t0000000000002000\nCapBnd:\t0000000000002000\nNoNewPrivs:\t1\nSeccomp:\t0/,
  )
})

test('what can not be started says why', { skip }, async (t) => {
  const message = async (
    more: Partial<ContainerSpec>,
    change?: (image: ImageHandle) => ImageHandle,
  ) => {
    const { exit } = await run(t, '', more, undefined, change)
    assert.equal(exit.reason, 'StartError')
    return exit.message ?? ''
  }
  assert.match(
    await message({ command: ['nope'] }),
    /exec: "nope": executable file not found in \$PATH/,
  )
  assert.match(
    await message({ command: ['/nope'] }),
    /exec: "\/nope": stat \/nope: no such file or directory/,
  )
  assert.match(await message({ command: ['/bin'] }), /exec: "\/bin": permission denied/)
  assert.match(await message({ workingDir: '/bin/sh' }), /could not .*\/bin\/.*: not a directory/)
  assert.match(await message({ security: { privileged: true } }), /--allow-privileged/)
  assert.match(
    await message({ security: { addCapabilities: ['FLY'] } }),
    /there is no capability "FLY"/,
  )
  assert.match(
    await message({}, (image) => ({ ...image, config: { ...image.config, user: 'nobody' } })),
    /unable to find user nobody: no matching entries in passwd file/,
  )
})

test(
  'memory that runs out: OOMKilled, and nothing is left',
  { skip: skip || (!isRoot && 'takes root') },
  async (t) => {
    const line = 'x=a; while :; do x=$x$x$x; done'
    const { exit, runtime } = await run(t, line, {
      resources: { memoryLimitBytes: 16 << 20, cpuLimitMillis: 500 },
    })
    if (exit.reason === 'Error') return t.skip('no control group can be written to here')
    assert.deepEqual([exit.reason, exit.exitCode], ['OOMKilled', 137])
    await runtime.removeSandbox('a')
  },
)

test(
  'containers of a pod share its name and IPC; how one ended is known after a crash',
  { skip },
  async (t) => {
    const { runtime, sleeper, logPath, dataDir, again, launcherPid } = await open(t)
    await runtime.createSandbox({
      podUid: 'a',
      namespace: 'ns',
      name: 'p',
      hostname: 'named',
      ports: [],
    })
    const start = (container: string, attempt: number, line: string) =>
      runtime.start(specOf(sleeper, line, logPath(attempt), { container, attempt }))
    const first = await start('one', 0, 'trap "exit 9" TERM; while :; do sleep 0.05; done')
    const second = await start('two', 1, 'readlink /proc/self/ns/ipc; hostname')
    await second.exited
    const of = await runtime.exec(first.id, ['sh', '-c', 'readlink /proc/self/ns/ipc; hostname'], {
      timeoutMs: 10_000,
      limitBytes: 1000,
    })
    assert.match(of.output, /ipc:.*\nnamed\n/)
    if (isRoot) assert.equal(await readFile(logPath(1), 'utf8'), of.output)
    runtime.detach()
    process.kill(launcherPid(), 'SIGKILL')
    process.kill(first.pid, 'SIGTERM')
    await until(
      'its keeper has noted the end',
      () =>
        existsSync(join(dataDir, 'pods/a/roots/one-0/end')) && !existsSync(`/proc/${first.pid}`),
    )
    const successor = await again()
    const [pod] = await successor.recover()
    const found = pod?.containers.find(({ container }) => container === 'one')
    assert.equal((await found?.exited)?.exitCode, 9)
  },
)

test('an image whose folders are links outside gets its mounts inside', { skip }, async (t) => {
  const outside = await mkdtemp(join(tmpdir(), 'ebb-outside-'))
  t.after(() => rm(outside, { recursive: true, force: true }))
  const { exit, log } = await run(
    t,
    'ls -a /held; cat /etc/resolv.conf > /dev/null && echo named; ls /proc/self/exe > /dev/null && echo there',
    {},
    async (rootfs) => {
      await mkdir(join(rootfs, 'held'))
      await symlink('/held', join(rootfs, 'dev'))
      await symlink(`../../../../..${outside}`, join(rootfs, 'etc'))
    },
  )
  // Links into nothing are made good inside, or the start is refused; never is anything made on the machine.
  assert.deepEqual(await readdir(outside), [])
  if (exit.reason !== 'StartError') assert.match(log, /null/)
})

test(
  'a program that is the one which entered the container changes nothing for the next',
  { skip },
  async (t) => {
    const { runtime, sleeper, logPath } = await open(t)
    await symlink('/proc/self/exe', join(sleeper.rootfs, 'self'))
    await runtime.createSandbox({ podUid: 'a', namespace: 'ns', name: 'p', ports: [] })
    const container = await runtime.start(specOf(sleeper, sleepLine, logPath(0), {}))
    const limits = { timeoutMs: 10_000, limitBytes: 1_000 }
    const first = await runtime.exec(container.id, ['/self', '/bin/busybox'], limits)
    assert.notEqual(first.exitCode, 0)
    assert.deepEqual(await runtime.exec(container.id, ['echo', 'well'], limits), {
      exitCode: 127,
      output: 'exec: "echo": executable file not found in $PATH\n',
    })
    const well = await runtime.exec(container.id, ['sh', '-c', 'echo well'], limits)
    assert.deepEqual(well, { exitCode: 0, output: 'well\n' })
  },
)
