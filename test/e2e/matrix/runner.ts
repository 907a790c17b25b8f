/**
 * Runs the matrix: every group with every version of kubectl against one platform, a few groups at a time, each in a folder
 * and a namespace of its own (so that no row sees what another version did), the rows of a group one after the other.
 */
import { execFile, spawn } from 'node:child_process'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { inLanes } from './lanes.ts'
import { definition, shop } from './objects.ts'
import type { Group, Row, Unlike } from './row.ts'
import { words } from './row.ts'
import { kubectls, request, soonOver, until, type Ebb } from '../platform.ts'

/** The versions that the matrix speaks of; the first column of the table is the oldest. */
export const versions = ['1.27', '1.29', '1.31', '1.33'] as const

export interface Failure {
  readonly version: string
  readonly group: string
  readonly line: string
  readonly problem: string
}

/** What is expected of a row with one version: as everywhere, or something else with a reason. */
export function expected(row: Row, version: string): Row & { readonly gap?: Unlike } {
  const { since, unlike } = row.more ?? {}
  const minor = (text: string) => Number(text.split('.')[1])
  const gap =
    unlike?.[version] ??
    (since !== undefined && minor(version) < minor(since)
      ? {
          reason: `kubectl knows this since ${since}; earlier ones refuse it themselves.`,
          says: /./,
          code: 1,
        }
      : undefined)
  return gap ? { ...row, says: gap.says, code: gap.code ?? 0, gap } : row
}

export interface Spent {
  readonly line: string
  readonly version: string
  readonly ms: number
}

/** Prepares the platform, runs all and answers what was not as expected, and how long each row took. */
export async function runMatrix(
  ebb: Ebb,
  groups: readonly Group[],
  { only = versions, lanes = 3 }: { only?: readonly string[]; lanes?: number } = {},
): Promise<{ readonly failures: readonly Failure[]; readonly spent: readonly Spent[] }> {
  const binaries = kubectls()
    .map((binary) => ({ binary, version: /1\.\d+$/.exec(binary)?.[0] ?? '' }))
    .filter(({ version }) => only.includes(version))
  await prepare(ebb)
  const node = (await ebb.ok('get', 'nodes', '-o', 'jsonpath={.items[0].metadata.name}')).trim()
  const failures: Failure[] = []
  const spent: Spent[] = []
  const runs = (wanted: readonly Group[]) =>
    binaries.flatMap(({ binary, version }) =>
      wanted.map((group) => async () => {
        const lane = await openLane(ebb, { binary, version, group, node })
        if (typeof lane === 'string')
          return failures.push({ version, group: group.title, line: '(objects)', problem: lane })
        for (const row of group.rows) {
          const start = performance.now()
          const problem = await lane.check(expected(row, version))
          spent.push({ line: row.line, version, ms: performance.now() - start })
          if (problem) failures.push({ version, group: group.title, line: row.line, problem })
        }
        return undefined
      }),
    )
  await inLanes(lanes, runs(groups.filter(({ last }) => !last)))
  // There is one node, and kubectl writes its taints as a whole: one version after the other.
  await inLanes(1, runs(groups.filter(({ last }) => last)))
  return { failures, spent }
}

/** What all versions share: an image, a namespace full of things to read, a Knative Service. */
async function prepare(ebb: Ebb): Promise<void> {
  await ebb.build('hello-serverless', 'hello')
  await Promise.all([
    ebb.ok('create', 'namespace', 'shop'),
    ebb.ok('apply', '-f', await ebb.file('definition.yaml', definition)),
    ebb.ok('apply', '-f', await ebb.file('ksvc.yaml', service)),
  ])
  await ebb.ok('wait', 'crd/widgets.shop.example.com', '--for=condition=Established')
  await ebb.ok('apply', '-n', 'shop', '-f', await ebb.file('shop.yaml', shop))
  // What does not come about in time is told by the rows that read it.
  const wait = (...args: string[]) => ebb.kubectl('wait', '-n', 'shop', '--timeout=55s', ...args)
  await Promise.all([
    wait('deploy/web', '--for=condition=Available'),
    wait('job/once', '--for=condition=Complete'),
    wait('pod/logger', '--for=condition=Ready'),
    wait('pod/twice', '--for=jsonpath={.status.containerStatuses[0].restartCount}=1'),
    ebb.kubectl('wait', 'ksvc/hello', '--for=condition=Ready', '--timeout=55s'),
  ])
  await until(
    'a measure of what pods use',
    async () => {
      const ran = await ebb.kubectl('top', 'pod', '-n', 'shop', 'logger')
      return ran.code === 0
    },
    20_000,
  ).catch(() => false)
}

