/** Host names with wildcards, as listeners and routes of the Gateway API have them. */

/** True when `pattern` (`*.example.com`, `*` or a plain name) covers `host`, which may be a pattern itself. */
export function covers(pattern: string, host: string): boolean {
  if (pattern === '*' || pattern === host) return true
  return pattern.startsWith('*.') && host !== '*' && host.endsWith(pattern.slice(1))
}

/** The hosts of a route on a listener: the narrower of each pair that goes together. Nothing said means all hosts. */
export function intersection(
  route: readonly string[],
  listener: string | undefined,
): readonly string[] {
  if (route.length === 0) return [listener || '*']
  if (!listener) return route
  return route.flatMap((host) =>
    covers(listener, host) ? [host] : covers(host, listener) ? [listener] : [],
  )
}
