/**
 * Walk-throughs 22 to 26: Sequences and Parallel, with sources of 2019. They follow those of events.ts on the same platform, in the book's
 * order.
 */
import assert from 'node:assert/strict'
import { until, type Ebb } from '../platform.ts'
import { apply, display, json, logOf, post, ready, shown, step } from './event-display.ts'
import { manifest, waitReady, type Walkthrough } from './walkthrough.ts'

const cronJobSource = 'cronjobsource.sources.eventing.knative.dev'

/** Nobody likes to wait for the minute. */
const hurryUp = (ebb: Ebb, source: string): Promise<string> =>
  ebb.ok(
    'patch',
    cronJobSource,
    source,
    '--type=merge',
    '-p',
    '{"spec":{"schedule":"* * * * * *"}}',
  )
const handledBy = (...steps: readonly number[]): string =>
  ['Hello world!', ...steps.map((each) => `Handled by ${each}`)].join(' - ')

export const sequenceDirect: Walkthrough = {
  number: '22',
  title: 'a Sequence of three services',
  images: { [step]: 'sequence-step' },
  async walk(ebb) {
    const folder = '22-sequence-direct'
    await apply(ebb, folder, 'services.yaml', 'sequence.yaml', 'cronjob-source.yaml')
    for (const name of ['first', 'second', 'third']) await waitReady(ebb, name)
    await ready(ebb, 'sequence.messaging.knative.dev/sequence')
    await ready(ebb, `${cronJobSource}/cronjob-source`)
    await hurryUp(ebb, 'cronjob-source')
    const third = await shown(ebb, 'third', `Message:${handledBy(0, 1)}}`)
    const first = await logOf(ebb, 'first')
    assert.match(
      first,
      /type: dev\.knative\.cronjob\.event\n {2}source: \/apis\/v1\/namespaces\/default\/cronjobsources\/cronjob-source\n/,
    )
    assert.match(first, /Got Data: &\{Sequence:0 Message:Hello world!\}/)
    const second = await logOf(ebb, 'second')
    assert.match(second, /type: samples\.http\.mod3\n {2}source: \/transformer\/0\n/)
    assert.ok(second.includes(`Message:${handledBy(0)}}`))
    assert.match(third, /source: \/transformer\/1\n/)
    // The same id all the way: it is found at all three.
    const [, id = 'none'] = / {2}id: (\S+)/.exec(third) ?? []
    assert.ok(first.includes(id) && second.includes(id))
    const pod = (
      await ebb.ok('get', 'pods', '-l', 'serving.knative.dev/service=first', '-o', 'name')
    ).trim()
    assert.match(await ebb.ok('logs', pod, 'user-container'), /Got Event Context/)
    const made = await ebb.ok('get', 'inmemorychannels,subscriptions', '-o', 'name')
    for (const kind of ['inmemorychannel', 'subscription'])
      for (const n of [0, 1, 2])
        assert.ok(made.includes(`${kind}.messaging.knative.dev/sequence-kn-sequence-${n}`), made)
    // One tree, through three logs.
    const way = (await ebb.ebb('event', 'trace', id)).stdout
    assert.match(
      way,
      /Channel default\/sequence-kn-sequence-0 [^]*Channel default\/sequence-kn-sequence-1 [^]* {6}came to Channel default\/sequence-kn-sequence-2 /,
    )

    await apply(ebb, folder, 'sequence-definition.sample.yaml')
    const missing = '{.status.conditions[?(@.type=="Ready")].message}'
    await until('the missing service is named', async () =>
      /"test" not found/.test(
        await ebb.ok('get', 'sequence.flows/test', '-o', `jsonpath=${missing}`),
      ),
    )
    await ebb.ok('delete', '-f', manifest(folder, 'sequence-definition.sample.yaml'))
  },
}

