/** The `scale` subresource of a custom kind: its numbers by path (apiextensions `subresources.scale`). */
import type { CustomVersion } from '../../api/custom-resource-definition.ts'
import type { ScaleSubresource } from '../../api/kind.ts'
import type { KubeObject } from '../../api/meta.ts'
import { fieldsOf, isRecord } from '../values.ts'
import { fieldAt, simplePath } from './json-path.ts'

type Paths = NonNullable<NonNullable<CustomVersion['subresources']>['scale']>

export function customScale(paths: Paths): ScaleSubresource<KubeObject> {
  const spec = simplePath(paths.specReplicasPath)
  const status = simplePath(paths.statusReplicasPath)
  const selector = paths.labelSelectorPath ? simplePath(paths.labelSelectorPath) : undefined
  const numberAt = (object: KubeObject, path: readonly string[]): number => {
    const value = fieldAt(object, path)
    return typeof value === 'number' ? value : 0
  }
  return {
    replicas: (object) => numberAt(object, spec),
    withReplicas: (object, replicas) => ({ ...object, ...withField(object, spec, replicas) }),
    statusReplicas: (object) => numberAt(object, status),
    selector(object) {
      const value = selector && fieldAt(object, selector)
      return typeof value === 'string' ? value : ''
    },
  }
}

function withField(object: unknown, [name, ...rest]: readonly string[], value: unknown): object {
  if (name === undefined) return isRecord(object) ? object : {}
  const fields = fieldsOf(object)
  return { ...fields, [name]: rest.length === 0 ? value : withField(fields[name], rest, value) }
}
