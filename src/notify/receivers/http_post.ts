/** Posts a notice over HTTP and judges the answer. Redirects are not followed; no message shows a path, a query or the answer's text. */
import type { ChosenProxy } from "../../config/proxy.ts";
import { type FetchOutcome, fetchStatus } from "../../runtime/bounded_fetch.ts";
import { ReceiverError, type ReceiverFailure } from "../receiver.ts";
import type { ReceiverDeps } from "./deps.ts";
import type { RenewedFile } from "./renewed_file.ts";

/** Maximum time of one exchange: PagerDuty's test takes three, one after the other. */
const EXCHANGE_TIMEOUT_MS = 10_000;
/** Most bytes of an answer that are looked at. */
const ANSWER_BYTES = 4_096;
/** Longest time that a receiver may have us wait, in milliseconds. */
const MAX_RETRY_AFTER_MS = 3_600_000;

/** A request. */
export interface HttpPost {
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
  /** Authorities that are trusted too; `null`: only the system's. */
  readonly authorities: RenewedFile | null;
  readonly signal: AbortSignal;
  /** Default: 10 s. */
  readonly timeoutMs?: number;
  /** Whether an answer with a status 2xx is that of a healthy receiver. Default: all are. */
  readonly isHealthy?: (answer: Answer) => boolean;
}

/** An answer's status and the beginning of its body. */
export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Posts JSON. Resolves when the receiver has taken it. @throws {ReceiverError} */
export async function postJson(post: HttpPost, { clock, chooseProxy }: ReceiverDeps): Promise<void> {
  const { url, headers, body, authorities, signal, timeoutMs = EXCHANGE_TIMEOUT_MS, isHealthy = () => true } = post;
  const proxy = chooseProxy(url);
  const outcome = await fetchStatus({
    ...{ url, method: "POST", body, clock, signal, timeoutMs },
    headers: { "content-type": "application/json; charset=utf-8", "user-agent": "mutt-remediation", ...headers },
    ...{ bodyBytes: ANSWER_BYTES, headerNames: ["retry-after"] },
    ...{ proxy: proxy?.url, caCert: authorities?.read().reveal() },
  });
  if (signal.aborted && outcome.kind !== "answered") throw new ReceiverError("aborted", "sending was stopped");
  const name = `${url.host}${proxy ? ` (through the proxy ${proxy.url.host})` : ""}`;
  if (outcome.kind !== "answered") throw toError(outcome, { name, proxy, timeoutMs });
  const { status, body: answer = "" } = outcome;
  if (status >= 200 && status < 300) {
    if (isHealthy({ status, body: answer })) return;
    throw new ReceiverError("lied", `${name} answered ${status}, but not as such a receiver does`);
  }
  const retryAfterMs = readRetryAfter(outcome.headers?.["retry-after"], clock.nowMs());
  throw new ReceiverError(judgeStatus(status), `${name} answered ${status}${explain(status, answer)}`, {
    retryAfterMs,
  });
}

const STATUS_FAILURES: ReadonlyMap<number, ReceiverFailure> = new Map([
  [401, "unauthorized"],
  [403, "unauthorized"],
  [404, "gone"],
  [407, "proxy"],
  [408, "unavailable"],
  [410, "gone"],
  [413, "too_large"],
  [425, "unavailable"],
  [429, "rate_limited"],
]);

function judgeStatus(status: number): ReceiverFailure {
  if (status >= 500) return "unavailable";
  if (status < 400) return "redirected";
  return STATUS_FAILURES.get(status) ?? "refused";
}

/** Slack says why in one word, such as `invalid_blocks`. Nothing else of an answer is shown: it could repeat a secret. */
function explain(status: number, body: string): string {
  const word = /^[a-z]+(?:_[a-z]+){1,5}$/.exec(body.trim())?.[0];
  if (word !== undefined && word.length <= 40) return ` (${word})`;
  return status >= 300 && status < 400 ? ": it redirects, and redirects are not followed" : "";
}

type Failure = Exclude<FetchOutcome, { kind: "answered" }>;

function toError(
  outcome: Failure,
  { name, proxy, timeoutMs }: { name: string; proxy: ChosenProxy | undefined; timeoutMs: number },
): ReceiverError {
  switch (outcome.kind) {
    case "timeout":
      return new ReceiverError("timeout", `${name} did not answer within ${timeoutMs / 1_000} s`);
    case "dns":
      return new ReceiverError("unreachable", `${proxy?.url.host ?? name} cannot be resolved`);
    case "refused":
      return new ReceiverError("unreachable", `${proxy?.url.host ?? name} refuses the connection`);
    case "proxy":
      return new ReceiverError(
        "proxy",
        `${name}: the proxy does not connect (${proxy?.variable ?? "no proxy is set"})`,
      );
    case "unreachable":
      return new ReceiverError("unreachable", `${name} cannot be reached, or closed the connection`);
    case "tls":
      return new ReceiverError("tls", `${name}: TLS failed (${outcome.flaw})`);
  }
}

/** Seconds or a date (RFC 9110, section 10.2.3); `null` if it is neither, or over. */
function readRetryAfter(text: string | undefined, nowMs: number): number | null {
  if (text === undefined) return null;
  const ms = /^\d{1,9}$/.test(text.trim()) ? Number(text) * 1_000 : Date.parse(text) - nowMs;
  return ms > 0 ? Math.min(ms, MAX_RETRY_AFTER_MS) : null;
}
