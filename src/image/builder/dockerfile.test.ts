import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { tarOf } from '../layer.ts'
import { readTar } from '../tar-reader.ts'
import { contextFiles, findDockerfile, noBuilder, sentDockerfile } from './dockerfile.ts'
import { fromImages } from './from-images.ts'

test('images that a Dockerfile begins with: stages and scratch are none, variables count', () => {
  const text = `# syntax=docker/dockerfile:1
ARG VERSION=3.20 \\
    OTHER
ARG REGISTRY="docker.io"
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG VERSION=late
FROM \${REGISTRY}/library/alpine:$VERSION as Run
from build
FROM run
FROM scratch
FROM \${MISSING:-busybox}
FROM $UNKNOWN
FROM golang:1.22
`
  assert.deepEqual(fromImages(text, { VERSION: '3.21' }), [
    'golang:1.22',
    'docker.io/library/alpine:3.21',
    'busybox',
  ])
})

test('the context: what is not ignored, with modes and links as they are, and the Dockerfile in any case', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'ebb-context-'))
  t.after(() => rm(root, { recursive: true, force: true }))
  await mkdir(join(root, 'src', 'deep'), { recursive: true })
  await mkdir(join(root, 'empty'))
  for (const name of ['Dockerfile', 'src/a.key', 'src/deep/b.key', 'src/run.sh', 'src/[x].md'])
    await writeFile(join(root, name), name)
  await chmod(join(root, 'src/run.sh'), 0o750)
  await symlink('/etc/hostname', join(root, 'away'))
  await writeFile(
    join(root, '.dockerignore'),
    'Dockerfile\n**/*.key\n!src/deep/b.key\nsrc/[[]x].md\n',
  )
  const file = (await findDockerfile(root)) ?? ''
  assert.equal(file, join(root, 'Dockerfile'))
  const entries: Record<string, string> = {}
  for await (const entry of readTar(tarOf(await contextFiles({ context: root, file })))) {
    entries[entry.name] = `${entry.type} ${entry.mode.toString(8)} ${entry.linkName}`.trim()
    for await (const _ of entry.content()); // to its end
  }
  assert.deepEqual(Object.keys(entries).sort(), [
    '.dockerignore',
    'Dockerfile',
    'away',
    'empty/',
    'src/',
    'src/deep/',
    'src/deep/b.key',
    'src/run.sh',
  ])
  assert.equal(entries['src/run.sh'], 'file 750')
  assert.equal(entries['away'], 'symlink 777 /etc/hostname')
  assert.equal(sentDockerfile(root, '/elsewhere/Dockerfile'), '.ebb.Dockerfile')
})

test('without a builder it is said what to install', () => {
  assert.match(
    noBuilder('/x/Dockerfile', 'no Docker engine was found').message,
    /needs a builder: no Docker engine was found, and neither buildah nor podman.*apt install buildah.*--as node/,
  )
})
