/**
 * What POSIX says of files, asked of a folder: `node test/posix-checks.ts FOLDER`. Prints one line of JSON, the answers
 * by the name of the question. Run on a disk's file system and on ours; they have to agree. As root it asks as another
 * user, too.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'

const emitWarning = process.emitWarning
process.emitWarning = () => {}
const ffi = process.getBuiltinModule('node:ffi')
process.emitWarning = emitWarning

const libc = ffi.dlopen('libc.so.6', {
  renameat2: { return: 'i32', arguments: ['i32', 'pointer', 'i32', 'pointer', 'u32'] },
  fallocate: { return: 'i32', arguments: ['i32', 'i32', 'i64', 'i64'] },
  mknod: { return: 'i32', arguments: ['pointer', 'u32', 'u64'] },
  flock: { return: 'i32', arguments: ['i32', 'i32'] },
  mmap: { return: 'u64', arguments: ['u64', 'u64', 'i32', 'i32', 'i32', 'i64'] },
  msync: { return: 'i32', arguments: ['u64', 'u64', 'i32'] },
  munmap: { return: 'i32', arguments: ['u64', 'u64'] },
  __errno_location: { return: 'pointer', arguments: [] },
}).functions
const cString = (text: string): Buffer => Buffer.from(`${text}\0`)
const checked = (result: number): string => (result === 0 ? 'done' : `errno ${ffi.getInt32(libc.__errno_location())}`)

const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_DIRECTORY, O_NOFOLLOW, O_DSYNC } =
  fs.constants
const AT_FDCWD = -100
const [folder = ''] = process.argv.slice(2)
process.chdir(folder)
process.umask(0o022)

const answers: Record<string, unknown> = {}
function ask(question: string, work: () => unknown): void {
  if (question in answers) throw new Error(`"${question}" is asked twice`)
  try {
    answers[question] = work() ?? 'done'
  } catch (error) {
    answers[question] = (error as NodeJS.ErrnoException).code ?? String(error)
  }
}

const put = (path: string, text = ''): void => fs.writeFileSync(path, text)
const text = (path: string): string => fs.readFileSync(path, 'latin1')
const pick = (path: string) => {
  const { mode, nlink, uid, gid, size, rdev } = fs.lstatSync(path)
  return [mode.toString(8), nlink, uid, gid, (mode & 0o170000) === 0o040000 ? 'directory' : size, rdev]
}
const list = (path: string): string => fs.readdirSync(path).sort().join()
const pause = (): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 15)
/** Which times of a file some work changes. */
function times(path: string, work: () => void): string {
  const before = fs.lstatSync(path, { bigint: true })
  pause()
  work()
  const after = fs.lstatSync(path, { bigint: true })
  return (['mtimeNs', 'ctimeNs'] as const).filter((time) => before[time] !== after[time]).join()
}

// Making and opening
ask('open what is not there', () => fs.openSync('nothing', O_RDONLY))
ask('create', () => fs.closeSync(fs.openSync('a', O_CREAT | O_WRONLY, 0o666)))
ask('what was created', () => pick('a'))
ask('create exclusively what is there', () => fs.openSync('a', O_CREAT | O_EXCL | O_WRONLY))
ask('mkdir', () => fs.mkdirSync('d', 0o777))
ask('what was made', () => pick('d'))
ask('mkdir again', () => fs.mkdirSync('d'))
ask('mkdir over a file', () => fs.mkdirSync('a'))
ask('mkdir in nothing', () => fs.mkdirSync('nothing/x'))
ask('mkdir in a file', () => fs.mkdirSync('a/x'))
ask('open a directory to write', () => fs.openSync('d', O_WRONLY))
ask('open a file as a directory', () => fs.openSync('a', O_RDONLY | O_DIRECTORY))
ask('read a directory', () => fs.readSync(fs.openSync('d', O_RDONLY), Buffer.alloc(1)))
ask('a name of 255', () => put('n'.repeat(255)))
ask('a name of 256', () => put('n'.repeat(256)))
ask('a path of 4096', () => put('d/../'.repeat(820)))
ask('names of any bytes', () => {
  fs.writeFileSync(Buffer.from([0xff, 0xfe, 0x20, 0x0a]), 'x')
  return fs.readdirSync('.', { encoding: 'buffer' }).some((name) => name.equals(Buffer.from([0xff, 0xfe, 0x20, 0x0a])))
})
ask('a fifo', () => [checked(libc.mknod(cString('fifo'), 0o010644, 0n)), pick('fifo')])
ask('a socket', () => [checked(libc.mknod(cString('socket'), 0o140600, 0n)), pick('socket')])
ask('a file by mknod', () => [checked(libc.mknod(cString('node'), 0o100600, 0n)), pick('node')])
ask('mknod again', () => checked(libc.mknod(cString('node'), 0o100600, 0n)))

