/** Clients of AWS in other languages, where this machine has them: the command line, and botocore, on which boto3 is built. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { OPERATIONS } from '../../src/api/rds/operations.ts'
import { runProgram } from '../../src/engine/program.ts'
import { startApi, type TestApi } from '../api-server.ts'

const has = (program: string, ...args: string[]): boolean => spawnSync(program, args, { stdio: 'ignore' }).status === 0
const skip = (there: boolean, what: string): string | false => (there ? false : `there is no ${what} here`)
const noAws = skip(has('aws', '--version'), 'AWS CLI')
const noBotocore = skip(has('python3', '-c', 'import botocore'), 'botocore')

const DEADLINE_MS = 120_000

describe('clients of AWS', () => {
  let api: TestApi
  before(async () => {
    api = await startApi()
  })
  after(async () => {
    assert.deepEqual(api.log, [])
    await api[Symbol.asyncDispose]()
  })

  const environment = () => ({
    PATH: process.env.PATH,
    HOME: '/nonexistent',
    AWS_ACCESS_KEY_ID: api.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: api.credentials.secretAccessKey,
    AWS_DEFAULT_REGION: api.plane.region,
    AWS_PAGER: '',
  })
  const run = async (program: string, ...args: string[]): Promise<{ output: string; errors: string }> => {
    const { output, errors } = await runProgram(program, args, { environment: environment(), deadlineMs: DEADLINE_MS })
    return { output, errors }
  }
  const aws = (...args: string[]) => run('aws', '--endpoint-url', api.endpoint, '--output', 'json', ...args)

  it('botocore walks through the life of a cluster', { skip: noBotocore }, async () => {
    const { output, errors } = await run('python3', join(import.meta.dirname, '..', 'aws-walk.py'), api.endpoint)
    assert.equal(errors, '')
    assert.deepEqual(output.trim().split('\n'), [
      "created creating ['cluster', 'walk'] [{'Key': 'a', 'Value': 'b'}]",
      'again 400 DBClusterAlreadyExistsFault',
      'nobody 404 DBInstanceNotFound',
      "writer ['walk-2']",
      'classes True',
      "parameters ['work_mem']",
      'unsupported 400 InvalidAction',
      'gone 404 DBClusterNotFoundFault',
    ])
  })

  it('the examples in AWS’s model are understood', { skip: noBotocore }, async () => {
    const { output, errors } = await run('python3', join(import.meta.dirname, '..', 'aws-examples.py'), api.endpoint)
    assert.equal(errors, '')
    const answers = output.trim().split('\n')
    assert.ok(answers.length > 70, `${answers.length}`)
    const misread = answers.filter((line) => {
      const [operation = '', code = ''] = line.split(' ')
      if (code === 'InvalidAction') return OPERATIONS.has(operation)
      return ['MalformedInput', 'MissingParameter', 'MissingAction', 'InternalFailure'].includes(code)
    })
    assert.deepEqual(misread, [])
  })

  it('the command line makes and shows', { skip: noAws }, async () => {
    const identity = JSON.parse((await aws('sts', 'get-caller-identity')).output)
    assert.equal(identity.Account, api.plane.account)
    const options = ['--engine', 'aurora-postgresql', '--master-username', 'postgres']
    const name = ['--db-cluster-identifier', 'shell']
    await aws('rds', 'create-db-cluster', ...name, ...options, '--master-user-password', 'correct-horse')
    const { DBClusters } = JSON.parse((await aws('rds', 'describe-db-clusters', ...name)).output)
    assert.equal(DBClusters[0].Engine, 'aurora-postgresql')
    const { errors } = await aws('rds', 'describe-db-clusters', '--db-cluster-identifier', 'nobody')
    assert.match(errors, /\(DBClusterNotFoundFault\).*DBCluster nobody not found\./)
  })
})
