/** What the main thread of several gateway workers and each worker say to each other. */
import type { LogLevel } from '../../../lib/log.ts'
import type { GatewayView } from '../admin.ts'
import type { FromGateway, RevisionStat, ToGateway } from '../feed.ts'
import type { GatewayLimits, ListenAddress } from '../gateway.ts'
import type { Lent, Loan } from '../handover/lending.ts'
import type { MemorySize } from './worker-memory.ts'

/** What a worker is started with. */
export interface WorkerData {
  readonly gatewayWorker: number
  readonly memory: SharedArrayBuffer
  readonly size: MemorySize
  readonly logLevel: LogLevel
  readonly http: ListenAddress
  readonly local: ListenAddress
  readonly https?: ListenAddress
  readonly clusterDomain?: string
  readonly limits: GatewayLimits
  readonly ticketKeys?: Uint8Array
}

/** Main thread to worker. */
export type ToWorker =
  | { readonly type: 'feed'; readonly message: ToGateway }
  | { readonly type: 'listening'; readonly listening: boolean }
  | { readonly type: 'report' }
  | { readonly type: 'view'; readonly id: number }
  | { readonly type: 'borrow'; readonly borrows: boolean }
  | { readonly type: 'lent'; readonly lent: Lent }
  | { readonly type: 'lend'; readonly loan: Loan | undefined }
  | { readonly type: 'stop'; readonly graceMs: number; readonly retire: boolean }

/** Worker to main thread. */
export type FromWorker =
  | {
      readonly type: 'listening'
      readonly http: ListenAddress
      readonly local: ListenAddress
      readonly https?: ListenAddress
      /** Descriptors of the sockets that it opened itself, by listener. */
      readonly ownSockets: Readonly<Record<string, number>>
    }
  | { readonly type: 'feed'; readonly message: FromGateway }
  | { readonly type: 'report'; readonly stats: readonly RevisionStat[] }
  | { readonly type: 'view'; readonly id: number; readonly view: GatewayView }
  | { readonly type: 'loan'; readonly loan: Loan }
  | { readonly type: 'borrows' }
  | { readonly type: 'lent'; readonly lent: Lent }
  | { readonly type: 'stopped' }
