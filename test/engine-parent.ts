/** Starts an engine, says its process id and folder, and waits to be killed: what becomes of the engine then? */
import { PostgresInstance } from './postgres-instance.ts'

const instance = await PostgresInstance.empty('orphan')
await instance.create()
await instance.engine.start(instance.configuration)
const { state } = instance.engine
console.log(JSON.stringify({ pid: state.name === 'running' ? state.pid : 0, folder: instance.folder }))
setInterval(() => {}, 1000)
