/**
 * Building an image on an engine (Docker Engine API, ImageBuild): by BuildKit where the engine says that it prefers it,
 * else by its classic builder. What either says as it goes comes out as lines.
 */
import { BuildError } from '../../../image/build-error.ts'
import { contextFiles, sentDockerfile } from '../../../image/builder/dockerfile.ts'
import type { DockerfileBuild, DockerfileBuilder } from '../../../image/builder/dockerfile.ts'
import { tarOf } from '../../../image/layer.ts'
import { platformText } from '../../../image/manifest.ts'
import { buildKitReader } from './buildkit-trace.ts'
import type { Engine } from './engine.ts'
import { record, text } from './json.ts'

/** Makes an engine a builder. `ready` is called before each build, with its Dockerfile: to bring the images it begins with. */
export function engineBuilder(
  engine: Engine,
  ready: (wanted: DockerfileBuild) => Promise<void> = async () => {},
): DockerfileBuilder {
  const { version, buildKit } = engine.facts
  return {
    name: `Docker ${version}${buildKit ? ' (BuildKit)' : ''}`,
    async build(wanted, use) {
      await ready(wanted)
      const id = await buildOn(engine, wanted)
      try {
        return await use(engine.saveImage(id))
      } finally {
        // BuildKit keeps its own cache; the classic builder's is the image itself.
        if (buildKit) await engine.removeImage(id)
      }
    },
  }
}

async function buildOn(engine: Engine, wanted: DockerfileBuild): Promise<string> {
  const { context, file, buildArgs, target, network, platform, noCache, say } = wanted
  const { buildKit } = engine.facts
  const query = {
    dockerfile: sentDockerfile(context, file),
    buildargs: JSON.stringify(buildArgs),
    rm: '1',
    forcerm: '1',
    ...(target !== undefined && { target }),
    ...(network !== undefined && { networkmode: network }),
    ...(platform && { platform: platformText(platform) }),
    ...(noCache && { nocache: '1' }),
    ...(buildKit && { version: '2' }),
  }
  const files = await contextFiles(wanted)
  const trace = buildKitReader(say)
  let id = ''
  let problem = ''
  for await (const line of lines(engine.buildImage(tarOf(files), query))) {
    const message = record(parsed(line))
    const aux = message['aux']
    if (text(message['id']) === 'moby.buildkit.trace' && typeof aux === 'string') trace(aux)
    else if (text(record(aux)['ID']) !== '') id = text(record(aux)['ID'])
    if (text(message['stream']) !== '')
      for (const said of text(message['stream']).split('\n')) if (said !== '') say(said)
    // Podman's service says it in words alone.
    if (id === '')
      id = /^Successfully built ([a-f0-9]{12,64})\s*$/m.exec(text(message['stream']))?.[1] ?? ''
    // Progress of pulls has numbers; what is left is worth a line.
    const status = text(message['status'])
    if (status !== '' && message['progressDetail'] === undefined) say(status)
    problem ||= text(message['error'])
  }
  if (problem !== '') throw new BuildError(`${file} could not be built: ${problem}`)
  if (id === '') throw new BuildError(`${file}: the engine built no image and does not say why`)
  return id
}

/** Bounded: a line that never ends is cut. */
async function* lines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let left = ''
  for await (const chunk of chunks) {
    const all = (left + decoder.decode(chunk, { stream: true })).split('\n')
    left = (all.pop() ?? '').slice(-maxLine)
    yield* all
  }
  if (left !== '') yield left
}

const maxLine = 16 << 20

function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
