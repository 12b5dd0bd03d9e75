import { simulate } from './command.ts'

const scenario = new URL('./world.ts', import.meta.url).href
process.exitCode = await simulate(process.argv.slice(2), scenario, (line) => console.log(line))
