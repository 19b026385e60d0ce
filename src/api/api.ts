/**
 * Port 8088: every operation over HTTP, as the list of operations says. Three details:
 *
 * - Only the description and the login answer without a key or session; unknown paths do not either.
 * - `GET` changes nothing. A write runs once per `Idempotency-Key`. With a session instead of a key, it must come from a page
 *   of this origin. The operation itself logs and records it.
 * - Any instance answers: an operation reaches the leader through Redis.
 *
 * Tested in tests/integration/api/.
 */
import { Hono } from "hono";
import type { Handler, Visit } from "../http/door.ts";
import type { Log } from "../observability/log.ts";
import type { AuthFailure } from "../observability/metrics.ts";
import type { Actor } from "../operations/context.ts";
import { type AnyOperation, type OperationErrorCode, toOperationError } from "../operations/operation.ts";
import type { Clock } from "../runtime/clock.ts";
import { createId } from "../runtime/random.ts";
import { Authenticator, type Caller, type TrustedProxy } from "./authenticate.ts";
import { parseBody, readBody } from "./body.ts";
import type { Ctx, Env } from "./env.ts";
import { EVENT_STREAM_HEADERS, STREAM_HEADERS } from "./event_stream.ts";
import { type EventFeed, EventHub } from "./events.ts";
import { readIdempotencyKey, RepeatableRequests, type RequestEnd, type RequestStore } from "./idempotency.ts";
import { groupTexts, readInput } from "./input.ts";
import type { KeyRing } from "./key_ring.ts";
import { Logins } from "./login.ts";
import { streamItems } from "./ndjson.ts";
import { CORRELATION_PATTERN, describeApi, NDJSON_TYPE } from "./openapi.ts";
import { Problem, PROBLEM_TYPE, type ProblemCode, problemDocument, PROBLEMS } from "./problem.ts";
import { RefusalLog } from "./refusal_log.ts";
import { API_ROOT, createRoutes, type Route } from "./routes.ts";
import { Sessions } from "./session.ts";
import { type Site, type SitePage, wantsPage } from "./site.ts";
import { createSiteCall } from "./site_call.ts";

/** A call, as operations see it. */
export interface Call {
  readonly actor: Actor;
  /** For the log and the journal. */
  readonly correlationId: string;
  /** Aborted when the client has gone or the service stops. */
  readonly signal: AbortSignal;
}

/** What the API counts. */
export interface ApiMetrics {
  readonly apiRequests: { inc(labels: { route: string; method: string; status: string }): void };
  readonly apiDuration: { observe(labels: { route: string; method: string }, seconds: number): void };
  readonly apiAuthFailures: { inc(labels: { reason: AuthFailure }): void };
  readonly apiEventClients: { set(count: number): void };
}

/** Dependencies of {@link Api}. */
export interface ApiOptions {
  readonly operations: readonly AnyOperation[];
  /** Creates the context that an operation runs with. */
  readonly contextFor: (call: Call) => unknown;
  readonly feeds: readonly EventFeed[];
  /** Pages for people; default: none. */
  readonly site?: Site;
  readonly keys: KeyRing;
  readonly proxy: TrustedProxy | null;
  readonly store: RequestStore & { sessionSecret(proposal: string): Promise<string> };
  /** Origins whose pages may call with a key. */
  readonly corsOrigins: readonly string[];
  /** Maximum number of clients of `/api/v1/events`. */
  readonly mostEventClients: number;
  readonly metrics: ApiMetrics;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
}

type Answer = (c: Ctx) => Promise<Response> | Response;

/** How long a stop waits for the ends of streams, in milliseconds. */
const STOP_MS = 1_000;
/** Share of the places for streams that one caller may have. */
const MOST_OF_ONE = 0.5;
const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};
const OPERATION_PROBLEMS = {
  invalid: "invalid",
  forbidden: "forbidden",
  not_found: "not_found",
  conflict: "conflict",
  stale: "stale",
  unavailable: "unavailable",
  unrecorded: "unrecorded",
} as const satisfies Record<OperationErrorCode, keyof typeof PROBLEMS>;
/** Failures that may not happen again: a repeated request runs again. */
const PASSING: readonly ProblemCode[] = ["rate_limited", "unavailable", "internal"];

/** Answers requests. {@link Api.stop} ends the streams. */
export class Api {
  readonly handler: Handler;
  readonly routes: readonly Route[];
  readonly #options: ApiOptions;
  readonly #auth: Authenticator;
  readonly #sessions: Sessions;
  readonly #hub: EventHub;
  readonly #refusals: RefusalLog;
  readonly #stop = new AbortController();
  /** Connections of streams and writes, with their callers. */
  readonly #staying = new Map<Visit, string>();
  readonly #requests: RepeatableRequests;