// Content
ask('write and read', () => {
  put('c', 'hello')
  return text('c')
})
ask('append', () => {
  const fd = fs.openSync('c', O_WRONLY | O_APPEND)
  fs.writeSync(fd, ' there', 0)
  fs.closeSync(fd)
  return text('c')
})
ask('truncate by open', () => {
  fs.closeSync(fs.openSync('c', O_WRONLY | O_TRUNC))
  return pick('c')
})
ask('a hole', () => {
  const fd = fs.openSync('hole', O_RDWR | O_CREAT)
  fs.writeSync(fd, 'end', 100_000)
  const bytes = Buffer.alloc(200_000)
  return [
    fs.readSync(fd, bytes, 0, 200_000, 0),
    bytes.findIndex((byte) => byte !== 0),
    fs.readSync(fd, bytes, 0, 10, 200_000),
  ]
})
ask('shorter and longer again is zeros', () => {
  put('t', 'x'.repeat(10_000))
  fs.truncateSync('t', 5)
  fs.truncateSync('t', 9000)
  return [fs.statSync('t').size, text('t').slice(0, 7), text('t').indexOf('x', 5)]
})
ask('truncate a directory', () => fs.truncateSync('d', 1))
ask('truncate below zero', () => checked(libc.fallocate(fs.openSync('t', O_RDWR), 0, -1n, 10n)))
ask('write a file open to read', () => fs.writeSync(fs.openSync('t', O_RDONLY), 'x'))
ask('read a file open to write', () => fs.readSync(fs.openSync('t', O_WRONLY), Buffer.alloc(1)))
ask('durable writes', () => {
  const fd = fs.openSync('durable', O_RDWR | O_CREAT | O_DSYNC)
  const count = fs.writeSync(fd, Buffer.alloc(8192, 7), 0, 8192, 8192)
  fs.fsyncSync(fd)
  fs.fdatasyncSync(fd)
  return [count, fs.fstatSync(fd).size]
})
ask('fsync of a directory', () => fs.fsyncSync(fs.openSync('d', O_RDONLY)))
ask('allocate', () => {
  const fd = fs.openSync('allocated', O_RDWR | O_CREAT)
  const done = [
    checked(libc.fallocate(fd, 0, 0n, 50_000n)),
    fs.fstatSync(fd).size,
    checked(libc.fallocate(fd, 1, 50_000n, 50_000n)),
  ]
  return [
    ...done,
    fs.fstatSync(fd).size,
    checked(libc.fallocate(fd, 0, 0n, 0n)),
    text('allocated').replaceAll('\0', ''),
  ]
})
ask('punch and zero', () => {
  const fd = fs.openSync('punched', O_RDWR | O_CREAT)
  fs.writeSync(fd, 'x'.repeat(30_000))
  const done = [checked(libc.fallocate(fd, 3, 100n, 20_000n)), checked(libc.fallocate(fd, 16, 25_000n, 10_000n))]
  return [
    ...done,
    fs.fstatSync(fd).size,
    text('punched').replaceAll('\0', '').length,
    checked(libc.fallocate(fd, 2, 0n, 1n)),
  ]
})
ask('a mapping', () => {
  const fd = fs.openSync('mapped', O_RDWR | O_CREAT)
  fs.ftruncateSync(fd, 8192)
  const at = libc.mmap(0n, 8192n, 3, 1, fd, 0n)
  ffi.setUint8(at, 5000, 65)
  const done = [checked(libc.msync(at, 8192n, 4)), text('mapped').indexOf('A')]
  fs.writeSync(fd, 'B', 6000)
  return [...done, ffi.getUint8(at, 6000), checked(libc.munmap(at, 8192n))]
})
ask('locks of two openings', () => {
  const [one, two] = [fs.openSync('a', O_RDWR), fs.openSync('a', O_RDWR)]
  const done = [checked(libc.flock(one, 2)), checked(libc.flock(two, 6)), checked(libc.flock(one, 8))]
  return [...done, checked(libc.flock(two, 6)), checked(libc.flock(two, 8))]
})

