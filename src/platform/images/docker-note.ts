/** The file in a data directory that says which Docker engine runs its pods; there as long as one does. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'

export const dockerNotePath = (dataDir: string): string => join(dataDir, 'run', 'docker-host')

/** True when pods of the data directory's platform are containers of an engine. */
export const runsDocker = (dataDir: string): boolean => existsSync(dockerNotePath(dataDir))
