/** Runs a write once per `Idempotency-Key` of a caller, on all instances together, and repeats its answer. */
import { createHash } from "node:crypto";
import type { Clock } from "../runtime/clock.ts";
import { createId } from "../runtime/random.ts";
import { fieldProblem, Problem } from "./problem.ts";

/** Where claims and answers are kept. */
export interface RequestStore {
  claim(digest: string, claim: string): Promise<string | null>;
  /** Lets a claim live longer. */
  renew(digest: string, claim: string): Promise<void>;
  /** Keeps the answer; `null`: the request may be repeated at once. `isPassing`: only long enough for those who wait for it. */
  settle(digest: string, result: { claim: string; answer: string | null; isPassing?: boolean }): Promise<void>;
}

/** An answer as it is kept. */
export interface KeptAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A request that may be repeated. */
export interface RepeatableRequest {
  readonly key: string;
  readonly actor: string;
  readonly method: string;
  readonly url: string;
  readonly body: Uint8Array;
}

/** Keys that are accepted. */
export const KEY_PATTERN = /^[\x21-\x7e]{1,128}$/;
/** How long a request is waited for, in milliseconds: within the limits of the port and of proxies. */
export const PATIENCE_MS = 8_000;
/** Time between two renewals of a claim, in milliseconds: a third of its life. */
const RENEW_MS = 20_000;
/** Most requests that run at a time. */
const MOST_RUNNING = 64;
/** Maximum length of the body of a kept answer, in characters, and what is kept instead of a longer one. */
const MOST_KEPT_CHARACTERS = 262_144, TOO_LONG = "too_long";
/** Headers that belong to an answer and not to a connection. */
const KEPT_HEADERS = ["content-type", "etag"];

/** Reads the header; `null` without one. @throws {Problem} if its value is not valid */
export function readIdempotencyKey(headers: Headers): string | null {
  const key = headers.get("idempotency-key");
  if (key === null || KEY_PATTERN.test(key)) return key;
  const wanted = "1 to 128 visible ASCII characters";
  throw fieldProblem({ field: "Idempotency-Key", in: "header", value: null, wanted });
}

/** How a request ended. */
export interface RequestEnd {
  readonly response: Response;
  /** Whether a repetition gets the same answer; else it runs again. */
  readonly isFinal: boolean;
}

/**
 * Runs requests of one instance. A request goes on when its client has gone or has waited for {@link PATIENCE_MS}: its repetition
 * gets the answer.
 */
export class RepeatableRequests {
  readonly #store: RequestStore;
  readonly #clock: Clock;
  readonly #running = new Set<Promise<Response>>();

  constructor({ store, clock }: { store: RequestStore; clock: Clock }) {
    this.#store = store;
    this.#clock = clock;
  }

  /**
   * Runs `answer`, or repeats the answer if the caller has sent this request before.
   * @throws {Problem} if the key belongs to another request, or the request still runs
   */
  async run(request: RepeatableRequest, answer: () => Promise<RequestEnd>): Promise<Response> {
    const { key, actor, method, url, body } = request;
    const digest = hash(JSON.stringify([actor, key]));
    const fingerprint = hash(JSON.stringify([method, url]), body);
    const claim = JSON.stringify({ fingerprint, claim: createId() });
    if (this.#running.size >= MOST_RUNNING) {
      throw new Problem("unavailable", "Too many requests are running", { headers: { "retry-after": "5" } });
    }
    const found = await this.#store.claim(digest, claim);
    if (found !== null && found !== claim) return repeat(found, fingerprint);
    const state = { isAwaited: false };
    const running = this.#finish({ digest, claim, fingerprint, state }, answer);
    this.#running.add(running);
    const isOver = new AbortController();
    const first = Promise.race([running, this.#clock.sleep(PATIENCE_MS, isOver.signal)]);
    const end = () => {
      this.#running.delete(running);
      isOver.abort();
    };
    void running.then(end, end); // the client may not wait for it
    const response = await first;
    state.isAwaited = response === undefined;
    return response ?? stillRuns();
  }

  /** Resolves when no request runs. */
  async whenOver(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  async #finish(
    { digest, claim, fingerprint, state }: {
      digest: string;
      claim: string;
      fingerprint: string;
      /** Whether a client was told to ask again for the answer: then it gets this one, and the request does not run again for it. */
      state: { readonly isAwaited: boolean };
    },
    answer: () => Promise<RequestEnd>,
  ): Promise<Response> {
    // Not waited for: after a time-out of Redis, a second one would outlast the connection.
    const forget = () => void this.#store.settle(digest, { claim, answer: null }).catch(() => {});
    const isOver = new AbortController();
    void this.#keepClaim(digest, claim, isOver.signal);
    let kept: KeptAnswer | null = null;
    try {
      const { response, isFinal } = await answer();
      const text = await response.text();
      const entries = KEPT_HEADERS.flatMap((name) => {
        const value = response.headers.get(name);
        return value === null ? [] : [[name, value]];
      });
      kept = { status: response.status, headers: Object.fromEntries(entries), body: text };
      const stored = text.length > MOST_KEPT_CHARACTERS ? TOO_LONG : kept;
      isOver.abort();
      if (isFinal || state.isAwaited) {
        const kept = { claim, answer: JSON.stringify({ fingerprint, answer: stored }), isPassing: !isFinal };
        await this.#store.settle(digest, kept);
      } else forget();
      return toResponse(kept);
    } catch (error) {
      // What ran has run: an answer that cannot be kept is still an answer. Its claim expires by itself.
      if (kept !== null) return toResponse(kept);
      forget();
      throw error;
    } finally {
      isOver.abort();
    }
  }

  /** A claim that expires lets the request run twice. A failure passes: the claim lasts for several attempts. */
  async #keepClaim(digest: string, claim: string, signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#clock.sleep(RENEW_MS, signal);
      if (signal.aborted) return;
      await this.#store.renew(digest, claim).catch(() => {});
    }
  }
}

function stillRuns(): never {
  throw new Problem(
    "in_progress",
    "The request still runs: send it again with the same Idempotency-Key for its answer",
    {
      headers: { "retry-after": "1" },
    },
  );
}

function repeat(found: string, fingerprint: string): Response {
  const { fingerprint: first, answer } = JSON.parse(found) as {
    fingerprint: string;
    answer?: KeptAnswer | typeof TOO_LONG;
  };
  if (first !== fingerprint) {
    throw new Problem("key_reused", "This Idempotency-Key was used for another request: use a new one");
  }
  if (answer === undefined) stillRuns();
  if (answer === TOO_LONG) {
    throw new Problem(
      "conflict",
      "The first request with this Idempotency-Key has run; its answer was too long to keep",
    );
  }
  return toResponse({ ...answer, headers: { ...answer.headers, "idempotency-replayed": "true" } });
}

function toResponse({ status, headers, body }: KeptAnswer): Response {
  return new Response(status === 204 ? null : body, { status, headers });
}

function hash(...parts: readonly (string | Uint8Array)[]): string {
  const digest = createHash("sha256");
  for (const part of parts) digest.update(part);
  return digest.digest("hex");
}
