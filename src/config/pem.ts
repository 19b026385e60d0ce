/** Checks the texts of certificates and keys before TLS uses them. Pure, never throws. */
import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";

const KEY_EXPECTED = "an unencrypted PEM private key; openssl pkey -in KEY -out PLAIN decrypts one";

/** The problem with a file of certificates, `null` if there is none. A file that is being written is incomplete. */
export function certificateProblem(text: string): string | null {
  const [begins, ends] = ["BEGIN", "END"].map((edge) => text.split(`-----${edge} CERTIFICATE-----`).length - 1);
  if (begins === 0) return "it has no PEM certificate";
  if (begins !== ends) return "its last certificate is incomplete";
  return readable(() => new X509Certificate(text)) === null ? "its certificate cannot be read" : null;
}

/** The problem with a client's certificate and key, and which file has it; `null` if there is none. */
export function pairProblem(cert: string, key: string): { file: "cert" | "key"; text: string } | null {
  const text = certificateProblem(cert);
  if (text !== null) return { file: "cert", text };
  if (/BEGIN ENCRYPTED PRIVATE KEY|^Proc-Type: 4,ENCRYPTED/m.test(key)) {
    return {
      file: "key",
      text: `its key is encrypted (expected: ${KEY_EXPECTED})`,
    };
  }
  if (!/-----BEGIN (?:\w+ )?PRIVATE KEY-----[^]*-----END (?:\w+ )?PRIVATE KEY-----/.test(key)) {
    return { file: "key", text: `it has no complete key (expected: ${KEY_EXPECTED})` };
  }
  // The runtime of the binary ends the process on a key that belongs to another certificate (Deno 2.6, ext/tls).
  const ofCert = readable(() => spki(createPublicKey(cert))),
    ofKey = readable(() => spki(createPublicKey(createPrivateKey(key))));
  return ofCert !== null && ofKey !== null && ofCert !== ofKey
    ? { file: "key", text: "its key does not belong to the client certificate" }
    : null;
}

function spki(key: ReturnType<typeof createPublicKey>): string {
  return key.export({ type: "spki", format: "der" }).toString("base64");
}

function readable<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}
