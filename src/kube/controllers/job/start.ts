/** The controllers of Jobs, loaded when there is one, or a pod that one has left. */
import { startController, type ControllerDeps } from '../../controller/loop.ts'
import { job } from './job.ts'
import { leftPods } from './left-pods.ts'

export function startJobs(deps: ControllerDeps): AsyncDisposable {
  const started = new AsyncDisposableStack()
  started.use(startController(job(deps.random), deps))
  started.use(startController(leftPods, deps))
  return started
}
