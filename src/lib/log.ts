/**
 * Structured logging: constant text, facts as fields. Error = someone must look; info = something changed;
 * debug = why. Users read Events and conditions, not this.
 */
export interface Log {
  error(message: string, facts?: Facts): void
  info(message: string, facts?: Facts): void
  debug(message: string, facts?: Facts): void
  /** A logger that adds `facts` to every line. */
  child(facts: Facts): Log
}

export type Facts = Readonly<Record<string, unknown>>
export type LogLevel = 'debug' | 'info' | 'error'

/** Says nothing: for tests and for parts that are run silently. */
export const silent: Log = {
  error: () => {},
  info: () => {},
  debug: () => {},
  child: () => silent,
}

const rank: Record<LogLevel, number> = { debug: 0, info: 1, error: 2 }

/** Writes one JSON line an entry to `write`, leaving out what is below `level`. */
export function jsonLog(
  write: (line: string) => void,
  level: LogLevel,
  now: () => number,
  bound: Facts = {},
): Log {
  const entry =
    (at: LogLevel) =>
    (message: string, facts: Facts = {}) => {
      if (rank[at] < rank[level]) return
      const fields = { time: new Date(now()).toISOString(), level: at, message, ...bound, ...facts }
      write(`${JSON.stringify(fields, plain)}\n`)
    }
  return {
    error: entry('error'),
    info: entry('info'),
    debug: entry('debug'),
    child: (facts) => jsonLog(write, level, now, { ...bound, ...facts }),
  }
}

function plain(_key: string, value: unknown): unknown {
  return value instanceof Error ? (value.stack ?? value.message) : value
}
