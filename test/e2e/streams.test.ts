/**
 * Streams into pods with the clients people have: exec, attach, cp, port-forward, run, debug and proxy with kubectl of every
 * protocol generation (SPDY up to 1.29, WebSockets from 1.30, tunnelled port-forward from 1.31), and @kubernetes/client-node.
 */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readFileSync, readlinkSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { Attach, Cp, Exec, KubeConfig, PortForward, type V1Status } from '@kubernetes/client-node'
import { kubectls, request, run, startEbb, until, withoutKubectl, type Ebb } from './platform.ts'

const all = kubectls()
/** One for each way of speaking. */
const wanted = ['1.27', '1.29', '1.30', '1.31', '1.33']
const some = all.filter((binary) => wanted.some((version) => binary.endsWith(version)))
const binaries = some.length > 0 ? some : all
const newest = binaries.at(-1) ?? 'kubectl'
const oldest = binaries[0] ?? 'kubectl'
const versionOf = (binary: string) => /1\.\d+$/.exec(binary)?.[0] ?? 'kubectl'
const withoutScript = !existsSync('/usr/bin/script') && 'there is no program script on this machine'

/** A pod that runs one of the machine's programs. */
const pod = (name: string, command: readonly string[], more = '') => `apiVersion: v1
kind: Pod
metadata: {name: ${name}, labels: {app: ${name}}}
spec:
  terminationGracePeriodSeconds: 1
  restartPolicy: Never
  containers:
  - name: c
    image: hello
    command: ${JSON.stringify(command)}
${more}---
`

