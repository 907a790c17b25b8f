/**
 * Labeler: tells Configurations and Revisions which Routes lead to them, so that garbage collection and scaling know who
 * may have traffic (upstream: pkg/reconciler/labeler). Runs per Route, and clears up with it.
 */
import type { Kind } from '../../../kube/api/kind.ts'
import { keyOf, keyText, type KubeObject } from '../../../kube/api/meta.ts'
import type { Patch, Reader, Reconciler } from '../../../kube/controller/reconciler.ts'
import { isFailed, isReady } from '../../../knative/conditions.ts'
import { Configuration } from '../../api/configuration.ts'
import { label } from '../../api/names.ts'
import { Revision } from '../../api/revision.ts'
import { Route } from '../../api/route.ts'
import { createTracker, type Target } from '../../../knative/tracker.ts'
import { routePatch, routesOf } from './labels.ts'

export interface World {
  readonly route: Route
  /** Those that the Route's spec or status names, with what belongs to them. */
  readonly configurations: readonly Configuration[]
  readonly revisions: readonly Revision[]
  /** Those that say that the Route leads to them although it names them no more. */
  readonly formerConfigurations: readonly Configuration[]
  readonly formerRevisions: readonly Revision[]
}

export const labelerReconciler = (): Reconciler<Route, World> => {
  const tracker = createTracker()
  /** What a Route has named since the start, beyond what carries its Service's label. */
  const seen = new Map<string, Set<string>>()

  return {
    name: 'labeler-controller',
    kind: Route,
    finalizer: 'routes.serving.knative.dev',
    watches: [
      { kind: Configuration, wake: (changed) => tracker.observers(changed) },
      { kind: Revision, wake: (changed) => tracker.observers(changed) },
    ],

    observe(route, read) {
      const key = keyOf(route)
      const { namespace } = key
      const configurations = new Map<string, Configuration>()
      const revisions = new Map<string, Revision>()
      const tracked: Target[] = []
      const seeConfiguration = (name: string | undefined) => {
        if (!name) return
        tracked.push({ kind: Configuration.kind, namespace, name })
        const found = read.get(Configuration, { namespace, name })
        if (found) configurations.set(name, found)
      }
      const seeRevision = (name: string | undefined) => {
        if (!name) return
        tracked.push({ kind: Revision.kind, namespace, name })
        const found = read.get(Revision, { namespace, name })
        if (!found) return
        revisions.set(name, found)
        seeConfiguration(found.metadata.labels?.[label.configuration])
      }
      for (const target of [...(route.status?.traffic ?? []), ...(route.spec.traffic ?? [])]) {
        seeConfiguration(target.configurationName)
        seeRevision(target.revisionName)
        // The Revision that is coming up shall count as active before it gets traffic, for its minimum scale.
        const follows = target.latestRevision
          ? (target.configurationName ??
            revisions.get(target.revisionName ?? '')?.metadata.labels?.[label.configuration])
          : undefined
        seeRevision(configurations.get(follows ?? '')?.status?.latestCreatedRevisionName)
      }
      tracker.track(key, tracked)

      const names = seen.get(keyText(key)) ?? new Set<string>()
      seen.set(keyText(key), names)
      for (const { kind, name } of tracked) names.add(`${kind}/${name}`)
      const formerRevisions = candidates(Revision, route, names, read).filter(
        (one) => !revisions.has(one.metadata.name),
      )
      const formerConfigurations = candidates(Configuration, route, names, read).filter(
        (one) => !configurations.has(one.metadata.name),
      )
      keepOnly(names, [
        ...tracked.map(({ kind, name }) => `${kind}/${name}`),
        ...formerRevisions.map(({ metadata }) => `${Revision.kind}/${metadata.name}`),
        ...formerConfigurations.map(({ metadata }) => `${Configuration.kind}/${metadata.name}`),
      ])
      return {
        route,
        configurations: [...configurations.values()],
        revisions: [...revisions.values()],
        formerConfigurations,
        formerRevisions,
      }
    },

    plan(world, nowMs) {
      const { route, configurations, revisions, formerConfigurations, formerRevisions } = world
      // While a Route is on its way its old targets may still have traffic.
      const settled = isReady(route) || isFailed(route)
      return {
        patch: patches([
          ...marks(Configuration, configurations, route, true, nowMs),
          ...marks(Revision, revisions, route, true, nowMs),
          ...(settled
            ? [
                ...marks(Configuration, formerConfigurations, route, false, nowMs),
                ...marks(Revision, formerRevisions, route, false, nowMs),
              ]
            : []),
        ]),
      }
    },

    finalize(world, nowMs) {
      const { route } = world
      const said = <T extends Configuration | Revision>(objects: readonly T[]) =>
        objects.filter((object) => routesOf(object).includes(route.metadata.name))
      return {
        patch: patches([
          ...marks(
            Configuration,
            said([...world.configurations, ...world.formerConfigurations]),
            route,
            false,
            nowMs,
          ),
          ...marks(
            Revision,
            said([...world.revisions, ...world.formerRevisions]),
            route,
            false,
            nowMs,
          ),
        ]),
        done: true,
      }
    },

    gone(key) {
      tracker.forget(key)
      seen.delete(keyText(key))
      return {}
    },
  }
}

/**
 * Objects that say that the Route leads to them. A Service's Route is looked for among the Service's own, any other
 * among all of the namespace.
 */
function candidates<T extends KubeObject>(
  kind: Kind<T>,
  { metadata }: Route,
  names: ReadonlySet<string>,
  read: Reader,
): readonly T[] {
  const { namespace = '', name } = metadata
  const service = metadata.labels?.[label.service]
  const found = new Map<string, T>()
  for (const object of read.list(kind, namespace, service ? { [label.service]: service } : {}))
    found.set(object.metadata.name, object)
  for (const text of names) {
    const [of, other = ''] = text.split('/')
    const object = of === kind.kind ? read.get(kind, { namespace, name: other }) : undefined
    if (object) found.set(other, object)
  }
  return [...found.values()].filter((object) => routesOf(object).includes(name))
}

/** Keeps of the names only those that can still matter. */
function keepOnly(names: Set<string>, kept: readonly string[]): void {
  names.clear()
  for (const name of kept) names.add(name)
}

const marks = <T extends KubeObject>(
  kind: Kind<T>,
  objects: readonly T[],
  route: Route,
  leadsHere: boolean,
  nowMs: number,
): readonly (Patch | undefined)[] =>
  objects.map((object) => routePatch(kind, object, route.metadata.name, leadsHere, nowMs))

const patches = (found: readonly (Patch | undefined)[]): readonly Patch[] =>
  found.filter((patch) => patch !== undefined)
