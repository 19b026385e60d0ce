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

const KEY_PATTERN = /^[\x21-\x7e]{1,128}$/;
/** Headers that belong to an answer and not to a connection. */
const KEPT_HEADERS = ["content-type", "etag"];

/** Reads the header. @throws {Problem} if it cannot be used */
export function readIdempotencyKey(headers: Headers): string | null {
  const key = headers.get("idempotency-key");
  if (key === null || KEY_PATTERN.test(key)) return key;
  const wanted = "1 to 128 visible ASCII characters";
  throw fieldProblem({ field: "Idempotency-Key", in: "header", value: null, wanted });
}

/**
 * Runs `answer` unless the caller has sent this request before; then returns what was answered. Failures that may not
 * happen again (429, 5xx) are not kept. @throws {Problem} if the key belongs to another request, or that one still runs
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
  const stored = await store.claim(digest, claim);
  if (stored !== null && stored !== claim) return repeat(stored, fingerprint);
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
    await store.settle(digest, { claim, answer: isFinal ? JSON.stringify({ fingerprint, answer: kept }) : null });
    return toResponse(kept);
  } catch (error) {
    // What ran has run: an answer that cannot be kept is still an answer. Its claim expires by itself.
    if (kept !== null) return toResponse(kept);
    await store.settle(digest, { claim, answer: null }).catch(() => {});
    throw error;
  }
}

function repeat(stored: string, fingerprint: string): Response {
  const { fingerprint: first, answer } = JSON.parse(stored) as { fingerprint: string; answer?: KeptAnswer };
  if (first !== fingerprint) {
    throw new Problem("key_reused", "This Idempotency-Key was used for another request: use a new one");
  }
  if (answer === undefined) {
    throw new Problem("conflict", "The first request with this Idempotency-Key has not been answered yet", {
      headers: { "retry-after": "1" },
    });
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
