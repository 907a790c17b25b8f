/** Reads a kubeconfig file. Signature first. */
import type { HttpApiOptions } from './http-api.ts'

/** How to reach the server of a kubeconfig's current (or named) context, and its default namespace. */
export interface Kubeconfig {
  readonly api: HttpApiOptions
  readonly namespace: string
}

export declare function readKubeconfig(path: string, context?: string): Promise<Kubeconfig>
