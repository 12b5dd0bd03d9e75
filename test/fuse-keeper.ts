/**
 * `node test/fuse-keeper.ts PATH SERVER [ARGUMENT ...]`: a keeper as a process of its own. SIGTERM stops it. Its servers
 * are known by `FUSE_PLACE=PATH` in their environment.
 */
import { DescriptorKeeper } from '../src/fuse/descriptor-keeper.ts'

const [path = '', ...server] = process.argv.slice(2)
const env = { ...process.env, FUSE_PLACE: path }
const keeper = await DescriptorKeeper.start({ path, command: [process.execPath, ...server], env, quiet: true })
process.on('SIGTERM', () => void keeper.stop())
await keeper.ended
