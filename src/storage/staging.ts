/**
 * Where bodies of messages are kept from their receipt to the next commit. Hot path: the same memory is used over and
 * over. A buffer of its own for each frame costs the collector a fifth of a node's time, measured with frames of
 * 256 KiB (`npm run bench -- volume`, streaming).
 */

const CHUNK_BYTES = 2 << 20
/** What is kept between commits; a batch that needs more gets it, and gives it back. */
const CHUNKS_MAX = 4

export class Staging {
  readonly #chunks: Uint8Array[] = []
  #chunk = 0
  #used = 0

  /** A copy, which is valid until `clear`. */
  copy(body: Uint8Array): Uint8Array {
    if (body.length > CHUNK_BYTES) return body.slice()
    if (this.#used + body.length > CHUNK_BYTES) {
      this.#chunk++
      this.#used = 0
    }
    let chunk = this.#chunks[this.#chunk]
    if (chunk === undefined) {
      chunk = new Uint8Array(CHUNK_BYTES)
      this.#chunks.push(chunk)
    }
    const copy = chunk.subarray(this.#used, this.#used + body.length)
    copy.set(body)
    this.#used += body.length
    return copy
  }

  /** Everything handed out may be overwritten from now on. */
  clear(): void {
    if (this.#chunks.length > CHUNKS_MAX) this.#chunks.length = CHUNKS_MAX
    this.#chunk = 0
    this.#used = 0
  }
}
