/** The authority that certificates of instances come from: the region's own, the only one there is. */
import { X509Certificate } from 'node:crypto'
import type { Certificate, CertificateMessage, DescribeCertificatesMessage } from '@aws-sdk/client-rds'
import { CERTIFICATE_AUTHORITY as AUTHORITY } from '../../cluster/defaults.ts'
import { fault } from '../api-error.ts'
import type { Call, Operation } from './call.ts'

const notFound = (name: string) => fault('CertificateNotFoundFault', `Certificate not found: ${name}`)

export function certificateAuthority(given: string): string {
  if (given !== AUTHORITY) throw notFound(given)
  return given
}

function shown({ plane }: Call): Certificate {
  const { validFromDate, validToDate, fingerprint } = new X509Certificate(plane.authorityCertificate)
  return {
    CertificateIdentifier: AUTHORITY,
    CertificateType: 'CA',
    Thumbprint: fingerprint.replaceAll(':', '').toLowerCase(),
    ValidFrom: validFromDate,
    ValidTill: validToDate,
    CertificateArn: `arn:aws:rds:${plane.region}::cert:${AUTHORITY}`,
    CustomerOverride: false,
  }
}

export const describeCertificates: Operation<DescribeCertificatesMessage, CertificateMessage> = (
  { CertificateIdentifier: name },
  call,
) => {
  if (name !== undefined && name !== AUTHORITY) throw notFound(name)
  return { DefaultCertificateForNewLaunches: AUTHORITY, Certificates: [shown(call)] }
}
