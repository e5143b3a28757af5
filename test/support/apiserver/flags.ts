import type { ApiServerFiles } from './files.ts'

/** etcd on loopback. Without fsync: what a test loses in a power failure is not missed, and it starts in half the time. */
export function etcdFlags({ etcdData }: ApiServerFiles, port: number, peerPort: number): string[] {
  const client = `http://127.0.0.1:${port}`
  const peer = `http://127.0.0.1:${peerPort}`
  return [
    `--data-dir=${etcdData}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    '--unsafe-no-fsync',
    '--log-level=warn',
  ]
}

/** kube-apiserver on loopback, with RBAC, token users and a serving certificate it makes itself. */
export function apiServerFlags(files: ApiServerFiles, port: number, etcdPort: number): string[] {
  return [
    `--etcd-servers=http://127.0.0.1:${etcdPort}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${port}`,
    `--cert-dir=${files.certificates}`,
    `--token-auth-file=${files.tokenFile}`,
    '--authorization-mode=RBAC',
    `--service-account-key-file=${files.serviceAccountKey}`,
    `--service-account-signing-key-file=${files.serviceAccountKey}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    '--service-cluster-ip-range=10.0.0.0/24',
    '--advertise-address=127.0.0.1',
    // No controller makes service accounts here, and without one this plug-in would refuse every pod.
    '--disable-admission-plugins=ServiceAccount',
    // As on OpenShift: who sets blockOwnerDeletion must be allowed to update the owner's finalizers.
    '--enable-admission-plugins=OwnerReferencesPermissionEnforcement',
    // The server would wait a minute for its watches when it is asked to end.
    '--shutdown-delay-duration=0s',
    '--endpoint-reconciler-type=none',
  ]
}
