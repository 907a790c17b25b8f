/** The table of docs/compatibility.md, made from the matrix: a mark for each version, a footnote for each gap. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Group } from './row.ts'
import { expected } from './runner.ts'

export const documentPath = join(import.meta.dirname, '..', '..', '..', 'docs', 'compatibility.md')
const [begin, end] = ['<!-- matrix -->', '<!-- /matrix -->']

/** Markdown: a table for each group, and below them the reasons by number. */
export function render(groups: readonly Group[], versions: readonly string[]): string {
  const reasons: string[] = []
  const mark = (reason: string | undefined): string => {
    if (reason === undefined) return '✓'
    if (!reasons.includes(reason)) reasons.push(reason)
    return `– ${reasons.indexOf(reason) + 1}`
  }
  const tables = groups.map(({ title, rows }) => {
    const lines = rows.map((row) => {
      const marks = versions.map((version) => mark(expected(row, version).gap?.reason))
      return `| ${code(`kubectl ${row.line}`)}${outcome(row.code)} | ${marks.join(' | ')} |`
    })
    return [
      `### ${title}\n`,
      `| command | ${versions.join(' | ')} |`,
      `| --- |${' :-: |'.repeat(versions.length)}`,
      ...lines,
    ].join('\n')
  })
  const notes = reasons.map((reason, i) => `${i + 1}. ${reason}`)
  return [...tables, ...(notes.length > 0 ? [`### Gaps\n\n${notes.join('\n')}`] : [])].join('\n\n')
}

const code = (line: string): string => `\`${line.replaceAll('|', '\\|')}\``
const outcome = (wanted = 0): string => (wanted === 0 ? '' : ` ends with ${wanted}`)

/** The document with this table in the place of its own. */
export const withTable = (document: string, table: string): string => {
  const [from, to] = [document.indexOf(begin), document.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`docs/compatibility.md has no ${begin} … ${end}`)
  return `${document.slice(0, from)}${begin}\n\n${table}\n\n${document.slice(to)}`
}

export async function writeTable(
  groups: readonly Group[],
  versions: readonly string[],
): Promise<void> {
  const document = await readFile(documentPath, 'utf8')
  await writeFile(documentPath, withTable(document, render(groups, versions)))
}
