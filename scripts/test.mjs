// npm test: runs on any Node >= 20, sets up what is missing, then runs every check on the pinned Node.
import { handOver } from './setup.mjs'

handOver('scripts/checks/main.ts', process.argv.slice(2))