describe('streams into pods', { skip: withoutKubectl }, () => {
  let ebb: Ebb
  let folder: string
  const children = new Set<ChildProcess>()
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ebb-streams-'))
    ebb = await startEbb({ args: ['--no-knative'] })
    await ebb.build('hello-serverless', 'hello')
    const echo = 'while read x; do echo "got $x"; done; echo over; exit 4'
    const pods = [
      `apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: c, image: hello, ports: [{containerPort: 8080, name: http}]}
---
`,
      pod('idle', ['sleep', '1000']),
      pod('echo', ['sh', '-c', echo], '    stdin: true\n'),
      pod('over', ['true']),
    ]
    await ebb.ok('apply', '-f', await ebb.file('pods.yaml', pods.join('')))
    await ebb.ok(
      'wait',
      '--for=condition=Ready',
      'pod/web',
      'pod/idle',
      'pod/echo',
      '--timeout=55s',
    )
  })
  after(async () => {
    for (const child of children) child.kill('SIGKILL')
    await ebb[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  const start = (file: string, args: readonly string[]): ChildProcess => {
    const child = spawn(file, args, {
      env: { ...process.env, KUBECONFIG: ebb.kubeconfig, HOME: ebb.dataDir },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    children.add(child)
    child.once('exit', () => children.delete(child))
    child.stdin?.on('error', () => {})
    return child
  }
  /** What a child has said so far, growing. */
  const listen = (child: ChildProcess): { said: string } => {
    const heard = { said: '' }
    for (const output of [child.stdout, child.stderr])
      output?.on('data', (chunk: Buffer) => (heard.said += chunk.toString('utf8')))
    return heard
  }
  const codeOf = (child: ChildProcess): Promise<number> =>
    new Promise((resolve) =>
      child.once('exit', (code, signal) => resolve(code ?? (signal ? 1 : 0))),
    )
  /** Runs a command line on a terminal of its own, 33 lines of 123 characters. */
  const onTerminal = (binary: string, line: string) =>
    start('script', ['-qefc', `stty rows 33 cols 123; ${binary} ${line}`, '/dev/null'])

  for (const binary of binaries)
    test(`${versionOf(binary)}: exec hands over both outputs and the exit code`, async () => {
      const line = 'echo out; echo err >&2; exit 3'
      const ran = await ebb.kubectlWith(binary, ['exec', 'idle', '--', 'sh', '-c', line])
      assert.deepEqual(
        [ran.code, ran.stdout, ran.stderr.split('\n')[0]],
        [3, 'out\n', 'err'],
        ran.stderr,
      )
      assert.match(ran.stderr, /command terminated with exit code 3/)
      const fine = await ebb.kubectlWith(binary, ['exec', 'pod/idle', '-c', 'c', '--', 'true'])
      assert.deepEqual([fine.code, fine.stdout, fine.stderr], [0, '', ''])
    })

  for (const binary of [oldest, newest])
    test(`${versionOf(binary)}: exec carries 10 MB in and out`, async () => {
      const bytes = randomBytes(10 << 20)
      const child = start(binary, ['exec', '-i', 'idle', '--', 'cat'])
      child.stderr?.resume()
      child.stdin?.end(bytes)
      const digest = (data: Buffer) => createHash('sha256').update(data).digest('hex')
      assert.equal(digest(await buffer(child.stdout ?? new PassThrough())), digest(bytes))
      assert.equal(await codeOfEnded(child), 0)
    })

  const codeOfEnded = async (child: ChildProcess): Promise<number> =>
    child.exitCode ?? (await codeOf(child))

  test('exec: what can not be is said as Kubernetes says it', async () => {
    const says: readonly (readonly [readonly string[], RegExp])[] = [
      [['exec', 'nobody', '--', 'true'], /pods "nobody" not found/],
      [['exec', 'idle', '-c', 'zz', '--', 'true'], /container zz is not valid for pod idle/],
      [['exec', 'over', '--', 'true'], /cannot exec into a container in a completed pod/],
      [['exec', 'idle', '--', 'no-such-program'], /"no-such-program": executable file not found/],
      [
        ['get', '--raw', '/api/v1/namespaces/default/pods/idle/exec?command=a'],
        /Upgrade request required/,
      ],
    ]
    await Promise.all(
      says.map(async ([args, text]) => {
        for (const binary of [oldest, newest]) {
          const ran = await ebb.kubectlWith(binary, args)
          assert.equal(ran.code, 1, args.join(' '))
          assert.match(ran.stderr, text)
        }
      }),
    )
  })

  for (const binary of [oldest, newest])
    test(
      `${versionOf(binary)}: exec -it has a terminal of the right size, which follows`,
      { skip: withoutScript },
      async () => {
        const loop = 'trap "stty size" WINCH; stty size; while :; do read x && exit $x; done'
        const child = onTerminal(binary, `exec -it idle -- sh -c '${loop}'`)
        const heard = listen(child)
        await until('the first size', () => heard.said.includes('33 123'))
        const [own] = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').split(
          ' ',
        )
        await run('stty', ['-F', readlinkSync(`/proc/${own}/fd/0`), 'rows', '44', 'cols', '101'])
        await until('the second size', () => heard.said.includes('44 101'))
        child.stdin?.write('6\n')
        assert.equal(await codeOf(child), 6, heard.said)
      },
    )

  for (const binary of [oldest, newest])
    test(`${versionOf(binary)}: cp copies folders both ways`, async () => {
      const version = versionOf(binary)
      const [here, there, back] = ['here', 'there', 'back'].map((name) =>
        join(folder, `${name}-${version}`),
      )
      await mkdir(join(here ?? '', 'sub'), { recursive: true })
      await writeFile(join(here ?? '', 'a'), randomBytes(300_000))
      await writeFile(join(here ?? '', 'sub', 'b c'), 'two')
      const ok = async (...args: string[]) => {
        const ran = await ebb.kubectlWith(binary, args)
        assert.equal(ran.code, 0, ran.stderr)
      }
      await ok('cp', here ?? '', `idle:${there}`)
      await ok('cp', `idle:${there}`, back ?? '')
      for (const name of ['a', join('sub', 'b c')])
        assert.ok(
          (await readFile(join(here ?? '', name))).equals(await readFile(join(back ?? '', name))),
        )
    })

  for (const binary of binaries)
    test(`${versionOf(binary)}: port-forward carries many connections at once`, async () => {
      const child = start(binary, ['port-forward', 'pod/web', ':8080'])
      const heard = listen(child)
      const port = await until('a port', () => /127\.0\.0\.1:(\d+)/.exec(heard.said)?.[1])
      const at = { host: '127.0.0.1', port: Number(port) }
      const answers = await Promise.all(Array.from({ length: 30 }, () => request(at, 'localhost')))
      for (const { status, body } of answers) {
        assert.equal(status, 200, heard.said)
        assert.match(body, /Hello Serverless/)
      }
      child.kill('SIGKILL')
    })

  test('port-forward: services, deployments by their pods; a closed port is told', async () => {
    await ebb.ok('expose', 'pod', 'web', '--port=80', '--target-port=http')
    const child = start(newest, ['port-forward', 'svc/web', ':80'])
    const heard = listen(child)
    const port = await until('a port', () => /127\.0\.0\.1:(\d+)/.exec(heard.said)?.[1])
    const { body } = await request({ host: '127.0.0.1', port: Number(port) }, 'localhost')
    assert.match(body, /Hello Serverless/)
    child.kill('SIGKILL')
    const closed = start(newest, ['port-forward', 'idle', ':9'])
    const complaint = listen(closed)
    const its = await until('a port', () => /127\.0\.0\.1:(\d+)/.exec(complaint.said)?.[1])
    connect(Number(its), '127.0.0.1')
      .on('error', () => {})
      .end('x')
    await until('the error', () =>
      /error forwarding port 9 to pod idle, uid : /.test(complaint.said),
    )
    closed.kill('SIGKILL')
  })

  test('attach: input, output from now on, the end of the program', async () => {
    const first = start(oldest, ['attach', '-i', 'echo'])
    const heard = listen(first)
    first.stdin?.write('one\n')
    await until('an echo', () => heard.said.includes('got one'))
    const second = start(newest, ['attach', '-i', 'echo'])
    const other = listen(second)
    second.stdin?.write('two\n')
    await until('an echo for both', () =>
      [heard, other].every(({ said }) => said.includes('got two')),
    )
    assert.ok(!other.said.includes('got one'), other.said)
    await ebb.ok('delete', 'pod', 'echo', '--wait=false')
    await Promise.all([codeOfEnded(first), codeOfEnded(second)])
  })

  for (const binary of [oldest, newest]) {
    const name = versionOf(binary).replace('.', '-')
    const image = '--image=hello --restart=Never'
    test(`${versionOf(binary)}: run -i --rm feeds a program and ends with its code`, async () => {
      const line = 'read x; echo "got $x"; exit 7'
      const args = ['run', `r${name}`, '-i', '--rm', ...image.split(' '), '--command', '--']
      const ran = await ebb.kubectlWith(binary, [...args, 'sh', '-c', line], 'hello\n')
      assert.match(ran.stdout, /got hello/)
      assert.equal(ran.code, 7, ran.stderr)
    })

    test(`${versionOf(binary)}: run -it --rm is a shell`, { skip: withoutScript }, async () => {
      const child = onTerminal(binary, `run t${name} -it --rm ${image} --command -- sh`)
      const heard = listen(child)
      await until('a prompt', () => /[#$] /.test(heard.said))
      // kubectl first tells a size that is one too large, so that programs draw anew.
      const loop = 'until stty size | grep "33 123"; do sleep 0.1; done; echo a$((1+1))b'
      child.stdin?.write(`${loop}\n`)
      await until('an answer', () => heard.said.includes('a2b'))
      child.stdin?.write('exit 5\n')
      assert.equal(await codeOf(child), 5, heard.said)
      assert.match(heard.said, /pod "t.*" deleted/)
    })

    test(
      `${versionOf(binary)}: debug adds a container to look at a pod`,
      { skip: withoutScript },
      async () => {
        const child = onTerminal(
          binary,
          `debug -it idle --image=hello --target=c -c d${name} -- sh`,
        )
        const heard = listen(child)
        await until('a prompt', () => /[#$] /.test(heard.said))
        child.stdin?.write('echo a$((1+1))b; exit\n')
        await codeOf(child)
        assert.match(heard.said, /a2b/)
      },
    )
  }

  test('ephemeral containers are only added', async () => {
    const raw = (path: string, spec: object) =>
      ebb.kubectl(
        'patch',
        'pod',
        'idle',
        `--subresource=${path}`,
        '--type=merge',
        '-p',
        JSON.stringify({ spec }),
      )
    const removed = await raw('ephemeralcontainers', { ephemeralContainers: null })
    // kubectl itself knows only some subresources; then the server is asked by its own name.
    assert.equal(removed.code, 1, removed.stdout)
    const changed = await ebb.kubectl(
      'patch',
      'pod',
      'idle',
      '--type=merge',
      '-p',
      JSON.stringify({
        spec: { ephemeralContainers: [{ name: 'x', image: 'y' }] },
      }),
    )
    assert.match(changed.stderr, /pod updates may not change fields other than/)
  })

  test('proxy: pods and services by path, through kubectl proxy', async () => {
    const base = '/api/v1/namespaces/default'
    for (const path of ['pods/web:8080', 'pods/web', 'services/web', 'services/http:web:80'])
      assert.match(await ebb.ok('get', '--raw', `${base}/${path}/proxy/`), /Hello Serverless/, path)
    assert.match(
      (await ebb.kubectl('get', '--raw', `${base}/services/web:81/proxy/`)).stderr,
      /no service port "81" found for service "web"/,
    )
    assert.match(
      (await ebb.kubectl('get', '--raw', `${base}/pods/idle:9/proxy/`)).stderr,
      /error trying to reach service: /,
    )
    const child = start(newest, ['proxy', '--port=0'])
    const heard = listen(child)
    const port = await until('a port', () => /127\.0\.0\.1:(\d+)/.exec(heard.said)?.[1])
    const at = { host: '127.0.0.1', port: Number(port) }
    const answer = await request(at, '127.0.0.1', { path: `${base}/pods/web/proxy/x?y=1` })
    assert.equal(answer.status, 200)
    assert.match(
      (await request(at, '127.0.0.1', { path: `${base}/pods` })).body,
      /"kind":"PodList"/,
    )
    child.kill('SIGKILL')
  })

  describe('@kubernetes/client-node', () => {
    const config = () => {
      const kubeConfig = new KubeConfig()
      kubeConfig.loadFromFile(ebb.kubeconfig)
      return kubeConfig
    }
    const ended = (stream: PassThrough) => buffer(stream)

    test('Exec', async () => {
      const [out, err, input] = [new PassThrough(), new PassThrough(), new PassThrough()]
      const status = Promise.withResolvers<V1Status>()
      const command = ['sh', '-c', 'cat; echo err >&2; exit 3']
      await new Exec(config()).exec(
        'default',
        'idle',
        'c',
        command,
        out,
        err,
        input,
        false,
        status.resolve,
      )
      const bytes = randomBytes(1 << 20)
      input.end(bytes)
      const [stdout, stderr] = await Promise.all([ended(out), ended(err)])
      assert.ok(stdout.equals(bytes))
      assert.equal(stderr.toString(), 'err\n')
      const { status: is, reason, details } = await status.promise
      assert.deepEqual(
        [is, reason, details?.causes?.[0]?.message],
        ['Failure', 'NonZeroExitCode', '3'],
      )
    })

    test('Attach', async () => {
      await ebb.ok(
        'apply',
        '-f',
        await ebb.file('cat.yaml', pod('cat', ['cat'], '    stdin: true\n')),
      )
      await ebb.ok('wait', '--for=condition=Ready', 'pod/cat', '--timeout=55s')
      const [out, input] = [new PassThrough(), new PassThrough()]
      let said = ''
      out.on('data', (chunk: Buffer) => (said += chunk.toString()))
      const socket = await new Attach(config()).attach(
        'default',
        'cat',
        'c',
        out,
        null,
        input,
        false,
      )
      input.write('hello\n')
      await until('an echo', () => said === 'hello\n')
      socket.close()
    })

    test('PortForward', async () => {
      const [out, input] = [new PassThrough(), new PassThrough()]
      const socket = await new PortForward(config()).portForward(
        'default',
        'web',
        [8080],
        out,
        null,
        input,
      )
      let said = ''
      out.on('data', (chunk: Buffer) => (said += chunk.toString()))
      input.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
      await until('an answer', () => said.includes('Hello Serverless'))
      assert.match(said, /^HTTP\/1\.1 200 /)
      if ('close' in socket) socket.close()
    })

    test('Cp', async () => {
      const [from, to] = [join(folder, 'node-from'), join(folder, 'node-to')]
      await mkdir(from)
      await mkdir(to)
      await writeFile(join(from, 'file'), 'copied')
      await new Cp(config()).cpToPod('default', 'idle', 'c', from, to)
      await until('the copy', () => existsSync(join(to, 'file')))
      const back = join(folder, 'node-back')
      await new Cp(config()).cpFromPod('default', 'idle', 'c', 'file', back, to)
      await until('the copy of the copy', () => existsSync(join(back, 'file')))
    })
  })
})
