/** Finds the API, the key and the way to it: by flags, settings, or the local key of the service on this machine. */
import { readAuthority } from "../config/authority.ts";
import { FIELDS, type Settings } from "../config/fields.ts";
import { loopbacksFor } from "../config/loopback.ts";
import { createProxyChoice, type ProxySettings } from "../config/proxy.ts";
import { quote } from "../config/redact.ts";
import { readTextFile } from "../runtime/process.ts";
import { Secret } from "../runtime/secret.ts";
import { parseSeconds } from "./values.ts";

/** Flags that every command of the API has. */
export interface ConnectionFlags {
  readonly url?: string;
  readonly keyFile?: string;
  readonly caCert?: string;
  /** Text of a duration. */
  readonly timeout?: string;
}

/** Where the API is, and who asks. */
export interface Connection {
  /** Without a slash at the end. */
  readonly url: string;
  readonly key: Secret;
  /** Longest silence before an answer begins, in milliseconds. */
  readonly patienceMs: number;
  /** Proxy on the way, with credentials; `undefined`: none. */
  readonly proxy: URL | undefined;
  /** Authority (PEM) trusted in addition to public ones; `undefined`: none. */
  readonly caCert: string | undefined;
}

/** Longest silence before an answer begins if no flag says otherwise, in milliseconds. The service cuts silent connections after 30 s. */
const PATIENCE_MS = 60_000;

/** A connection, or why there is none. */
export type FoundConnection =
  | { readonly ok: true; readonly connection: Connection }
  | { readonly ok: false; readonly problem: string };

type ClientSettings =
  & Pick<Settings, "clientUrl" | "clientKey" | "clientCaCertPath" | "localKeyPath" | "bindAddress" | "apiPort">
  & ProxySettings;

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
  const way = findWay(url, flags, settings);
  if (typeof way === "string") return problem(way);
  key ??= local?.ok ? local.key : null;
  if (key !== null) return { ok: true, connection: { url: url.replace(/\/+$/, ""), key, ...way } };
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

/** How to reach the API, or what is wrong with that. */
function findWay(
  url: string,
  flags: ConnectionFlags,
  settings: ClientSettings,
): Pick<Connection, "patienceMs" | "proxy" | "caCert"> | string {
  let patienceMs = PATIENCE_MS;
  try {
    if (flags.timeout !== undefined) patienceMs = parseSeconds(flags.timeout) * 1_000;
  } catch (error) {
    return `--timeout ${quote(flags.timeout!)} is not ${(error as Error).message}`;
  }
  if (!URL.canParse(url)) return `${quote(url)} is not a URL`;
  const proxy = createProxyChoice(settings)(new URL(url))?.url;
  const path = flags.caCert ?? settings.clientCaCertPath;
  if (path === "") return { patienceMs, proxy, caCert: undefined };
  const name = flags.caCert === undefined ? FIELDS.clientCaCertPath.variable : "--ca-cert";
  const { pem, problem } = readAuthority(path, { name, readFile: readTextFile });
  return problem ?? { patienceMs, proxy, caCert: pem };
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
