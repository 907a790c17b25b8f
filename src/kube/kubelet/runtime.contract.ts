/** What every runtime does, whatever it runs containers with. Each implementation's test calls this. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { chmod, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import type { Readable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { after, describe, test, type TestContext } from 'node:test'
import { sleep as pause, systemClock } from '../../lib/clock.ts'
import type { ContainerSpec, ImageHandle, Runtime } from './runtime.ts'

export interface RuntimeUnderTest {
  readonly runtime: Runtime
  /** An image whose program runs until SIGTERM, which ends it with 143 or by the signal. */
  readonly sleeper: ImageHandle
  readonly logPath: (attempt: number) => string
  /** Command line before a line of shell, inside the image; absent where nothing really runs. */
  readonly shell?: readonly string[]
  /** How `sleep` is called in that shell, where it is not by its name. */
  readonly sleep?: string
}

/** Who ends what was opened; a TestContext is one. */
export interface Scope {
  after(end: () => unknown): void
}

/** One runtime for all of it: opening takes longer than most of the tests, and what they leave behind is removed. */
export function runtimeContract(
  name: string,
  open: (scope: Scope) => Promise<RuntimeUnderTest>,
): void {
  describe(name, () => {
    const ends: (() => unknown)[] = []
    let opened: Promise<RuntimeUnderTest> | undefined
    after(async () => {
      for (const end of ends.toReversed()) await end()
    })
    contract(name, async (t) => {
      const under = await (opened ??= open({ after: (end) => void ends.push(end) }))
      t.after(async () => {
        for (const podUid of ['a', 'b']) await under.runtime.removeSandbox(podUid)
        const logs = [0, 1].map(under.logPath).filter((path) => isAbsolute(path))
        for (const path of logs) await rm(path, { force: true })
      })
      return under
    })
  })
}

