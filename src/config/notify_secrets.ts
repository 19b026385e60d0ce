/** What files with secrets of receivers must hold. Checked when the notify file is loaded, and when a receiver rereads them. Pure. */
import { Buffer } from "node:buffer";
import type { ReceiverType } from "./notify.ts";
import { isLoopbackUrl } from "./proxy.ts";

/** A kind of secret. `wants` completes "it does not hold". */
interface SecretKind {
  readonly wants: string;
  isValid(text: string): boolean;
}

/** Longest secret, in characters. */
const MAX_SECRET = 4_096;

/** Kinds of secrets in files. */
export const SECRET_KINDS = {
  /** The address is itself the secret, so it must not cross a network in clear. */
  secretUrl: { wants: "one https:// URL", isValid: (text) => isUrl(text) && isSafe(new URL(text)) },
  url: { wants: "one http:// or https:// URL", isValid: isUrl },
  password: { wants: "a password on one line", isValid: (text) => !/[\p{Cc}\uFFFD]/u.test(text) },
  routingKey: {
    wants: "an integration key of 32 letters and digits",
    isValid: (text) => /^[A-Za-z0-9]{32}$/.test(text),
  },
  signingKey: {
    wants: "a secret of the form whsec_…, which is base64 of 24 to 64 bytes",
    isValid: (text) => readSigningKey(text) !== null,
  },
} as const satisfies Readonly<Record<string, SecretKind>>;
/** Name of a kind of secret. */
export type SecretKindName = keyof typeof SECRET_KINDS;

/** The members of each type that name a file with a secret. */
export const SECRET_MEMBERS: Readonly<Record<ReceiverType, Readonly<Record<string, SecretKindName>>>> = {
  slack: { urlFile: "secretUrl" },
  email: { passwordFile: "password" },
  teams: { urlFile: "secretUrl" },
  pagerduty: { routingKeyFile: "routingKey" },
  webhook: { urlFile: "url", secretFile: "signingKey" },
  alertmanager: { passwordFile: "password" },
};

/** The secret in a file's text, or what is wrong with the text, which is never shown. */
export function readSecretText(
  kind: SecretKindName,
  text: string,
): { readonly ok: true; readonly value: string } | { readonly ok: false; readonly problem: string } {
  const value = kind === "password" ? text.replace(/\r?\n$/, "") : text.trim();
  if (value === "") return { ok: false, problem: "is empty" };
  const { wants, isValid } = SECRET_KINDS[kind];
  const isGood = value.length <= MAX_SECRET && isValid(value);
  return isGood ? { ok: true, value } : { ok: false, problem: `does not hold ${wants}` };
}

/** The bytes of a signing secret as Standard Webhooks writes it; `null` if it is none. */
export function readSigningKey(text: string): Uint8Array | null {
  const encoded = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(text)?.[1];
  if (encoded === undefined || encoded.length % 4 !== 0) return null;
  const bytes = Buffer.from(encoded, "base64");
  return bytes.length >= 24 && bytes.length <= 64 ? bytes : null;
}

/** Whether what is sent to a URL cannot be read on the way: TLS, or this machine. */
export function isSafe(url: URL): boolean {
  return url.protocol === "https:" || isLoopbackUrl(url);
}

function isUrl(text: string): boolean {
  return /^https?:\/\/[^\s\p{Cc}]+$/iu.test(text) && URL.canParse(text);
}
