/** The Moogsoft probe: one harmless event, and what its answer says. */
import type { Secret } from "../config/secret.ts";
import { answeredWith } from "../observability/spans.ts";
import type { Span } from "../observability/tracing.ts";
import { type Clock, toIso } from "../runtime/clock.ts";
import { exchange, type ExchangeOutcome } from "../runtime/exchange.ts";

/** The `source` of a probe's event; Moogsoft is to auto-close on it (seed, "Note for Operations"). */
export const PROBE_SOURCE = "MUTT_HEALTH_CHECK";

/** Why the downstream gate is open or closed. Closed set. */
export const DOWNSTREAM_REASONS = [
  "disabled",
  "no_url",
  "unknown",
  "healthy",
  "probe_rejected",
  "probe_202",
  "unhealthy",
  "timeout",
  "unreachable",
] as const;
/** One of {@link DOWNSTREAM_REASONS}. */
export type DownstreamReason = (typeof DOWNSTREAM_REASONS)[number];

/** What {@link sendProbe} needs. */
export interface ProbeRequest {
  readonly url: URL;
  /** Sent as `Authorization: Bearer`, as MUTT's forwarder does; it wins over credentials in the URL. */
  readonly apiKey: Secret | undefined;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** The span that it is sent in; default: none. */
  readonly span?: Span;
  /** Replaced in tests. */
  readonly fetch?: typeof fetch;
}

/** Posts one probe event, with the payload of the original. Never rejects; takes at most `timeoutMs`. */
export async function sendProbe({ apiKey, span, ...request }: ProbeRequest): Promise<ExchangeOutcome> {
  const traceparent = span?.traceparent();
  // Empty: Vault, which has it, has not been read yet.
  const key = apiKey?.reveal() ?? "";
  const outcome = await exchange({
    ...request,
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(key === "" ? {} : { authorization: `Bearer ${key}` }),
      ...(traceparent === undefined ? {} : { traceparent }),
    },
    body: formatProbe(request.clock.nowMs()),
  });
  if (outcome.kind === "answered") span?.set(answeredWith(outcome.status));
  const isFailure = outcome.kind !== "answered" || outcome.status >= 400;
  if (isFailure) span?.fail(outcome.kind === "answered" ? String(outcome.status) : outcome.kind);
  return outcome;
}

/** The probe's event as JSON. */
export function formatProbe(nowMs: number): string {
  return JSON.stringify({
    source: PROBE_SOURCE,
    description: "Health check probe - auto-close",
    severity: "clear",
    check_id: `health_check_${Math.floor(nowMs / 1000)}`,
    timestamp: toIso(nowMs),
  });
}

/** What a probe's outcome means. */
export interface ProbeVerdict {
  readonly reason: DownstreamReason;
  /** Names host and port only: never credentials, path or query. */
  readonly detail: string;
}

/** Judges an outcome. `address` is the `host:port` that was asked. Pure. */
export function judgeProbe(outcome: ExchangeOutcome, { successCodes, address }: {
  readonly successCodes: readonly number[];
  readonly address: string;
}): ProbeVerdict {
  if (outcome.kind === "timeout") {
    return { reason: "timeout", detail: `${address} did not answer within MOOG_HEALTH_TIMEOUT` };
  }
  if (outcome.kind === "unreachable") {
    return {
      reason: "unreachable",
      detail: `${address} cannot be reached, or broke the connection off (MOOG_WEBHOOK_URL)`,
    };
  }
  const { status } = outcome;
  if (successCodes.includes(status)) return { reason: "healthy", detail: `${address} answered ${status}` };
  if (status === 202) {
    return { reason: "probe_202", detail: `${address} answered 202, which its consumer takes for a failure` };
  }
  const check = whatToCheck(status);
  return check === undefined
    ? { reason: "unhealthy", detail: `${address} answered ${status} (MOOG_WEBHOOK_URL)` }
    : { reason: "probe_rejected", detail: `${address} answered ${status}; check ${check}` };
}

/** The setting behind an answer that waiting will not change; `undefined` for any other answer. */
function whatToCheck(status: number): string | undefined {
  if (status === 401 || status === 403) return "MOOG_API_KEY";
  if (status === 404) return "the path of MOOG_WEBHOOK_URL";
  if (status >= 300 && status < 400) return "MOOG_WEBHOOK_URL: it redirects, and redirects are not followed";
  return undefined;
}
