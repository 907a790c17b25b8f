import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { test } from 'node:test'
import { architecture, browser } from './architecture.ts'

const root = join(import.meta.dirname, '..', 'src')
const folders = Object.keys(architecture).sort((a, b) => b.length - a.length)
const folderOf = (file: string) =>
  folders.find((folder) => file === folder || file.startsWith(`${folder}/`)) ??
  `(no row for ${file})`
const isTest = (file: string) => /\.(test|contract|bench|fixture)\.ts$/.test(file)

const sources = globSync('**/*.ts', { cwd: root })
const imports = sources.flatMap((file) =>
  [
    ...readFileSync(join(root, file), 'utf8').matchAll(
      /(?:from|import)\s*\(?\s*'(\.[^']+|node:[^']+)'/g,
    ),
  ].map((match) => ({ file, to: match[1] ?? '' })),
)

test('imports run down the list', () => {
  const strays = imports
    .filter(({ file, to }) => to.startsWith('.') && !isTest(file))
    .map(({ file, to }) => ({ file, target: relative(root, join(root, dirname(file), to)) }))
    .filter(({ target }) => !target.startsWith('..'))
    .filter(({ file, target }) => {
      const from = folderOf(file)
      const allowed = architecture[from] ?? []
      return (
        folderOf(target) !== from && !allowed.includes(folderOf(target)) && !allowed.includes('*')
      )
    })
    .map(({ file, target }) => `${file} imports ${target}`)
  assert.deepEqual(strays, [])
})

test('folders that run in browsers import nothing of Node', () => {
  const strays = imports
    .filter(({ file, to }) => to.startsWith('node:') && !isTest(file))
    .filter(({ file }) => browser.includes(dirname(file)))
    .map(({ file, to }) => `${file} imports ${to}`)
  assert.deepEqual(strays, [])
})

test('what is in src/testing stays in tests', () => {
  const strays = imports
    .filter(
      ({ file, to }) => !isTest(file) && !file.startsWith('testing/') && to.includes('/testing/'),
    )
    .map(({ file }) => file)
  assert.deepEqual(strays, [])
})