export const sequenceReply: Walkthrough = {
  number: '23',
  title: 'the result of a Sequence goes to a service',
  images: { [step]: 'sequence-step', [display]: 'event-display-2019' },
  async walk(ebb) {
    const folder = '23-sequence-reply'
    await apply(ebb, folder, 'services.yaml', 'event-display.yaml', 'sequence.yaml')
    await waitReady(ebb, 'event-display')
    const text = await shown(ebb, 'event-display', handledBy(0, 1, 2))
    assert.match(text, /CloudEvent: valid ✅/)
    assert.match(text, /Type: samples\.http\.mod3\n {2}Source: \/transformer\/2\n/)
    assert.match(text, /ContentType: application\/json\n/)
    assert.match(text, /Host: event-display\.default\.svc\.cluster\.local\n/)
    assert.match(text, /"id": 0,\n/)
    await ebb.ok('delete', cronJobSource, 'cronjob-source')
    await ebb.ok('delete', 'sequence.messaging.knative.dev/sequence')
  },
}

export const sequenceCascade: Walkthrough = {
  number: '24',
  title: 'a Sequence that replies to a Sequence',
  images: { [step]: 'sequence-step', [display]: 'event-display-2019' },
  async walk(ebb) {
    const folder = '24-sequence-cascade'
    await apply(ebb, folder, 'services.yaml', 'first-sequence.yaml', 'second-sequence.yaml')
    const mistaken = await ebb.kubectl('apply', '-f', manifest(folder, 'event-display.yaml'))
    assert.notEqual(mistaken.code, 0)
    assert.match(
      mistaken.stderr,
      /unknown field "spec\.template\.spec\.containerers", did you mean "containers"\?/,
    )
    // The one of the walk-through before is left as it was.
    assert.match(await ebb.ok('get', 'ksvc', 'event-display'), /event-display-00001 +True/)
    await apply(ebb, folder, 'event-display.corrected.yaml')
    await ready(ebb, 'sequence.messaging.knative.dev/first-sequence')
    await ready(ebb, 'sequence.messaging.knative.dev/second-sequence')
    await apply(ebb, folder, 'cronjob-source.yaml')
    await hurryUp(ebb, 'cronjob-source')
    const text = await shown(ebb, 'event-display', handledBy(0, 1, 2, 3, 4, 5))
    assert.match(text, /Type: samples\.http\.mod3\n {2}Source: \/transformer\/5\n/)
    await ebb.ok('delete', cronJobSource, 'cronjob-source')
    await ebb.ok(
      'delete',
      '-f',
      manifest(folder, 'first-sequence.yaml'),
      '-f',
      manifest(folder, 'second-sequence.yaml'),
    )
    await ebb.ok('delete', 'ksvc', 'fourth', 'fifth', 'sixth', 'event-display')
  },
}

export const sequenceBroker: Walkthrough = {
  number: '25',
  title: 'a Sequence between Broker and Triggers',
  images: { [step]: 'sequence-step', [display]: 'event-display-2019' },
  async walk(ebb) {
    const folder = '25-sequence-broker-trigger'
    await apply(ebb, folder, 'services.yaml', 'sequence.yaml', 'cronjob-source.yaml')
    const isReady = '{.status.conditions[?(@.type=="Ready")].status}'
    await until(
      'the source misses its Broker',
      async () =>
        (await ebb.ok('get', cronJobSource, 'cronjob-source', '-o', `jsonpath=${isReady}`)) ===
        'False',
    )
    await ebb.ok('label', 'namespace', 'default', 'knative-eventing-injection=enabled')
    await apply(ebb, folder, 'sequence-trigger.yaml', 'display-trigger.yaml')
    await ready(ebb, `${cronJobSource}/cronjob-source`)
    await ready(ebb, 'trigger', '--all')
    await hurryUp(ebb, 'cronjob-source')
    const text = await shown(ebb, 'event-display', handledBy(0, 1, 2))
    assert.match(text, /Type: samples\.http\.mod3\n {2}Source: \/transformer\/2\n/)
    assert.match(text, / {4}knativearrivaltime: /)
    assert.match(text, /DataContentType: application\/json\n/)
    assert.doesNotMatch(text, /dev\.knative\.cronjob\.event/)
    assert.doesNotMatch(text, /Handled by 2 - /)
    await ebb.ok('delete', cronJobSource, 'cronjob-source')
    await ebb.ok('delete', 'sequence.messaging.knative.dev/sequence')
    await ebb.ok('delete', 'ksvc', 'first', 'second', 'third', 'event-display')
  },
}

