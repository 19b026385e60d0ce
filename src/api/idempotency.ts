/** Runs a write once per `Idempotency-Key` of a caller, on all instances together, and repeats its answer. */
import { createHash } from "node:crypto";
import { createId } from "../runtime/random.ts";
import { fieldProblem, Problem } from "./problem.ts";

/** Where claims and answers are kept. */
export interface RequestStore {
  claim(digest: string, claim: string): Promise<string | null>;
  settle(digest: string, result: { claim: string; answer: string | null }): Promise<void>;
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

/**
 * Runs `answer`, or repeats the answer if the caller has sent this request before. Failures that may not happen again (429,
 * 5xx) are not kept. @throws {Problem} if the key belongs to another request, or the first request still runs
 */
export async function runOnce(
  store: RequestStore,
  request: RepeatableRequest,
  answer: () => Promise<Response>,
): Promise<Response> {
  const { key, actor, method, url, body } = request;
  const digest = hash(JSON.stringify([actor, key]));
  const fingerprint = hash(JSON.stringify([method, url]), body);
  const claim = JSON.stringify({ fingerprint, claim: createId() });
  const found = await store.claim(digest, claim);
  if (found !== null && found !== claim) return repeat(found, fingerprint);
  // Not waited for: after a time-out of Redis, a second one would outlast the connection.
  const forget = () => void store.settle(digest, { claim, answer: null }).catch(() => {});
  let kept: KeptAnswer | null = null;
  try {
    const response = await answer();
    const text = await response.text();
    const isFinal = response.status < 500 && response.status !== 429;
    const entries = KEPT_HEADERS.flatMap((name) => {
      const value = response.headers.get(name);
      return value === null ? [] : [[name, value]];
    });
    kept = { status: response.status, headers: Object.fromEntries(entries), body: text };
    const stored = text.length > MOST_KEPT_CHARACTERS ? TOO_LONG : kept;
    if (isFinal) await store.settle(digest, { claim, answer: JSON.stringify({ fingerprint, answer: stored }) });
    else forget();
    return toResponse(kept);
  } catch (error) {
    // What ran has run: an answer that cannot be kept is still an answer. Its claim expires by itself.
    if (kept !== null) return toResponse(kept);
    forget();
    throw error;
  }
}

function repeat(found: string, fingerprint: string): Response {
  const { fingerprint: first, answer } = JSON.parse(found) as {
    fingerprint: string;
    answer?: KeptAnswer | typeof TOO_LONG;
  };
  if (first !== fingerprint) {
    throw new Problem("key_reused", "This Idempotency-Key was used for another request: use a new one");
  }
  if (answer === undefined) {
    throw new Problem("conflict", "The first request with this Idempotency-Key has not been answered yet", {
      headers: { "retry-after": "1" },
    });
  }
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
