import { readFile } from 'node:fs/promises'
import type { Command } from './command.ts'

export const version: Command = {
  name: 'version',
  usage: '',
  summary: 'Print the version',
  flags: {},
  positionals: [0, 0],
  async run(_args, out) {
    const file = new URL('../../package.json', import.meta.url)
    const { version: number } = JSON.parse(await readFile(file, 'utf8')) as { version: string }
    out.print(`ebb ${number} (node ${process.versions.node})`)
    return 0
  },
}
