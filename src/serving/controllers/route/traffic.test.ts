import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Configuration } from '../../api/configuration.ts'
import type { Revision } from '../../api/revision.ts'
import type { TrafficTarget } from '../../api/traffic-target.ts'
import { aConfiguration, aRevision, aRoute } from '../../../testing/serving.ts'
import { resolveTraffic, statusTraffic, wantedRollout } from './traffic.ts'

const latest = (name: string, ready?: string, failed = false): Configuration => ({
  ...aConfiguration(name),
  status: {
    ...(ready && { latestReadyRevisionName: ready }),
    conditions: [{ type: 'Ready', status: failed ? 'False' : 'Unknown' }],
  },
})

function resolve(
  traffic: readonly TrafficTarget[],
  things: readonly (Configuration | Revision)[],
  labels = {},
) {
  const find = <T>(kind: string, name: string) =>
    things.find((one) => one.kind === kind && one.metadata.name === name) as T | undefined
  return resolveTraffic(aRoute('hello', traffic, { labels }), {
    configuration: (name) => find<Configuration>('Configuration', name),
    revision: (name) => find<Revision>('Revision', name),
  })
}

const bad = (...args: Parameters<typeof resolve>) => {
  const result = resolve(...args)
  return 'bad' in result ? Object.values(result.bad) : undefined
}

test('what is wrong with a target is told in the documented words', () => {
  const toC = [{ configurationName: 'c', percent: 100 }]
  const toR = [{ revisionName: 'r', percent: 100 }]
  const service = { 'serving.knative.dev/service': 'a' }
  const of = (name: string) =>
    aRevision('r', 'True', { labels: name ? { 'serving.knative.dev/service': name } : {} })
  assert.deepEqual(bad(toC, []), [
    'False',
    'ConfigurationMissing',
    'Configuration "c" referenced in traffic not found.',
  ])
  assert.deepEqual(bad(toR, []), [
    'False',
    'RevisionMissing',
    'Revision "r" referenced in traffic not found.',
  ])
  assert.deepEqual(bad(toC, [latest('c', undefined, true)]), [
    'False',
    'RevisionMissing',
    'Configuration "c" does not have any ready Revision.',
  ])
  assert.deepEqual(bad(toC, [latest('c')]), [
    'Unknown',
    'RevisionMissing',
    'Configuration "c" is waiting for a Revision to become ready.',
  ])
  assert.deepEqual(bad(toR, [aRevision('r', 'False')]), [
    'False',
    'RevisionMissing',
    'Revision "r" failed to become ready.',
  ])
  assert.deepEqual(bad(toR, [aRevision('r')]), [
    'Unknown',
    'RevisionMissing',
    'Revision "r" is not yet ready.',
  ])
  assert.deepEqual(bad(toR, [of('b')], service), [
    'False',
    'RevisionNotOwned',
    'Revision "r" belongs to Service "b", not Service "a".',
  ])
  assert.deepEqual(bad(toR, [of('')], service), [
    'False',
    'RevisionNotOwned',
    'Revision "r" does not belong to Service "a".',
  ])
  assert.equal(bad(toR, [of('a')], service), undefined)
})

test('a failure outweighs what is still coming, and the last failure is told', () => {
  const targets = ['x', 'y', 'z'].map((revisionName) => ({ revisionName, percent: 50 }))
  const told = (...things: Revision[]) => bad(targets, things)?.[2]
  assert.equal(
    told(aRevision('x', 'False'), aRevision('y'), aRevision('z', 'False')),
    'Revision "z" failed to become ready.',
  )
  assert.equal(
    told(aRevision('x'), aRevision('y', 'True'), aRevision('z')),
    'Revision "x" is not yet ready.',
  )
  assert.equal(
    told(aRevision('x'), aRevision('y', 'False'), aRevision('z')),
    'Revision "y" failed to become ready.',
  )
})

test('groups: a tag serves its entry wholly, equal Revisions are one, one alone gets everything', () => {
  const result = resolve(
    [
      { revisionName: 'a', percent: 60, tag: 'current' },
      { revisionName: 'a', percent: 40 },
      { configurationName: 'c', latestRevision: true, percent: 0, tag: 'latest' },
    ],
    [aRevision('a', 'True'), aRevision('b', 'True'), latest('c', 'b')],
  )
  assert.ok('traffic' in result)
  const groups = [...result.traffic.groups].map(([tag, targets]) => [
    tag,
    ...targets.map(({ revisionName, percent }) => `${revisionName} ${percent}`),
  ])
  assert.deepEqual(groups, [
    ['', 'a 100', 'b 0'],
    ['current', 'a 100'],
    ['latest', 'b 100'],
  ])
  assert.deepEqual(
    statusTraffic(result.traffic, { configurations: [] }, (tag) => `http://${tag}`),
    [
      {
        tag: 'current',
        revisionName: 'a',
        latestRevision: false,
        percent: 60,
        url: 'http://current',
      },
      { revisionName: 'a', latestRevision: false, percent: 40 },
      { tag: 'latest', revisionName: 'b', latestRevision: true, percent: 0, url: 'http://latest' },
    ],
  )
})

test('during a rollout the entries of a Configuration share what it has, the oldest first', () => {
  const result = resolve(
    [
      { configurationName: 'c', latestRevision: true, percent: 30 },
      { configurationName: 'c', latestRevision: true, percent: 70, tag: 'live' },
    ],
    [aRevision('new', 'True'), latest('c', 'new')],
  )
  assert.ok('traffic' in result)
  assert.deepEqual(
    wantedRollout(result.traffic).configurations.map(({ tag, percent }) => [tag, percent]),
    [
      [undefined, 100],
      ['live', 100],
    ],
  )
  const shares = statusTraffic(
    result.traffic,
    {
      configurations: [
        {
          configurationName: 'c',
          percent: 100,
          revisions: [
            { revisionName: 'old', percent: 60 },
            { revisionName: 'new', percent: 40 },
          ],
          stepParams: {},
        },
      ],
    },
    () => undefined,
  )
  assert.deepEqual(
    shares.map(({ tag, revisionName, percent }) => [tag, revisionName, percent]),
    [
      [undefined, 'old', 30],
      ['live', 'old', 30],
      ['live', 'new', 40],
    ],
  )
})

test('whatever the targets, each group sums to 100 and the status to what was asked for', () => {
  const names = ['a', 'b', 'c']
  const things = names.map((name) => aRevision(name, 'True'))
  fc.assert(
    fc.property(
      fc.array(fc.record({ name: fc.constantFrom(...names), percent: fc.nat(100) }), {
        minLength: 1,
        maxLength: 6,
      }),
      (entries) => {
        let left = 100
        const traffic = entries.map(({ name, percent }, i) => {
          const share = i === entries.length - 1 ? left : Math.min(left, percent)
          left -= share
          return { revisionName: name, percent: share, ...(i % 2 === 1 && { tag: `t${i}` }) }
        })
        const result = resolve(traffic, things)
        assert.ok('traffic' in result)
        const sum = (list: readonly { readonly percent?: number }[]) =>
          list.reduce((total, { percent = 0 }) => total + percent, 0)
        for (const group of result.traffic.groups.values()) assert.equal(sum(group), 100)
        const shown = statusTraffic(result.traffic, { configurations: [] }, () => undefined)
        assert.equal(sum(shown), 100)
      },
    ),
    { numRuns: 200 },
  )
})
