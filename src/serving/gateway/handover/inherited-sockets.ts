/** Listening sockets that a gateway process was started with, opened by whoever started it. */

/** Listening sockets by the name of their listener: of each socket, the descriptors that lead to it. */
export type InheritedSockets = ReadonlyMap<string, readonly (readonly number[])[]>

/** Reads the text of `--sockets`. Throws when it is not of the form `http:4.5/6.7,local:8`. */
export function inheritedSockets(text: string): InheritedSockets {
  const found = new Map<string, readonly (readonly number[])[]>()
  for (const part of text === '' ? [] : text.split(',')) {
    const match = /^([a-z]+):([\d./]+)$/.exec(part)
    if (!match) throw new Error(`--sockets: expected NAME:FD.FD/FD.FD,…, found "${part}"`)
    const [, name = '', sockets = ''] = match
    found.set(
      name,
      sockets.split('/').map((fds) => fds.split('.').map(Number)),
    )
  }
  return found
}

/** In a gateway process the link to its predecessor is this descriptor; sockets follow it. */
export const linkDescriptor = 3
/** Descriptors of each socket beyond those in use, for workers that are started again. */
const spareDescriptors = 4

/** The text of `--sockets`, and the descriptors in the order in which the process finds them from `linkDescriptor` + 1 on. */
export function socketsToPass(
  sockets: ReadonlyMap<string, readonly number[]>,
  workers: number,
): { readonly text: string; readonly stdio: readonly number[] } {
  const stdio: number[] = []
  const copies = workers > 1 ? 1 + spareDescriptors : 1
  const text = [...sockets]
    .map(([name, fds]) => {
      const each = fds.map((fd) =>
        Array.from({ length: copies }, () => linkDescriptor + stdio.push(fd)).join('.'),
      )
      return `${name}:${each.join('/')}`
    })
    .join(',')
  return { text, stdio }
}
