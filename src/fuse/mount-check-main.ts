/** `node mount-check-main.ts PATH`: whether something can be mounted there; see `tryMounting` in `real-mount.ts`. */
import { tryMounting } from './real-mount.ts'

const [path] = process.argv.slice(2)
if (path === undefined) {
  console.error('usage: mount-check-main.ts PATH')
  process.exit(2)
}
try {
  tryMounting(path)
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error))
  process.exit(1)
}
