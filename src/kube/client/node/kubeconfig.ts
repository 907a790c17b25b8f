/**
 * Reads a kubeconfig file into the options of `httpApi`: cluster, user and namespace of one context, with data inline
 * or in files beside it. Credential plugins (`exec`) are not run.
 */
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { HttpApiOptions } from './http-api.ts'

/** How to reach the server of a kubeconfig's current (or named) context, and its default namespace. */
export interface Kubeconfig {
  readonly api: HttpApiOptions
  readonly namespace: string
}

type Fields = Readonly<Record<string, unknown>>

/** Throws an Error that says which file and which entry is wrong. */
export async function readKubeconfig(path: string, context?: string): Promise<Kubeconfig> {
  const { parse } = await import('yaml')
  const config = fields(parse(await readFile(path, 'utf8')))
  const fail = (what: string): never => {
    throw new Error(`kubeconfig ${path}: ${what}`)
  }
  const entry = (list: string, inner: string, name: string): Fields => {
    const all = Array.isArray(config[list]) ? config[list] : []
    const found = all.map(fields).find((each) => each.name === name)
    return found ? fields(found[inner]) : fail(`there is no entry "${name}" in ${list}`)
  }
  const string = (from: Fields, key: string): string | undefined => {
    const value = from[key]
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  /** `<key>-data` in base64, or the file that `<key>` names. */
  const material = async (from: Fields, key: string): Promise<string | undefined> => {
    const data = string(from, `${key}-data`)
    if (data) return Buffer.from(data, 'base64').toString('utf8')
    const file = string(from, key)
    return file && (await readFile(resolve(dirname(path), file), 'utf8'))
  }

  const chosen = context ?? string(config, 'current-context') ?? fail('no current-context is set')
  const where = entry('contexts', 'context', chosen)
  const clusterName = string(where, 'cluster') ?? fail(`context "${chosen}" names no cluster`)
  const cluster = entry('clusters', 'cluster', clusterName)
  const userName = string(where, 'user')
  const user = userName ? entry('users', 'user', userName) : {}
  if (user.exec || user['auth-provider'])
    fail(
      `the user of context "${chosen}" uses a credential plugin; use a token or a client certificate`,
    )

  const server = string(cluster, 'server') ?? fail(`cluster "${clusterName}" has no server`)
  const tokenFile = string(user, 'tokenFile')
  const token = tokenFile
    ? (await readFile(resolve(dirname(path), tokenFile), 'utf8')).trim()
    : string(user, 'token')
  const ca = await material(cluster, 'certificate-authority')
  const cert = await material(user, 'client-certificate')
  const key = await material(user, 'client-key')
  const tlsServerName = string(cluster, 'tls-server-name')
  return {
    namespace: string(where, 'namespace') ?? 'default',
    api: {
      server,
      ...(ca && { ca }),
      ...(cert && { cert }),
      ...(key && { key }),
      ...(token && { token }),
      ...(tlsServerName && { tlsServerName }),
      ...(cluster['insecure-skip-tls-verify'] === true && { insecureSkipTlsVerify: true }),
    },
  }
}

const fields = (value: unknown): Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {}