export const parallel: Walkthrough = {
  number: '26',
  title: 'a Parallel for even and odd minutes',
  images: {
    'villardl/switcher-nodejs:0.1': 'even-odd',
    'villardl/transformer-nodejs:0.1': 'even-odd',
    [display]: 'event-display-2019',
  },
  async walk(ebb) {
    const folder = '26-parallel-even-odd'
    const files = ['services.yaml', 'parallel.yaml', 'cronjob-source.yaml'].flatMap((file) => [
      '-f',
      manifest(folder, file),
    ])
    const { code, stderr } = await ebb.kubectl('apply', ...files)
    assert.equal(code, 0, stderr)
    assert.match(stderr, /cases/)
    // As printed, its subscribers are not there; it says which.
    const status = () =>
      ebb.ok('get', 'parallel.messaging.knative.dev/me-odd-even-parallel', '-o', 'yaml')
    await until('the missing services are named', async () =>
      /me-even-transformer" not found[^]*me-odd-transformer" not found/.test(await status()),
    )
    await apply(ebb, folder, 'services.corrected.yaml')
    await ready(ebb, 'parallel.messaging.knative.dev/me-odd-even-parallel')
    await ready(ebb, `${cronJobSource}/me-cronjob-source`)
    const made = await ebb.ok('get', 'inmemorychannels,subscriptions', '-o', 'name')
    assert.equal(made.match(/inmemorychannel\S+parallel/g)?.length, 3, made)
    assert.equal(made.match(/subscription\S+parallel/g)?.length, 4, made)

    // What the source sends in an even and in an odd minute.
    const front = 'http://me-odd-even-parallel-kn-parallel-kn-channel.default.svc.cluster.local/'
    const event = {
      ...json,
      'ce-specversion': '0.3',
      'ce-type': 'dev.knative.cronjob.event',
      'ce-source': '/apis/v1/namespaces/default/cronjobsources/me-cronjob-source',
    }
    for (const minute of ['56', '57']) {
      const time = `2019-11-03T20:${minute}:00Z`
      const headers = { ...event, 'ce-id': `m${minute}`, 'ce-time': time }
      assert.equal((await post(ebb, front, headers, '{"message": "Even or odd?"}')).status, 202)
    }
    await shown(ebb, 'me-event-display', 'ID: m56\n')
    const text = await shown(ebb, 'me-event-display', 'ID: m57\n')
    const message = (id: string) =>
      new RegExp(`ID: ${id}\\n[^☁]*"message": "([^"]+)"`).exec(text)?.[1]
    assert.deepEqual([message('m56'), message('m57')], ['we are even!', 'this is odd!'])
    assert.match(
      text,
      /Type: dev\.knative\.cronjob\.event\n {2}Source: \S+\/cronjobsources\/me-cronjob-source\n/,
    )
    assert.match(text, /DataContentType: application\/json; charset=utf-8\n/)
    // One branch each: the tree says which filter let it pass.
    const way = (await ebb.ebb('event', 'trace', 'm57')).stdout
    assert.equal(way.match(/came to Channel/g)?.length, 2, way)

    // The same with today's field, in place; and what the source itself sends.
    await apply(ebb, folder, 'parallel.branches.yaml')
    await hurryUp(ebb, 'me-cronjob-source')
    await shown(ebb, 'me-event-display', /Time: 20(?!19)/)
    await ebb.ok('delete', cronJobSource, 'me-cronjob-source')
  },
}
