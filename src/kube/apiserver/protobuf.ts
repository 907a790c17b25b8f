/** Protobuf request bodies, which kubectl 1.32 and later send for some commands (contracts/kube 1.4). Decoding only. */

/** The bytes `k8s\0` that every protobuf body begins with. */
export const protobufMediaType = 'application/vnd.kubernetes.protobuf'

/** Decodes a framed object (`k8s\0` + runtime.Unknown). Throws BadRequest. */
export function decodeProtobuf(_bytes: Uint8Array): unknown {
  throw new Error('being written')
}
