/** Webhooks and policies that admission asks. */
import type { KubeObject } from '../../../api/meta.ts'
import type { AdmissionPlugin, Machinery, Target } from '../../machinery.ts'
import type { Operation } from '../extensions.ts'
import type { WebhookCaller } from '../webhook-caller.ts'

/** The answers that one request has got so far. */
export interface AdmissionMemory {
  readonly mutated: Map<string, KubeObject>
  readonly validated: Set<string>
}

export class AdmissionExtensions implements Disposable {
  readonly plugins: readonly AdmissionPlugin[] = []
  constructor(_machinery: Machinery, _webhooks: WebhookCaller) {}
  mutate(_t: Target, _o: Operation, object: KubeObject, _old?: KubeObject): KubeObject {
    return object
  }
  validate(_t: Target, _o: Operation, _object: KubeObject | undefined, _old?: KubeObject): void {}
  [Symbol.dispose](): void {}
}
