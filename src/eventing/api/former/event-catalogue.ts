/**
 * Sources and types of events as they were described in 2018, and others of which only the definition is left: kept as
 * they were written.
 */
import { missingField, type FieldError } from '../../../knative/field-error.ts'
import { textOf, type Fields } from '../../../knative/old-form.ts'
import { isOfKubernetes } from './feeds.ts'
import { keptDefinition, type KeptForm, type KeptKind } from './kept-kind.ts'

const sourceToday = 'sources.knative.dev/v1 ContainerSource'
const typeToday = 'eventing.knative.dev/v1beta2 EventType'

type Names = Pick<KeptForm, 'group' | 'kind' | 'plural' | 'namespaced'>

const needs = (...fields: readonly string[]) =>
  function* (spec: Fields): Generator<FieldError> {
    for (const field of fields) if (!textOf(spec[field])) yield missingField(`spec.${field}`)
  }

const eventSource = (names: Names): KeptKind => ({
  kind: keptDefinition({
    ...names,
    description: 'A program that events came from, in 2018.',
    instead: sourceToday,
    missing: needs('source'),
  }),
  fateOf({ metadata, spec }) {
    const source = textOf(spec?.['source']) || metadata.name
    const advice = isOfKubernetes({ service: source })
      ? 'what it describes is built in: Feeds, Binds and Flows of k8sevents work without it; today that is sources.knative.dev/v1 ApiServerSource with resources of kind Event'
      : `nothing here runs the program of a source of 2018 ("${source}"): run one that sends what it sent, as ${sourceToday}`
    return { advice }
  },
})

const eventType = (names: Names, ...required: readonly string[]): KeptKind => ({
  kind: keptDefinition({
    ...names,
    description: 'A type of events of a source, in 2018.',
    instead: typeToday,
    missing: needs(...required),
  }),
  fateOf: () => ({
    advice: `it is kept and nothing is looked up in it: describe types of events as ${typeToday}`,
  }),
})

const stored = (names: Names, instead: string, advice: string): KeptKind => ({
  kind: keptDefinition({ ...names, description: `${names.kind}, kept and not served.`, instead }),
  fateOf: () => ({ advice }),
})

const elafros = 'eventing.elafros.dev'
const feeds = 'feeds.knative.dev'

export const eventCatalogue: readonly KeptKind[] = [
  eventSource({ group: feeds, kind: 'EventSource', plural: 'eventsources' }),
  eventSource({
    group: feeds,
    kind: 'ClusterEventSource',
    plural: 'clustereventsources',
    namespaced: false,
  }),
  eventType({ group: feeds, kind: 'EventType', plural: 'eventtypes' }, 'eventSource'),
  eventType(
    { group: feeds, kind: 'ClusterEventType', plural: 'clustereventtypes', namespaced: false },
    'clusterEventSource',
  ),
  eventSource({ group: elafros, kind: 'EventSource', plural: 'eventsources' }),
  eventType({ group: elafros, kind: 'EventType', plural: 'eventtypes' }, 'eventSource'),
  stored(
    {
      group: 'configs.internal.knative.dev',
      kind: 'ConfigMapPropagation',
      plural: 'configmappropagations',
    },
    'copies of the ConfigMap',
    'nothing here copies ConfigMaps between namespaces: create the copies, for example with kubectl get -o yaml and kubectl apply -n',
  ),
]
