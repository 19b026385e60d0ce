/** Posts batches of spans for the SDK's OTLP exporter, and logs when the collector stops and starts taking them. */
import type { ExportResponse, IExporterTransport } from "@opentelemetry/otlp-exporter-base";
import { OutageLog } from "../lifecycle/outage_log.ts";
import type { Log } from "../observability/log.ts";
import type { Clock } from "../runtime/clock.ts";
import { type FetchOutcome, fetchStatus } from "../runtime/bounded_fetch.ts";
import type { Secret } from "../runtime/secret.ts";

/** Pause before a batch is sent again; each further pause is half as long again. */
const FIRST_PAUSE_MS = 1_000;
/** Statuses after which OTLP/HTTP repeats a batch (OTLP specification, "Retryable Response Codes"). */
const RETRYABLE_STATUSES: readonly number[] = [429, 502, 503, 504];

const EXPLAINED: Readonly<Record<Exclude<FetchOutcome["kind"], "answered">, string>> = {
  timeout: "no answer in time",
  dns: "its name, or its proxy's, is not known to DNS",
  refused: "nothing listens there, or where its proxy should be",
  proxy: "its proxy does not connect to it",
  tls: "its certificate is not trusted, or it speaks no TLS there",
  unreachable: "it cannot be reached, or speaks no HTTP there; OTLP/HTTP is on port 4318",
};

/** What an {@link OtlpTransport} needs. */
export interface OtlpTransportOptions {
  /** Batches are posted here. */
  readonly url: URL;
  /** The proxy for `url`; default: none. */
  readonly proxy?: URL | undefined;
  readonly encoding: "protobuf" | "json";
  /** Sent with each batch; the values may be keys. */
  readonly headers: Readonly<Record<string, Secret>>;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * The SDK's own transport takes only HTTP proxies, bounds the time between two bytes instead of the whole exchange, and cannot
 * be aborted. This one goes through {@link fetchStatus}.
 */
export class OtlpTransport implements IExporterTransport {
  readonly #options: OtlpTransportOptions;
  readonly #countLost: () => number;
  readonly #outages: OutageLog;
  readonly #finishing = new AbortController();
  readonly #aborting = new AbortController();

  /** `countLost`: spans that were not sent so far, for the line about the recovery. */
  constructor(options: OtlpTransportOptions, countLost: () => number) {
    this.#options = options;
    this.#countLost = countLost;
    this.#outages = new OutageLog(options);
  }

  /** Whether the last batch failed. */
  isDown(): boolean {
    return this.#outages.isDown();
  }

  /** Sends each batch at most once from now on. */
  finish(): void {
    this.#finishing.abort();
  }

  /** Aborts what is being sent, and fails every batch from now on. Safe to call twice. */
  shutdown(): void {
    this.#aborting.abort();
  }

  /** Sends one batch, within `timeoutMs` including retries. Never rejects. */
  async send(data: Uint8Array, timeoutMs: number): Promise<ExportResponse> {
    const outcome = await this.#post(new Uint8Array(data), timeoutMs);
    if (isTaken(outcome)) {
      this.#logSuccess();
      return { status: "success" };
    }
    this.#logFailure(outcome);
    return { status: "failure", error: new Error(outcome.kind) };
  }

  async #post(body: Uint8Array<ArrayBuffer>, timeoutMs: number): Promise<FetchOutcome> {
    const { url, proxy, encoding, clock, headers } = this.#options;
    const revealed = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value.reveal()]));
    const endMs = clock.monotonicMs() + timeoutMs, { signal } = this.#aborting;
    for (let pauseMs = FIRST_PAUSE_MS;; pauseMs *= 1.5) {
      const outcome = await fetchStatus({
        ...{ url, proxy, method: "POST", body, clock, signal },
        headers: { ...revealed, "content-type": encoding === "json" ? "application/json" : "application/x-protobuf" },
        timeoutMs: Math.max(0, endMs - clock.monotonicMs()),
      });
      if (signal.aborted && outcome.kind !== "answered") return { kind: "timeout" };
      if (!isRetryable(outcome) || clock.monotonicMs() + pauseMs >= endMs) return outcome;
      await clock.sleep(pauseMs, this.#finishing.signal);
      if (this.#finishing.signal.aborted) return outcome;
    }
  }

  #logFailure(outcome: FetchOutcome): void {
    const { host } = this.#options.url, { kind } = outcome;
    const status = kind === "answered" ? { status: outcome.status } : {};
    const why = kind === "answered" ? `answered ${outcome.status}` : EXPLAINED[kind];
    // One cause for all: a collector that fails in two ways in turn logs once.
    this.#outages.down("not_sent", {
      event: "spans_not_sent",
      message:
        `Remediation: ${host} does not take the spans (${why}); they are dropped and counted, nothing else waits for it`,
      fields: { host, reason: kind, ...status },
    });
  }

  #logSuccess(): void {
    const { host } = this.#options.url, dropped = this.#countLost();
    this.#outages.up(({ lasted }) => ({
      event: "spans_sent",
      message: `Remediation: ${host} takes the spans again after ${lasted}; ${dropped} were lost`,
      fields: { host, dropped },
    }));
  }
}

function isTaken(outcome: FetchOutcome): boolean {
  return outcome.kind === "answered" && outcome.status >= 200 && outcome.status < 300;
}

function isRetryable(outcome: FetchOutcome): boolean {
  return outcome.kind === "answered" ? RETRYABLE_STATUSES.includes(outcome.status) : outcome.kind !== "timeout";
}
