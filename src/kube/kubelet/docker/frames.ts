/**
 * The stream in which an engine sends stdout and stderr of a container without a terminal (Engine API, "attach": stream
 * format): frames of a stream number, three zeros, a length in four bytes, the bytes. Only the bytes matter here.
 */

const headBytes = 8

/** The content of the frames, as much at a time as has come: a large frame is not held back until it is complete. */
export async function* frameContents(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void> {
  const head = Buffer.alloc(headBytes)
  let headSize = 0
  let left = 0
  for await (const chunk of chunks) {
    const contents: Uint8Array[] = []
    for (let at = 0; at < chunk.length;) {
      if (left > 0) {
        const part = chunk.subarray(at, at + left)
        at += part.length
        left -= part.length
        contents.push(part)
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
    // Programs write line by line: one write for many frames.
    if (contents.length > 0)
      yield contents.length === 1 ? (contents[0] ?? chunk) : Buffer.concat(contents)
  }
}
