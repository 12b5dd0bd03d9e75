import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { DescribeDBClustersCommand, RDSClient } from '@aws-sdk/client-rds'
import { startApi, type TestApi } from '../../../test/api-server.ts'
import { answered, send, signedHeaders, signer } from '../../../test/signed-request.ts'
import { createAccessKey } from '../../cluster/account.ts'

const FORM = 'Action=DescribeDBClusters&Version=2014-10-31'
const MINUTE_MS = 60_000

describe('signatures of requests', () => {
  let api: TestApi
  before(async () => {
    api = await startApi()
  })
  after(async () => {
    assert.deepEqual(api.log, [])
    await api[Symbol.asyncDispose]()
  })

  it('of any of the account’s keys are good', async () => {
    const { id: accessKeyId, secret: secretAccessKey } = createAccessKey(api.plane.database, Date.now())
    assert.equal((await send(api, FORM)).status, 200)
    assert.equal((await send(api, FORM, { accessKeyId, secretAccessKey })).status, 200)
  })

  it('that are not there', async () => {
    const { status, code } = await answered(await fetch(api.endpoint, { method: 'POST', body: FORM }))
    assert.deepEqual([status, code], [403, 'MissingAuthenticationToken'])
  })

  it('of a key that nobody knows', async () => {
    const { status, code } = await send(api, FORM, { accessKeyId: 'AKIANOBODY' })
    assert.deepEqual([status, code], [403, 'InvalidClientTokenId'])
  })

  it('with another secret, as AWS’s client sees it', async () => {
    const { endpoint, credentials } = api
    const client = new RDSClient({
      endpoint,
      region: 'local-1',
      credentials: { ...credentials, secretAccessKey: 'x' },
      maxAttempts: 1,
    })
    await assert.rejects(client.send(new DescribeDBClustersCommand({})), (error: Error & { $metadata: object }) => {
      assert.equal(error.name, 'SignatureDoesNotMatch')
      assert.match(error.message, /^The request signature we calculated does not match the signature you provided\./)
      return true
    })
    client.destroy()
  })

  it('of another body', async () => {
    const headers = await signedHeaders(api, FORM)
    const body = FORM.replace('Describe', 'Delete')
    const { status, code } = await answered(await fetch(api.endpoint, { method: 'POST', headers, body }))
    assert.deepEqual([status, code], [403, 'SignatureDoesNotMatch'])
  })

  it('of another body, with a hash that was signed', async () => {
    const headers = await signedHeaders(api, FORM, {
      headers: { 'x-amz-content-sha256': '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a' },
    })
    const { code } = await answered(await fetch(api.endpoint, { method: 'POST', headers, body: FORM }))
    assert.equal(code, 'SignatureDoesNotMatch')
  })

  it('of another header that was signed', async () => {
    const headers = await signedHeaders(api, FORM, { headers: { 'x-borealis': 'a' } })
    const good = await answered(await fetch(api.endpoint, { method: 'POST', headers, body: FORM }))
    assert.equal(good.status, 200)
    headers['x-borealis'] = 'b'
    const { code } = await answered(await fetch(api.endpoint, { method: 'POST', headers, body: FORM }))
    assert.equal(code, 'SignatureDoesNotMatch')
  })

  for (const [name, minutes, code, message] of [
    ['14 minutes late are good', -14, undefined, /.*/],
    [
      '16 minutes late',
      -16,
      'SignatureDoesNotMatch',
      /^Signature expired: \d{8}T\d{6}Z is now earlier than .* - 15 min/,
    ],
    ['4 minutes early are good', 4, undefined, /.*/],
    ['6 minutes early', 6, 'SignatureDoesNotMatch', /^Signature not yet current: .* \+ 5 min/],
  ] as const) {
    it(name, async () => {
      const answer = await send(api, FORM, { atMs: Date.now() + minutes * MINUTE_MS })
      assert.equal(answer.code, code)
      assert.match(answer.message ?? '', message)
    })
  }

  it('for another region, or another service', async () => {
    const region = await send(api, FORM, { region: 'us-east-1' })
    assert.equal(region.code, 'SignatureDoesNotMatch')
    assert.match(region.message ?? '', /scoped to a valid region: 'local-1'/)
    const service = await send(api, FORM, { service: 's3' })
    assert.match(service.message ?? '', /scoped to correct service/)
  })

  it('that say too little', async () => {
    for (const authorization of [
      'Basic cG9zdGdyZXM6eA==',
      'AWS4-HMAC-SHA256',
      'AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request',
      'AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=b',
      'AWS4-HMAC-SHA256 Credential=a/20260101/r/rds/aws4_request, SignedHeaders=host, Signature=b',
    ]) {
      const response = await fetch(api.endpoint, { method: 'POST', headers: { authorization }, body: FORM })
      const { status, code } = await answered(response)
      assert.deepEqual([status, code], [400, 'IncompleteSignature'], authorization)
    }
  })

  const presigned = async (atMs: number, expiresIn: number): Promise<URL> => {
    const { hostname, host } = new URL(api.endpoint)
    const query = { Action: 'DescribeDBClusters', Version: '2014-10-31' }
    const request = { method: 'GET', protocol: 'http:', hostname, path: '/', headers: { host }, query }
    const { query: signed } = await signer(api).presign(request, { signingDate: new Date(atMs), expiresIn })
    const url = new URL(api.endpoint)
    for (const [name, value] of Object.entries(signed ?? {})) url.searchParams.set(name, String(value))
    return url
  }

  it('in an address are good until they expire', async () => {
    const url = await presigned(Date.now() - 20 * MINUTE_MS, 3600)
    const { status, text } = await answered(await fetch(url))
    assert.equal(status, 200)
    assert.match(text, /^<DescribeDBClustersResponse/)
    const late = await answered(await fetch(await presigned(Date.now() - 2 * 3_600_000, 3600)))
    assert.deepEqual([late.status, late.code], [403, 'RequestExpired'])
  })

  it('in an address that was changed', async () => {
    const url = await presigned(Date.now(), 3600)
    url.searchParams.set('Action', 'DescribeDBInstances')
    assert.equal((await answered(await fetch(url))).code, 'SignatureDoesNotMatch')
    const longer = await presigned(Date.now(), 3600)
    longer.searchParams.set('X-Amz-Expires', '7200')
    assert.equal((await answered(await fetch(longer))).code, 'SignatureDoesNotMatch')
  })
})

describe('the Security Token Service', () => {
  it('says who the caller is', async () => {
    await using api = await startApi()
    const { status, text } = await send(api, 'Action=GetCallerIdentity&Version=2011-06-15', { service: 'sts' })
    assert.equal(status, 200)
    assert.match(text, new RegExp(`<Account>${api.plane.account}</Account>`))
    assert.match(text, /^<GetCallerIdentityResponse xmlns="https:\/\/sts\.amazonaws\.com\/doc\/2011-06-15\/">/)
  })
})
