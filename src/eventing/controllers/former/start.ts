/** Controllers of the kinds that only manifests of 2018 and of 2020's first months have: loaded with the first of them. */
import { startController, type ControllerDeps } from '../../../kube/controller/loop.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import type { Reconciler } from '../../../kube/controller/reconciler.ts'
import { BusChannel, buses, BusSubscription } from '../../api/former/buses.ts'
import { eventCatalogue } from '../../api/former/event-catalogue.ts'
import { feedKinds } from '../../api/former/feeds.ts'
import { movedSources } from '../../api/former/moved-sources.ts'
import { feedReconciler } from './feed.ts'
import { formerChannelObjects, formerChannelStatus } from './former-channel.ts'
import { keptReconciler } from './kept-kind.ts'
import { legacyReconciler } from './legacy-kind.ts'

export function startRareForms(deps: ControllerDeps): AsyncDisposable {
  const started = new AsyncDisposableStack()
  const start = <T extends KubeObject, World>(reconciler: Reconciler<T, World>) =>
    started.use(startController(reconciler, deps))
  for (const each of movedSources) start(legacyReconciler(each))
  start(legacyReconciler(BusChannel, { also: formerChannelObjects, says: formerChannelStatus }))
  start(legacyReconciler(BusSubscription))
  for (const each of [...buses, ...eventCatalogue]) start(keptReconciler(each))
  for (const each of feedKinds) start(feedReconciler(each))
  return started
}
