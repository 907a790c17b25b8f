/**
 * Door of the package, `ebb/controller`: reconcilers and the loop that carries out what they plan, as the platform's own
 * controllers use them; the work queue alone for whoever wants another loop.
 */
export { startController, type ControllerDeps } from './kube/controller/loop.ts'
export type {
  Apply,
  Delete,
  Patch,
  Plan,
  PlannedEvent,
  Reader,
  Reconciler,
  Wake,
} from './kube/controller/reconciler.ts'
export {
  createWorkQueue,
  type WorkQueue,
  type WorkQueueOptions,
} from './kube/controller/work-queue.ts'
