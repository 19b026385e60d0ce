/** The Moogsoft probe: sends one harmless event and judges the answer. */
import type { Secret } from "../runtime/secret.ts";
import { answeredWith } from "../observability/spans.ts";
import type { Span } from "../observability/tracing.ts";
import { type Clock, toIso } from "../runtime/clock.ts";
import type { ChosenProxy } from "../config/proxy.ts";
import { type FetchOutcome, fetchStatus } from "../runtime/bounded_fetch.ts";
import type { GateReason } from "../gates/gate.ts";
import { describeAnswer, describeFailure } from "../gates/fetch_words.ts";

/** The `source` of a probe's event. Moogsoft should auto-close events from it (seed, "Note for Operations"). */
export const PROBE_SOURCE = "MUTT_HEALTH_CHECK";

/** The probe inputs that can change at run time. */
export interface ProbeAccess {
  /** `MOOG_API_KEY`. */
  readonly apiKey: Secret | undefined;
  /** Content of the file `MOOG_CA_CERT_PATH`. */
  readonly caCert: string | undefined;
}

/** Options of {@link sendProbe}. */
export interface ProbeRequest {
  readonly url: URL;
  /** Sent as `Authorization: Bearer`, as MUTT's forwarder does. Overrides credentials in the URL. */
  readonly apiKey: Secret | undefined;
  /** See {@link FetchRequest.caCert}. */
  readonly caCert?: string | undefined;
  /** See {@link FetchRequest.proxy}. */
  readonly proxy?: URL | undefined;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** The span that records the probe. Default: none. */
  readonly span?: Span;
  /** Replaced in tests. */
  readonly fetch?: typeof fetch;
}

/** Posts one probe event, with the payload of the original. Never rejects; takes at most `timeoutMs`. */
export async function sendProbe({ apiKey, span, ...request }: ProbeRequest): Promise<FetchOutcome> {
  const traceparent = span?.traceparent();
  // Empty until Vault has been read.
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

/** Returns the probe's event as JSON. */
export function formatProbe(nowMs: number): string {
  return JSON.stringify({
    source: PROBE_SOURCE,
    description: "Health check probe - auto-close",
    severity: "clear",
    check_id: `health_check_${Math.floor(nowMs / 1000)}`,
    timestamp: toIso(nowMs),
  });
}

/** Judgement of a probe's outcome. */
export interface ProbeVerdict {
  readonly reason: GateReason<"downstream">;
  /** Contains hosts and ports, never credentials, path or query. */
  readonly detail: string;
  /** HTTP status of the answer; absent if there was none. */
  readonly status?: number;
}

/** Judges an outcome. `address` is the `host:port` that was probed. Pure. */
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
  if (successCodes.includes(status)) return { reason: "healthy", detail: seen, status };
  if (status === 202) return { reason: "probe_202", detail: `${seen}, which its consumer treats as a failure`, status };
  const check = whatToCheck(status, proxy);
  return check === undefined
    ? { reason: "unhealthy", detail: `${seen} (MOOG_WEBHOOK_URL)`, status }
    : { reason: "probe_rejected", detail: `${seen}; check ${check}`, status };
}

const PROBE_SETTINGS = { url: "MOOG_WEBHOOK_URL", timeout: "MOOG_HEALTH_TIMEOUT", authority: "MOOG_CA_CERT_PATH" };

/** Returns the setting to check if waiting will not change the answer, else `undefined`. */
function whatToCheck(status: number, proxy: ChosenProxy | undefined): string | undefined {
  if (status === 401 || status === 403) return "MOOG_API_KEY";
  if (status === 404) return "the path of MOOG_WEBHOOK_URL";
  if (status === 407 && proxy) return `the proxy's user and password in ${proxy.variable}`;
  if (status >= 300 && status < 400) return "MOOG_WEBHOOK_URL: it redirects, and redirects are not followed";
  return undefined;
}
