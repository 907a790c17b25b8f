/** The address under which this machine's gateway can be called, as Services and Endpoints name it. */

/** A wildcard is no address to call: from this machine it is loopback. */
export const callableAddress = (host: string): string =>
  ['0.0.0.0', '::', '', 'localhost'].includes(host) ? '127.0.0.1' : host
