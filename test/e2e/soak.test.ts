/** The soak in short form; `npm run soak` runs it in full. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { soak } from '../soak/soak.ts'
import { withoutKubectl } from './platform.ts'

test(
  'rollouts, scaling, killed pods and a killed control plane under load lose no request',
  { skip: withoutKubectl },
  async () => {
    const { account, unexplained } = await soak({
      seed: 4,
      durationMs: 15_000,
      clients: 12,
      faultEveryMs: 1_500,
    })
    assert.deepEqual(unexplained, [])
    assert.ok(account.answered > 1_000, `${account.answered} requests were answered`)
    assert.ok(account.byRevision.size > 1, 'several revisions answered')
  },
)
