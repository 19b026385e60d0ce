/** Files with the certificate authority of an HTTPS server: Moogsoft, or the API for commands. */
import { X509Certificate } from "node:crypto";
import { errorName } from "./layers.ts";
import { quote } from "./redact.ts";

/** One certificate of a PEM file. */
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** The text of the file, or the problem with it, which names the file. */
export type Authority =
  | { readonly pem: string; readonly problem?: undefined }
  | { readonly pem?: undefined; readonly problem: string };

/**
 * Reads and checks the file, because the runtime silently accepts one without a certificate. `name`: the variable or flag that names
 * the file, for problems. Does not throw.
 */
export function readAuthority(
  path: string,
  { name, readFile }: { name: string; readFile: (path: string) => string },
): Authority {
  const file = `${name} ${quote(path)}`;
  let pem: string;
  try {
    pem = readFile(path);
  } catch (error) {
    return { problem: `${file} cannot be read: ${errorName(error)} (expected: a file with a PEM certificate)` };
  }
  const certificates = pem.match(CERTIFICATE) ?? [];
  if (certificates.length > 0 && certificates.every(isCertificate)) return { pem };
  return { problem: `${file} has no PEM certificate (-----BEGIN CERTIFICATE-----), or an invalid one` };
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).serialNumber !== "";
  } catch {
    return false;
  }
}
