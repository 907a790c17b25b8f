/**
 * Starts the controllers of Knative Serving: the same on one machine and as a client of a Kubernetes cluster. The
 * platform gives what lies outside the API: the gateway link, the autoscaler's decisions and the digests of images.
 */
import type { ObjectKey } from '../../kube/api/meta.ts'
import type { ControllerDeps } from '../../kube/controller/loop.ts'
import type { Autoscaler } from '../autoscaler/autoscaler.ts'
import type { GatewayLink } from './ingress/feed-client.ts'

export interface ServingDeps extends ControllerDeps {
  readonly autoscaler: Autoscaler
  /** The gateway feed: the ingress reconciler needs it. */
  readonly link: GatewayLink
  /** True while the gateway holds requests of revisions at zero; only then may a revision go there. */
  readonly gatewayReady: () => boolean
  /** Where the gateway is reached: the address in public Endpoints of revisions that it stands in front of. */
  readonly gateway: { readonly host: string; readonly port: number }
  /**
   * The digest that an image reference points to now, `<fully qualified repo>@sha256:…`. Rejects with the registry's
   * error. Asked once an image and revision, with retries.
   */
  readonly resolveDigest: (image: string) => Promise<string>
}

export interface ServingControllers extends AsyncDisposable {
  /** To be called on each decision of the autoscaler (`createAutoscaler({ onDecision })`): wakes the PodAutoscaler. */
  decided(revision: ObjectKey): void
}

export declare function startServingControllers(deps: ServingDeps): ServingControllers
