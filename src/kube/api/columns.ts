/** Printer columns that many kinds share. */
import type { Column } from './kind.ts'
import type { KubeObject } from './meta.ts'
import { age, commaList } from './printer.ts'

/** The first column of each built-in kind. */
export const nameColumn: Column = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description: 'The name of the object, unique among its kind in its namespace.',
  value: (object) => object.metadata.name,
}

export const ageColumn: Column = {
  name: 'Age',
  type: 'string',
  description: 'How long ago the object was made.',
  value: (object, nowMs) => age(object, nowMs),
}

interface WithContainers extends KubeObject {
  readonly spec: {
    readonly template?: {
      readonly spec?: {
        readonly containers: readonly { readonly name: string; readonly image?: string }[]
      }
    }
  }
}

const containersOf = (object: WithContainers) => object.spec.template?.spec?.containers ?? []

/** Containers and images of the pod template, for `-o wide`. */
export const templateColumns: readonly Column<WithContainers>[] = [
  {
    name: 'Containers',
    type: 'string',
    priority: 1,
    description: 'Names of the containers in the template.',
    value: (object) => commaList(containersOf(object).map(({ name }) => name)),
  },
  {
    name: 'Images',
    type: 'string',
    priority: 1,
    description: 'Images of the containers in the template.',
    value: (object) => commaList(containersOf(object).map(({ image }) => image ?? '')),
  },
]
