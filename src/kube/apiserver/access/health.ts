/** `/healthz`, `/livez` and `/readyz` with their checks, as Kubernetes lists them. */
import type { ServerResponse } from 'node:http'
import { send } from '../http/answers.ts'

/** Undefined = well; else what is wrong, for the log. */
export type Check = () => string | undefined

export interface HealthOptions {
  /** Whether the store takes what is written. */
  readonly store?: Check
  /** True from the moment the server is being stopped. */
  readonly stopping: () => boolean
  readonly log: (check: string, problem: string) => void
}

const well: Check = () => undefined

/** Answers a GET for a health document; false when the path is none. */
export type SendHealth = (response: ServerResponse, url: URL) => boolean

export function createHealth({ store = well, stopping, log }: HealthOptions): SendHealth {
  const alive: Readonly<Record<string, Check>> = {
    ping: well,
    log: well,
    etcd: store,
    'poststarthook/rbac/bootstrap-roles': well,
  }
  const ready: Readonly<Record<string, Check>> = {
    ...alive,
    'informer-sync': well,
    shutdown: () => (stopping() ? 'the server is stopping' : undefined),
  }
  const roots: Readonly<Record<string, Readonly<Record<string, Check>>>> = {
    healthz: alive,
    livez: alive,
    readyz: ready,
  }

  return (response, url) => {
    const [, root = '', ...rest] = url.pathname.replace(/\/$/, '').split('/')
    const checks = Object.hasOwn(roots, root) ? roots[root] : undefined
    if (!checks) return false
    const only = rest.join('/')
    if (only !== '' && !Object.hasOwn(checks, only)) return false
    const plain = (code: number, text: string): true => {
      response.setHeader('X-Content-Type-Options', 'nosniff')
      send(response, code, 'text/plain; charset=utf-8', text)
      return true
    }
    if (only !== '') {
      const problem = checks[only]?.()
      if (problem === undefined) return plain(200, 'ok')
      log(only, problem)
      return plain(500, `internal server error: ${only} failed\n`)
    }
    const excluded = new Set(url.searchParams.getAll('exclude').flatMap((each) => each.split(',')))
    const lines: string[] = []
    let failed = false
    for (const [name, check] of Object.entries(checks)) {
      if (excluded.delete(name)) {
        lines.push(`[+]${name} excluded: ok`)
        continue
      }
      const problem = check()
      if (problem === undefined) {
        lines.push(`[+]${name} ok`)
        continue
      }
      failed = true
      log(name, problem)
      lines.push(`[-]${name} failed: reason withheld`)
    }
    if (excluded.size > 0) {
      const unknown = [...excluded].slice(0, 10).map((each) => JSON.stringify(each.slice(0, 100)))
      lines.push(`warn: some health checks cannot be excluded: no matches for ${unknown.join(',')}`)
    }
    const list = lines.map((line) => `${line}\n`).join('')
    if (failed) return plain(500, `${list}${root} check failed\n`)
    return plain(200, url.searchParams.has('verbose') ? `${list}${root} check passed\n` : 'ok')
  }
}
