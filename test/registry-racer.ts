/** A process that adds 1 to a cell of a SQLite registry, again and again: `registry-racer.ts FILE TIMES`. */
import { update } from '../src/volume/registry.ts'
import { SqliteRegistry } from '../src/volume/sqlite-registry.ts'

const [file = '', times = '0'] = process.argv.slice(2)
const registry = SqliteRegistry.open(file)
for (let i = 0; i < Number(times); i++) await update(registry, 'node/count', (value) => String(Number(value ?? 0) + 1))
registry.close()