// Names that go and move
ask('unlink what is not there', () => fs.unlinkSync('nothing'))
ask('unlink a directory', () => fs.unlinkSync('d'))
ask('rmdir a file', () => fs.rmdirSync('a'))
ask('rmdir what is not empty', () => {
  put('d/x')
  fs.rmdirSync('d')
})
ask('rmdir of .', () => fs.rmdirSync('d/.'))
ask('rmdir of ..', () => fs.rmdirSync('d/..'))
ask('an open file without a name lives', () => {
  const fd = fs.openSync('gone', O_RDWR | O_CREAT)
  fs.writeSync(fd, 'still')
  fs.unlinkSync('gone')
  fs.writeSync(fd, ' there')
  const bytes = Buffer.alloc(20)
  const count = fs.readSync(fd, bytes, 0, 20, 0)
  return [bytes.toString('latin1', 0, count), fs.fstatSync(fd).nlink, fs.existsSync('gone')]
})
ask('links', () => {
  put('l1', 'one')
  fs.linkSync('l1', 'l2')
  fs.appendFileSync('l2', ' two')
  fs.unlinkSync('l1')
  return [text('l2'), pick('l2')]
})
ask('link over what is there', () => fs.linkSync('a', 'c'))
ask('link a directory', () => fs.linkSync('d', 'd2'))
ask('link nothing', () => fs.linkSync('nothing', 'x'))
ask('a symbolic link', () => {
  fs.symlinkSync('../etc/x y', 'soft')
  return [fs.readlinkSync('soft'), pick('soft')]
})
ask('follow one to nothing', () => text('soft'))
ask('follow a circle', () => {
  fs.symlinkSync('circle', 'circle')
  return text('circle')
})
ask('do not follow', () => fs.openSync('circle', O_RDONLY | O_NOFOLLOW))
ask('readlink of a file', () => fs.readlinkSync('a'))
ask('symlink over what is there', () => fs.symlinkSync('x', 'a'))
ask('rename', () => {
  put('r1', 'r1')
  fs.renameSync('r1', 'r2')
  return [text('r2'), fs.existsSync('r1')]
})
ask('rename over a file', () => {
  put('r3', 'r3')
  fs.renameSync('r3', 'r2')
  return text('r2')
})
ask('an open file that was replaced lives', () => {
  put('r4', 'old')
  put('r5', 'new')
  const fd = fs.openSync('r4', O_RDONLY)
  fs.renameSync('r5', 'r4')
  return [fs.readFileSync(fd, 'latin1'), text('r4')]
})
ask('rename nothing', () => fs.renameSync('nothing', 'x'))
ask('rename a file over a directory', () => fs.renameSync('a', 'd'))
ask('rename a directory over a file', () => fs.renameSync('d', 'a'))
ask('rename a directory over one that is not empty', () => {
  fs.mkdirSync('e')
  fs.renameSync('e', 'd')
})
ask('rename a directory over an empty one', () => {
  fs.mkdirSync('f')
  put('e/y')
  fs.renameSync('e', 'f')
  return [list('f'), fs.existsSync('e')]
})
ask('rename a directory under itself', () => fs.renameSync('d', 'd/d'))
ask('rename to itself', () => fs.renameSync('a', 'a'))
ask('rename over another link of the same file', () => {
  fs.linkSync('a', 'a2')
  fs.renameSync('a', 'a2')
  return [fs.existsSync('a'), fs.existsSync('a2')]
})
ask('move a directory', () => {
  fs.mkdirSync('f/deep')
  fs.renameSync('f/deep', 'd/deep')
  return [fs.statSync('f').nlink, fs.statSync('d').nlink, fs.statSync('d/deep/..').ino === fs.statSync('d').ino]
})
const renameat2 = (from: string, to: string, flags: number): string =>
  checked(libc.renameat2(AT_FDCWD, cString(from), AT_FDCWD, cString(to), flags))
ask('rename without replacing', () => [renameat2('r2', 'r4', 1), renameat2('r2', 'r6', 1), fs.existsSync('r2')])
ask('exchange', () => {
  put('x1', 'x1')
  return [
    renameat2('x1', 'd', 2),
    fs.statSync('x1').isDirectory(),
    text('d'),
    renameat2('x1', 'd', 2),
    renameat2('x1', 'none', 2),
  ]
})
ask('no flags at once', () => renameat2('r4', 'r6', 3))

