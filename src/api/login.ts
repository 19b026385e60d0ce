/** Login and logout of browsers: by a key, or by a link that works once. */
import { createHash } from "node:crypto";
import type { ApiKey } from "../config/api_keys.ts";
import type { Log } from "../observability/log.ts";
import { createId } from "../runtime/random.ts";
import type { Authenticator, Caller } from "./authenticate.ts";
import { isForm, parseBody, readBody, readForm } from "./body.ts";
import type { Ctx } from "./env.ts";
import type { RequestStore } from "./idempotency.ts";
import { Problem } from "./problem.ts";
import { LINK_SECONDS, type Sessions, transportOf } from "./session.ts";
import { localPath, wantsPage } from "./site.ts";

/** Dependencies of {@link Logins}. */
export interface LoginsDeps {
  readonly auth: Pick<Authenticator, "requireOwnLogin" | "checkKey" | "refuseLink">;
  readonly authenticate: (c: Ctx) => Promise<Caller>;
  readonly sessions: Sessions;
  readonly store: RequestStore;
  /** Whether a logout leads to the login page. */
  readonly hasPages: boolean;
  readonly log: Log;
}

/** Answers for `/login`, `/login/link` and `/logout`. Each rejects with a {@link Problem} if it refuses. */
export class Logins {
  readonly #deps: LoginsDeps;

  constructor(deps: LoginsDeps) {
    this.#deps = deps;
  }

  /** Begins a session by a key, or by the token of a link. */
  async login(c: Ctx): Promise<Response> {
    this.#deps.auth.requireOwnLogin(c.req.raw.headers);
    const { headers } = c.req.raw, sentForm = isForm(headers);
    const form = sentForm
      ? Object.fromEntries(await readForm(c.req.raw))
      : parseBody(await readBody(c.req.raw), headers);
    const { key: text, once } = form;
    const key = typeof once === "string" && once !== "" ? await this.#takeLink(c, once) : this.#checkKey(c, text);
    const transport = transportOf(headers);
    if (transport === null) {
      throw new Problem(
        "forbidden",
        "Sessions need TLS (a proxy that sends X-Forwarded-Proto: https) or a loopback address",
      );
    }
    c.header("set-cookie", await this.#deps.sessions.begin(key, transport));
    this.#deps.log.info("api_login", `${key.name} logged in`, {
      ...{ correlation_id: c.get("correlationId"), actor: key.name, address: c.env.visit.remoteAddr.hostname },
    });
    return sentForm ? c.redirect(localPath(String(form.next ?? "")), 303) : c.json({ name: key.name, role: key.role });
  }

  #checkKey(c: Ctx, text: unknown): ApiKey {
    if (typeof text === "string" && text !== "") {
      return this.#deps.auth.checkKey(text.trim(), c.env.visit.remoteAddr.hostname);
    }
    throw new Problem("invalid", "key is missing: send the key as a member of a JSON object, or as a form", {
      problems: [{ field: "key", in: "body", value: null, wanted: "a key" }],
    });
  }

  /** A link works once, on all instances together. */
  async #takeLink(c: Ctx, token: string): Promise<ApiKey> {
    const key = await this.#deps.sessions.checkLink(token);
    const used = { digest: createHash("sha256").update(`link ${token}`).digest("hex"), claim: createId() };
    if (key === null || await this.#deps.store.claim(used.digest, used.claim) !== null) {
      return this.#deps.auth.refuseLink(c.env.visit.remoteAddr.hostname);
    }
    // The claim expires before the link does; the settled one outlasts it.
    await this.#deps.store.settle(used.digest, { claim: used.claim, answer: "used" });
    return key;
  }

  /** Makes a link that logs in once. */
  async createLink(c: Ctx): Promise<Response> {
    const { actor, by, key } = await this.#deps.authenticate(c);
    if (by !== "key" || !key) throw new Problem("forbidden", "A login link is made with a key, not with a session");
    const path = `/login?once=${await this.#deps.sessions.createLink(key)}`;
    this.#deps.log.info("api_login_link", `${actor.name} made a login link`, {
      ...{ correlation_id: c.get("correlationId"), actor: actor.name },
    });
    return c.json({ path, seconds: LINK_SECONDS }, 201);
  }

  /** Ends the session of this browser. */
  async logout(c: Ctx): Promise<Response> {
    await this.#deps.authenticate(c);
    for (const cookie of this.#deps.sessions.end()) c.header("set-cookie", cookie, { append: true });
    return this.#deps.hasPages && wantsPage(c.req.raw) ? c.redirect("/login", 303) : c.body(null, 204);
  }
}
