/** Identifies callers of the API: a key, a trusted proxy, or a session. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { BlockList } from "node:net";
import { type ApiKey, isRole, type Role, ROLES } from "../config/api_keys.ts";
import { isInNetwork } from "../config/networks.ts";
import type { AuthFailure } from "../observability/metrics.ts";
import type { Actor } from "../operations/context.ts";
import { type Clock } from "../runtime/clock.ts";
import type { Secret } from "../runtime/secret.ts";
import { AttemptLimit } from "./attempt_limit.ts";
import type { KeyRing } from "./key_ring.ts";
import { Problem, type ProblemCode } from "./problem.ts";
import type { Sessions } from "./session.ts";

/** An authenticating proxy whose user and groups are believed if it sends the secret. */
export interface TrustedProxy {
  readonly secret: Secret;
  /** Where it may be; empty: anywhere. */
  readonly addresses: readonly BlockList[];
  readonly secretHeader: string;
  readonly userHeader: string;
  readonly groupsHeader: string;
  /** Roles of groups. */
  readonly roles: ReadonlyMap<string, Role>;
}

/** A known caller. */
export interface Caller {
  readonly actor: Actor;
  /** Browsers send a session, and proxies add their headers, with requests from any site. */
  readonly by: "key" | "session" | "proxy";
  /** The key, if one was sent. */
  readonly key?: ApiKey;
  /** Whether the caller may still call, for streams. */
  readonly isValid: () => boolean;
}

/** Dependencies of {@link Authenticator}. */
export interface AuthenticatorDeps {
  readonly keys: KeyRing;
  readonly sessions: Sessions;
  readonly proxy: TrustedProxy | null;
  readonly clock: Clock;
  /** Called for each refusal. */
  readonly onFailure: (reason: AuthFailure) => void;
}

const CHALLENGE = { "www-authenticate": 'Bearer realm="mutt-remediation"' };
/** How long a stream lasts until the proxy must vouch for its user again, in milliseconds. */
const PROXY_STREAM_MS = 3_600_000;
const SAFE_METHODS = ["GET", "HEAD", "OPTIONS"];
/** A user's name as the proxy sends it: visible characters, for log and journal. */
const USER_PATTERN = /^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]{1,128}$/u;

/** Authenticates requests and limits guesses. */
export class Authenticator {
  readonly #deps: AuthenticatorDeps;
  readonly #attempts: AttemptLimit;

  constructor(deps: AuthenticatorDeps) {
    this.#deps = deps;
    this.#attempts = new AttemptLimit(deps.clock);
  }

  /**
   * Returns the caller of a request from `address`. @throws {Problem} if the request has no valid key or session, or comes from
   * another site. Rejects if Redis fails.
   */
  async authenticate(request: Request, address: string): Promise<Caller> {
    const { headers, method } = request;
    const given = headers.get("x-api-key") ?? /^Bearer +(\S+)$/i.exec(headers.get("authorization") ?? "")?.[1];
    if (given != null) return callerOf(this.checkKey(given, address), { by: "key", keys: this.#deps.keys });
    const caller = this.#fromProxy(headers, address) ?? await this.#fromSession(headers);
    if (!SAFE_METHODS.includes(method) && !isSameOrigin(headers)) {
      this.#refuse(
        "cross_site",
        "forbidden",
        "A change by session must come from this site's own pages. Programs use a key",
      );
    }
    return caller;
  }

  /** Refuses a caller whose role is too low. @throws {Problem} */
  requireRole({ actor }: Caller, role: Role): void {
    if (ROLES.indexOf(actor.role) >= ROLES.indexOf(role)) return;
    this.#refuse("role", "forbidden", `This needs the role ${role}; ${actor.name} has the role ${actor.role}`);
  }

  /**
   * Returns the key with this text. A valid key is never refused, however many wrong ones came from its address: behind
   * a proxy many callers share one. @throws {Problem}
   */
  checkKey(text: string, address: string): ApiKey {
    const key = this.#deps.keys.find(text);
    return key ?? this.#refuseGuess(address, "The key is not valid");
  }

  /** Refuses a login link that is wrong, too old or used. @throws {Problem} */
  refuseLink(address: string): never {
    return this.#refuseGuess(address, "The link has been used or is too old: make a new one, or log in with a key");
  }

  #refuseGuess(address: string, detail: string): never {
    const waitSeconds = this.#attempts.fail(address);
    if (waitSeconds > 0) {
      const headers = { "retry-after": String(waitSeconds) };
      this.#refuse("rate_limited", "rate_limited", `Too many wrong keys; try again in ${waitSeconds} s`, headers);
    }
    return this.#refuse("wrong_key", "unauthenticated", detail, CHALLENGE);
  }

