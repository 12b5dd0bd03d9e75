/**
 * The process that balances connections of all endpoints that want it:
 *
 *   node src/gateway/gateway-main.ts --control SOCKET
 *
 * It listens on that socket for what it has to do, and tells there what it does (`gateway-command.ts`): at each change, and
 * every half second. It knows nothing but what it was told last, and goes on with that when whoever told it is gone: the
 * region that started it may be killed and another come. SIGTERM and {"do":"stop"} end it, and all of its connections,
 * status 0. Status 1: it failed, one line on stderr says why. Wrong usage is status 2.
 */
import { parseArgs } from 'node:util'
import { type ControlServer, serveControl } from '../storage/real-control.ts'
import { Balancer } from './balancer.ts'
import { type GatewayReport, parseGatewayCommand } from './gateway-command.ts'

const HEARTBEAT_MS = 500

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

function complain(what: string, error: unknown): void {
  process.stderr.write(`${new Date().toISOString()} ${what}: ${messageOf(error)}\n`)
}

function controlPath(): string {
  try {
    const { control } = parseArgs({ options: { control: { type: 'string' } } }).values
    if (control !== undefined) return control
    complain('gateway', '--control is needed')
  } catch (error) {
    complain('gateway', error)
  }
  process.exit(2)
}

async function serve(path: string): Promise<void> {
  let control: ControlServer | undefined
  const report = (): GatewayReport => ({ pid: process.pid, endpoints: balancer.report() })
  const tell = (): void => control?.broadcast(report())
  const balancer = new Balancer(tell)
  const stop = async (): Promise<void> => {
    await control?.close()
    process.exit(0)
  }
  const hear = (message: unknown): void => {
    try {
      const command = parseGatewayCommand(message)
      if (command.do === 'stop') void stop()
      else {
        balancer.configure(command.endpoints)
        tell()
      }
    } catch (error) {
      complain('control', error)
    }
  }
  // Ctrl-C in the terminal is for the region, which stops us when it is our turn.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => void stop())
  control = await serveControl(path, hear, report)
  setInterval(tell, HEARTBEAT_MS)
}

try {
  await serve(controlPath())
} catch (error) {
  complain('gateway', error)
  process.exit(1)
}
