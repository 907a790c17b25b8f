/** Constant load, every request accounted for, while pods, revisions and gateways come and go. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { seededRandom } from '../../src/lib/random.ts'
import { client, type Account, type Failure } from '../soak/traffic.ts'
import {
  processesMentioning,
  request,
  startEbb,
  until,
  withoutKubectl,
  type Ebb,
} from './platform.ts'

/** Answers how many requests it has at this moment, and who it is. */
const gaugeSource = `
import { createServer } from 'node:http'
let now = 0
createServer((request, response) => {
  now++
  const most = now
  setTimeout(() => {
    now--
    response.end(JSON.stringify({ most, revision: process.env.K_REVISION }))
  }, 2)
}).listen(Number(process.env.PORT))`

describe('nothing lost', { skip: withoutKubectl }, () => {
  let ebb: Ebb
  const flags = ['--gateway-workers', '2']
  before(async () => {
    ebb = await startEbb({ args: flags })
    await ebb.build('soak', 'dev.local/soak')
    await apply('soak', { scale: 2 })
    const folder = join(ebb.dataDir, 'gauge')
    await mkdir(folder)
    await writeFile(join(folder, 'server.js'), gaugeSource)
    await writeFile(join(folder, 'package.json'), '{"type":"module","main":"server.js"}')
    const built = await ebb.ebb('build', folder, '--tag', 'dev.local/gauge')
    assert.equal(built.code, 0, built.stderr)
    await apply('gauge', { scale: 2, limit: 1 })
    for (const name of ['soak', 'gauge'])
      await ebb.ok('wait', `ksvc/${name}`, '--for=condition=Ready', '--timeout=55s')
    await running('soak-00001', 2)
  })
  after(() => ebb[Symbol.asyncDispose]())

  async function apply(
    name: string,
    {
      scale,
      limit = 0,
      generation = 1,
      traffic,
    }: { scale: number; limit?: number; generation?: number; traffic?: readonly object[] },
  ): Promise<void> {
    const service = {
      apiVersion: 'serving.knative.dev/v1',
      kind: 'Service',
      metadata: { name },
      spec: {
        template: {
          metadata: { annotations: { 'autoscaling.knative.dev/min-scale': String(scale) } },
          spec: {
            containerConcurrency: limit,
            containers: [
              {
                image: `dev.local/${name}`,
                env: [{ name: 'GENERATION', value: String(generation) }],
              },
            ],
          },
        },
        ...(traffic && { traffic }),
      },
    }
    await ebb.ok('apply', '-f', await ebb.file(`${name}.json`, JSON.stringify(service)))
  }

  const pods = async (revision: string): Promise<readonly string[]> =>
    (
      await ebb.ok(
        'get',
        'pods',
        '-l',
        `serving.knative.dev/revision=${revision}`,
        '-o',
        'jsonpath={range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}',
      )
    )
      .split('\n')
      .filter((line) => line.endsWith(' True'))
      .map((line) => line.split(' ')[0]!)
  const running = (revision: string, count: number) =>
    until(`${revision} has ${count} pods`, async () => (await pods(revision)).length === count)
  const scaleTo = (revision: string, count: number) =>
    ebb.ok(
      'annotate',
      'revision',
      revision,
      `autoscaling.knative.dev/min-scale=${count}`,
      `autoscaling.knative.dev/max-scale=${count}`,
      '--overwrite',
    )
  const gatewayPids = () =>
    processesMentioning(ebb.dataDir).filter((pid) => commandLine(pid).includes('gateway/main'))

  /** Load from before `change` until some time after it. */
  async function underLoad(change: () => Promise<void>): Promise<Account> {
    const account: Account = {
      sent: 0,
      answered: 0,
      byRevision: new Map(),
      failures: [],
      longestMs: 0,
      resent: 0,
    }
    let over = false
    const clients = Array.from({ length: 8 }, (_, at) =>
      client(`c${at}`, {
        address: ebb.gateway,
        host: 'soak.default.localhost',
        random: seededRandom(at),
        startedMs: performance.now(),
        account,
        stopped: () => over,
        pauseMs: () => 0,
      }),
    )
    const more = async (count: number) => {
      const enough = account.answered + count
      await until(`${enough} answers`, () => account.answered >= enough)
    }
    try {
      await more(100)
      await change()
      await more(200)
    } finally {
      over = true
      await Promise.all(clients)
    }
    return account
  }

  async function losesNothing(change: () => Promise<void>): Promise<Account> {
    const account = await underLoad(change)
    assert.deepEqual(account.failures, [])
    assert.equal(account.answered, account.sent)
    return account
  }

  test('scaling up and down', async () => {
    await losesNothing(async () => {
      await scaleTo('soak-00001', 4)
      await running('soak-00001', 4)
      await scaleTo('soak-00001', 1)
      await running('soak-00001', 1)
      await scaleTo('soak-00001', 2)
      await running('soak-00001', 2)
    })
  })

  test('a pod that is deleted finishes what it has', async () => {
    await losesNothing(async () => {
      const [first] = await pods('soak-00001')
      await ebb.ok('delete', 'pod', first!)
      await running('soak-00001', 2)
    })
  })

  test('a pod that is killed: what may be sent twice goes to another', async () => {
    const { failures } = await underLoad(async () => {
      const { status } = await request(ebb.gateway, 'soak.default.localhost', {
        path: '/die',
        method: 'POST',
      })
      assert.equal(status, 502)
    })
    assert.deepEqual(failures.filter(mayBeRepeated), [])
  })

  test('a rollout, and the old revision deleted', async () => {
    const { byRevision } = await losesNothing(async () => {
      await apply('soak', { scale: 2, generation: 2 })
      await until('the new revision has the traffic', async () => {
        const found = await ebb.ok(
          'get',
          'ksvc',
          'soak',
          '-o',
          'jsonpath={.status.traffic[0].revisionName} {.status.conditions[?(@.type=="Ready")].status}',
        )
        return found === 'soak-00002 True'
      })
      await ebb.ok('delete', 'revision', 'soak-00001')
    })
    assert.deepEqual([...byRevision.keys()].toSorted(), ['soak-00001', 'soak-00002'])
  })

  test('one gateway process after another, twice', async () => {
    await losesNothing(async () => {
      for (let i = 0; i < 2; i++) {
        const before = gatewayPids()
        process.kill(before.at(-1)!, 'SIGUSR2')
        await until('another gateway serves alone', () => {
          const now = gatewayPids()
          return now.length === 1 && !before.includes(now[0]!)
        })
      }
    })
  })

  test('a gateway that is killed: connections wait for the next one', async () => {
    const [pid] = gatewayPids()
    process.kill(pid!, 'SIGKILL')
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => request(ebb.gateway, 'soak.default.localhost')),
    )
    assert.ok(answers.every(({ status }) => status === 200))
    assert.notDeepEqual(gatewayPids(), [pid])
  })

  const gauge = async (count: number, connections: number) => {
    const answers: { most: number; revision: string }[] = []
    let left = count
    await Promise.all(
      Array.from({ length: connections }, async () => {
        while (left-- > 0) {
          const { status, body } = await request(ebb.gateway, 'gauge.default.localhost')
          assert.equal(status, 200, body)
          answers.push(JSON.parse(body) as (typeof answers)[number])
        }
      }),
    )
    return answers
  }

  test('containerConcurrency holds over both workers, also while one gateway follows another', async () => {
    const [before] = gatewayPids()
    const answers = gauge(600, 24)
    process.kill(before!, 'SIGUSR2')
    assert.deepEqual(new Set((await answers).map(({ most }) => most)), new Set([1]))
    assert.ok(gatewayPids().some((pid) => pid !== before))
  })

  test('a split of 70 to 30 is one sequence over both workers', async () => {
    await apply('gauge', {
      scale: 2,
      generation: 2,
      traffic: [
        { revisionName: 'gauge-00001', percent: 70 },
        { latestRevision: true, percent: 30 },
      ],
    })
    await ebb.ok('wait', 'ksvc/gauge', '--for=condition=Ready', '--timeout=55s')
    await until('the split is in effect', async () => {
      const seen = await gauge(10, 1)
      return seen.some(({ revision }) => revision === 'gauge-00002')
    })
    for (let run = 0; run < 3; run++) {
      const answers = await gauge(100, 16)
      const first = answers.filter(({ revision }) => revision === 'gauge-00001').length
      assert.ok(Math.abs(first - 70) <= 1, `${first} of 100`)
    }
  })

  test('a control plane that wants other flags of the gateway', async () => {
    await losesNothing(async () => {
      const before = gatewayPids()
      await ebb.kill()
      flags.splice(0, flags.length, '--gateway-workers', '1')
      await ebb.restart()
      await until('one with these flags serves', () =>
        gatewayPids().some(
          (pid) => !before.includes(pid) && commandLine(pid).includes('--workers 1 '),
        ),
      )
    })
  })

  test('the end: what is in flight is finished first', async () => {
    const slow = request(ebb.gateway, 'soak.default.localhost', { headers: { 'x-wait': '500' } })
    // By then the slow one is with the gateway too.
    await request(ebb.gateway, 'soak.default.localhost')
    process.kill(ebb.pid, 'SIGTERM')
    assert.equal((await slow).status, 200)
  })
})

/** GET requests: nobody knows what became of a POST that was at a pod when it was killed. */
const mayBeRepeated = ({ method }: Failure): boolean => method === 'GET'

const commandLine = (pid: number): string => read(`/proc/${pid}/cmdline`)

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}
