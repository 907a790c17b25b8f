import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { bufferedServer } from '../../../lib/http1/buffered-server.ts'
import { systemClock as clock } from '../../../lib/clock.ts'
import { issue, type Issued } from '../../../platform/access/certificate-issue.ts'
import type { ServerCertificate } from '../feed.ts'
import { SecureIngress } from './secure-ingress.ts'
import { createSender, SendError } from '../delivery/sender.ts'

const span = {
  notBefore: new Date(clock.now() - 3_600_000),
  notAfter: new Date(clock.now() + 3_600_000),
}
const host = 'broker.test'

describe('over TLS', () => {
  let ca: Issued
  let other: Issued
  let port = 0
  const problems: string[] = []
  const plain = bufferedServer({
    clock,
    maxBodyBytes: 1_000,
    handle: ({ head }) => ({ status: 200, body: `for ${head.host}` }),
  })
  const secure = new SecureIngress({
    host: '127.0.0.1',
    accept: (socket) => void plain.emit('connection', socket),
    onProblem: (hosts) => problems.push(...hosts),
  })
  test('a listener that could not be opened is tried again with the next certificates', async () => {
    // The first is nobody's (RFC 5737).
    const places = ['192.0.2.1', '127.0.0.1']
    using late = new SecureIngress({
      get host() {
        return places.shift() ?? ''
      },
      accept: (socket) => socket.destroy(),
    })
    const given = [await certificate(host, ca)]
    await assert.rejects(late.apply(given), { code: 'EADDRNOTAVAIL' })
    assert.ok(Number(await late.apply(given)) > 0)
  })

  const certificate = async (
    name: string,
    issuer: Issued,
    relay?: ServerCertificate['relay'],
  ): Promise<ServerCertificate> => {
    const { cert, key } = await issue({
      subject: `CN=${name}`,
      usage: 'server',
      hosts: [name],
      issuer,
      ...span,
    })
    return { hosts: [name], cert, key, ...(relay && { relay }) }
  }

  before(async () => {
    ca = await issue({ subject: 'CN=ca', authority: true, ...span })
    other = await issue({ subject: 'CN=other', authority: true, ...span })
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve))
    const at = plain.address()
    const relay = { host: '127.0.0.1', port: typeof at === 'object' && at ? at.port : 0 }
    assert.equal(await secure.apply([]), undefined, 'without a certificate nobody listens')
    const given = [await certificate(host, ca), await certificate('jobs.test', ca, relay)]
    port = (await secure.apply(given)) ?? 0
  })
  after(() => {
    secure[Symbol.dispose]()
    plain.close()
  })

  const send = async (
    name: string,
    { caCerts, trusted }: { readonly caCerts?: string; readonly trusted?: string },
  ): Promise<string> => {
    using sender = createSender({ clock, trusted: () => trusted })
    const dial = [{ host: '127.0.0.1', port }]
    const to = { url: `https://${name}/a`, dial, ...(caCerts !== undefined && { caCerts }) }
    const { body } = await sender.send(to, { headers: [], body: Buffer.alloc(0) })
    return body.toString()
  }

  test('a sender trusts the CACerts of the destination, and what is trusted everywhere', async () => {
    assert.equal(await send(host, { caCerts: ca.cert }), `for ${host}`)
    assert.equal(await send(host, { trusted: ca.cert }), `for ${host}`)
    assert.equal(await send(host, { caCerts: other.cert, trusted: ca.cert }), `for ${host}`)
    await assert.rejects(send(host, {}), SendError)
    await assert.rejects(send(host, { caCerts: other.cert }), SendError)
  })

  test('each name has its certificate; some are served elsewhere; others by nobody', async () => {
    assert.equal(await send('jobs.test', { caCerts: ca.cert }), 'for jobs.test')
    await assert.rejects(send('unknown.test', { caCerts: ca.cert }), SendError)
  })

  test('what is no certificate is told of, and the others are served', async () => {
    const bad = { hosts: ['bad.test'], cert: 'none', key: 'none' }
    await secure.apply([bad, await certificate(host, ca)])
    assert.deepEqual(problems, ['bad.test'])
    assert.equal(await send(host, { caCerts: ca.cert }), `for ${host}`)
  })

  test('a certificate that is replaced holds for the next connection', async () => {
    assert.equal(await secure.apply([await certificate(host, other)]), port)
    await assert.rejects(send(host, { caCerts: ca.cert }), SendError)
    assert.equal(await send(host, { caCerts: other.cert }), `for ${host}`)
  })
})
