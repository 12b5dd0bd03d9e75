/** Starts a gateway as a region does, tells it its endpoints, says which process it is, and is there to be killed. */
import { Daemon } from '../src/cluster/host/daemon.ts'

const [program = '', control = '', log = '', endpoints = '[]'] = process.argv.slice(2)

const daemon = await Daemon.start([process.execPath, program, '--control', control], log, {
  socket: control,
  onMessage: (message) => process.stdout.write(`${JSON.stringify({ ...daemon.identity, message })}\n`),
  onGone: (why) => process.stderr.write(`${why}\n`),
})
daemon.send({ do: 'endpoints', endpoints: JSON.parse(endpoints) })
setInterval(() => {}, 1000)
