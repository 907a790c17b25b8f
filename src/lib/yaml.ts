/**
 * YAML where it is rarely met: the library (72 files) is loaded with the first text, not with the program. Those who can
 * wait import it themselves.
 */
import { createRequire } from 'node:module'
import type * as Yaml from 'yaml'

const need = createRequire(import.meta.url)
const library = (): typeof Yaml => need('yaml')

/** The value of a text. Throws YAMLParseError. */
export const parseYaml = (text: string): unknown => library().parse(text)

export const yamlText = (value: unknown): string => library().stringify(value)

/** A text of what we wrote ourselves: words and numbers in maps. */
export const plainYaml = (value: object, indent = ''): string =>
  Object.entries(value)
    .map(([key, each]: [string, unknown]) =>
      typeof each === 'object' && each !== null
        ? `${indent}${key}:\n${plainYaml(each, `${indent}  `)}`
        : `${indent}${key}: ${String(each)}\n`,
    )
    .join('')
