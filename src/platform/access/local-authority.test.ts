import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { SimClock } from '../../testing/sim-clock.ts'
import { ensureLocalAuthority, localAuthorityPath } from './local-authority.ts'

const day = 86_400_000

test('the authority is made once, signs for any names, and is replaced before its leaves outlive it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'ebb-ca-'))
  try {
    const clock = new SimClock()
    const authority = await ensureLocalAuthority(directory, clock)
    const ca = await readFile(localAuthorityPath(directory), 'utf8')
    assert.equal((await stat(join(directory, 'local-ca.key'))).mode & 0o777, 0o600)
    const long = `${'a'.repeat(60)}.default.localhost`
    const { chain, ca: given } = await authority.sign([long, '*.default.localhost'])
    assert.equal(given, ca)
    const leaf = new X509Certificate(chain)
    assert.ok(leaf.verify(new X509Certificate(ca).publicKey))
    assert.equal(leaf.checkHost(long), long)
    assert.equal(leaf.checkHost('b.default.localhost'), '*.default.localhost')
    assert.equal(leaf.ca, false)
    assert.ok(Date.parse(leaf.validTo) <= clock.now() + 90 * day)

    await ensureLocalAuthority(directory, clock)
    assert.equal(await readFile(localAuthorityPath(directory), 'utf8'), ca)
    await clock.advance(3480 * day)
    await ensureLocalAuthority(directory, clock)
    assert.notEqual(await readFile(localAuthorityPath(directory), 'utf8'), ca)
  } finally {
    await rm(directory, { recursive: true })
  }
})
