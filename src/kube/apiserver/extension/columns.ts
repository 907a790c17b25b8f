/** `additionalPrinterColumns` of a custom kind as columns of its tables (apiextensions `tableconvertor`). */
import type { CustomVersion } from '../../api/custom-resource-definition.ts'
import type { Column } from '../../api/kind.ts'
import { nameColumn } from '../../api/columns.ts'
import { jsonPath } from './json-path.ts'

const types = new Set(['string', 'integer', 'boolean', 'date', 'number'])

/** Without any, the table shows the age. */
export function customColumns({
  additionalPrinterColumns: given = [],
}: CustomVersion): readonly Column[] {
  if (given.length === 0)
    return [
      nameColumn,
      {
        name: 'Age',
        type: 'date',
        description:
          'CreationTimestamp is a timestamp representing the server time when this object was created.',
        value: ({ metadata }) => metadata.creationTimestamp,
      },
    ]
  return [
    nameColumn,
    ...given.map((column): Column => {
      const type = isColumnType(column.type) ? column.type : 'string'
      let find: ReturnType<typeof jsonPath> | undefined
      return {
        name: column.name,
        type,
        description:
          column.description ??
          `Custom resource definition column (in JSONPath format): ${column.jsonPath}`,
        ...(column.format !== undefined && { format: column.format }),
        ...(column.priority !== undefined && { priority: column.priority }),
        value: (object) => cell(type, (find ??= jsonPath(column.jsonPath))(object)),
      }
    }),
  ]
}

const isColumnType = (type: string): type is Column['type'] => types.has(type)

/** The first thing found, in the type of the column; nothing when it is of another type. */
function cell(
  type: Column['type'],
  found: readonly unknown[],
): string | number | boolean | undefined {
  const [value] = found
  if (value === undefined || value === null) return undefined
  switch (type) {
    case 'integer':
      return typeof value === 'number' ? Math.trunc(value) : undefined
    case 'number':
      return typeof value === 'number' ? value : undefined
    case 'boolean':
      return typeof value === 'boolean' ? value : undefined
    case 'date':
      return typeof value === 'string' ? value : '<invalid>'
    case 'string': {
      if (found.length > 1) return found.map(text).join(',')
      return text(value)
    }
  }
}

const text = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))
