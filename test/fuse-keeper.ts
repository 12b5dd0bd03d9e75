/** `node test/fuse-keeper.ts PATH SERVER [ARGUMENT ...]`: a keeper as a process of its own. SIGTERM stops it. */
import { DescriptorKeeper } from '../src/fuse/descriptor-keeper.ts'

const [path = '', ...server] = process.argv.slice(2)
const keeper = await DescriptorKeeper.start({ path, command: [process.execPath, ...server], quiet: true })
process.on('SIGTERM', () => void keeper.stop())
await keeper.ended
