/**
 * Starts the controllers of Knative Serving: the same on one machine and as a client of a Kubernetes cluster. The
 * platform gives what lies outside the API: the gateway link, the autoscaler's decisions and the digests of images.
 */
import type { KubeObject, ObjectKey } from '../../kube/api/meta.ts'
import { startController, type ControllerDeps } from '../../kube/controller/loop.ts'
import type { Reconciler } from '../../kube/controller/reconciler.ts'
import type { Autoscaler } from '../autoscaler/autoscaler.ts'
import { certificateReconciler } from './certificate/certificate.ts'
import type { Issuance } from './certificate/issuance.ts'
import { namespaceCertificateReconciler } from './certificate/namespace-certificate.ts'
import { createReadConfig } from './config.ts'
import { configurationReconciler } from './configuration/configuration.ts'
import { domainMappingReconciler } from './domain-mapping/domain-mapping.ts'
import { callableAddress } from './gateway-address.ts'
import type { GatewayLink } from './ingress/feed-client.ts'
import { ingressReconciler } from './ingress/ingress.ts'
import { labelerReconciler } from './labeler/labeler.ts'
import { metricReconciler } from './metric/metric.ts'
import { podAutoscalerReconciler } from './pod-autoscaler/pod-autoscaler.ts'
import { hpaClassReconciler } from './pod-autoscaler/hpa-class.ts'
import { revisionGcReconciler } from './revision-gc/revision-gc.ts'
import { createDigestResolver, type ImageIdentity } from './revision/digest-resolver.ts'
import { revisionReconciler } from './revision/revision.ts'
import { routeReconciler } from './route/route.ts'
import { serverlessServiceReconciler } from './serverless-service/serverless-service.ts'
import { serviceReconciler } from './service/service.ts'

export interface ServingDeps extends ControllerDeps {
  readonly autoscaler: Autoscaler
  /** The gateway feed: the ingress reconciler needs it. */
  readonly link: GatewayLink
  /** Gets certificates signed; absent = Certificates are left to somebody else. */
  readonly issuance?: Issuance
  /** True while the gateway holds requests of revisions at zero; only then may a revision go there. */
  readonly gatewayReady: () => boolean
  /** Where the gateway is reached: the address in public Endpoints of revisions that it stands in front of. */
  readonly gateway: { readonly host: string; readonly port: number }
  /**
   * The digest that an image reference points to now, `<fully qualified repo>@sha256:…`. Rejects with the registry's
   * error. Asked once an image and revision, with retries.
   */
  readonly resolveDigest: (image: string, identity: ImageIdentity) => Promise<string>
  /** Calls back when there may be an image that was missing before. */
  readonly onImages?: (listener: () => void) => Disposable | undefined
}

export interface ServingControllers extends AsyncDisposable {
  /** To be called on each decision of the autoscaler (`createAutoscaler({ onDecision })`): wakes the PodAutoscaler. */
  readonly decided: (revision: ObjectKey) => void
}

export function startServingControllers(deps: ServingDeps): ServingControllers {
  const { clock, autoscaler, link, gateway, gatewayReady, resolveDigest } = deps
  const readConfig = createReadConfig()
  const resolver = createDigestResolver({ clock, resolve: resolveDigest })
  const listeners = new Set<(revision: ObjectKey) => void>()
  const onDecision = (listener: (revision: ObjectKey) => void): Disposable => {
    listeners.add(listener)
    return { [Symbol.dispose]: () => listeners.delete(listener) }
  }
  const started = new AsyncDisposableStack()
  const images = deps.onImages?.(() => resolver.tryAgain())
  if (images) started.use(images)
  const start = <T extends KubeObject, World>(reconciler: Reconciler<T, World>) =>
    started.use(startController(reconciler, deps))

  start(serviceReconciler)
  start(configurationReconciler)
  start(revisionReconciler(readConfig, resolver))
  start(podAutoscalerReconciler({ readConfig, autoscaler, gatewayReady, onDecision }))
  start(hpaClassReconciler(readConfig))
  start(serverlessServiceReconciler({ host: callableAddress(gateway.host), port: gateway.port }))
  start(metricReconciler)
  start(routeReconciler(readConfig))
  start(domainMappingReconciler(readConfig))
  start(labelerReconciler())
  start(ingressReconciler(link))
  start(revisionGcReconciler(readConfig))
  if (deps.issuance) start(certificateReconciler(readConfig, deps.issuance))
  start(namespaceCertificateReconciler(readConfig))

  return {
    decided: (revision) => {
      for (const listener of listeners) listener(revision)
    },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  }
}
