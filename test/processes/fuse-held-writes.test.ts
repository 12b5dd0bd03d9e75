/** Writes that wait, as without a quorum: the server holds so many bytes of them and no more, and goes on afterwards. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Eventual } from '../../src/filesystem/block-device.ts'
import type { Ino } from '../../src/filesystem/file-operations.ts'
import { mountFiles } from '../../src/fuse/fuse-mount.ts'
import { Place, runProgram, whyNoMount } from '../fuse-mounts.ts'
import { MemoryFiles } from '../memory-files.ts'
import { pause, until } from '../waiting.ts'

const WRITERS = 100
const MIB = 1 << 20
/** `HELD_BYTES_MAX`, and the write that passes it. */
const HELD_MAX = 65

/** Writes wait until they are let go. */
class StuckFiles extends MemoryFiles {
  held = 0
  heldMost = 0
  readonly #gate = Promise.withResolvers<void>()

  override write(file: Ino, offset: number, bytes: Uint8Array): Eventual<number> {
    this.held++
    this.heldMost = Math.max(this.heldMost, this.held)
    return this.#gate.promise.then(() => {
      this.held--
      return super.write(file, offset, bytes)
    })
  }

  letGo(): void {
    this.#gate.resolve()
  }
}

describe('writes that wait', { skip: whyNoMount() ?? false }, () => {
  it('take a bounded part of the memory, and all are carried out', async () => {
    using place = new Place()
    const files = new StuckFiles()
    const mount = await mountFiles(place.path, files)
    try {
      const each = `dd if=/dev/zero of=${place.path}/f$i bs=${MIB} count=1 2>/dev/null &`
      const writers = runProgram('sh', ['-c', `for i in $(seq ${WRITERS}); do ${each} done; wait`])
      await until('the server takes no more', () => files.held >= HELD_MAX - 1)
      await pause(200)
      assert(files.heldMost <= HELD_MAX, `${files.heldMost} writes of a mebibyte were held`)
      files.letGo()
      assert.equal((await writers).status, 0)
      const { output } = await runProgram('sh', ['-c', `cat ${place.path}/f* | wc -c`])
      assert.equal(Number(output), WRITERS * MIB)
    } finally {
      await mount.unmount()
    }
  })
})
