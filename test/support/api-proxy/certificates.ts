import { TEST_CERTIFICATE, TEST_KEY } from '../../unit/simulator/tls.ts'

/** A serving certificate that signs itself, so that it is its own CA. */
export interface Identity {
  readonly key: string
  readonly cert: string
}

export const FIRST: Identity = { key: TEST_KEY, cert: TEST_CERTIFICATE }

/** Another one for the same addresses, also for tests only. */
export const SECOND: Identity = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgdsToZSoVWsJH/hzc
RUU05nPZgbycsX6B+TrtoKNN1RChRANCAARCgtlpxjwazmRwEUWM2lw8+Q72KuTh
IlP8aKcqqmnVumPqSoPjV3UZIN6ETVXw2JsBh13YWfBsRuoAmn1ACLqx
-----END PRIVATE KEY-----`,
  cert: `-----BEGIN CERTIFICATE-----
MIIBnzCCAUWgAwIBAgIUTbX36WUl9CumiQFjtQCrDE6yMdEwCgYIKoZIzj0EAwIw
FjEUMBIGA1UEAwwLbG9jYWxob3N0LTIwIBcNMjYxMTI1MDkxMjEzWhgPMjEyNjEx
MDEwOTEyMTNaMBYxFDASBgNVBAMMC2xvY2FsaG9zdC0yMFkwEwYHKoZIzj0CAQYI
KoZIzj0DAQcDQgAEQoLZacY8Gs5kcBFFjNpcPPkO9irk4SJT/GinKqpp1bpj6kqD
41d1GSDehE1V8NibAYdd2FnwbEbqAJp9QAi6saNvMG0wHQYDVR0OBBYEFO3R6uif
FszN82TeyKZ22zelJI4tMB8GA1UdIwQYMBaAFO3R6uifFszN82TeyKZ22zelJI4t
MA8GA1UdEwEB/wQFMAMBAf8wGgYDVR0RBBMwEYIJbG9jYWxob3N0hwR/AAABMAoG
CCqGSM49BAMCA0gAMEUCIEUwfpCDIQRmV+JfQ0E/G8KXuOR1T8JHKqKTBnuyiDKl
AiEAk3PxPCbH4EC5VtmEhuyJ02OakY1IODxTrB6OyRlnV6o=
-----END CERTIFICATE-----`,
}
