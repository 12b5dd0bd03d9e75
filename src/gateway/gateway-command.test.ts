import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseGatewayCommand } from './gateway-command.ts'

const PLACE = { address: '127.20.0.3', port: 5432 }
const ENDPOINT = { name: 'demo.cluster-ro-k3j9x0q2m4zt.local-1.rds.borealis.internal', listen: PLACE, members: [PLACE] }

describe('what the balancer is told', () => {
  it('is a list of endpoints, or to stop', () => {
    for (const command of [{ do: 'endpoints', endpoints: [ENDPOINT, { ...ENDPOINT, members: [] }] }, { do: 'stop' }])
      assert.deepEqual(parseGatewayCommand(JSON.parse(JSON.stringify(command))), command)
  })

  it('is refused whole when anything in it is wrong', () => {
    const wrong: unknown[] = [
      null,
      [],
      {},
      { do: 'start' },
      { do: 'endpoints' },
      { do: 'endpoints', endpoints: {} },
      { do: 'endpoints', endpoints: [ENDPOINT, { ...ENDPOINT, name: '' }] },
      { do: 'endpoints', endpoints: [{ ...ENDPOINT, members: undefined }] },
      { do: 'endpoints', endpoints: [{ ...ENDPOINT, listen: { address: '127.20.0.3' } }] },
      { do: 'endpoints', endpoints: [{ ...ENDPOINT, members: [{ ...PLACE, port: 0 }] }] },
      { do: 'endpoints', endpoints: [{ ...ENDPOINT, members: [{ ...PLACE, port: 65_536 }] }] },
      { do: 'endpoints', endpoints: [], also: 1 },
    ]
    for (const each of wrong) assert.throws(() => parseGatewayCommand(each), { code: 'Corrupt' }, JSON.stringify(each))
  })
})
