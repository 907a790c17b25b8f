/**
 * A walk-through of the book as something that can be walked anywhere: what it needs is there under the names that its
 * manifests have, whatever runs the pods. Manifests are unchanged, kubectl is stock.
 */
import { join } from 'node:path'
import { bookDir, type Ebb } from '../platform.ts'

/** The programs of test/apps that stand in for the book's. */
export type App =
  | 'autoscale-go'
  | 'even-odd'
  | 'event-display-2019'
  | 'grpc-ping'
  | 'hello-serverless'
  | 'helloworld-go'
  | 'helloworld-nodejs'
  | 'rest-api-go'
  | 'sequence-step'
  | 'websocket-chat'

export interface Walkthrough {
  /** `11`: of the folder in test/book. */
  readonly number: string
  readonly title: string
  /** What has to be there by which image name. */
  readonly images: Readonly<Record<string, App>>
  /** On a platform whose services lie below `domain`. */
  readonly walk: (ebb: Ebb, domain: string) => Promise<void>
}

export const manifest = (...path: readonly string[]): string => join(bookDir, ...path)

/** Where the book's own images lie. */
export const bookRegistry = 'registry.cn-hangzhou.aliyuncs.com/knative-sample'

/** Names of the pods that run, those being stopped not counted. */
export const podsOf = async (
  ebb: Ebb,
  name: string,
  label = 'service',
): Promise<readonly string[]> =>
  (await ebb.ok('get', 'pods', '-l', `serving.knative.dev/${label}=${name}`, '--no-headers'))
    .split('\n')
    .filter((line) => / Running /.test(line))
    .map((line) => line.split(' ')[0] ?? '')

export const waitReady = (ebb: Ebb, service: string): Promise<string> =>
  ebb.ok('wait', `ksvc/${service}`, '--for=condition=Ready', '--timeout=60s')
