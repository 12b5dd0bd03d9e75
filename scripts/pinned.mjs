// node scripts/pinned.mjs PROGRAM [...]: sets up what is missing and runs PROGRAM on the pinned Node.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { handOver, root } from './setup.mjs'

const [program, ...args] = process.argv.slice(2)
if (program === undefined || !existsSync(join(root, program))) {
  console.error(program === undefined ? 'usage: node scripts/pinned.mjs PROGRAM [...]' : `there is no ${program}`)
  process.exit(2)
}
handOver(program, args)
