import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimClock } from '../../../testing/sim-clock.ts'
import type { Pod } from '../../api/pod.ts'
import { StatusError } from '../../api/status-error.ts'
import type { Client } from '../../client/client.ts'
import { accountTokens } from './account-tokens.ts'

const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'ns', uid: 'u' },
  spec: { containers: [], serviceAccountName: 'reader' },
}
const request = { expirationSeconds: 3600 }

function server(clock: SimClock) {
  const asked: unknown[] = []
  const state = { refusal: undefined as Error | undefined }
  const subresource = async (...args: readonly unknown[]) => {
    asked.push(args)
    if (state.refusal) throw state.refusal
    const expirationTimestamp = new Date(clock.now() + 3_600_000).toISOString()
    return { status: { token: `t${asked.length}`, expirationTimestamp } }
  }
  const client = { subresource } as unknown as Client
  return { asked, state, tokens: accountTokens(client, clock) }
}

test('a token is bound to its pod, and asked for again at four fifths of its life', async () => {
  const clock = new SimClock()
  const { asked, tokens } = server(clock)
  assert.equal(await tokens.get(pod, request), 't1')
  assert.match(JSON.stringify(asked), /"name":"reader".*"boundObjectRef":\{[^}]*"uid":"u"/)
  assert.equal(await tokens.get(pod, { ...request, audience: 'vault' }), 't2')
  await clock.advance(2_870_000)
  assert.equal(await tokens.get(pod, request), 't1')
  assert.ok((tokens.renewAtMs('u') ?? 0) - clock.now() < 20_000)
  await clock.advance(20_000)
  assert.equal(await tokens.get(pod, request), 't3')
  tokens.forget('u')
  assert.equal(tokens.renewAtMs('u'), undefined)
})

test('a refusal is told, unless there is a token still, or the server has none at all', async () => {
  const clock = new SimClock()
  const { state, tokens } = server(clock)
  state.refusal = new StatusError('NotFound', 'the server could not find the requested resource')
  assert.equal(await tokens.get(pod, request), undefined)
  state.refusal = new StatusError('NotFound', 'serviceaccounts "reader" not found')
  await assert.rejects(tokens.get(pod, request), /"reader" not found/)
  state.refusal = undefined
  const token = await tokens.get(pod, request)
  state.refusal = new StatusError('InternalError', 'no')
  await clock.advance(3_000_000)
  assert.equal(await tokens.get(pod, request), token)
})
