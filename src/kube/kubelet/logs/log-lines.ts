/** The part of a log that was asked for, line by line: tail, since, timestamps, limit, follow. */
import { open, type FileHandle } from 'node:fs/promises'

/** At `timeMs` the log had grown to `size` bytes. */
export interface Mark {
  readonly size: number
  readonly timeMs: number
}

export interface LogRequest {
  readonly path: string
  /** Offset of the first byte there is now. What lies before it may read as zeros. */
  readonly start: () => number
  readonly marks: () => Promise<readonly Mark[]>
  readonly options: {
    readonly timestamps: boolean
    readonly tailLines?: number
    readonly limitBytes?: number
    readonly sinceMs?: number
  }
  readonly nowMs: () => number
  /** Called at the end of the file: resolves true when there may be more, false when that was all. */
  readonly grown: () => Promise<boolean>
  readonly signal: AbortSignal
}

const chunkBytes = 64 << 10
const newline = 0x0a

export async function* logLines(request: LogRequest): AsyncGenerator<Uint8Array> {
  const { path, options, signal } = request
  const file = await open(path, 'r').catch(() => undefined)
  if (!file) return
  try {
    let left = options.limitBytes ?? Number.POSITIVE_INFINITY
    const cut = (bytes: Uint8Array): Uint8Array => {
      const part = bytes.length > left ? bytes.subarray(0, left) : bytes
      left -= part.length
      return part
    }
    let offset = await beginning(file, request)
    let stamps = options.timestamps ? stamper(await request.marks()) : undefined
    let fresh = true
    const buffer = Buffer.allocUnsafe(chunkBytes)
    while (!signal.aborted && left > 0) {
      const { bytesRead } = await file.read(buffer, 0, chunkBytes, offset)
      if (bytesRead === 0) {
        const { size } = await file.stat()
        if (size < offset) offset = 0 // cut to nothing to save space
        else if (!(await request.grown())) {
          // What came between the last read and the end.
          if ((await file.stat()).size > offset) continue
          return
        }
        if (options.timestamps) stamps = stamper(await request.marks())
        continue
      }
      const start = request.start()
      if (start > offset) {
        // Given back while we read, perhaps: what came are zeros. The rest of a line that was begun is gone.
        if (!fresh) yield cut(Buffer.of(newline))
        fresh = true
        offset = await nextLine(file, start, (await file.stat()).size)
        continue
      }
      const chunk = Buffer.from(buffer.subarray(0, bytesRead))
      const out = stamps
        ? stampLines(chunk, offset, fresh, (at) => stamps?.(at) ?? request.nowMs())
        : chunk
      fresh = chunk.at(-1) === newline
      offset += bytesRead
      yield cut(out)
    }
  } finally {
    await file.close()
  }
}

/** Offset of the first line asked for. */
async function beginning(file: FileHandle, { start, options, marks }: LogRequest): Promise<number> {
  const { size } = await file.stat()
  const first = start()
  let offset = first > 0 ? await nextLine(file, first, size) : 0
  if (options.sinceMs !== undefined) {
    const { sinceMs } = options
    const known = await marks()
    // The last size noted before that moment: everything up to it is older.
    const older = known.findLast(({ timeMs }) => timeMs < sinceMs)?.size ?? 0
    offset = Math.max(offset, older === 0 ? 0 : await lineStart(file, older, size))
  }
  if (options.tailLines !== undefined)
    offset = Math.max(offset, await tailStart(file, size, options.tailLines))
  return offset
}

/** Start of the line that begins at or after `offset`. */
async function lineStart(file: FileHandle, offset: number, size: number): Promise<number> {
  const before = Buffer.alloc(1)
  await file.read(before, 0, 1, offset - 1)
  return before[0] === newline ? offset : await nextLine(file, offset, size)
}

async function nextLine(file: FileHandle, offset: number, size: number): Promise<number> {
  const buffer = Buffer.allocUnsafe(chunkBytes)
  for (let at = offset; at < size;) {
    const { bytesRead } = await file.read(buffer, 0, chunkBytes, at)
    if (bytesRead === 0) break
    const index = buffer.subarray(0, bytesRead).indexOf(newline)
    if (index >= 0) return at + index + 1
    at += bytesRead
  }
  return size
}

/** Offset at which the last `lines` lines begin; an unfinished last line counts. */
async function tailStart(file: FileHandle, size: number, lines: number): Promise<number> {
  if (lines <= 0) return size
  const buffer = Buffer.allocUnsafe(chunkBytes)
  let seen = 0
  for (let end = size; end > 0;) {
    const from = Math.max(0, end - chunkBytes)
    const { bytesRead } = await file.read(buffer, 0, end - from, from)
    for (let i = bytesRead - 1; i >= 0; i--) {
      if (buffer[i] !== newline || from + i === size - 1) continue
      if (++seen === lines) return from + i + 1
    }
    end = from
  }
  return 0
}

/** Answers when the byte at an offset was written: the time of the first mark beyond it. Offsets must not go back. */
function stamper(marks: readonly Mark[]): (offset: number) => number | undefined {
  let index = 0
  return (offset) => {
    while ((marks[index]?.size ?? Number.POSITIVE_INFINITY) <= offset) index++
    return marks[index]?.timeMs
  }
}

function stampLines(
  chunk: Buffer,
  offset: number,
  fresh: boolean,
  timeAt: (offset: number) => number,
): Buffer {
  const parts: Buffer[] = []
  for (let from = 0, begins = fresh; from < chunk.length; begins = true) {
    const end = chunk.indexOf(newline, from)
    const to = end < 0 ? chunk.length : end + 1
    if (begins) parts.push(Buffer.from(`${stampText(timeAt(offset + from))} `))
    parts.push(chunk.subarray(from, to))
    from = to
  }
  return Buffer.concat(parts)
}

/** RFC 3339 with nanoseconds, of which we know the milliseconds. */
const stampText = (timeMs: number): string =>
  `${new Date(timeMs).toISOString().slice(0, -1)}000000Z`
