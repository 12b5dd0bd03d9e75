import assert from 'node:assert/strict'
import { constants } from 'node:os'
import { describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { type Header, message, plainBytes } from '../../test/fuse-messages.ts'
import { MemoryFiles } from '../../test/memory-files.ts'
import { type Ino, ino, ROOT_INO } from '../filesystem/file-operations.ts'
import { Answer } from './answer.ts'
import { Opcode, OpenAnswer, OpenFlag, opcodeName } from './kernel-abi.ts'
import { Request } from './request.ts'
import { FuseServer, type ServerOptions } from './server.ts'

const { EEXIST, EIO, ENOENT, ENOSYS, EOPNOTSUPP } = constants.errno
const ROOT = { uid: 0, gid: 0 }

type Body = readonly (number | bigint | string | Uint8Array)[]

/** The kernel's end: sends a message, keeps the answers by `unique`. */
class Kernel {
  readonly files: MemoryFiles
  readonly server: FuseServer
  readonly answers = new Map<number, { errno: number; body: Buffer }>()
  readonly failures: string[] = []
  #unique = 2

  constructor(options: Partial<ServerOptions> = {}, files = new MemoryFiles()) {
    this.files = files
    const buffer = plainBytes(1 << 21)
    this.server = new FuseServer({
      files,
      answer: new Answer(buffer),
      send: ({ length }) => {
        const view = buffer.view
        assert.equal(view.getUint32(0, true), length)
        const unique = view.getUint32(8, true)
        assert.equal(this.answers.has(unique), false, 'one answer for each request')
        const body = Buffer.from(buffer.bytes.slice(16, length))
        this.answers.set(unique, { errno: Math.abs(view.getInt32(4, true)), body })
      },
      onFailure: (what) => this.failures.push(what),
      ...options,
    })
  }

  /** Answers the message's number. */
  ask(header: Header, ...body: Body): number {
    this.#unique += 2
    const unique = this.#unique
    const bytes = message({ ...header, unique }, ...body)
    const buffer = plainBytes(bytes.length)
    buffer.bytes.set(bytes)
    const request = new Request(buffer)
    request.receive(bytes.length)
    void this.server.handle(request)
    return unique
  }

  /** For what is answered at once. */
  now(header: Header, ...body: Body): { errno: number; body: Buffer } {
    const answer = this.answers.get(this.ask(header, ...body))
    assert.ok(answer, `${opcodeName(header.opcode)} is answered at once`)
    return answer
  }

  write(node: Ino, offset: number, data: Uint8Array, flags = 0): number {
    return this.ask({ opcode: Opcode.WRITE, node }, 0n, BigInt(offset), data.length, 0, 0n, flags, 0, data)
  }
}

/** A file of the root directory that nobody has open. */
const file = (files: MemoryFiles, name = 'file'): Ino => files.mknod(ROOT_INO, name, 0o100644, ROOT).ino

describe('durable writes', () => {
  for (const [name, flags] of [
    ['O_DSYNC', OpenFlag.DSYNC],
    ['O_SYNC', OpenFlag.DSYNC | OpenFlag.SYNC_ALONE],
  ] as const) {
    it(`a write with ${name} is answered when what it wrote is durable, and others meanwhile`, async () => {
      const kernel = new Kernel()
      const { promise, resolve } = Promise.withResolvers<void>()
      kernel.files.waitForSync = () => promise
      const node = file(kernel.files)
      const durable = kernel.write(node, 0, Buffer.from('durable'), flags)
      const plain = kernel.write(node, 100, Buffer.from('plain'))
      assert.equal(kernel.answers.has(durable), false)
      assert.equal(kernel.answers.get(plain)?.body.readUInt32LE(0), 5)
      assert.deepEqual([kernel.server.waiting, kernel.files.syncs], [1, 1])
      resolve()
      await turn()
      assert.equal(kernel.answers.get(durable)?.body.readUInt32LE(0), 7)
      assert.equal(kernel.server.waiting, 0)
    })
  }

  it('a write that has to wait first is made durable after that', async () => {
    const kernel = new Kernel()
    const order: string[] = []
    kernel.files.waitForWrite = async () => void order.push('write')
    kernel.files.waitForSync = async () => void order.push('sync')
    const unique = kernel.write(file(kernel.files), 0, Buffer.from('x'), OpenFlag.DSYNC)
    await turn()
    assert.deepEqual(order, ['write', 'sync'])
    assert.equal(kernel.answers.get(unique)?.errno, 0)
  })

  it('a failed sync is a failed write', async () => {
    const kernel = new Kernel()
    kernel.files.waitForSync = () => Promise.reject(new Error('no quorum'))
    const unique = kernel.write(file(kernel.files), 0, Buffer.from('x'), OpenFlag.DSYNC)
    await turn()
    assert.equal(kernel.answers.get(unique)?.errno, EIO)
    assert.deepEqual(kernel.failures, ['WRITE'])
  })

  it('with answers when durable, every change waits, and nothing else', async () => {
    const kernel = new Kernel({ answerWhen: 'durable' })
    const node = file(kernel.files)
    kernel.files.waitForSync = () => turn()
    const changes = [
      kernel.write(node, 0, Buffer.from('x')),
      kernel.ask({ opcode: Opcode.MKDIR }, 0o755, 0, 'folder'),
      kernel.ask({ opcode: Opcode.OPEN, node }, OpenFlag.TRUNC, 0),
    ]
    kernel.now({ opcode: Opcode.GETATTR, node }, 0, 0, 0n)
    kernel.now({ opcode: Opcode.OPEN, node }, 0, 0)
    assert.deepEqual(
      changes.map((unique) => kernel.answers.has(unique)),
      [false, false, false],
    )
    await turn()
    await turn()
    assert.equal(
      changes.every((unique) => kernel.answers.get(unique)?.errno === 0),
      true,
    )
  })
})

describe('a write that keeps its bytes', () => {
  it('says until when, also when it fails', async () => {
    const kernel = new Kernel()
    const node = file(kernel.files)
    const request = (data: string) => {
      const bytes = message({ opcode: Opcode.WRITE, node }, 0n, 0n, data.length, 0, 0n, 0, 0, Buffer.from(data))
      const buffer = plainBytes(bytes.length)
      buffer.bytes.set(bytes)
      const made = new Request(buffer)
      made.receive(bytes.length)
      return made
    }
    assert.equal(kernel.server.handle(request('at once')), undefined)
    kernel.files.waitForWrite = () => Promise.reject(new Error('no room'))
    kernel.answers.clear()
    await kernel.server.handle(request('later'))
    assert.equal(kernel.server.waiting <= 1, true)
  })
})

describe('what the kernel shall do without', () => {
  for (const opcode of [
    Opcode.GETXATTR,
    Opcode.SETXATTR,
    Opcode.LISTXATTR,
    Opcode.FLUSH,
    Opcode.ACCESS,
    Opcode.IOCTL,
    Opcode.POLL,
    Opcode.LSEEK,
    Opcode.COPY_FILE_RANGE,
    Opcode.STATX,
    Opcode.TMPFILE,
    Opcode.BMAP,
    99,
  ]) {
    it(opcodeName(opcode), () => {
      const kernel = new Kernel()
      assert.equal(kernel.now({ opcode }, new Uint8Array(64)).errno, ENOSYS)
      assert.deepEqual(kernel.failures, [])
    })
  }

  it('a mode of fallocate that is not known is not supported, which is remembered only for itself', () => {
    const kernel = new Kernel()
    const node = file(kernel.files)
    assert.equal(kernel.now({ opcode: Opcode.FALLOCATE, node }, 0n, 0n, 1n, 8, 0).errno, EOPNOTSUPP)
  })
})

describe('answers', () => {
  it('there are none to FORGET, BATCH_FORGET and INTERRUPT', () => {
    const kernel = new Kernel()
    kernel.ask({ opcode: Opcode.FORGET, node: 77 }, 1n)
    kernel.ask({ opcode: Opcode.BATCH_FORGET }, 1, 0, 77n, 1n)
    kernel.ask({ opcode: Opcode.INTERRUPT }, 4n)
    assert.equal(kernel.answers.size, 0)
  })

  it('a name that is not there is remembered', () => {
    const { errno, body } = new Kernel().now({ opcode: Opcode.LOOKUP }, 'nothing')
    assert.equal(errno, 0)
    assert.deepEqual([body.readBigUInt64LE(0), body.readBigUInt64LE(16) > 1000n], [0n, true])
  })

  it('nothing is remembered of what changes by itself', () => {
    const files = new MemoryFiles()
    const node = file(files, 'status')
    const kernel = new Kernel({ isVolatile: (asked) => asked === node }, files)
    const { body } = kernel.now({ opcode: Opcode.LOOKUP }, 'status')
    assert.deepEqual(
      [body.readBigUInt64LE(0), body.readBigUInt64LE(16), body.readBigUInt64LE(24)],
      [BigInt(node), 0n, 0n],
    )
  })

  it('regular files are opened for direct I/O with parallel writes, unless the caller says otherwise', () => {
    const files = new MemoryFiles()
    const node = file(files)
    const flags = (options: Partial<ServerOptions>, asked: Ino = node, opcode: number = Opcode.OPEN) =>
      new Kernel(options, files).now({ opcode, node: asked }, 0, 0).body.readUInt32LE(8)
    const direct = OpenAnswer.DIRECT_IO | OpenAnswer.PARALLEL_DIRECT_WRITES | OpenAnswer.NOFLUSH
    assert.equal(flags({}), direct)
    assert.equal(flags({ isDirect: () => false }), OpenAnswer.KEEP_CACHE | OpenAnswer.NOFLUSH)
    assert.equal(flags({ isDirect: () => false, pageBytesOf: () => 8192 }), direct, 'pages are split by the cache')
    assert.equal(flags({}, ROOT_INO, Opcode.OPENDIR), 0)
  })

  it('what is made in a set-group-ID directory belongs to its group', () => {
    const kernel = new Kernel()
    const { ino: node } = kernel.files.mkdir(ROOT_INO, 'shared', 0o2775, { uid: 0, gid: 50 })
    const header = { node, uid: 1000, gid: 1000 }
    assert.equal(kernel.now({ opcode: Opcode.CREATE, ...header }, 0, 0o100644, 0, 0, 'file').errno, 0)
    assert.equal(kernel.now({ opcode: Opcode.MKDIR, ...header }, 0o755, 0, 'folder').errno, 0)
    const [made, folder] = [kernel.files.lookup(node, 'file'), kernel.files.lookup(node, 'folder')]
    assert.deepEqual([made.uid, made.gid, made.mode & 0o7777], [1000, 50, 0o644])
    assert.deepEqual([folder.gid, folder.mode & 0o7777], [50, 0o2755])
  })

  it('an error of the file system is its number; anything else is EIO, and told', () => {
    const kernel = new Kernel()
    assert.equal(kernel.now({ opcode: Opcode.GETATTR, node: 99 }, 0, 0, 0n).errno, ENOENT)
    assert.deepEqual(kernel.failures, [])
    kernel.files.readdir = () => {
      throw new Error('broken')
    }
    assert.equal(kernel.now({ opcode: Opcode.READDIR }, 0n, 0n, 4096, 0, 0n, 0, 0).errno, EIO)
    assert.deepEqual(kernel.failures, ['READDIR'])
  })
})

describe('files of pages', () => {
  const paged = () => new Kernel({ pageBytesOf: () => 8192 })
  const pages = (count: number) => new Uint8Array(count * 8192).fill(7)

  it('whole pages pass', () => {
    const kernel = paged()
    const unique = kernel.write(file(kernel.files), 8192, pages(3))
    assert.equal(kernel.answers.get(unique)?.body.readUInt32LE(0), 3 * 8192)
    assert.equal(kernel.server.pageWrites.counts.fragments, 0)
  })

  it('a piece that ends inside of a page is shortened to its last whole one', () => {
    const kernel = paged()
    const node = file(kernel.files)
    const unique = kernel.write(node, 0, pages(3).subarray(100))
    assert.equal(kernel.answers.get(unique)?.body.readUInt32LE(0), 2 * 8192)
    assert.equal(kernel.files.getattr(node).size, 2 * 8192)
    const { fragments, shortened, refused } = kernel.server.pageWrites.counts
    assert.deepEqual([fragments, shortened, refused], [1, 1, 0])
  })

  it('a piece with no whole page, or that begins inside of one, is refused, and nothing of it written', () => {
    const kernel = paged()
    const node = file(kernel.files)
    for (const [offset, length] of [
      [0, 4096],
      [4096, 8192],
      [4096, 4096],
      [512, 12_288],
    ] as const) {
      const unique = kernel.write(node, offset, new Uint8Array(length))
      assert.equal(kernel.answers.get(unique)?.errno, EIO)
    }
    assert.equal(kernel.files.getattr(node).size, 0)
    assert.equal(kernel.server.pageWrites.counts.refused, 4)
  })

  it('other files are only counted', () => {
    const kernel = new Kernel()
    const node = file(kernel.files)
    kernel.write(node, 3, new Uint8Array(5))
    kernel.write(node, 4096, new Uint8Array(4096))
    kernel.write(node, 16_384, new Uint8Array(32_768))
    const { writes, bytes, bySize, byAlignment, fragments } = kernel.server.pageWrites.counts
    assert.deepEqual([writes, bytes, fragments], [3, 5 + 4096 + 32_768, 0])
    assert.deepEqual([bySize[3], bySize[12], bySize[15]], [1, 1, 1])
    assert.deepEqual([...byAlignment], [1, 0, 1, 0, 1])
  })
})

describe('a server after another', () => {
  const heir = (files: MemoryFiles, inherited: readonly Ino[] = []) => new Kernel({ generation: 1, inherited }, files)

  it('what was done before without its answer is answered as done', () => {
    const files = new MemoryFiles()
    const kernel = heir(files)
    const resent = (opcode: number) => ({ opcode, resent: true })
    const made = file(files, 'made')
    files.mkdir(ROOT_INO, 'folder', 0o755, ROOT)
    files.symlink(ROOT_INO, 'link', 'made', ROOT)
    files.link(made, ROOT_INO, 'hard')
    for (const [header, ...body] of [
      [resent(Opcode.UNLINK), 'gone'],
      [resent(Opcode.RMDIR), 'gone'],
      [resent(Opcode.MKDIR), 0o755, 0, 'folder'],
      [resent(Opcode.SYMLINK), 'link', 'made'],
      [resent(Opcode.LINK), BigInt(made), 'hard'],
      [resent(Opcode.MKNOD), 0o100644, 0, 0, 0, 'made'],
      [resent(Opcode.RENAME), 1n, 'old', 'made'],
      [resent(Opcode.CREATE), OpenFlag.TRUNC, 0o100644, 0, 0, 'made'],
    ] as [Header, ...(number | bigint | string)[]][]) {
      assert.equal(kernel.now(header, ...body).errno, 0, opcodeName(header.opcode))
    }
    // Opened once, by CREATE.
    files.release(made)
    assert.throws(() => files.release(made))
    assert.equal(kernel.server.counts.resent, 8)
  })

  it('but not what somebody else did, nor what is asked for the first time', () => {
    const files = new MemoryFiles()
    const kernel = heir(files)
    file(files, 'made')
    assert.equal(kernel.now({ opcode: Opcode.MKDIR, resent: true }, 0o755, 0, 'made').errno, EEXIST)
    assert.equal(kernel.now({ opcode: Opcode.SYMLINK, resent: true }, 'made', 'target').errno, EEXIST)
    assert.equal(kernel.now({ opcode: Opcode.MKNOD }, 0o100644, 0, 0, 0, 'made').errno, EEXIST)
    assert.equal(kernel.now({ opcode: Opcode.UNLINK }, 'gone').errno, ENOENT)
    assert.equal(kernel.now({ opcode: Opcode.RENAME, resent: true }, 1n, 'old', 'new').errno, ENOENT)
    assert.equal(kernel.now({ opcode: Opcode.RENAME2, resent: true }, 1n, 2, 0, 'made', 'b').errno, EIO)
  })

  it('an older handle is not released here', () => {
    const files = new MemoryFiles()
    const node = file(files)
    const kernel = heir(files)
    const opened = kernel.now({ opcode: Opcode.OPEN, node }, 0, 0)
    assert.equal(opened.body.readBigUInt64LE(0), 1n)
    assert.equal(kernel.now({ opcode: Opcode.RELEASE, node }, 0n, 0, 0, 0n).errno, 0)
    files.unlink(ROOT_INO, 'file')
    assert.equal(kernel.now({ opcode: Opcode.GETATTR, node }, 0, 0, 0n).errno, 0)
    kernel.now({ opcode: Opcode.RELEASE, node }, 1n, 0, 0, 0n)
    assert.equal(kernel.now({ opcode: Opcode.GETATTR, node }, 0, 0, 0n).errno, ENOENT)
  })

  for (const [how, header, ...body] of [
    ['unlinked', { opcode: Opcode.UNLINK }, 'file'],
    ['replaced', { opcode: Opcode.RENAME }, 1n, 'other', 'file'],
  ] as [string, Header, ...(bigint | string)[]][]) {
    it(`a file that may be open since before is kept when it is ${how}, until the kernel forgets it`, () => {
      const files = new MemoryFiles()
      const node = file(files)
      file(files, 'other')
      const kernel = heir(files)
      assert.equal(kernel.now(header, ...body).errno, 0)
      const unique = kernel.write(node, 0, Buffer.from('still there'))
      assert.equal(kernel.answers.get(unique)?.errno, 0)
      kernel.ask({ opcode: Opcode.FORGET, node }, 3n)
      assert.equal(kernel.now({ opcode: Opcode.GETATTR, node }, 0, 0, 0n).errno, ENOENT)
    })
  }

  it('a file with another name is not kept, and neither is one that was without a name before for ever', () => {
    const files = new MemoryFiles()
    const node = file(files)
    files.link(node, ROOT_INO, 'hard')
    const orphan = files.create(ROOT_INO, 'orphan', 0o644, ROOT).ino
    files.unlink(ROOT_INO, 'orphan')
    const link = files.symlink(ROOT_INO, 'link', 'file', ROOT).ino
    const kernel = heir(files, [orphan])
    kernel.now({ opcode: Opcode.UNLINK }, 'hard')
    kernel.now({ opcode: Opcode.UNLINK }, 'link')
    assert.throws(() => files.getattr(link))
    assert.throws(() => files.release(node), /not open/)
    assert.equal(kernel.now({ opcode: Opcode.GETATTR, node: orphan }, 0, 0, 0n).errno, 0)
    kernel.ask({ opcode: Opcode.BATCH_FORGET }, 2, 0, BigInt(orphan), 1n, 12_345n, 1n)
    assert.equal(kernel.now({ opcode: Opcode.GETATTR, node: orphan }, 0, 0, 0n).errno, ENOENT)
  })

  it('the first server keeps nothing', () => {
    const kernel = new Kernel()
    const node = file(kernel.files)
    kernel.now({ opcode: Opcode.UNLINK }, 'file')
    assert.throws(() => kernel.files.getattr(ino(node)))
  })
})
