/**
 * A change of code until it serves: `ebb build` of a Node service whose packages stay as they are, then the new image
 * applied, until a request is answered by the new code. Each of the parts by itself, too.
 */
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startEbb, until, type Ebb } from '../test/e2e/platform.ts'
import { median, type Row } from './row.ts'

const rounds = 10

export async function rows(): Promise<readonly Row[]> {
  await using ebb = await startEbb()
  const folder = await service()
  try {
    const firstMs = await timed(() => build(ebb, folder))
    const client = await clientFor(ebb)
    await client.apply((await build(ebb, folder)).image)
    await until('the service answers', async () => (await answer(ebb)) === '0')
    const buildMs: number[] = []
    const applyMs: number[] = []
    const serveMs: number[] = []
    const idleMs: number[] = []
    for (let i = 1; i <= rounds; i++) {
      await writeFile(join(folder, 'word.js'), `module.exports = '${i}'\n`)
      const start = performance.now()
      const { image } = await build(ebb, folder)
      const built = performance.now()
      await client.apply(image)
      const applied = performance.now()
      await until(`revision ${i} answers`, async () => (await answer(ebb)) === String(i))
      const served = performance.now()
      buildMs.push(built - start)
      applyMs.push(applied - built)
      serveMs.push(served - applied)
      idleMs.push(await timed(() => build(ebb, folder)))
    }
    const whole = buildMs.map((ms, i) => ms + (applyMs[i] ?? 0) + (serveMs[i] ?? 0))
    const row = (name: string, values: readonly number[], goal?: string): Row => ({
      name,
      value: median(values),
      unit: 'ms',
      ...(goal !== undefined && { goal }),
    })
    return [
      row(
        `code change of a Node service (${packages} packages, ${packages * files} files): build, apply, first answer of it, median of ${rounds}`,
        whole,
        '< 1000 ms',
      ),
      row('of that: `ebb build`', buildMs),
      row('of that: apply', applyMs),
      row('of that: revision, pod, probe, route, first answer', serveMs),
      row('`ebb build` with nothing changed', idleMs),
      row('`ebb build` for the first time', [firstMs]),
    ]
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const packages = 100
const files = 20

/** As large as a service with a web framework and a database client. */
async function service(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ebb-rebuild-'))
  const dependencies: Record<string, string> = {}
  for (let i = 0; i < packages; i++) {
    const at = join(folder, 'node_modules', `package-${i}`)
    dependencies[`package-${i}`] = '1.0.0'
    await mkdir(at, { recursive: true })
    await writeFile(
      join(at, 'package.json'),
      JSON.stringify({ name: `package-${i}`, version: '1.0.0', license: 'MIT' }),
    )
    for (let j = 1; j < files; j++)
      await writeFile(join(at, `part-${j}.js`), `// ${i} ${j}\n`.repeat(300))
    await cp(join(at, 'part-1.js'), join(at, 'index.js'))
  }
  await writeFile(
    join(folder, 'package.json'),
    JSON.stringify({ name: 'rebuild', main: 'server.js', dependencies }),
  )
  await writeFile(join(folder, 'word.js'), "module.exports = '0'\n")
  await writeFile(
    join(folder, 'server.js'),
    `${Array.from({ length: 20 }, (_, i) => `require('package-${i}')`).join('\n')}
const word = require('./word.js')
require('node:http').createServer((request, response) => response.end(word)).listen(process.env.PORT)
process.on('SIGTERM', () => process.exit(0))
`,
  )
  return folder
}

async function build(ebb: Ebb, folder: string): Promise<{ readonly image: string }> {
  const { code, stdout, stderr } = await ebb.ebb('build', folder, '-t', 'dev.local/rebuild')
  if (code !== 0) throw new Error(stderr)
  return { image: stdout.trim() }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

const answer = async (ebb: Ebb): Promise<string> =>
  (await ebb.get('rebuild.default.localhost')).body

async function clientFor(ebb: Ebb) {
  const { clientOf } = await import('../src/cli/api-client.ts')
  const { Service } = await import('../src/serving/api/service.ts')
  const { client } = await clientOf(ebb.kubeconfig)
  let made = false
  return {
    async apply(image: string): Promise<void> {
      const template = { spec: { containers: [{ name: 'user-container', image }] } }
      const key = { namespace: 'default', name: 'rebuild' }
      if (made) await client.patch(Service, key, { type: 'merge', body: { spec: { template } } })
      else
        await client.create(Service, {
          apiVersion: 'serving.knative.dev/v1',
          kind: 'Service',
          metadata: key,
          spec: { template },
        })
      made = true
    },
  }
}
