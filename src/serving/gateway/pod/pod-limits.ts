/** What a pod may make the gateway wait for or hold. */

export const connectTimeoutMs = 2000
/** Of a response's head. */
export const maxResponseHeadBytes = 262_144
export const maxResponseFields = 1000