  constructor(options: ApiOptions) {
    const { clock, log, keys, proxy, metrics, store } = options;
    this.#options = options;
    this.#requests = new RepeatableRequests({ store, clock });
    this.#sessions = new Sessions({ keys, clock, sharedSecret: (proposal) => store.sessionSecret(proposal) });
    this.#refusals = new RefusalLog({ clock, log });
    const onFailure = (reason: AuthFailure) => metrics.apiAuthFailures.inc({ reason });
    this.#auth = new Authenticator({ keys, sessions: this.#sessions, proxy, clock, onFailure });
    this.#hub = new EventHub({
      ...{ clock, feeds: options.feeds, mostClients: options.mostEventClients },
      onClients: (count) => metrics.apiEventClients.set(count),
      onFeedFailure: (feed, error) => log.debug("api_feed_failed", `Events: ${feed} cannot be read`, { error }),
    });
    this.routes = createRoutes(options.operations);
    const app = this.#createApp();
    this.handler = (request, visit) => app.fetch(request, { visit });
  }

  /** Ends every stream and running request, and waits briefly until their connections are closed. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#hub.stop(), this.#options.site?.stop()]);
    const over = new AbortController();
    const ends = [...this.#staying.keys()].map(({ signal }) =>
      new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        else signal.addEventListener("abort", () => resolve(), { once: true });
      })
    );
    await Promise.race([
      Promise.all([...ends, this.#requests.whenOver()]),
      this.#options.clock.sleep(STOP_MS, over.signal),
    ]);
    over.abort();
  }

  /** Exempts a connection from the time limit of the port. Returns false if there are too many, or too many of this caller. */
  #stay(c: Ctx): boolean {
    const { visit } = c.env, { name } = c.get("caller").actor;
    if (this.#staying.has(visit)) return true;
    const own = [...this.#staying.values()].filter((one) => one === name).length;
    if (own >= this.#options.mostEventClients * MOST_OF_ONE) return false;
    if (this.#stop.signal.aborted || !visit.stay()) return false;
    this.#staying.set(visit, name);
    visit.signal.addEventListener("abort", () => this.#staying.delete(visit), { once: true });
    return true;
  }

  #createApp(): Hono<Env> {
    const app = new Hono<Env>();
    app.use("*", (c, next) => this.#around(c, next));
    const description = JSON.stringify(describeApi(this.routes, this.#options));
    const { store, log, site } = this.#options;
    const logins = new Logins({
      ...{ auth: this.#auth, sessions: this.#sessions, authenticate: (c) => this.#authenticate(c) },
      ...{ store, log, hasPages: site !== undefined },
    });
    const paths = new Map<string, Map<string, Answer>>();
    const on = (method: string, path: string, answer: Answer) => {
      paths.set(path, (paths.get(path) ?? new Map()).set(method, answer));
    };
    on("GET", `${API_ROOT}/openapi.json`, (c) => c.body(description, 200, { "content-type": "application/json" }));
    on("POST", "/login", (c) => logins.login(c));
    on("POST", "/login/link", (c) => logins.createLink(c));
    on("POST", "/logout", (c) => logins.logout(c));
    on("GET", `${API_ROOT}/events`, (c) => this.#events(c));
    for (const route of this.routes) on(route.http.method, route.path, (c) => this.#answer(c, route));
    for (const page of this.#options.site?.pages ?? []) on(page.method, page.path, (c) => this.#answerPage(c, page));
    for (const [path, answers] of paths) this.#addPath(app, path, answers);
    app.notFound(async (c) => {
      try {
        await this.#authenticate(c);
        throw new Problem("not_found", `Nothing is here: ${API_ROOT}/openapi.json lists all paths`);
      } catch (error) {
        return this.#refuse(c, error);
      }
    });
    app.onError((error, c) => this.#refuse(c, error));
    return app;
  }

  /**
   * Adds every method of a path. It must refuse the other methods before the next path is added: `/sources/{source}/{list}`
   * would take them for its own.
   */
  #addPath(app: Hono<Env>, path: string, answers: ReadonlyMap<string, Answer>): void {
    const pattern = path.replaceAll(/\{(\w+)\}/g, ":$1");
    const allow = [...answers.keys()].flatMap((method) => method === "GET" ? ["GET", "HEAD"] : [method]).join(", ");
    const add = (method: string, answer: Answer) =>
      app.on(method, pattern, (c) => {
        c.set("route", path);
        return answer(c);
      });
    for (const [method, answer] of answers) add(method, answer);
    app.all(pattern, async (c) => {
      c.set("route", path);
      await this.#authenticate(c);
      throw new Problem("method_not_allowed", `Use ${allow}`, { headers: { allow } });
    });
  }

  /** What every request and answer has in common. */
  async #around(c: Ctx, next: () => Promise<void>): Promise<Response | void> {
    const { metrics, clock, log } = this.#options, startedAtMs = clock.monotonicMs();
    const given = c.req.header("x-correlation-id") ?? "";
    const correlationId = CORRELATION_PATTERN.test(given) ? given : createId();
    c.set("correlationId", correlationId);
    c.set("route", "unmatched");
    const preflight = this.#preflight(c);
    if (preflight) c.res = preflight;
    else await next();
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) {
      if (!c.res.headers.has(name)) c.res.headers.set(name, value);
    }
    c.res.headers.set("x-correlation-id", correlationId);
    this.#allowOrigin(c);
    const route = c.get("route"), { status } = c.res;
    const method = /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$/.test(c.req.method) ? c.req.method : "other";
    metrics.apiRequests.inc({ route, method, status: `${Math.floor(status / 100)}xx` });
    metrics.apiDuration.observe({ route, method }, (clock.monotonicMs() - startedAtMs) / 1_000);
    const caller = this.#callerOf(c);
    log.debug("api_request", () => `${method} ${route} ${status}`, {
      ...{ correlation_id: correlationId, actor: caller?.actor.name ?? null, by: caller?.by ?? null },
      ...{ address: c.env.visit.remoteAddr.hostname, milliseconds: Math.round(clock.monotonicMs() - startedAtMs) },
    });
  }

  /** The caller, once known. */
  #callerOf(c: Ctx): Caller | undefined {
    return c.get("caller");
  }

  async #authenticate(c: Ctx): Promise<Caller> {
    const caller = await this.#auth.authenticate(c.req.raw, c.env.visit.remoteAddr.hostname);
    c.set("caller", caller);
    return caller;
  }

  async #answer(c: Ctx, route: Route): Promise<Response> {
    const caller = await this.#authenticate(c);
    this.#auth.requireRole(caller, route.operation.role);
    const { upload } = route.http, key = route.isWrite ? readIdempotencyKey(c.req.raw.headers) : null;
    const { signal } = c.env.visit;
    if (upload || route.operation.stream) return await this.#run(c, route, { body: {}, signal });
    const bytes = await readBody(c.req.raw);
    const body = parseBody(bytes, c.req.raw.headers);
    if (key === null) return await this.#run(c, route, { body, signal });
    const request = { key, actor: caller.actor.name, method: c.req.method, url: c.req.path + search(c), body: bytes };
    return await this.#requests.run(request, () => this.#finish(c, route, body));
  }

  /** Runs a write to its end, whether its client waits or not. */
  async #finish(c: Ctx, route: Route, body: Readonly<Record<string, unknown>>): Promise<RequestEnd> {
    c.set("outlivesClient", true);
    try {
      return { response: await this.#run(c, route, { body, signal: this.#stop.signal }), isFinal: true };
    } catch (error) {
      const problem = this.#toProblem(c, error);
      return { response: this.#refuse(c, problem), isFinal: !PASSING.includes(problem.code) };
    }
  }

  /** `signal`: aborted when the client has gone, if that ends the operation. */
  async #run(
    c: Ctx,
    route: Route,
    { body, signal: left }: { body: Readonly<Record<string, unknown>>; signal: AbortSignal },
  ): Promise<Response> {
    const { operation, http } = route, input = this.#readInput(c, route, body);
    const isStream = operation.stream === true || http.upload !== undefined;
    // A plan counts every message, which may take longer than the limit. Without a free place it must be quicker.
    if (isStream || route.isWrite) {
      const stays = this.#stay(c);
      if (isStream && !stays) throw busy();
    }
    const gone = new AbortController();
    const signal = AbortSignal.any([left, this.#stop.signal, gone.signal]);
    const { actor } = c.get("caller"), correlationId = c.get("correlationId");
    const context = this.#options.contextFor({ actor, correlationId, signal });
    let output: unknown;
    try {
      output = await operation.run(context, input);
    } finally {
      // What still listens to the signal would otherwise be kept until the service stops.
      if (!operation.stream) gone.abort();
    }
    if (c.req.method === "HEAD") return c.body(null, 200);
    if (operation.stream) {
      const items = await streamItems(output as AsyncIterable<unknown>, {
        clock: this.#options.clock,
        describeError: (error) => ({ error: problemDocument(this.#toProblem(c, error), correlationId) }),
        onEnd: () => gone.abort(),
      });
      return c.body(items, 200, { ...STREAM_HEADERS, "content-type": NDJSON_TYPE });
    }
    if (http.etag) c.header("etag", JSON.stringify(String((output as Record<string, unknown>)[http.etag])));
    return c.json(output as Record<string, unknown>, http.status ?? 200);
  }

  async #answerPage(c: Ctx, page: SitePage): Promise<Response> {
    const caller = page.isOpen ? null : await this.#authenticate(c);
    return await page.answer(createSiteCall(c, caller, {
      ...{ operations: this.#options.operations, contextFor: this.#options.contextFor, requests: this.#requests },
      requireRole: (known, role) => this.#auth.requireRole(known, role),
      toProblem: (error) => this.#toProblem(c, error),
      stay: () => this.#stay(c),
      stopped: this.#stop.signal,
    }));
  }

  #readInput(
    c: Ctx,
    { input, http, members }: Route,
    body: Readonly<Record<string, unknown>>,
  ): Record<string, unknown> {
    const query = groupTexts(new URL(c.req.url).searchParams);
    const path = Object.fromEntries(members.path.map((name) => [name, c.req.param(name)]));
    const ifMatch = http.ifMatch && c.req.header("if-match");
    const seen = http.ifMatch && ifMatch ? { [http.ifMatch]: ifMatch.replace(/^(?:W\/)?"(.*)"$/, "$1") } : {};
    const found = readInput(input, { path, query: { ...query, ...seen }, body });
    return http.upload ? { ...found, [http.upload]: c.req.raw.body ?? emptyBody() } : found;
  }

  async #events(c: Ctx): Promise<Response> {
    const { isValid } = await this.#authenticate(c);
    if (c.req.method === "HEAD") return c.body(null, 200, { "content-type": "text/event-stream" });
    if (this.#hub.clients >= this.#options.mostEventClients) throw busy();
    if (!this.#stay(c)) throw busy();
    const body = await this.#hub.follow({
      ...{ lastEventId: c.req.header("last-event-id") ?? null, isValid, signal: c.env.visit.signal },
    });
    if (body === null) throw busy();
    return c.body(body, 200, EVENT_STREAM_HEADERS);
  }

  #preflight(c: Ctx): Response | null {
    const origin = c.req.header("origin") ?? "";
    if (c.req.method !== "OPTIONS" || !this.#options.corsOrigins.includes(origin)) return null;
    return new Response(null, {
      status: 204,
      headers: {
        "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE",
        "access-control-allow-headers":
          "x-api-key, authorization, content-type, idempotency-key, if-match, last-event-id, x-correlation-id",
        "access-control-max-age": "600",
      },
    });
  }

  /** Without credentials: pages of other origins call with a key, never with the session of this one. */
  #allowOrigin(c: Ctx): void {
    const { corsOrigins } = this.#options, origin = c.req.header("origin");
    if (corsOrigins.length === 0) return;
    c.res.headers.append("vary", "origin");
    if (!origin || !corsOrigins.includes(origin)) return;
    c.res.headers.set("access-control-allow-origin", origin);
    c.res.headers.set("access-control-expose-headers", "etag, retry-after, x-correlation-id, idempotency-replayed");
    c.res.headers.set("cross-origin-resource-policy", "cross-origin");
  }

  #refuse(c: Ctx, error: unknown): Response {
    const problem = this.#toProblem(c, error), { status } = PROBLEMS[problem.code];
    this.#refusals.note({
      ...{ route: c.get("route"), status, code: problem.code, correlationId: c.get("correlationId") },
      ...{ address: c.env.visit.remoteAddr.hostname, actor: this.#callerOf(c)?.actor.name ?? null },
    });
    const { site } = this.#options;
    if (site && !c.req.path.startsWith("/api/") && wantsPage(c.req.raw)) {
      return site.refuse(problem, { request: c.req.raw, caller: this.#callerOf(c) ?? null });
    }
    const body = JSON.stringify(problemDocument(problem, c.get("correlationId")));
    return new Response(body, { status, headers: { ...problem.headers, "content-type": PROBLEM_TYPE } });
  }

  #toProblem(c: Ctx, error: unknown): Problem {
    if (error instanceof Problem) return error;
    const known = toOperationError(error);
    if (known !== null) {
      const headers: Record<string, string> = known.retryable ? { "retry-after": "1" } : {};
      const problems = known.problems;
      return new Problem(OPERATION_PROBLEMS[known.code], known.message, { problems, headers });
    }
    const correlation_id = c.get("correlationId");
    // An operation that is ended because its client has gone may fail in any way.
    if (c.get("outlivesClient") || !c.env.visit.signal.aborted) {
      this.#options.log.error("api_bug", `${c.get("route")} failed`, { correlation_id, error });
    }
    return new Problem("internal", "This is a bug: the log has more under this correlation id");
  }
}

function busy(): Problem {
  return new Problem("unavailable", "Too many streams are open", { headers: { "retry-after": "5" } });
}

function search(c: Ctx): string {
  return new URL(c.req.url).search;
}

function emptyBody(): ReadableStream<Uint8Array> {
  return new ReadableStream({ start: (controller) => controller.close() });
}
