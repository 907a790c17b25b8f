/** What the walk-throughs about events have in common: who sends, the programs that pass on and show what came, and their words. */
import { request, until, type Answer, type Ebb } from '../platform.ts'
import { bookRegistry, manifest } from './walkthrough.ts'

export const display =
  'registry.cn-hangzhou.aliyuncs.com/knative-release/event_display:bf45b3eb1e7fc4cb63d6a5a6416cf696295484a7662e0cf9ccdf5c080542c21d'
export const step = `${bookRegistry}/probable-summer:2656f39a7fcb6afd9fc79e7a4e215d14d651dc674f38020d1d18c6f04b220700`

/** `curl` from inside the cluster: a POST to a name of the cluster. */
export function post(
  ebb: Ebb,
  url: string,
  headers: Readonly<Record<string, string>>,
  body: string,
): Promise<Answer> {
  const { host, pathname } = new URL(url)
  return request(ebb.local, host, { path: pathname, method: 'POST', headers, body })
}

export const json = { 'content-type': 'application/json' }
export const logOf = async (ebb: Ebb, service: string): Promise<string> => {
  const selector = ['-l', `serving.knative.dev/service=${service}`]
  return (await ebb.kubectl('logs', ...selector, '-c', 'user-container', '--tail=-1')).stdout
}
export const shown = (ebb: Ebb, service: string, what: string | RegExp): Promise<string> =>
  until(
    `${service} shows ${what}`,
    async () => {
      const text = await logOf(ebb, service)
      return (typeof what === 'string' ? text.includes(what) : what.test(text)) && text
    },
    60_000,
  )
export const ready = (ebb: Ebb, ...object: readonly string[]): Promise<string> =>
  ebb.ok('wait', '--for=condition=Ready', ...object, '--timeout=60s')
export const apply = (ebb: Ebb, folder: string, ...files: readonly string[]): Promise<string> =>
  ebb.ok('apply', ...files.flatMap((file) => ['-f', manifest(folder, file)]))
