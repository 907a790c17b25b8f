/**
 * The matrix as data: one row is one kubectl command line with what must come of it. A group of rows is run top to bottom,
 * once with each version of kubectl, in a namespace of its own, so that a row may build on those above it.
 *
 * In lines, inputs and files `$NS` stands for the namespace, `$V` for a name of the version (`v1-27`), `$NODE` for the
 * node's name and `$HELLO` for the host of a Knative Service.
 */

export interface Row {
  /** What follows `kubectl `, with quotes as in a shell. */
  readonly line: string
  /** What both outputs together must match. */
  readonly says: RegExp
  /** The exit code; 0 by default. */
  readonly code?: number
  readonly more?: More
}

export interface More {
  readonly code?: number
  /** kubectl lines before it and after it that only have to succeed. */
  readonly before?: readonly string[]
  readonly after?: readonly string[]
  readonly input?: string
  /** Files of the folder it runs in. */
  readonly files?: Readonly<Record<string, string>>
  readonly env?: Readonly<Record<string, string>>
  /** It runs on a terminal (through `script`), and this is typed once it said anything. */
  readonly typed?: string
  /** It would not end by itself: it is ended once `says` matches. These lines run when it has said `first` or anything. */
  readonly follows?: { readonly first?: RegExp; readonly meanwhile?: readonly string[] }
  /** It would not end by itself: it names a port of this machine, where this path answers so. */
  readonly serves?: { readonly path: string; readonly says: RegExp }
  /** The first version of kubectl that knows it. Those before refuse it themselves. */
  readonly since?: string
  /** Versions that do something else, with the reason and what they do. */
  readonly unlike?: Readonly<Record<string, Unlike>>
}

export interface Unlike {
  /** Stands beside the gap in the table, so a whole sentence. */
  readonly reason: string
  readonly code?: number
  readonly says: RegExp
}

export interface Group {
  readonly title: string
  /** Objects that are applied to the namespace before the first row. */
  readonly objects?: string
  /** What must have come of them: arguments of `kubectl wait`, one line each. */
  readonly ready?: readonly string[]
  /** Its rows touch the node, so it runs after all others. */
  readonly last?: boolean
  /** Its rows only read what all versions share; no namespace is made for it. */
  readonly shared?: boolean
  readonly rows: readonly Row[]
}

export const row = (line: string, says: RegExp, more: More = {}): Row => ({
  line,
  says,
  ...(more.code !== undefined && { code: more.code }),
  more,
})

/** The words of a line, as a shell would split them. */
export function words(line: string): readonly string[] {
  const found = line.matchAll(/(?:[^\s'"]|'[^']*'|"[^"]*")+/g)
  return [...found].map(([word]) => word.replaceAll(/'([^']*)'|"([^"]*)"/g, '$1$2'))
}
