import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silent } from '../../../lib/log.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import type { Sender } from '../../broker/delivery/sender.ts'
import type { Resource } from './follow.ts'
import { tellTo, type Telling } from './tell.ts'

const pods: Resource = {
  group: '',
  version: 'v1',
  kind: 'Pod',
  plural: 'pods',
  namespaced: true,
  labelSelector: '',
}
const pod = (name: string, owner?: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name,
    namespace: 'shop',
    ...(owner !== undefined && {
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: owner, name: 'owner', uid: 'u', controller: true },
      ],
    }),
  },
})

/** What is sent of these Pods: subject, and headers that tests look at. */
async function sentOf(
  telling: Partial<Telling>,
  resource: Resource,
  objects: readonly ReturnType<typeof pod>[],
  status = 202,
) {
  const clock = new SimClock()
  const sent: Readonly<Record<string, string>>[] = []
  const lost: string[] = []
  const sender: Sender = {
    async send(_to, { headers }) {
      sent.push(Object.fromEntries(headers.map(([name, value]) => [name.toLowerCase(), value])))
      return { status, headers: [], body: Buffer.alloc(0) }
    },
    [Symbol.dispose]() {},
  }
  const tell = tellTo(
    {
      about: { ...pod('source'), kind: 'ApiServerSource' },
      mode: 'Reference',
      apiUrl: 'https://api',
      overrides: {},
      sink: () => ({ url: 'http://sink' }),
      ...telling,
    },
    {
      sender,
      clock,
      log: silent,
      newId: () => 'id',
      lost: (_about, reason) => void lost.push(reason),
    },
  )
  for (const object of objects) await tell('add', object, resource, new AbortController().signal)
  return { sent, lost, subjects: sent.map((headers) => headers['ce-subject']) }
}

const three = [pod('alone'), pod('of-set', 'ReplicaSet'), pod('of-job', 'Job')]
const at = '/apis/v1/namespaces/shop/pods'

test('an owner and filters keep what is not wanted; overrides go over all', async () => {
  const { subjects } = await sentOf({}, pods, three)
  assert.deepEqual(subjects, [`${at}/alone`, `${at}/of-set`, `${at}/of-job`])
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet' }
  assert.deepEqual((await sentOf({ owner }, pods, three)).subjects, [`${at}/of-set`])
  const filters = [{ any: [{ exact: { name: 'alone' } }, { suffix: { subject: 'job' } }] }]
  const overrides = { type: 'mine', colour: 'blue' }
  const { sent } = await sentOf({ filters, overrides }, pods, three)
  assert.deepEqual(
    sent.map((headers) => [headers['ce-name'], headers['ce-type'], headers['ce-colour']]),
    [
      ['alone', 'mine', 'blue'],
      ['of-job', 'mine', 'blue'],
    ],
  )
  assert.equal(sent[0]?.['kn-namespace'], 'shop')
})

test('the controllers of objects, for sources of 2019', async () => {
  const { subjects } = await sentOf({}, { ...pods, controller: true }, three)
  assert.deepEqual(subjects, [
    '/apis/apps/v1/namespaces/shop/replicasets/owner',
    '/apis/apps/v1/namespaces/shop/jobs/owner',
  ])
})

test('what a sink refuses is told of', async () => {
  const { lost } = await sentOf({}, pods, [pod('alone')], 400)
  assert.deepEqual(lost, ['http://sink answered 400'])
})
