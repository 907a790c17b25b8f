/** Names that users choose for Revisions: whose they are, and when one may be used again. */
import { isControlledBy } from '../../../kube/api/meta.ts'
import { semanticallyEqual } from '../../../kube/controller/difference.ts'
import type { Configuration } from '../../api/configuration.ts'
import { label } from '../../api/names.ts'
import type { Revision } from '../../api/revision.ts'

/**
 * True when `revision` bears the name that the Configuration's template asks for but is another's, or is an older one of
 * its own that differs. An equal older one is used again: that is rolling back by name.
 */
export function nameConflict(configuration: Configuration, revision: Revision): boolean {
  if (!isControlledBy(revision, configuration)) return true
  const generation = revision.metadata.labels?.[label.configurationGeneration]
  if (generation === String(configuration.metadata.generation ?? 0)) return false
  const { spec } = configuration.spec.template
  // Filled in when something is created, but not when it is changed: its absence says nothing.
  const { enableServiceLinks = revision.spec.enableServiceLinks } = spec
  return !semanticallyEqual(revision.spec, { ...spec, enableServiceLinks })
}
