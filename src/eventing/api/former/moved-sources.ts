/**
 * Sources under the other names they had: legacysources.knative.dev of 0.11 to 0.13, where those of 2019 were for a
 * while, and the SinkBinding of those groups. Each becomes the object it is another name of.
 */
import { apiVersionOf, type Kind, type KindDefinition } from '../../../kube/api/kind.ts'
import { sourceColumns } from '../sources/source-kind.ts'
import { SinkBinding } from '../sources/sink-binding.ts'
import { destinationOf, mapped } from '../conversion/destination.ts'
import { definitionLabels } from '../names.ts'
import {
  CronJobSource,
  FormerApiServerSource,
  FormerContainerSource,
  formerSourcesGroup,
} from './former-sources.ts'
import { legacyKind, type LegacyForm, type LegacyKind, type LegacyObject } from './legacy-kind.ts'

export const legacySourcesGroup = 'legacysources.knative.dev'

const common = {
  categories: ['knative', 'eventing', 'sources'],
  labels: definitionLabels.source,
  columns: sourceColumns() as unknown as LegacyForm['columns'] & {},
  // The successor's own admission says what is missing.
  missing: () => [],
} as const

const erased = (kind: unknown): Kind => kind as Kind

const alias = (successor: Kind, instead: string): LegacyForm => ({
  ...common,
  group: legacySourcesGroup,
  kind: successor.kind,
  plural: successor.plural,
  successor,
  instead,
  description: `${successor.kind} under the name that its group had from 0.11 to 0.13.`,
  convert: (spec) => spec,
})

const binding = (group: string): LegacyForm => ({
  ...common,
  group,
  kind: SinkBinding.kind,
  plural: SinkBinding.plural,
  successor: erased(SinkBinding),
  labels: definitionLabels.binding,
  description: 'Predecessor of sources.knative.dev SinkBinding.',
  convert: (spec, patched) =>
    mapped(spec, { sink: (sink) => destinationOf(sink, 'spec.sink', patched) }),
})

export const movedSources: readonly LegacyKind[] = [
  alias(erased(FormerApiServerSource), 'sources.knative.dev/v1 ApiServerSource'),
  alias(erased(FormerContainerSource), 'sources.knative.dev/v1 ContainerSource'),
  alias(erased(CronJobSource), 'sources.knative.dev/v1 PingSource'),
  binding(legacySourcesGroup),
  binding(formerSourcesGroup),
].map((form) => askingSuccessor(legacyKind(form)))

/** With the complaints of the successor's own admission, at once. */
function askingSuccessor(moved: LegacyKind): LegacyKind {
  const { kind, specOf } = moved
  const successor = moved.successor as unknown as KindDefinition<LegacyObject>
  return {
    ...moved,
    kind: {
      ...kind,
      admit(sent, context) {
        const admitted = kind.admit?.(sent, context) ?? sent
        const { old: _, ...asNew } = context
        const apiVersion = apiVersionOf(successor)
        const today = { ...sent, apiVersion, spec: specOf(sent) }
        successor.admit?.(today, { ...asNew, warn() {} })
        return admitted
      },
    },
  }
}
