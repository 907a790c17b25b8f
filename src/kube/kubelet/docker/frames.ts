/**
 * The stream in which an engine sends stdout and stderr of a container without a terminal (Engine API, "attach": stream
 * format): frames of a stream number, three zeros, a length in four bytes, the bytes. In a log only the bytes matter.
 */

const headBytes = 8

/** The content of the frames, as much at a time as has come: a large frame is not held back until it is complete. */
export async function* frameContents(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void> {
  const read = frameReader()
  for await (const chunk of chunks) {
    const contents = read(chunk).map(({ content }) => content)
    // Programs write line by line: one write for many frames.
    if (contents.length > 0)
      yield contents.length === 1 ? (contents[0] ?? chunk) : Buffer.concat(contents)
  }
}

/** The same with the number of the stream: 1 stdout, 2 stderr. */
export async function* numberedFrames(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<FramePart, void> {
  const read = frameReader()
  for await (const chunk of chunks) yield* read(chunk)
}

export interface FramePart {
  readonly stream: number
  readonly content: Uint8Array
}

/** Throws for what is no frame. */
function frameReader(): (chunk: Uint8Array) => readonly FramePart[] {
  const head = Buffer.alloc(headBytes)
  let headSize = 0
  let left = 0
  return (chunk) => {
    const parts: FramePart[] = []
    for (let at = 0; at < chunk.length;) {
      if (left > 0) {
        const content = chunk.subarray(at, at + left)
        at += content.length
        left -= content.length
        parts.push({ stream: head[0] ?? 0, content })
        continue
      }
      const part = chunk.subarray(at, at + headBytes - headSize)
      head.set(part, headSize)
      headSize += part.length
      at += part.length
      if (headSize < headBytes) break
      headSize = 0
      if ((head[0] ?? 255) > 3 || head[1] !== 0 || head[2] !== 0 || head[3] !== 0)
        throw new Error('the engine sent output in another format than that of stream frames')
      left = head.readUInt32BE(4)
    }
    return parts
  }
}
