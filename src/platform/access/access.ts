/** What flags say about who may reach the API and what is written down of it, read from files once, at the start. */
import { readFile } from 'node:fs/promises'
import type { Clock } from '../../lib/clock.ts'
import { LineFile } from '../../lib/line-file.ts'
import type { Log } from '../../lib/log.ts'
import type { UserInfo } from '../../kube/api/kind.ts'
import type { AccessOptions } from '../../kube/apiserver/access/access.ts'
import { openAudit, type Audit } from '../../kube/apiserver/access/audit/audit.ts'
import {
  auditPolicy,
  metadataOnly,
  type AuditPolicy,
} from '../../kube/apiserver/access/audit/policy.ts'
import { RotatingFile } from '../../kube/apiserver/access/audit/rotating-file.ts'
import type { AccessFlags, Layout } from '../config.ts'
import { productRoles } from './roles.ts'
import { ensureTokenKeys } from './token-key.ts'

export interface OpenedAccess extends AsyncDisposable {
  readonly access: AccessOptions
  readonly audit?: Audit
}

const auditFileBytes = 100 * 1024 * 1024
const auditBackups = 10
const auditWriteEveryMs = 100

/** Throws with the flag, what was found and what was expected. */
export async function openAccess(
  flags: AccessFlags,
  layout: Layout,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Promise<OpenedAccess> {
  const { oidc } = flags
  const [tokenKeys, staticTokens, ca, policy] = await Promise.all([
    ensureTokenKeys(layout.certificates),
    flags.tokenFile === undefined ? undefined : readTokens(flags.tokenFile),
    oidc?.caFile === undefined ? undefined : readFlagged('oidc-ca-file', oidc.caFile),
    flags.auditPolicy === undefined ? metadataOnly : readPolicy(flags.auditPolicy),
  ])
  const access: AccessOptions = {
    tokenKeys,
    policy: productRoles(),
    ...(staticTokens && { staticTokens }),
    ...(oidc && { oidc: { ...oidc, ...(ca !== undefined && { ca }) } }),
  }
  if (flags.auditLog === undefined) return { access, [Symbol.asyncDispose]: async () => {} }
  const file = new RotatingFile({
    path: flags.auditLog,
    clock,
    maxBytes: auditFileBytes,
    backups: auditBackups,
  })
  // Whoever gives the flag wants to know at once that nothing can be written there.
  try {
    await file.write(Buffer.alloc(0))
  } catch (error) {
    throw new Error(
      `--audit-log: ${flags.auditLog} can't be written: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    )
  }
  let failing = false
  const lines = new LineFile({
    clock,
    everyMs: auditWriteEveryMs,
    async write(bytes) {
      try {
        await file.write(bytes)
        failing = false
      } catch (error) {
        if (!failing) log.error('the audit log can not be written', { path: flags.auditLog, error })
        failing = true
      }
    },
  })
  return {
    access,
    audit: openAudit({ policy, clock, write: (line) => lines.add(line) }),
    async [Symbol.asyncDispose]() {
      await lines.flush()
      await file[Symbol.asyncDispose]()
    },
  }
}

async function readFlagged(flag: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new Error(`--${flag}: ${path} can't be read: ${why}`, { cause: error })
  }
}

async function readPolicy(path: string): Promise<AuditPolicy> {
  const text = await readFlagged('audit-policy', path)
  const { parse } = await import('yaml')
  try {
    return auditPolicy(parse(text))
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new Error(`--audit-policy: ${path}: ${why}`, { cause: error })
  }
}

/** Kubernetes' format: `token,user,uid` and perhaps `,"group1,group2"`, a line each. */
async function readTokens(path: string): Promise<ReadonlyMap<string, UserInfo>> {
  const text = await readFlagged('token-auth-file', path)
  const tokens = new Map<string, UserInfo>()
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue
    const [token = '', username = '', uid = '', groups = ''] = fieldsOfLine(line)
    if (token === '' || username === '')
      throw new Error(
        `--token-auth-file: ${path}: line ${i + 1}: expected token,user,uid and perhaps "group1,group2"`,
      )
    const list = groups.split(',').map((each) => each.trim())
    tokens.set(token, { username, uid, groups: list.filter((each) => each !== '') })
  }
  return tokens
}

/** The fields of a line of comma-separated values; those in quotes may hold commas. */
const fieldsOfLine = (line: string): readonly string[] =>
  [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
    ([, quoted, plain = '']) => quoted?.replaceAll('""', '"') ?? plain.trim(),
  )
