/**
 * The templates that a StatefulSet or DaemonSet has had, as ControllerRevisions: one for each, the newest with the highest
 * number; going back to an old one gives it the next number (upstream: pkg/controller/history).
 */
import { ControllerRevision } from '../api/controller-revision.ts'
import { controllerRef, keyOf, type KubeObject } from '../api/meta.ts'
import type { PodTemplateSpec } from '../api/pod-spec.ts'
import { semanticallyEqual } from '../controller/difference.ts'
import type { Apply, Delete, Patch } from '../controller/reconciler.ts'
import { templateHash } from './deployment/template-hash.ts'

/** On pods and revisions: which template they are of. */
export const revisionHashLabel = 'controller-revision-hash'

interface Owner extends KubeObject {
  readonly spec: {
    readonly template?: PodTemplateSpec
    readonly revisionHistoryLimit?: number
    readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> }
  }
}

export interface History {
  /** Name of the revision that the present template is. */
  readonly update: string
  readonly apply: readonly Apply[]
  readonly patch: readonly Patch[]
  /** Revisions by name; those that are about to be made too. */
  readonly templates: ReadonlyMap<string, PodTemplateSpec>
}

const dataOf = (template: PodTemplateSpec | undefined) => ({
  spec: { template: { ...template, $patch: 'replace' } },
})

const templateOf = ({ data }: ControllerRevision): unknown => {
  const { spec } = Object(data ?? {}) as { readonly spec?: { readonly template?: object } }
  const { $patch: _, ...template } = (spec?.template ?? {}) as Readonly<Record<string, unknown>>
  return template
}

/** `revisions`: those that the owner controls. */
export function historyOf(owner: Owner, revisions: readonly ControllerRevision[]): History {
  const { template, selector } = owner.spec
  const templates = new Map(
    revisions.map((each) => [each.metadata.name, templateOf(each) as PodTemplateSpec]),
  )
  const highest = Math.max(0, ...revisions.map(({ revision }) => revision))
  const same = revisions
    .filter((each) => semanticallyEqual(templateOf(each), template ?? {}))
    .toSorted((a, b) => b.revision - a.revision)[0]
  if (same) {
    const patch =
      same.revision === highest
        ? []
        : [{ kind: ControllerRevision, key: keyOf(same), body: { revision: highest + 1 } }]
    return { update: same.metadata.name, apply: [], patch, templates }
  }
  let collisions = 0
  let hash = templateHash(template)
  while (templates.has(`${owner.metadata.name}-${hash}`))
    hash = templateHash(template, ++collisions)
  const name = `${owner.metadata.name}-${hash}`
  const desired: ControllerRevision = {
    apiVersion: 'apps/v1',
    kind: ControllerRevision.kind,
    metadata: {
      name,
      ...(owner.metadata.namespace && { namespace: owner.metadata.namespace }),
      labels: {
        ...selector?.matchLabels,
        ...template?.metadata?.labels,
        [revisionHashLabel]: hash,
      },
      ...(owner.metadata.annotations && {
        annotations: withoutApplied(owner.metadata.annotations),
      }),
      ownerReferences: [controllerRef(owner)],
    },
    data: dataOf(template) as never,
    revision: highest + 1,
  }
  templates.set(name, template ?? {})
  return {
    update: name,
    apply: [{ kind: ControllerRevision, desired, merge: (existing) => existing }],
    patch: [],
    templates,
  }
}

const withoutApplied = (annotations: Readonly<Record<string, string>>) =>
  Object.fromEntries(
    Object.entries(annotations).filter(
      ([key]) => key !== 'kubectl.kubernetes.io/last-applied-configuration',
    ),
  )

/** Revisions that nobody needs, beyond the limit, the oldest first. */
export function forgotten(
  owner: Owner,
  revisions: readonly ControllerRevision[],
  inUse: ReadonlySet<string>,
): readonly Delete[] {
  const unused = revisions
    .filter(({ metadata }) => !inUse.has(metadata.name))
    .toSorted((a, b) => a.revision - b.revision)
  const surplus = unused.length - (owner.spec.revisionHistoryLimit ?? 10)
  return unused.slice(0, Math.max(0, surplus)).map((each) => ({
    kind: ControllerRevision,
    key: keyOf(each),
    ...(each.metadata.uid && { uid: each.metadata.uid }),
  }))
}

/** The hash in the name of a revision, as pods carry it. StatefulSets carry the whole name. */
export const hashOf = (owner: KubeObject, revision: string): string =>
  revision.slice(owner.metadata.name.length + 1)