const service = `apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: hello}
spec: {template: {spec: {containers: [{image: hello}]}}}
`

interface Place {
  readonly binary: string
  readonly version: string
  readonly group: Group
  readonly node: string
}

/** A folder and namespace with what the group needs; or what went wrong. */
async function openLane(ebb: Ebb, { binary, version, group, node }: Place) {
  const name = `${group.title.replace(/\W.*/, '')}-${version.replace('.', '-')}`
  const namespace = group.shared ? 'shop' : name
  const folder = join(ebb.dataDir, 'matrix', name)
  await mkdir(folder, { recursive: true })
  const kubeconfig = join(ebb.dataDir, 'matrix', `${name}.kubeconfig`)
  await writeFile(
    kubeconfig,
    (await readFile(ebb.kubeconfig, 'utf8')).replace(/namespace: .*/, `namespace: ${namespace}`),
  )
  const filled = (text: string): string =>
    text
      .replaceAll('$NS', namespace)
      .replaceAll('$NODE', node)
      .replaceAll('$DATA', ebb.dataDir)
      .replaceAll('$DIR', folder)
      .replaceAll('$V', `v${version.replace('.', '-')}`)
  const at = (more: Row['more'] = {}) => ({
    cwd: join(folder, 'work'),
    env: {
      ...process.env,
      PATH: `${join(folder, 'work')}:${process.env['PATH'] ?? ''}`,
      KUBECONFIG: kubeconfig,
      HOME: ebb.dataDir,
      KUBE_EDITOR: 'true',
      ...soonOver,
      ...more.env,
    },
  })
  const fresh = async (files: Readonly<Record<string, string>> = {}) => {
    // A folder of its own for each row, under the same name, so that what a row leaves does not reach the next.
    const work = join(folder, 'work')
    const { rm } = await import('node:fs/promises')
    await rm(work, { recursive: true, force: true })
    await mkdir(work, { recursive: true })
    for (const [file, text] of Object.entries(files)) {
      await mkdir(dirname(join(work, file)), { recursive: true })
      await writeFile(join(work, file), filled(text))
      if (text.startsWith('#!')) await chmod(join(work, file), 0o755)
    }
  }
  const plain = (line: string, more: Row['more'] = {}) =>
    ended(binary, words(filled(line)), { ...at(more), input: filled(more.input ?? '') })
  /** What is wrong with lines that only have to succeed. */
  const succeed = async (lines: readonly string[] = []): Promise<string | undefined> => {
    for (const line of lines) {
      const { code, said } = await plain(line)
      if (code !== 0) return `kubectl ${filled(line)} ended with ${code}: ${said}`
    }
    return undefined
  }

  const told = async (row: Row): Promise<Told> => {
    const { follows, serves, typed } = row.more ?? {}
    const args = words(filled(row.line))
    if (typed !== undefined) {
      const line = [binary, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ')
      return ended('script', ['-qefc', line, '/dev/null'], { ...at(row.more), typed: `${typed}\n` })
    }
    if (!follows && !serves) return plain(row.line, row.more)
    const child = spawn(binary, args, { ...at(row.more), stdio: ['pipe', 'pipe', 'pipe'] })
    let said = ''
    for (const output of [child.stdout, child.stderr])
      output.on('data', (chunk: Buffer) => (said += chunk.toString()))
    child.stdin.on('error', () => {}).write(filled(row.more?.input ?? ''))
    try {
      if (follows?.meanwhile) {
        // Something that only watches says nothing at first: then it is enough that it connects.
        await until('the first words', () => (follows.first ?? /^/).test(said), 20_000)
        const stop = performance.now() + 20_000
        while (!row.says.test(said) && performance.now() < stop)
          for (const line of follows.meanwhile) {
            await succeed([line])
            await until('it is told', () => row.says.test(said), 300).catch(() => false)
          }
      }
      await until('what it says', () => row.says.test(said), 10_000).catch(() => false)
      if (serves) {
        const port = Number(row.says.exec(said)?.[1])
        const path = filled(serves.path)
        const { body } = await request({ host: '127.0.0.1', port }, '127.0.0.1', { path })
        if (!serves.says.test(body)) said = `${path} answered ${body}`
      }
      return { code: row.code ?? 0, said }
    } finally {
      child.kill('SIGKILL')
    }
  }

  const check = async (row: Row): Promise<string | undefined> => {
    await fresh(row.more?.files)
    const before = await succeed(row.more?.before)
    if (before) return before
    const { code, said } = await told(row).catch((error: unknown) => ({
      code: -1,
      said: String(error),
    }))
    if (code !== (row.code ?? 0)) return `ended with ${code}, wanted ${row.code ?? 0}: ${said}`
    if (!row.says.test(said))
      return `said ${JSON.stringify(said.slice(0, 1500))}, wanted ${row.says.source}`
    return succeed(row.more?.after)
  }

  await fresh()
  await keep(ebb, namespace, node)
  const made =
    !group.shared &&
    ((await succeed([`create ns ${namespace}`])) ??
      (group.objects ? failed(await plain('apply -f -', { input: group.objects })) : undefined))
  const ready = group.ready && (await succeed(group.ready.map((line) => `wait ${line}`)))
  return made || ready || { check }
}

const failed = ({ code, said }: Told): string | undefined => (code === 0 ? undefined : said)

/** Files of a namespace's rows that need more than text: requests of certificates, pods bound to the node. */
async function keep(ebb: Ebb, namespace: string, node: string): Promise<void> {
  const { createRequest } = await import('./certificate-request.ts')
  for (const answer of ['yes', 'no'])
    await ebb.file(`csr-${namespace}-${answer}.yaml`, await createRequest(`${namespace}-${answer}`))
  await ebb.file(
    `drained-${namespace}.yaml`,
    `apiVersion: v1
kind: Pod
metadata: {name: ${namespace}, labels: {run: ${namespace}}}
spec:
  nodeName: ${node}
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: hello, command: [sleep, "1000"]}]
`,
  )
}

interface Told {
  readonly code: number
  readonly said: string
}

/** Runs a program to its end with its input, or on a terminal with what is typed once it says something. */
function ended(
  file: string,
  args: readonly string[],
  {
    cwd,
    env,
    input = '',
    typed,
  }: { cwd: string; env: NodeJS.ProcessEnv; input?: string; typed?: string },
): Promise<Told> {
  return new Promise((resolve) => {
    let said = ''
    const child = execFile(
      file,
      [...args],
      { cwd, env, timeout: 60_000, maxBuffer: 64 << 20 },
      (error) =>
        resolve({ code: error ? (typeof error.code === 'number' ? error.code : 1) : 0, said }),
    )
    const hear = (chunk: string): void => {
      said += chunk
      if (typed !== undefined && /[#$] ?/.test(said)) child.stdin?.write(typed)
      if (typed !== undefined && /[#$] ?/.test(said)) typed = undefined
    }
    child.stdout?.on('data', hear)
    child.stderr?.on('data', hear)
    child.stdin?.on('error', () => {})
    if (typed === undefined) child.stdin?.end(input)
  })
}
