import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accountPath, isAccountVolume, withAccount } from './service-account-volume.ts'

const uid = '8c8a2e0e-1111-4222-8333-0123456789ab'
const containers = [{ name: 'a', image: 'x' }]

test('every container gets the account’s files, under one name made of the uid', () => {
  const spec = withAccount(
    { containers, initContainers: [{ name: 'i', image: 'x' }] },
    undefined,
    uid,
  )
  const [volume] = spec.volumes ?? []
  assert.match(volume?.name ?? '', /^kube-api-access-[bcdfghjklmnpqrstvwxz2456789]{5}$/)
  assert.ok(isAccountVolume(volume?.name ?? ''))
  for (const { volumeMounts } of [...spec.containers, ...(spec.initContainers ?? [])])
    assert.deepEqual(volumeMounts, [{ name: volume?.name, readOnly: true, mountPath: accountPath }])
  assert.deepEqual(withAccount(spec, undefined, 'other'), spec)
  assert.deepEqual(
    withAccount({ containers, initContainers: [{ name: 'i', image: 'x' }] }, undefined, uid),
    spec,
  )
})

test('the pod decides whether it is mounted, before its account', () => {
  const plain = { containers }
  assert.equal(withAccount(plain, { automountServiceAccountToken: false }, uid), plain)
  const refused = { containers, automountServiceAccountToken: false }
  assert.equal(withAccount(refused, { automountServiceAccountToken: true }, uid), refused)
  const wanted = { containers, automountServiceAccountToken: true }
  assert.equal(withAccount(wanted, { automountServiceAccountToken: false }, uid).volumes?.length, 1)
})

test('a container with something of its own at that path keeps it', () => {
  const own = [{ name: 'mine', mountPath: accountPath }]
  const spec = withAccount(
    {
      containers: [
        { name: 'a', image: 'x', volumeMounts: own },
        { name: 'b', image: 'x' },
      ],
    },
    undefined,
    uid,
  )
  assert.deepEqual(spec.containers[0]?.volumeMounts, own)
  assert.equal(spec.containers[1]?.volumeMounts?.length, 1)
})

test('the account’s pull secrets stand in for none', () => {
  const account = { imagePullSecrets: [{ name: 'registry' }] }
  const quiet = { containers, automountServiceAccountToken: false }
  assert.deepEqual(withAccount(quiet, account, uid).imagePullSecrets, account.imagePullSecrets)
  const own = { ...quiet, imagePullSecrets: [{ name: 'mine' }] }
  assert.deepEqual(withAccount(own, account, uid).imagePullSecrets, own.imagePullSecrets)
})
