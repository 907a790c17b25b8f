/** serving.knative.dev/v1beta1 of the four kinds: the shape of v1 under another name. */
import type { ServedVersion } from '../../../kube/api/kind.ts'
import type { Schema } from '../../../kube/api/schema.ts'
import { fromLegacyRevisionStatus } from './legacy-status.ts'
import { partsOf, withParts } from './fields.ts'
import { revisionInOldForm } from './v1alpha1.ts'

const version = 'v1beta1'
const oldApi = 'serving.knative.dev/v1beta1'
const todaysApi = 'serving.knative.dev/v1'

const deprecated = (kind: string): string =>
  `${oldApi} ${kind} is deprecated; use ${todaysApi} ${kind}`

/** Of Service, Configuration and Route, whose v1 schema is given. */
export const sameInV1beta1 = (kind: string, schema: Schema): ServedVersion => ({
  version,
  schema,
  deprecationWarning: deprecated(kind),
  toStorage: (object) => ({ ...object, apiVersion: todaysApi }),
  fromStorage: (object) => ({ ...object, apiVersion: oldApi }),
})

export const revisionV1beta1 = (schema: Schema): ServedVersion => ({
  ...sameInV1beta1('Revision', schema),
  toStorage(revision) {
    const { spec, status } = partsOf(revision)
    return withParts(revision, todaysApi, spec, status && fromLegacyRevisionStatus(status))
  },
  fromStorage: (revision) => revisionInOldForm(revision, oldApi),
})
