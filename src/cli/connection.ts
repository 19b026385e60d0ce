/** Finds the API and the key: by flags, settings, or the local key of the service on this machine. */
import { FIELDS, type Settings } from "../config/fields.ts";
import { loopbacksFor } from "../config/loopback.ts";
import { quote } from "../config/redact.ts";
import { readTextFile } from "../runtime/process.ts";
import { Secret } from "../runtime/secret.ts";

/** Flags that every command of the API has. */
export interface ConnectionFlags {
  readonly url?: string;
  readonly keyFile?: string;
}

/** Where the API is, and who asks. */
export interface Connection {
  /** Without a slash at the end. */
  readonly url: string;
  readonly key: Secret;
}

/** A connection, or why there is none. */
export type FoundConnection =
  | { readonly ok: true; readonly connection: Connection }
  | { readonly ok: false; readonly problem: string };

type ClientSettings = Pick<Settings, "clientUrl" | "clientKey" | "localKeyPath" | "bindAddress" | "apiPort">;

/** Finds the connection. A flag beats a setting, and a setting beats the local key. Does not ask the service. */
export function findConnection(flags: ConnectionFlags, settings: ClientSettings): FoundConnection {
  const given = flags.url ?? settings.clientUrl;
  if (given !== "" && !/^https?:\/\/[^\s]+$/i.test(given)) {
    return problem(`--url ${quote(given)} is not an http:// or https:// URL`);
  }
  let key = settings.clientKey;
  if (flags.keyFile !== undefined) {
    const read = readKeyFile(flags.keyFile);
    if (typeof read === "string") return problem(`--key-file ${quote(flags.keyFile)} ${read}`);
    key = read;
  }
  const local = given === "" ? readLocalKey(settings.localKeyPath) : null;
  const url = given !== ""
    ? given
    : local?.ok
    ? local.url
    : `http://${loopbacksFor(settings.bindAddress)[0]}:${settings.apiPort}`;
  key ??= local?.ok ? local.key : null;
  if (key !== null) return { ok: true, connection: { url: url.replace(/\/+$/, ""), key } };
  const names = `${FIELDS.clientKey.variable}, ${FIELDS.clientKey.variable}_FILE or --key-file`;
  if (local === null) return problem(`There is no key for ${url}: set ${names}`);
  const { why } = local as { why: string };
  return problem(
    `There is no key. On the service's machine, run this as the service's user or as root: its key is in ${settings.localKeyPath} ` +
      `(${why}). Elsewhere set ${FIELDS.clientUrl.variable} and ${names}`,
  );
}

function problem(text: string): FoundConnection {
  return { ok: false, problem: text };
}

/** A key, or why there is none. */
function readKeyFile(path: string): Secret | string {
  try {
    const text = readTextFile(path).trim();
    if (text === "") return "is empty";
    return /^[\x21-\x7e]+$/.test(text)
      ? new Secret(text)
      : "is not a key: it must hold one word of visible ASCII characters";
  } catch (error) {
    return `cannot be read: ${error instanceof Error ? error.name : error}`;
  }
}

function readLocalKey(
  path: string,
): { readonly ok: true; readonly url: string; readonly key: Secret } | { readonly ok: false; readonly why: string } {
  try {
    const { url, key } = JSON.parse(readTextFile(path));
    if (typeof url === "string" && typeof key === "string") return { ok: true, url, key: new Secret(key) };
    return { ok: false, why: "the service has not finished its start" };
  } catch (error) {
    const name = error instanceof Error ? error.name : "";
    return { ok: false, why: name === "SyntaxError" ? "the service has not finished its start" : name };
  }
}
