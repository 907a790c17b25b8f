/** `ebb kubeconfig`: a kubeconfig for the administrator, for a person by a certificate, or for an account by a token. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../lib/clock.ts'
import { ServiceAccount } from '../kube/api/service-account.ts'
import { issue } from '../platform/access/certificate-issue.ts'
import { readPair } from '../platform/access/certificates.ts'
import { dataDirOf, layoutOf, type Layout } from '../platform/config.ts'
import { kubeconfigText } from '../platform/kubeconfig.ts'
import { clientOf } from './api-client.ts'
import { UsageError, type Arguments, type Command } from './command.ts'

const maxHours = 24 * 365

export const kubeconfig: Command = {
  name: 'kubeconfig',
  usage: '[--user NAME [--group GROUP] | --serviceaccount NAMESPACE/NAME]',
  summary: 'Print a kubeconfig: the administrator’s, or one for a person or an account',
  details:
    'A person gets a client certificate with the name and groups given; what they may do is up to roles\n' +
    '(kubectl create rolebinding …). A certificate can not be taken back before its end.',
  flags: {
    user: { type: 'string', value: 'NAME', description: 'name of the person' },
    group: {
      type: 'string',
      value: 'GROUP',
      multiple: true,
      description: 'group of the person (may be repeated)',
    },
    serviceaccount: {
      type: 'string',
      value: 'NAMESPACE/NAME',
      description: 'account that is there already',
    },
    hours: {
      type: 'string',
      value: 'N',
      description: 'how long it lasts (default 8760 for a person, 24 for an account)',
    },
  },
  positionals: [0, 0],
  async run(args, out) {
    const layout = layoutOf(dataDirOf(args.string('data-dir')))
    const user = args.string('user')
    const account = args.string('serviceaccount')
    if (user !== undefined && account !== undefined)
      throw new UsageError('expected --user or --serviceaccount, found both')
    if (user === undefined && args.strings('group').length > 0)
      throw new UsageError('--group: expected with --user NAME')
    if (user !== undefined) out.print(await forPerson(user, args, layout))
    else if (account !== undefined) out.print(await forAccount(account, args, layout))
    else out.print((await forAdministrator(layout)).trimEnd())
    return 0
  },
}

const forAdministrator = (layout: Layout): Promise<string> =>
  readFile(layout.kubeconfig, 'utf8').catch((error: unknown) => {
    if (existsSync(layout.kubeconfig)) throw error
    throw notStarted(layout)
  })

/** A platform that is not there yet: what to do. */
const notStarted = ({ dataDir }: Layout): Error =>
  new Error(`no platform has been started in ${dataDir}: run \`ebb up\` first, or give --data-dir`)

function hoursOf(args: Arguments, fallback: number): number {
  const text = args.string('hours')
  if (text === undefined) return fallback
  const hours = Number(text)
  if (!/^\d+$/.test(text) || hours < 1 || hours > maxHours)
    throw new UsageError(`--hours: expected a number from 1 to ${maxHours}, found "${text}"`)
  return hours
}

async function forPerson(user: string, args: Arguments, layout: Layout): Promise<string> {
  const groups = args.strings('group')
  for (const [flag, text] of [['user', user], ...groups.map((group) => ['group', group])] as const)
    if (!/^[\p{L}\p{N}][\p{L}\p{N} @._:/-]{0,127}$/u.test(text ?? ''))
      throw new UsageError(
        `--${flag}: expected letters, digits and @ . _ : / -, at most 128, found "${text}"`,
      )
  const issuer = await readPair(layout.certificates, 'ca')
  if (!issuer) throw notStarted(layout)
  const nowMs = systemClock.now()
  const { cert, key } = await issue({
    subject: [{ CN: [user] }, ...groups.map((group) => ({ O: [group] }))],
    issuer,
    usage: 'client',
    notBefore: new Date(nowMs - 3_600_000),
    notAfter: new Date(nowMs + hoursOf(args, maxHours) * 3_600_000),
  })
  return kubeconfigText({
    server: await serverOf(layout),
    certificates: { ca: issuer.cert, adminCert: cert, adminKey: key },
    name: user,
  }).trimEnd()
}

async function forAccount(account: string, args: Arguments, layout: Layout): Promise<string> {
  const [namespace = '', name = '', more] = account.split('/')
  if (namespace === '' || name === '' || more !== undefined)
    throw new UsageError(`--serviceaccount: expected NAMESPACE/NAME, found "${account}"`)
  const issuer = await readPair(layout.certificates, 'ca')
  if (!issuer) throw notStarted(layout)
  await using connected = await clientOf(layout.kubeconfig)
  const spec = { audiences: [], expirationSeconds: hoursOf(args, 24) * 3600 }
  const key = { namespace, name }
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec }
  const answer = await connected.client.subresource('create', ServiceAccount, key, 'token', body)
  const { status } = Object(answer) as { readonly status?: { readonly token?: string } }
  if (status?.token === undefined) throw new Error('the API answered without a token')
  return kubeconfigText({
    server: await serverOf(layout),
    certificates: { ca: issuer.cert, adminCert: '', adminKey: '' },
    token: status.token,
    name: account.replace('/', '-'),
    namespace,
  }).trimEnd()
}

async function serverOf(layout: Layout): Promise<string> {
  const path = join(layout.dataDir, 'endpoints.json')
  try {
    const { api } = JSON.parse(await readFile(path, 'utf8')) as { readonly api?: string }
    if (typeof api === 'string') return api
  } catch {
    // Said below.
  }
  throw notStarted(layout)
}
