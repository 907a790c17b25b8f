/** Kubernetes quantities as numbers, for adding them up: `100m` = 0.1, `1Gi` = 1073741824. */

const factors: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
}

/** 0 for what is no quantity: admission refuses those before they get here. */
export function quantity(text: string | number | undefined): number {
  const match = /^([+-]?[\d.]+(?:[eE][+-]?\d+)?)([a-zA-Z]*)$/.exec(String(text ?? ''))
  const number = Number(match?.[1])
  const factor = factors[match?.[2] ?? '']
  return Number.isFinite(number) && factor !== undefined ? number * factor : 0
}