  /** Refuses a login from another site, which would put that site's key in this browser. @throws {Problem} */
  requireOwnLogin(headers: Headers): void {
    const isBrowser = headers.has("sec-fetch-site") || headers.has("origin");
    if (isBrowser && !isSameOrigin(headers)) {
      this.#refuse("cross_site", "forbidden", "A login must come from this site's own page");
    }
  }

  #fromProxy(headers: Headers, address: string): Caller | null {
    const { proxy } = this.#deps, given = proxy && headers.get(proxy.secretHeader);
    if (!proxy || given === null) return null;
    const isThere = proxy.addresses.length === 0 || proxy.addresses.some((one) => isInNetwork(one, address));
    if (!isEqual(given, proxy.secret.reveal()) || !isThere) {
      return this.#refuse("proxy", "unauthenticated", "The proxy is not known", CHALLENGE);
    }
    const user = headers.get(proxy.userHeader)?.trim() ?? "";
    const groups = (headers.get(proxy.groupsHeader) ?? "").split(",").map((group) => group.trim());
    const roles = groups.flatMap((group) => proxy.roles.get(group) ?? []);
    const role = ROLES.findLast((one) => roles.includes(one));
    if (!USER_PATTERN.test(user)) return this.#refuse("proxy", "unauthenticated", "The proxy names no user", CHALLENGE);
    if (role === undefined) return this.#refuse("proxy", "forbidden", "No group of this user has a role here");
    const { clock } = this.#deps, endsAtMs = clock.monotonicMs() + PROXY_STREAM_MS;
    return { actor: { name: user, role }, by: "proxy", isValid: () => clock.monotonicMs() < endsAtMs };
  }

  async #fromSession(headers: Headers): Promise<Caller> {
    const session = await this.#deps.sessions.check(headers);
    if (session === "bad") {
      return this.#refuse("bad_session", "unauthenticated", "The session has ended: log in again", CHALLENGE);
    }
    if (session === "none") {
      return this.#refuse("no_key", "unauthenticated", "Send a key as X-API-KEY or Authorization: Bearer", CHALLENGE);
    }
    const { key, isOver } = session, caller = callerOf(key, { by: "session", keys: this.#deps.keys });
    return { ...caller, isValid: () => !isOver() && caller.isValid() };
  }

  #refuse(reason: AuthFailure, code: ProblemCode, detail: string, headers: Record<string, string> = {}): never {
    this.#deps.onFailure(reason);
    throw new Problem(code, detail, { headers });
  }
}

function callerOf(key: ApiKey, { by, keys }: { by: Caller["by"]; keys: KeyRing }): Caller {
  const { name, role } = key;
  return {
    actor: { name, role },
    by,
    ...(by === "key" ? { key } : {}),
    isValid: () => keys.named(name, key.digest)?.role === role,
  };
}

/** Whether a page of this origin sent the request; false without the headers that a browser sends. */
function isSameOrigin(headers: Headers): boolean {
  const site = headers.get("sec-fetch-site");
  if (site !== null) return site === "same-origin";
  const origin = URL.parse(headers.get("origin") ?? "");
  return origin !== null && origin.host === headers.get("host");
}

function isEqual(one: string, other: string): boolean {
  const [left, right] = [one, other].map((text) => createHash("sha256").update(text, "utf8").digest());
  return timingSafeEqual(left!, right!);
}

/** The roles of groups out of `group=role` pairs, already validated. */
export function rolesOfGroups(pairs: readonly (readonly [group: string, role: string])[]): ReadonlyMap<string, Role> {
  return new Map(pairs.flatMap(([group, role]) => isRole(role) ? [[group, role] as const] : []));
}
