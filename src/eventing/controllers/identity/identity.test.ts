import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Trigger, type TriggerStatus } from '../../api/eventing/trigger.ts'
import { conditionSet, conditionOf } from '../../../knative/conditions.ts'
import { audienceOf } from '../authorization/audience.ts'
import { identityName, identityWrites, withIdentity, type Identity } from './identity.ts'

test('names of accounts are lower case and cut as Knative cuts them', () => {
  assert.equal(identityName(Trigger, 'out'), 'out-oidc-eventing.knative.dev-trigger')
  const long = identityName(Trigger, 'a'.repeat(63))
  assert.equal(long.length <= 63, true)
  assert.notEqual(long, identityName(Trigger, `${'a'.repeat(62)}b`))
})

test('the audience of an object is lower case', () => {
  const object = { apiVersion: '', kind: '', metadata: { namespace: 'ns', name: 'b' } }
  const kind = { group: 'messaging.knative.dev', kind: 'InMemoryChannel' }
  assert.equal(audienceOf(kind, object), 'messaging.knative.dev/inmemorychannel/ns/b')
})

test('an account is made while the feature is on, deleted with it, and left alone when it is of others', () => {
  const account = {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'sa', namespace: 'ns', uid: 'u' },
  }
  const on: Identity = { wanted: true, account, existing: undefined }
  assert.deepEqual(
    identityWrites(on).apply.map(({ desired }) => desired.metadata.name),
    ['sa'],
  )
  const off: Identity = { wanted: false, account, existing: account }
  assert.deepEqual(
    identityWrites(off).delete.map(({ key, uid }) => [key.name, uid]),
    [['sa', 'u']],
  )
  assert.deepEqual(identityWrites({ ...off, existing: undefined }), { apply: [], delete: [] })
  const foreign = { ...off, problem: 'somebody else has it' }
  assert.deepEqual(identityWrites(foreign), { apply: [], delete: [] })
  assert.deepEqual(identityWrites({ ...foreign, wanted: true }), { apply: [], delete: [] })

  const conditions = conditionSet({ dependents: ['OIDCIdentityCreated'] })
  const before: TriggerStatus = { auth: { serviceAccountName: 'old' } }
  const said = (identity: Identity) => {
    const status = withIdentity(before, identity, conditions, 0)
    const { status: is, reason } = conditionOf(status, 'OIDCIdentityCreated') ?? {}
    return [is, reason, status.auth?.serviceAccountName]
  }
  assert.deepEqual(said(on), ['True', undefined, 'sa'])
  assert.deepEqual(said(off), ['True', 'authentication-oidc feature disabled', undefined])
  const [is, , name] = said({ ...on, problem: 'x' })
  assert.deepEqual([is, name], ['False', undefined])
})
