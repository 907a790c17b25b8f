/** Resolves `requested` on the first SIGINT, SIGTERM or `ebb down`; a second signal ends the process at once. */
export interface StopSignal {
  readonly requested: Promise<void>
  request(): void
}

export function stopSignal(): StopSignal {
  const { promise, resolve } = Promise.withResolvers<void>()
  let signals = 0
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (++signals > 2) process.exit(1)
      resolve()
    })
  }
  return { requested: promise, request: resolve }
}
