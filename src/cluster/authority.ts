/** The region's authority for TLS: made once, its key private, its certificate for everybody. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { type Certified, createAuthority, issueServer } from '../engine/certificates.ts'
import type { Home } from './host/home.ts'

const AUTHORITY_DAYS = 3650
/** Clients refuse more than 825 (Apple's rule, which others follow). A new one is made at every start. */
const SERVER_DAYS = 820

function writeWhole(path: string, text: string, mode: number): void {
  writeFileSync(`${path}.tmp`, text, { mode })
  renameSync(`${path}.tmp`, path)
}

function authorityOf(home: Home): Certified {
  // The certificate comes last: with it, both are there.
  if (!existsSync(home.authorityCertificate)) {
    const made = createAuthority('Borealis region', { nowMs: Date.now(), days: AUTHORITY_DAYS })
    writeWhole(home.authorityKey, made.key, 0o600)
    writeWhole(home.authorityCertificate, made.certificate, 0o644)
  }
  return { certificate: readFileSync(home.authorityCertificate, 'utf8'), key: readFileSync(home.authorityKey, 'utf8') }
}

/** Signs certificates for this region's servers. */
export class Authority {
  readonly #certified: Certified

  constructor(home: Home) {
    this.#certified = authorityOf(home)
  }

  /** PEM, for whoever verifies servers. */
  get certificate(): string {
    return this.#certified.certificate
  }

  /** @param names and addresses, by which clients know the server */
  issue(names: readonly [string, ...string[]]): Certified & { readonly untilMs: number } {
    const nowMs = Date.now()
    return {
      ...issueServer(this.#certified, names, { nowMs, days: SERVER_DAYS }),
      untilMs: nowMs + SERVER_DAYS * 86_400_000,
    }
  }
}
