/** What a Route's or DomainMapping's annotations say of TLS. */
import type { StringMap } from '../../kube/api/meta.ts'
import { annotationSpellings, firstSpelling } from '../api/names.ts'

/** As Go's strconv.ParseBool reads it. */
const yes: ReadonlySet<string> = new Set(['1', 't', 'T', 'TRUE', 'true', 'True'])

/** True when the owner wants no certificate. */
export const isOptedOut = (annotations: StringMap | undefined): boolean =>
  yes.has(firstSpelling(annotations, annotationSpellings.disableExternalDomainTls)?.value ?? '')
