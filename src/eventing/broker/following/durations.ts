/**
 * How long things took, as Prometheus' histograms. Types of events and statuses come from outside, so the number of series
 * has a bound.
 */

/** Seconds. */
const bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
/** Statuses and types at one subscription that are told apart. */
const maxSeries = 64
/** Characters of a type that are shown. */
const longestType = 200

interface Histogram {
  /** One more than bounds, the last for what is longer; not summed up. */
  readonly counts: number[]
  seconds: number
}

/** How long something took at one subscription, by type of event and perhaps by status. */
export class Durations {
  readonly #series = new Map<string, Histogram>()

  /** `status` undefined = there is none to tell. */
  note(type: string, status: number | undefined, tookMs: number): void {
    const wanted = `${status ?? ''} ${type.slice(0, longestType)}`
    let histogram = this.#series.get(wanted)
    if (!histogram) {
      const key = this.#series.size < maxSeries ? wanted : `${status ?? ''} other`
      histogram = this.#series.get(key) ?? { counts: bounds.map(() => 0).concat(0), seconds: 0 }
      this.#series.set(key, histogram)
    }
    const seconds = tookMs / 1000
    const at = bounds.findIndex((bound) => seconds <= bound)
    const place = at < 0 ? bounds.length : at
    histogram.counts[place] = (histogram.counts[place] ?? 0) + 1
    histogram.seconds += seconds
  }

  lines(name: string, labels: string): readonly string[] {
    return [...this.#series].flatMap(([key, { counts, seconds }]) => {
      const at = key.indexOf(' ')
      const status = at > 0 ? `,http_response_status_code="${key.slice(0, at)}"` : ''
      const own = `${labels}${status},cloudevents_type="${escaped(key.slice(at + 1))}"`
      let below = 0
      return [
        ...counts.map((count, i) => {
          below += count
          return `${name}_bucket{${own},le="${bounds[i] ?? '+Inf'}"} ${below}`
        }),
        `${name}_sum{${own}} ${seconds}`,
        `${name}_count{${own}} ${below}`,
      ]
    })
  }
}

/** Types are what senders say; a line stays a line. */
const escaped = (value: string): string => value.replaceAll(/["\\]/g, '\\$&')
