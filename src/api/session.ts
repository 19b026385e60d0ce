/**
 * Sessions of browsers: a signed cookie with the name of a key, the start of its digest and an end. Three details:
 *
 * - The signature uses a secret that all instances share and the key's digest: neither the configuration nor the content of
 *   Redis suffices to forge one.
 * - A session ends with its key, and has the role that the key has now.
 * - Behind TLS the cookie is `__Host-session`. Without TLS it exists only on loopback, as `session`.
 */
import { Buffer } from "node:buffer";
import { createHmac, timingSafeEqual } from "node:crypto";
import type { ApiKey } from "../config/api_keys.ts";
import type { Clock } from "../runtime/clock.ts";
import { createSecretBytes } from "../runtime/random.ts";
import type { KeyRing } from "./key_ring.ts";

/** How long a session lasts, in seconds. */
const SESSION_SECONDS = 8 * 3_600;
/** Age of the shared secret at which it is read again, in milliseconds. */
const FRESH_MS = 60_000;
/** How long a request waits for this, in milliseconds: if Redis hangs, the request itself still needs the time. */
const REREAD_MS = 1_000;
/** How long a login link works, in seconds. */
export const LINK_SECONDS = 300;
const DIGEST_CHARACTERS = 16;
const LINK = /^([\w-]{1,128})\.([0-9a-f]{16})\.(\d{1,12})\.([\w-]{22})\.([\w-]{43})$/;
const COOKIE = /^([\w-]{1,128})\.([0-9a-f]{16})\.(\d{1,12})\.([\w-]{43})$/;

const SECURE_NAME = "__Host-session";
const PLAIN_NAME = "session";

/** Dependencies of {@link Sessions}. */
export interface SessionsDeps {
  readonly keys: KeyRing;
  readonly clock: Clock;
  /** Returns the secret that all instances share. If none is stored yet, stores `proposal`. Rejects if Redis fails. */
  readonly sharedSecret: (proposal: string) => Promise<string>;
}

/** A session of a browser. */
export interface Session {
  readonly key: ApiKey;
  /** Whether its time is over by now. Its key may end before. */
  readonly isOver: () => boolean;
}

/** How a browser reached this port; `null`: neither by TLS nor on loopback, so it gets no session. */
export type Transport = "tls" | "loopback" | null;

/** Finds out how a browser reached the port. A client that lies changes only its own cookie. */
export function transportOf(headers: Headers): Transport {
  if (headers.get("x-forwarded-proto")?.split(",")[0]?.trim() === "https") return "tls";
  const host = URL.parse(`http://${headers.get("host") ?? ""}`)?.hostname ?? "";
  return host === "localhost" || host === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(host) ? "loopback" : null;
}

/** Makes and checks sessions. */
export class Sessions {
  readonly #deps: SessionsDeps;
  #secret = "";
  #readAtMs = -Infinity;

  constructor(deps: SessionsDeps) {
    this.#deps = deps;
  }

  /** Creates the `Set-Cookie` header of a new session. Rejects if the shared secret is not known. */
  async begin(key: ApiKey, transport: "tls" | "loopback"): Promise<string> {
    const end = Math.floor(this.#deps.clock.nowMs() / 1_000) + SESSION_SECONDS;
    const name = Buffer.from(key.name).toString("base64url");
    const text = `${name}.${key.digest.slice(0, DIGEST_CHARACTERS)}.${end}`;
    const value = `${text}.${await this.#sign(text, key)}`;
    return setCookie(value, { transport, seconds: SESSION_SECONDS });
  }

  /** Creates the token of a login link. Rejects if the shared secret is not known. */
  async createLink(key: ApiKey): Promise<string> {
    const end = Math.floor(this.#deps.clock.nowMs() / 1_000) + LINK_SECONDS,
      name = Buffer.from(key.name).toString("base64url");
    const nonce = Buffer.from(createSecretBytes(16)).toString("base64url");
    const text = `${name}.${key.digest.slice(0, DIGEST_CHARACTERS)}.${end}.${nonce}`;
    return `${text}.${await this.#sign(`link ${text}`, key)}`;
  }

  /** Returns the key of a login link, `null` if it is not valid. The caller sees to it that it works once. Rejects as `begin`. */
  async checkLink(token: string): Promise<ApiKey | null> {
    const [, name, start, end, nonce, signature] = LINK.exec(token) ?? [];
    if (!name || Number(end) * 1_000 <= this.#deps.clock.nowMs()) return null;
    const key = this.#deps.keys.named(Buffer.from(name, "base64url").toString(), start!);
    if (key === null) return null;
    const expected = await this.#sign(`link ${name}.${start}.${end}.${nonce}`, key);
    return timingSafeEqual(Buffer.from(expected), Buffer.from(signature!)) ? key : null;
  }

  /** The `Set-Cookie` headers that end a session. */
  end(): readonly string[] {
    return (["tls", "loopback"] as const).map((transport) => setCookie("", { transport, seconds: 0 }));
  }

  /** Returns a session; `"none"` without a cookie, `"bad"` if it is not valid. Rejects as `begin`. */
  async check(headers: Headers): Promise<Session | "none" | "bad"> {
    const value = readCookie(headers);
    if (value === undefined) return "none";
    const [, name, start, end, signature] = COOKIE.exec(value) ?? [];
    if (!name || Number(end) * 1_000 <= this.#deps.clock.nowMs()) return "bad";
    const key = this.#deps.keys.named(Buffer.from(name, "base64url").toString(), start!);
    if (key === null) return "bad";
    const expected = await this.#sign(`${name}.${start}.${end}`, key);
    if (!timingSafeEqual(Buffer.from(expected), Buffer.from(signature!))) return "bad";
    return { key, isOver: () => Number(end) * 1_000 <= this.#deps.clock.nowMs() };
  }

  async #sign(text: string, { digest }: ApiKey): Promise<string> {
    const key = createHmac("sha256", await this.#sharedSecret()).update(digest).digest();
    return createHmac("sha256", key).update(text).digest("base64url");
  }

  /** During an outage of Redis the last secret stays in use, so that sessions can still see what is wrong. */
  async #sharedSecret(): Promise<string> {
    const { clock } = this.#deps;
    if (this.#secret === "") await this.#read();
    else if (clock.monotonicMs() - this.#readAtMs >= FRESH_MS) {
      const read = new AbortController();
      const reading = this.#read().catch(() => {}).finally(() => read.abort());
      await Promise.race([reading, clock.sleep(REREAD_MS, read.signal)]);
    }
    return this.#secret;
  }

  async #read(): Promise<void> {
    this.#readAtMs = this.#deps.clock.monotonicMs();
    this.#secret = await this.#deps.sharedSecret(Buffer.from(createSecretBytes(32)).toString("base64url"));
  }
}

function setCookie(value: string, { transport, seconds }: { transport: "tls" | "loopback"; seconds: number }): string {
  const name = transport === "tls" ? `${SECURE_NAME}=${value}; Secure` : `${PLAIN_NAME}=${value}`;
  return `${name}; HttpOnly; SameSite=Lax; Path=/; Max-Age=${seconds}`;
}

/** The plain cookie counts only where it is made: elsewhere another service of the host could set it. */
function readCookie(headers: Headers): string | undefined {
  const names = transportOf(headers) === "loopback" ? [SECURE_NAME, PLAIN_NAME] : [SECURE_NAME];
  const cookies = (headers.get("cookie") ?? "").split(";").map((part) => part.trim());
  for (const name of names) {
    const found = cookies.find((cookie) => cookie.startsWith(`${name}=`));
    if (found !== undefined) return found.slice(name.length + 1);
  }
  return undefined;
}
