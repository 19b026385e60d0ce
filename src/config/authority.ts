/** The file with the certificate authority that signed Moogsoft's certificate. */
import { X509Certificate } from "node:crypto";
import { FIELDS } from "./fields.ts";
import { errorName } from "./layers.ts";
import { quote } from "./redact.ts";

/** One certificate of a PEM file. */
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** The text of the file, or the problem with it, which names the file. */
export type Authority =
  | { readonly pem: string; readonly problem?: undefined }
  | { readonly pem?: undefined; readonly problem: string };

/** Reads and checks the file, because the runtime silently accepts one without a certificate. Does not throw. */
export function readAuthority(path: string, readFile: (path: string) => string): Authority {
  const file = `${FIELDS.moogCaCertPath.variable} ${quote(path)}`;
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
