/** How the kubelet's event `Pulled` words what it took to have an image. Pure. */
import type { ImageHandle } from '../runtime.ts'

/** `image` as the pod names it. */
export function pulledText(image: string, { pulled }: Pick<ImageHandle, 'pulled'>): string {
  if (!pulled) return `Container image "${image}" already present on machine`
  const took = secondsText(pulled.tookMs)
  return `Successfully pulled image "${image}" in ${took} (${took} including waiting). Image size: ${pulled.sizeBytes} bytes.`
}

/** Milliseconds as Go prints a duration: `0s`, `312ms`, `1.5s`, `1m2.5s`. */
export function secondsText(ms: number): string {
  const whole = Math.trunc(ms)
  if (whole <= 0) return '0s'
  if (whole < 1000) return `${whole}ms`
  const minutes = Math.trunc(whole / 60_000)
  const hours = Math.trunc(minutes / 60)
  const seconds = `${(whole % 60_000) / 1000}s`
  if (hours > 0) return `${hours}h${minutes % 60}m${seconds}`
  return minutes > 0 ? `${minutes}m${seconds}` : seconds
}
