/**
 * The tables and the transaction of TPC-B, as pgbench has them, with one difference: a row of the history is numbered by
 * the client who made it, so that it is known which of them were acknowledged.
 */
import type pg from 'pg'
import type { Random } from '../sim/random.ts'

const BRANCHES = 8
const TELLERS = 10 * BRANCHES
const ACCOUNTS = 20_000

const SCHEMA = `
  CREATE TABLE branches (bid int PRIMARY KEY, balance bigint NOT NULL, filler char(88));
  CREATE TABLE tellers (tid int PRIMARY KEY, bid int NOT NULL, balance bigint NOT NULL, filler char(84));
  CREATE TABLE accounts (aid int PRIMARY KEY, bid int NOT NULL, balance bigint NOT NULL, filler char(84));
  CREATE TABLE history (client int, number int, tid int NOT NULL, bid int NOT NULL, aid int NOT NULL,
    delta int NOT NULL, at timestamptz NOT NULL DEFAULT now(), filler char(22), PRIMARY KEY (client, number));
  INSERT INTO branches SELECT b, 0, '' FROM generate_series(1, ${BRANCHES}) b;
  INSERT INTO tellers SELECT t, (t - 1) / 10 + 1, 0, '' FROM generate_series(1, ${TELLERS}) t;
  INSERT INTO accounts SELECT a, (a - 1) % ${BRANCHES} + 1, 0, '' FROM generate_series(1, ${ACCOUNTS}) a;
  CREATE FUNCTION transfer(client int, number int, of_account int, of_teller int, of_branch int, delta int, fails boolean)
    RETURNS void LANGUAGE plpgsql AS $$
  BEGIN
    UPDATE accounts SET balance = balance + delta WHERE aid = of_account;
    UPDATE tellers SET balance = balance + delta WHERE tid = of_teller;
    UPDATE branches SET balance = balance + delta WHERE bid = of_branch;
    INSERT INTO history VALUES (client, number, of_teller, of_branch, of_account, delta);
    IF fails THEN RAISE EXCEPTION 'not this one'; END IF;
  END $$;`

export async function createTpcb(client: pg.Client): Promise<void> {
  await client.query(SCHEMA)
}

/** What PostgreSQL says of a transfer that was to fail. */
export const FAILED_ON_PURPOSE = 'P0001'

export interface Transfer {
  readonly client: number
  readonly number: number
  /** It is rolled back when everything is done. */
  readonly fails: boolean
}

export async function transfer(
  connection: pg.Client,
  random: Random,
  { client, number, fails }: Transfer,
): Promise<void> {
  const places = [random.between(1, ACCOUNTS), random.between(1, TELLERS), random.between(1, BRANCHES)]
  await connection.query({
    name: 'transfer',
    text: 'SELECT transfer($1, $2, $3, $4, $5, $6, $7)',
    values: [client, number, ...places, random.between(-5000, 5000), fails],
  })
}

/** Every transfer is in four places or in none. @returns what is wrong */
export async function checkBalances(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query(`
    SELECT (SELECT sum(balance) FROM accounts)::text AS accounts, (SELECT sum(balance) FROM tellers)::text AS tellers,
      (SELECT sum(balance) FROM branches)::text AS branches, (SELECT coalesce(sum(delta), 0) FROM history)::text AS history,
      (SELECT count(*) FROM accounts)::int AS count`)
  const { accounts, tellers, branches, history, count } = rows[0] as Readonly<Record<string, unknown>>
  const problems = count === ACCOUNTS ? [] : [`there are ${count} accounts, not ${ACCOUNTS}`]
  if (new Set([accounts, tellers, branches, history]).size > 1)
    problems.push(
      `accounts sum up to ${accounts}, tellers to ${tellers}, branches to ${branches}, history to ${history}`,
    )
  return problems
}

/** Which numbers of each client are in the history. */
export async function presentTransfers(client: pg.Client): Promise<ReadonlyMap<number, ReadonlySet<number>>> {
  const present = new Map<number, Set<number>>()
  const { rows } = await client.query({ text: 'SELECT client, number FROM history', rowMode: 'array' })
  for (const [of, number] of rows as [number, number][]) {
    const numbers = present.get(of)
    if (numbers === undefined) present.set(of, new Set([number]))
    else numbers.add(number)
  }
  return present
}
