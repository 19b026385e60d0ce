/** The Moogsoft probe: one harmless event, and what its answer says. */
import type { Secret } from "../runtime/secret.ts";
import { answeredWith } from "../observability/spans.ts";
import type { Span } from "../observability/tracing.ts";
import { type Clock, toIso } from "../runtime/clock.ts";
import type { ChosenProxy } from "../config/proxy.ts";
import { type FetchOutcome, fetchStatus } from "../runtime/bounded_fetch.ts";
import type { GateReason } from "../gates/gate.ts";
import { describeAnswer, describeFailure } from "../gates/fetch_words.ts";

/** The `source` of a probe's event; Moogsoft is to auto-close on it (seed, "Note for Operations"). */
export const PROBE_SOURCE = "MUTT_HEALTH_CHECK";

/** What changes under a running service, as it is now. */
export interface ProbeAccess {
  /** `MOOG_API_KEY`. */
  readonly apiKey: Secret | undefined;
  /** The text of `MOOG_CA_CERT_PATH`. */
  readonly caCert: string | undefined;
}

/** What {@link sendProbe} needs. */
export interface ProbeRequest {
  readonly url: URL;
  /** Sent as `Authorization: Bearer`, as MUTT's forwarder does; it wins over credentials in the URL. */
  readonly apiKey: Secret | undefined;
  /** See {@link FetchRequest.caCert}. */
  readonly caCert?: string | undefined;
  /** See {@link FetchRequest.proxy}. */
  readonly proxy?: URL | undefined;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** The span that it is sent in; default: none. */
  readonly span?: Span;
  /** Replaced in tests. */
  readonly fetch?: typeof fetch;
}

/** Posts one probe event, with the payload of the original. Never rejects; takes at most `timeoutMs`. */
export async function sendProbe({ apiKey, span, ...request }: ProbeRequest): Promise<FetchOutcome> {
  const traceparent = span?.traceparent();
  // Empty: Vault, which has it, has not been read yet.
  const key = apiKey?.reveal() ?? "";
  const outcome = await fetchStatus({
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
  readonly reason: GateReason<"downstream">;
  /** Names hosts and ports only: never credentials, path or query. */
  readonly detail: string;
}

/** Judges an outcome. `address` is the `host:port` that was asked. Pure. */
export function judgeProbe(outcome: FetchOutcome, { successCodes, address, proxy }: {
  readonly successCodes: readonly number[];
  readonly address: string;
  readonly proxy?: ChosenProxy | undefined;
}): ProbeVerdict {
  if (outcome.kind !== "answered") {
    const detail = describeFailure(outcome, { ...PROBE_SETTINGS, address, proxy });
    return { reason: outcome.kind, detail };
  }
  const { status } = outcome;
  const seen = describeAnswer(status, { address, proxy });
  if (successCodes.includes(status)) return { reason: "healthy", detail: seen };
  if (status === 202) return { reason: "probe_202", detail: `${seen}, which its consumer takes for a failure` };
  const check = whatToCheck(status, proxy);
  return check === undefined
    ? { reason: "unhealthy", detail: `${seen} (MOOG_WEBHOOK_URL)` }
    : { reason: "probe_rejected", detail: `${seen}; check ${check}` };
}

const PROBE_SETTINGS = { url: "MOOG_WEBHOOK_URL", timeout: "MOOG_HEALTH_TIMEOUT", authority: "MOOG_CA_CERT_PATH" };

/** The setting behind an answer that waiting will not change; `undefined` for any other answer. */
function whatToCheck(status: number, proxy: ChosenProxy | undefined): string | undefined {
  if (status === 401 || status === 403) return "MOOG_API_KEY";
  if (status === 404) return "the path of MOOG_WEBHOOK_URL";
  if (status === 407 && proxy) return `the proxy's user and password in ${proxy.variable}`;
  if (status >= 300 && status < 400) return "MOOG_WEBHOOK_URL: it redirects, and redirects are not followed";
  return undefined;
}
