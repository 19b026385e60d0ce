/** Certificates and configuration of TLS servers in tests. */

const FOLDER = new URL("../testkit/tls/", import.meta.url);

/**
 * A certificate with its key and CA. `localhost` is valid for that name and 127.0.0.1. The nodes' certificates are
 * valid for 127.0.0.1 (first), 127.0.0.2 (second), and {@link SHARED_NAME}. `expired` was valid for `localhost` and
 * 127.0.0.1 until 2021. `elsewhere` is valid for elsewhere.example.
 */
export type Certificate = "localhost" | "node_1" | "node_2" | "expired" | "elsewhere";

/** The name in the certificates of both nodes. */
export const SHARED_NAME = "redis.test";

const FILES: Readonly<Record<Certificate, { readonly name: string; readonly authority: string }>> = {
  localhost: { name: "server", authority: "ca.crt" },
  node_1: { name: "nodes/node_1", authority: "nodes/ca.crt" },
  node_2: { name: "nodes/node_2", authority: "nodes/ca.crt" },
  expired: { name: "faults/expired", authority: "faults/ca.crt" },
  elsewhere: { name: "faults/elsewhere", authority: "faults/ca.crt" },
};

/** Paths of the PEM files. */
export function certificateFiles(certificate: Certificate): { cert: string; key: string; authority: string } {
  const { name, authority } = FILES[certificate];
  const path = (file: string) => new URL(file, FOLDER).pathname;
  return { cert: path(`${name}.crt`), key: path(`${name}.key`), authority: path(authority) };
}

/** TLS of a server, in addition to its plain port. */
export interface TlsOptions {
  readonly port: number;
  readonly certificate: Certificate;
  /** Whether it requires client certificates; default false. */
  readonly demandsCertificate?: boolean;
  /** Whether it uses TLS to its master, or as a Sentinel to all servers; default false. */
  readonly amongServers?: boolean;
}

/** Lines of its configuration. */
export function tlsConfig(
  { port, certificate, demandsCertificate = false, amongServers = false }: TlsOptions,
): string[] {
  const { cert, key, authority } = certificateFiles(certificate);
  return [
    ...[`tls-port ${port}`, `tls-cert-file ${cert}`, `tls-key-file ${key}`, `tls-ca-cert-file ${authority}`],
    ...[`tls-auth-clients ${demandsCertificate ? "yes" : "no"}`, `tls-replication ${amongServers ? "yes" : "no"}`],
  ];
}
