/** Walk-through 11: traffic by percent and by tag. */
import assert from 'node:assert/strict'
import { configure, until } from '../platform.ts'
import { bookRegistry, manifest, waitReady, type Walkthrough } from './walkthrough.ts'

export const trafficSplit: Walkthrough = {
  number: '11',
  title: 'percent split, dark launch by tag, canary, rollback',
  images: { [`${bookRegistry}/rest-api-go:v1`]: 'rest-api-go' },
  async walk(ebb, domain) {
    const folder = '11-traffic-split'
    const service = 'traffic-example'
    const main = `${service}.default.${domain}`
    const answers = async (host: string, count: number) => {
      const seen = new Map<string, number>()
      for (let i = 0; i < count; i++) {
        const { status, body } = await ebb.get(host)
        assert.equal(status, 200)
        const version = /the (\w+) app/.exec(body)?.[1] ?? body
        seen.set(version, (seen.get(version) ?? 0) + 1)
      }
      return seen
    }
    await ebb.ok('apply', '-f', manifest(folder, 'revision-v1.yaml'))
    await waitReady(ebb, service)
    assert.deepEqual(await answers(main, 5), new Map([['v1', 5]]))
    for (const kind of ['configuration', 'revision', 'route'])
      assert.match(
        await ebb.ok('get', kind, '-l', `serving.knative.dev/service=${service}`),
        /traffic-example/,
      )

    await ebb.ok('apply', '-f', manifest(folder, 'revision-v2.yaml'))
    await waitReady(ebb, service)
    const split = await answers(main, 2_000)
    assert.equal((split.get('v1') ?? 0) + (split.get('v2') ?? 0), 2_000)
    assert.ok(Math.abs((split.get('v1') ?? 0) - 1_600) <= 60, `v1 got ${split.get('v1')} of 2000`)

    await ebb.ok('apply', '-f', manifest(folder, 'revision-v3.corrected.yaml'))
    await waitReady(ebb, service)
    const revisions = await ebb.ok(
      'get',
      'revision',
      '-l',
      `serving.knative.dev/service=${service}`,
      '-o',
      'jsonpath={.items[*].metadata.labels.serving\\.knative\\.dev/configurationGeneration}',
    )
    assert.equal(revisions, '1 2 3')
    const traffic = JSON.parse(
      await ebb.ok('get', 'ksvc', service, '-o', 'jsonpath={.status.traffic}'),
    ) as Record<string, unknown>[]
    assert.deepEqual(
      traffic.map(({ tag, percent, latestRevision, revisionName, url }) => ({
        tag,
        percent,
        latestRevision,
        revisionName,
        url,
      })),
      [
        {
          tag: 'v1',
          percent: 80,
          latestRevision: false,
          revisionName: 'traffic-example-v1',
          url: `http://v1-${main}`,
        },
        {
          tag: 'v2',
          percent: 20,
          latestRevision: false,
          revisionName: 'traffic-example-v2',
          url: `http://v2-${main}`,
        },
        {
          tag: 'latest',
          percent: 0,
          latestRevision: true,
          revisionName: 'traffic-example-v3',
          url: `http://latest-${main}`,
        },
      ],
    )
    assert.equal((await answers(main, 100)).has('v3'), false)
    assert.deepEqual(await answers(`latest-${main}`, 3), new Map([['v3', 3]]))

    // The same name with the same template: only traffic changes, which is allowed.
    await ebb.ok('apply', '-f', manifest(folder, 'revision-v3-2.yaml'))
    await waitReady(ebb, service)
    const canary = await answers(main, 1_000)
    assert.ok(Math.abs((canary.get('v1') ?? 0) - 800) <= 40)
    assert.ok(Math.abs((canary.get('v3') ?? 0) - 100) <= 30)
    // The same name with another template is not.
    const refused = await ebb.kubectl('apply', '-f', manifest(folder, 'revision-v3.yaml'))
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /Saw the following changes without a name change/)

    await ebb.ok('apply', '-f', manifest(folder, 'rollback.composed.yaml'))
    await waitReady(ebb, service)
    assert.deepEqual(await answers(main, 20), new Map([['v1', 20]]))

    // Not of the book: the tag by a header instead of its host.
    const tagged = async (tag: string): Promise<string> =>
      (await ebb.get(main, '/', { headers: { 'Knative-Serving-Tag': tag } })).body
    assert.match(await tagged('v2'), /the v1 app/)
    await configure(ebb, 'config-features', { 'tag-header-based-routing': 'Enabled' })
    await until('the header chooses the tag', async () => /the v2 app/.test(await tagged('v2')))
    assert.match(await tagged('v3'), /the v3 app/)
    assert.match(await tagged('unknown'), /the v1 app/)
    assert.deepEqual(await answers(main, 5), new Map([['v1', 5]]))
  },
}
