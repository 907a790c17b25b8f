/** The signature feature: a service at zero holds what comes, wakes, and answers everything once. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { appDir, hurry, startEbb, until, withoutKubectl, type Ebb } from './platform.ts'

describe('scale from zero', { skip: withoutKubectl }, () => {
  let ebb: Ebb
  const host = 'counter.default.localhost'
  const pods = async () =>
    (await ebb.ok('get', 'pods', '-l', 'serving.knative.dev/service=counter', '-o', 'name'))
      .split('\n')
      .filter(Boolean)

  before(async () => {
    ebb = await startEbb()
    await hurry(ebb)
    const deployed = await ebb.ebb('deploy', appDir('counter'), '--name', 'counter')
    assert.equal(deployed.code, 0, deployed.stderr)
    assert.match(deployed.stdout, /http:\/\/counter\.default\.localhost:\d+/)
  })
  after(() => ebb[Symbol.asyncDispose]())

  test('500 requests at once to a sleeping service: all get 200, each served once', async () => {
    await until('no pod is left', async () => (await pods()).length === 0, 40_000)
    const answers = await Promise.all(
      Array.from({ length: 500 }, (_, i) => ebb.get(host, `/?id=${i}`)),
    )
    assert.ok(answers.every(({ status }) => status === 200))
    // The app answers how often it has seen this id.
    assert.deepEqual(new Set(answers.map(({ body }) => body)), new Set(['1']))
  })

  test('the revision stays Ready while it sleeps', async () => {
    await until('no pod is left', async () => (await pods()).length === 0, 60_000)
    const conditions = await ebb.ok(
      'get',
      'revision',
      '-l',
      'serving.knative.dev/service=counter',
      '-o',
      'jsonpath={range .items[0].status.conditions[*]}{.type}={.status}/{.reason} {end}',
    )
    assert.match(conditions, /Active=False\/NoTraffic .*Ready=True\//)
  })

  test('an unknown host is a 404 that says so', async () => {
    const { status, body } = await ebb.get('nobody.default.localhost')
    assert.equal(status, 404)
    assert.match(body, /nobody\.default\.localhost/)
  })
})