// Attributes
ask('chmod', () => {
  fs.chmodSync('a', 0o7654)
  return pick('a')
})
ask('chown', () => {
  fs.chmodSync('a', 0o6755)
  fs.chownSync('a', 1000, 100)
  return pick('a')
})
ask('writing by root leaves set-user-ID', () => {
  put('rooted', 'x')
  fs.chmodSync('rooted', 0o6755)
  put('rooted', 'y')
  return pick('rooted')
})
ask('times', () => {
  fs.utimesSync('a', 1.5, 5_000_000_000.25)
  const { atimeNs, mtimeNs } = fs.statSync('a', { bigint: true })
  return [`${atimeNs}`, `${mtimeNs}`]
})
ask('times that writing changes', () => times('a', () => put('a', 'x')))
ask('times that chmod changes', () => times('a', () => fs.chmodSync('a', 0o600)))
ask('times that a link changes', () => times('a', () => fs.linkSync('a', 'a3')))
ask('times that a rename changes of the file', () => times('d', () => fs.renameSync('a3', 'a4')))
ask('times of a directory that making changes', () => times('d', () => put('d/new')))
ask('times of a directory that unlinking changes', () => times('d', () => fs.unlinkSync('d/new')))
ask('times that truncation to the same size changes', () =>
  times('a', () => fs.truncateSync('a', fs.statSync('a').size)),
)
ask('a directory that gives its group', () => {
  fs.mkdirSync('shared')
  fs.chownSync('shared', 0, 50)
  fs.chmodSync('shared', 0o2775)
  put('shared/file')
  fs.mkdirSync('shared/folder')
  return [pick('shared/file'), pick('shared/folder')]
})
ask('a long listing', () => {
  fs.mkdirSync('long')
  for (let index = 0; index < 500; index++) put(`long/file-with-a-longer-name-${index}`)
  const before = fs.readdirSync('long')
  for (const name of before.slice(0, 250)) fs.unlinkSync(join('long', name))
  return [new Set(before).size, fs.readdirSync('long').length]
})
ask('removal of all', () => {
  fs.rmSync('long', { recursive: true })
  return fs.existsSync('long')
})

// Somebody else
if (process.getuid?.() === 0 && process.seteuid !== undefined && process.setegid !== undefined) {
  for (const [name, mode] of [
    ['p-none', 0o700],
    ['p-read', 0o755],
    ['p-sticky', 0o1777],
  ] as const) {
    fs.mkdirSync(name)
    fs.chmodSync(name, mode)
    put(`${name}/of-root`, 'secret')
    fs.chmodSync(`${name}/of-root`, 0o600)
  }
  for (const name of ['suid', 'suid2', 'suid3']) {
    put(name, 'x')
    fs.chmodSync(name, 0o6777)
  }
  process.setegid(12_345)
  process.seteuid(12_345)
  ask('others: look into a closed folder', () => fs.statSync('p-none/of-root'))
  ask('others: list a closed folder', () => fs.readdirSync('p-none'))
  ask('others: make in a folder to read', () => put('p-read/x'))
  ask('others: read a closed file', () => text('p-read/of-root'))
  ask('others: chmod', () => fs.chmodSync('p-read/of-root', 0o777))
  ask('others: chown', () => fs.chownSync('p-read/of-root', 12_345, 12_345))
  ask('others: times', () => fs.utimesSync('p-read/of-root', 1, 1))
  ask('others: make in a sticky folder', () => {
    put('p-sticky/mine')
    return pick('p-sticky/mine')
  })
  ask('others: unlink in a sticky folder', () => fs.unlinkSync('p-sticky/of-root'))
  ask('others: rename in a sticky folder', () => fs.renameSync('p-sticky/of-root', 'p-sticky/other'))
  ask('others: give away', () => fs.chownSync('p-sticky/mine', 0, 0))
  ask('others: writing takes set-user-ID away', () => {
    fs.appendFileSync('suid', 'y')
    return pick('suid')
  })
  ask('others: so does truncating, by open or by name', () => {
    fs.closeSync(fs.openSync('suid2', O_WRONLY | O_TRUNC))
    fs.truncateSync('suid3', 0)
    return [pick('suid2'), pick('suid3')]
  })
  ask('others: write where root may only', () => put('c', 'x'))
  process.seteuid(0)
  process.setegid(0)
}
console.log(JSON.stringify(answers))
