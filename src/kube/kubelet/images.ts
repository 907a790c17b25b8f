/** The images of the content store, as the node agent and Knative's tag resolution ask for them. Signature first. */
import type { ContentStore } from '../../image/content-store.ts'
import type { Images } from './runtime.ts'

/** Finds images in `store` and unpacks them beside it, once a manifest. */
export declare function openImages(store: ContentStore): Images
