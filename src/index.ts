/** Door of the package: everything of `ebb/api`, `ebb/client` and `ebb/controller`. */
export * from './api.ts'
export * from './client.ts'
export * from './controller.ts'
