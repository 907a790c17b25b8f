/** The modes that a v1alpha1 Service was in: runLatest, pinned, release, manual. */
import {
  disallowedFields,
  genericError,
  missingField,
  missingOneOf,
  multipleOneOf,
  outOfBounds,
  via,
  type FieldError,
} from '../../../knative/field-error.ts'
import { anything, integer, list, object, string, type Schema } from '../../../kube/api/schema.ts'
import { label1035Problem } from '../../../kube/api/validation.ts'
import { fieldsOf, listOf, textOf, type Fields } from './fields.ts'
import { legacyConfigurationSpec, validateLegacyConfiguration } from './legacy-template.ts'

const configuration: Schema = {
  ...legacyConfigurationSpec,
  description: 'What the Service runs; today spec.template.',
}

export const modeFields = {
  runLatest: object(
    { configuration },
    {
      description:
        'All requests go to the newest Revision that is ready; today spec.template alone.',
    },
  ),
  pinned: object(
    {
      configuration,
      revisionName: string({ description: 'The Revision that gets all requests.' }),
    },
    { description: 'All requests go to one Revision; today spec.traffic with its revisionName.' },
  ),
  release: object(
    {
      configuration,
      revisions: list(string(), {
        description: 'The current Revision, and perhaps a candidate; `@latest` is the newest.',
      }),
      rolloutPercent: integer({
        description: 'Share of requests that the candidate gets, 0 to 99.',
      }),
    },
    { description: 'A candidate beside the current Revision; today spec.traffic with tags.' },
  ),
  manual: anything({ description: 'Refused: it meant a Route of one’s own.' }),
}

const modes = ['pinned', 'release', 'runLatest'] as const
type Mode = (typeof modes)[number]
const latest = '@latest'

/** The mode of a Service's spec; undefined when it has a template of its own. */
export const modeOf = (spec: Fields): Mode | undefined =>
  modes.find((mode) => spec[mode] !== undefined)

/** What is wrong with the mode of a Service. Paths begin at the spec. */
export function* validateModes(spec: Fields, patched: boolean): Generator<FieldError> {
  if (spec['manual'] !== undefined) {
    yield disallowedFields('manual')
    return
  }
  const set = [...modes, 'template' as const].filter((mode) => spec[mode] !== undefined)
  const inMode = set.filter((mode) => mode !== 'template')
  if (set.length === 0) yield missingOneOf('pinned', 'release', 'runLatest', 'template')
  // A patch of an object that we answered in today's form has the template besides.
  if (patched ? inMode.length > 1 : set.length > 1) yield multipleOneOf(...set)
  if (!patched && inMode.length > 0 && spec['traffic'] !== undefined)
    yield multipleOneOf(...inMode, 'traffic')
  for (const mode of inMode) {
    const { configuration, revisionName } = fieldsOf(spec[mode])
    yield* via(
      `${mode}.configuration`,
      validateLegacyConfiguration(fieldsOf(configuration), patched),
    )
    if (mode === 'pinned' && !revisionName) yield missingField('pinned.revisionName')
    if (mode === 'release') yield* via('release', validateRelease(fieldsOf(spec['release'])))
  }
}

function* validateRelease(release: Fields): Generator<FieldError> {
  const revisions = listOf(release['revisions']).map(textOf)
  const percent = Number(release['rolloutPercent'] ?? 0)
  if (revisions.length === 0) yield missingField('revisions')
  if (revisions.length > 2) yield outOfBounds(revisions.length, 1, 2, 'revisions')
  for (const [i, revision] of revisions.entries()) {
    const problem = revision === latest ? undefined : label1035Problem(revision)
    if (problem) yield genericError(`not a DNS 1035 label: [${problem}]`, `revisions[${i}]`)
  }
  if (percent < 0 || percent > 99) yield outOfBounds(percent, 0, 99, 'rolloutPercent')
  else if (percent !== 0 && revisions.length === 1)
    yield genericError(`invalid value: ${percent}`, 'rolloutPercent')
}

/** The traffic that a mode means. */
export function trafficOf(mode: Mode, spec: Fields): readonly Fields[] {
  switch (mode) {
    case 'runLatest':
      return [{ latestRevision: true, percent: 100 }]
    case 'pinned':
      return [to(textOf(fieldsOf(spec['pinned'])['revisionName']), 100)]
    case 'release': {
      const release = fieldsOf(spec['release'])
      const [current = '', candidate] = listOf(release['revisions']).map(textOf)
      const percent = Number(release['rolloutPercent'] ?? 0)
      return [
        { ...to(current, candidate === undefined ? 100 : 100 - percent), tag: 'current' },
        ...(candidate === undefined ? [] : [{ ...to(candidate, percent), tag: 'candidate' }]),
        { latestRevision: true, percent: 0, tag: 'latest' },
      ]
    }
  }
}

const to = (revision: string, percent: number): Fields =>
  revision === latest
    ? { latestRevision: true, percent }
    : { revisionName: revision, latestRevision: false, percent }