function contract(name: string, open: (t: TestContext) => Promise<RuntimeUnderTest>): void {
  const spec = (under: RuntimeUnderTest, podUid: string, attempt = 0): ContainerSpec => ({
    podUid,
    namespace: 'ns',
    podName: 'p',
    container: 'c',
    attempt,
    image: under.sleeper,
    command: under.sleeper.config.cmd,
    workingDir: under.sleeper.config.workingDir,
    env: {},
    mounts: [],
    logPath: under.logPath(attempt),
  })
  const sandbox = (podUid: string) => ({ podUid, namespace: 'ns', name: 'p', ports: [8080] })

  test(`${name}: a sandbox has an address, the same when asked again`, async (t) => {
    const { runtime } = await open(t)
    const first = await runtime.createSandbox(sandbox('a'))
    assert.match(first.podIP, /^\d+\.\d+\.\d+\.\d+$/)
    assert.deepEqual(await runtime.createSandbox(sandbox('a')), first)
    const other = await runtime.createSandbox(sandbox('b'))
    assert.notDeepEqual([other.podIP, other.hostPorts], [first.podIP, first.hostPorts])
  })

  test(`${name}: a container runs until it is told to end`, async (t) => {
    const under = await open(t)
    const { runtime } = under
    await runtime.createSandbox(sandbox('a'))
    const container = await runtime.start(spec(under, 'a'))
    assert.ok(container.pid > 0)
    assert.equal(container.attempt, 0)
    await runtime.signal(container.id, 'SIGTERM')
    const exit = await container.exited
    assert.equal(exit.exitCode, 143)
    assert.equal(exit.reason, 'Error')
    await runtime.signal(container.id, 'SIGKILL') // is ignored
  })

  test(`${name}: attempts are different containers`, async (t) => {
    const under = await open(t)
    await under.runtime.createSandbox(sandbox('a'))
    const first = await under.runtime.start(spec(under, 'a'))
    await under.runtime.signal(first.id, 'SIGKILL')
    assert.equal((await first.exited).exitCode, 137)
    const second = await under.runtime.start(spec(under, 'a', 1))
    assert.notEqual(second.id, first.id)
  })

  test(`${name}: removing a sandbox ends what runs in it`, async (t) => {
    const under = await open(t)
    await under.runtime.createSandbox(sandbox('a'))
    const container = await under.runtime.start(spec(under, 'a'))
    await under.runtime.removeSandbox('a')
    assert.equal((await container.exited).exitCode, 137)
    await under.runtime.removeSandbox('a') // is ignored
    assert.deepEqual(
      (await under.runtime.recover()).filter(({ sandbox: { podUid } }) => podUid === 'a'),
      [],
    )
  })

  test(`${name}: unknown ids are ignored`, async (t) => {
    const { runtime } = await open(t)
    await runtime.signal('nobody', 'SIGTERM')
    await runtime.removeSandbox('nobody')
  })

  /** A container that runs a line of shell; undefined where nothing really runs. */
  const run = async (under: RuntimeUnderTest, line: string, more: Partial<ContainerSpec> = {}) => {
    if (!under.shell) return undefined
    await under.runtime.createSandbox(sandbox('a'))
    return await under.runtime.start({
      ...spec(under, 'a'),
      command: [...under.shell, line],
      ...more,
    })
  }

  const sleep = ({ sleep: command = 'sleep' }: RuntimeUnderTest) => command

  test(`${name}: environment and working directory reach the program, its output the log`, async (t) => {
    const under = await open(t)
    const line = 'echo "$COLOR"; pwd >&2; exit 3'
    const container = await run(under, line, { env: { COLOR: 'blue=1 2' } })
    if (!container) return t.skip('nothing really runs')
    const { exitCode, reason } = await container.exited
    assert.deepEqual({ exitCode, reason }, { exitCode: 3, reason: 'Error' })
    const log = await readFile(under.logPath(0), 'utf8')
    assert.deepEqual(log.trim().split('\n').length, 2, log)
    assert.match(log, /blue=1 2/)
    assert.match(log, new RegExp(`${under.sleeper.config.workingDir}$`, 'm'))
  })

  /** A folder of this machine as a volume, where the machine can mount one. */
  const volume = async (t: TestContext) => {
    const folder = await mkdtemp(join(tmpdir(), 'ebb-volume-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    await chmod(folder, 0o755)
    return folder
  }
  const withoutMounts = process.getuid?.() !== 0 && 'volumes take root here'

  test(`${name}: volumes are where they are said to be, and what is read-only stays as it is`, async (t) => {
    const under = await open(t)
    if (withoutMounts && under.runtime.sharesFiles?.(under.sleeper)) return t.skip(withoutMounts)
    const given = await volume(t)
    const kept = await volume(t)
    await writeFile(join(given, 'color'), 'blue\n')
    const line =
      'read c < /v/given/color; echo "is $c"; echo x > /v/kept/made; (echo y > /v/given/made) 2>/dev/null || echo refused'
    const container = await run(under, line, {
      mounts: [
        { path: '/v/given', hostPath: given, readOnly: true },
        { path: '/v/kept', hostPath: kept, readOnly: false },
        { path: '/etc/of-the-pod', hostPath: join(given, 'color'), readOnly: true, implied: true },
      ],
    })
    if (!container) return t.skip('nothing really runs')
    assert.equal((await container.exited).exitCode, 0)
    const log = await readFile(under.logPath(0), 'utf8')
    assert.match(log, /is blue/)
    assert.match(log, /refused/)
    assert.equal(await readFile(join(kept, 'made'), 'utf8'), 'x\n')
    await assert.rejects(readFile(join(given, 'made')))
  })

  test(`${name}: a version of files that replaces another is seen at once`, async (t) => {
    const under = await open(t)
    if (withoutMounts && under.runtime.sharesFiles?.(under.sleeper)) return t.skip(withoutMounts)
    const folder = await volume(t)
    const write = async (version: string) => {
      await mkdir(join(folder, version))
      await writeFile(join(folder, version, 'color'), `${version}\n`)
      await symlink(version, join(folder, '..data_tmp'))
      await rename(join(folder, '..data_tmp'), join(folder, '..data'))
    }
    await write('blue')
    await symlink('..data/color', join(folder, 'color'))
    const container = await run(under, `echo up; while :; do ${sleep(under)} 1; done`, {
      mounts: [{ path: '/v', hostPath: folder, readOnly: true }],
    })
    if (!container) return t.skip('nothing really runs')
    const { runtime, shell = [] } = under
    const seen = async () => {
      const command = [...shell, 'read c < /v/color; echo "$c"']
      return await runtime.exec(container.id, command, { timeoutMs: 10_000, limitBytes: 100 })
    }
    assert.deepEqual(await seen(), { exitCode: 0, output: 'blue\n' })
    await write('red')
    assert.deepEqual(await seen(), { exitCode: 0, output: 'red\n' })
  })

  test(`${name}: success is Completed`, async (t) => {
    const container = await run(await open(t), 'exit 0')
    if (!container) return t.skip('nothing really runs')
    const { exitCode, reason } = await container.exited
    assert.deepEqual({ exitCode, reason }, { exitCode: 0, reason: 'Completed' })
  })

  test(`${name}: commands run beside the program, cut off in time and size`, async (t) => {
    const under = await open(t)
    const container = await run(under, `while :; do ${sleep(under)} 1; done`, {
      env: { COLOR: 'blue' },
    })
    if (!container) return t.skip('nothing really runs')
    const { runtime, shell = [] } = under
    const sh = (line: string, timeoutMs = 10_000, limitBytes = 100) =>
      runtime.exec(container.id, [...shell, line], { timeoutMs, limitBytes })
    assert.deepEqual(await sh('echo $COLOR; exit 3'), { exitCode: 3, output: 'blue\n' })
    assert.deepEqual(await sh('echo 1234567890', 10_000, 6), { exitCode: 0, output: '123456' })
    assert.equal((await sh(`${sleep(under)} 60`, 300)).exitCode, 124)
    const nobody = await runtime.exec('nobody', ['true'], { timeoutMs: 1_000, limitBytes: 10 })
    assert.equal(nobody.exitCode, 126)
  })

  /** A program of that shell, called as `sleep` is. */
  const tool = (under: RuntimeUnderTest, program: string) => sleep(under).replace(/sleep$/, program)
  /** Reads until the text has come; fails at the end of the stream. */
  const reads = async (stream: Readable, text: string): Promise<string> => {
    let seen = ''
    for await (const chunk of stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>)
      if ((seen += chunk.toString('utf8')).includes(text)) return seen
    assert.fail(`the stream has ended without ${JSON.stringify(text)}: ${JSON.stringify(seen)}`)
  }

  test(`${name}: commands have streams of their own`, async (t) => {
    const under = await open(t)
    const container = await run(under, `while :; do ${sleep(under)} 1; done`, {
      env: { COLOR: 'blue' },
    })
    const { runtime, shell = [] } = under
    const openIn = runtime.open?.bind(runtime)
    if (!container || !openIn) return t.skip('nothing really runs')
    const start = (line: string, stdin = false) =>
      openIn(container.id, [...shell, line], { stdin, tty: false })
    const said = await start('echo $COLOR; echo trouble >&2; exit 3')
    assert.equal(said.stdin, undefined)
    const [stdout, stderr] = await Promise.all([
      text(said.stdout),
      text(said.stderr ?? said.stdout),
    ])
    assert.deepEqual([stdout, stderr, await said.exited], ['blue\n', 'trouble\n', 3])

    const copied = await start(`exec ${tool(under, 'cat')}`, true)
    const bytes = randomBytes(1 << 20)
    copied.stdin?.end(bytes)
    copied.stderr?.resume()
    assert.ok((await buffer(copied.stdout)).equals(bytes))
    assert.equal(await copied.exited, 0)

    const killed = await start('kill -9 $$')
    killed.stdout.resume()
    killed.stderr?.resume()
    assert.equal(await killed.exited, 137)

    const left = await start(`echo up; exec ${sleep(under)} 1000`)
    await reads(left.stdout, 'up')
    left.close()
    await assert.rejects(openIn('nobody', [...shell, 'true'], { stdin: false, tty: false }))
  })

  test(`${name}: commands on a terminal`, async (t) => {
    const under = await open(t)
    const container = await run(under, `while :; do ${sleep(under)} 1; done`)
    const { runtime, shell = [] } = under
    const openIn = runtime.open?.bind(runtime)
    if (!container || !openIn) return t.skip('nothing really runs')
    const until = (size: string) =>
      `while ! ${tool(under, 'stty')} size | ${tool(under, 'grep')} "${size}"; do ${sleep(under)} 0.1; done`
    const line = `${until('37 91')}; ${until('40 100')}; read x; echo "got $x"; exit 5`
    const command = await openIn(container.id, [...shell, line], {
      stdin: true,
      tty: true,
      size: { width: 91, height: 37 },
    })
    assert.equal(command.stderr, undefined)
    await reads(command.stdout, '37 91')
    command.resize({ width: 100, height: 40 })
    command.stdin?.write('hello\n')
    await reads(command.stdout, 'got hello')
    command.stdout.resume()
    assert.equal(await command.exited, 5)
  })

  test(`${name}: who attaches sees what comes, and may type`, async (t) => {
    const under = await open(t)
    const line = 'while read x; do echo "got $x"; done; echo over; exit 4'
    const container = await run(under, line, { stdin: 'once' })
    if (!container || !under.runtime.attach) return t.skip('nothing really runs')
    const first = await under.runtime.attach(container.id)
    first.stdin?.write('one\n')
    await reads(first.stdout, 'got one\n')
    const second = await under.runtime.attach(container.id)
    second.stdin?.write('two\n')
    const seen = await reads(second.stdout, 'got two\n')
    assert.equal(seen, 'got two\n')
    second.close()
    first.stdin?.end()
    await reads(first.stdout, 'over')
    assert.equal((await container.exited).exitCode, 4)
    await assert.rejects(under.runtime.attach('nobody'))
  })

  test(`${name}: a program on a terminal of its own`, async (t) => {
    const under = await open(t)
    const line = `trap "exit 9" INT; read x; ${tool(under, 'stty')} size; echo "got $x"; while :; do ${sleep(under)} 0.1; done`
    const container = await run(under, line, { stdin: 'open', tty: true })
    if (!container || !under.runtime.attach) return t.skip('nothing really runs')
    const attached = await under.runtime.attach(container.id)
    attached.stdin?.write('hello\n')
    await reads(attached.stdout, 'got hello')
    attached.stdin?.end()
    attached.close()
    const again = await under.runtime.attach(container.id)
    again.stdin?.write('\x03') // Ctrl-C
    for await (const _ of again.stdout as AsyncIterable<Buffer>);
    assert.equal((await container.exited).exitCode, 9)
  })

  test(`${name}: a program that can not be executed has ended with StartError`, async (t) => {
    const under = await open(t)
    const container = await run(under, '', { command: ['/no/such/program'] })
    if (!container) return t.skip('nothing really runs')
    assert.equal(container.pid, 0)
    const { exitCode, reason, message } = await container.exited
    assert.deepEqual({ exitCode, reason }, { exitCode: 128, reason: 'StartError' })
    assert.match(message ?? '', /no\/such\/program/)
  })

  test(`${name}: a stopped container does nothing until it goes on`, async (t) => {
    const under = await open(t)
    const line = `while :; do echo tick; ${sleep(under)} 0.02; done`
    const container = await run(under, line)
    if (!container) return t.skip('nothing really runs')
    const { runtime, shell = [] } = under
    // Time passes for the container when another one has gone on.
    await runtime.createSandbox(sandbox('b'))
    await runtime.start({ ...spec(under, 'b', 1), command: [...shell, line] })
    const ticks = async (attempt: number) =>
      (await readFile(under.logPath(attempt), 'utf8')).split('\n').length
    const aWhile = async () => {
      const start = await ticks(1)
      while ((await ticks(1)) < start + 5) await pause(systemClock, 5)
    }
    const changes = async (changed: boolean) => {
      for (let before = await ticks(0); ; before = await ticks(0)) {
        await aWhile()
        if (((await ticks(0)) !== before) === changed) return
      }
    }
    await changes(true)
    await runtime.signal(container.id, 'SIGSTOP')
    await changes(false)
    assert.ok(runtime.memoryBytes === undefined || (await runtime.memoryBytes(container.id)) > 0)
    await runtime.signal(container.id, 'SIGCONT')
    await changes(true)
    await runtime.signal(container.id, 'SIGKILL')
    assert.equal((await container.exited).exitCode, 137)
  })
}
