/** `node unmount-main.ts PATH [cut]`: takes a mount away; see `unmount` in `real-mount.ts`. */
import { unmountHere } from './real-mount.ts'

const [path, mode] = process.argv.slice(2)
if (path === undefined) {
  console.error('usage: unmount-main.ts PATH [cut]')
  process.exit(2)
}
try {
  unmountHere(path, mode === 'cut' ? 'cut' : 'detach')
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error))
  process.exit(1)
}
