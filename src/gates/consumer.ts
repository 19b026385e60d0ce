/** Gate `consumer`: open while the service that reads the target is alive. */
import type { ChooseProxy } from "../config/proxy.ts";
import type { RedisClient } from "../redis/cluster.ts";
import type { Log } from "../observability/log.ts";
import type { Clock } from "../runtime/clock.ts";
import { CachedLookup } from "../lifecycle/cached_lookup.ts";
import { type FetchOutcome, fetchStatus } from "../runtime/bounded_fetch.ts";
import { type Asked, describeAnswer, describeFailure } from "./fetch_words.ts";
import type { Gate, GateAnswer } from "./gate.ts";
import { Heartbeats, type HeartbeatState } from "./heartbeats.ts";

/** When to ask again while an answer is pending, in milliseconds. */
const UNKNOWN_RETRY_MS = 100;
/** When to ask again about a consumer that is gone, in milliseconds; asking costs one EXISTS. */
const GONE_RETRY_MS = 1000;
/** Shortest interval between requests to the health URL, and their timeout. */
const HEALTH_URL_EVERY_MS = 10_000;
const HEALTH_URL_TIMEOUT_MS = 5000;

/** Values of `REMEDIATION_CONSUMER_GATE`. */
export const CONSUMER_GATE_MODES = ["auto", "required", "off"] as const;
/** One of {@link CONSUMER_GATE_MODES}. */
export type ConsumerGateMode = (typeof CONSUMER_GATE_MODES)[number];

/** Dependencies and settings of a {@link ConsumerGate}. */
export interface ConsumerGateOptions {
  readonly mode: ConsumerGateMode;
  /** Heartbeat keys are `<prefix>:<pod>`, e.g. `mutt:heartbeat:alerter`; `null`: the consumer has none. */
  readonly heartbeatPrefix: string | null;
  /** URL that answers 200 while the consumer works; `undefined`: no request is sent. */
  readonly healthUrl: URL | undefined;
  /** Name of the setting that holds that URL, for messages; default `ALERTER_HEALTH_URL`. */
  readonly healthUrlFrom?: string;
  /** Chooses the proxy for that URL; default: none. */
  readonly chooseProxy?: ChooseProxy;
  readonly redis: RedisClient;
  readonly clock: Clock;
  readonly log: Log;
  /** Called with the error of each failed Redis call, to count it. */
  readonly onRedisError?: (error: unknown) => void;
  /** Replaced in tests. */
  readonly fetch?: typeof fetch;
}

type ConsumerAnswer = GateAnswer<"consumer">;

/**
 * Judges a consumer by its heartbeats, and by its health URL if one is set. `auto`: the gate is open (`unknown`) until the
 * first heartbeat is seen, and closed if heartbeats then stop. `required`: the gate is open only while a heartbeat is present.
 * Which heartbeats were seen is kept in memory only.
 */
export class ConsumerGate implements Gate<"consumer"> {
  readonly name = "consumer";
  readonly #options: ConsumerGateOptions;
  readonly #heartbeats: Heartbeats | null;
  readonly #health: HealthUrl | undefined;
  #warnedForbidden = false;

  constructor(options: ConsumerGateOptions) {
    const { heartbeatPrefix: prefix, healthUrl } = options;
    this.#options = options;
    this.#heartbeats = prefix === null ? null : new Heartbeats({ ...options, prefix });
    this.#health = healthUrl === undefined ? undefined : new HealthUrl(options, healthUrl);
  }

  /** Starts the first lookup, so that the first {@link ConsumerGate.ask} has an answer. Optional. */
  start(): void {
    // stop() awaits the lookup.
    void this.whenKnown();
  }

  /** Sends one EXISTS for each known heartbeat; lookups and health requests run in the background. Never rejects. */
  async ask(): Promise<ConsumerAnswer> {
    if (this.#options.mode === "off") return OFF;
    const health = this.#health?.answer();
    if (this.#heartbeats === null) return health ?? NOT_ASKED;
    const heartbeat = this.#judge(await this.#heartbeats.ask());
    return heartbeat.open && health !== undefined ? health : heartbeat;
  }

  /** Resolves once the heartbeat lookup and the health request have ended, successfully or not. */
  async whenKnown(): Promise<void> {
    if (this.#options.mode === "off") return;
    await Promise.all([this.#heartbeats?.whenKnown(), this.#health?.fact.whenKnown()]);
  }

  /** Stops the background work and waits for it. Safe to call twice. */
  async stop(): Promise<void> {
    await Promise.all([this.#heartbeats?.stop(), this.#health?.fact.stop()]);
  }

  #judge(state: HeartbeatState): ConsumerAnswer {
    const keys = `${this.#options.heartbeatPrefix}:*`;
    const required = this.#options.mode === "required";
    switch (state) {
      case "alive":
        return { open: true, reason: "alive", detail: `heartbeat ${keys} is present` };
      case "gone":
        return closed(
          "gone",
          `heartbeat ${keys} is gone: the consumer has stopped (REMEDIATION_CONSUMER_GATE)`,
          GONE_RETRY_MS,
        );
      case "never_seen":
        return required
          ? closed("never_seen", `no heartbeat ${keys} yet, and REMEDIATION_CONSUMER_GATE is required`, GONE_RETRY_MS)
          : { open: true, reason: "unknown", detail: `no heartbeat ${keys} has been seen yet` };
      case "forbidden":
        this.#warnForbidden(keys);
        return { ...closed("unknown", `the Redis user may not read ${keys}`, GONE_RETRY_MS), open: !required };
      case "looking":
        return this.#uncertain(closed("unknown", `looking for heartbeat ${keys}`, UNKNOWN_RETRY_MS));
      case "failed":
        return this.#uncertain(closed("unknown", `Redis did not answer the request for ${keys}`, GONE_RETRY_MS));
    }
  }

  /** Closes the gate until the answer is known. `auto` does not wait for a consumer that was never seen. */
  #uncertain(answer: ConsumerAnswer): ConsumerAnswer {
    return { ...answer, open: this.#options.mode === "auto" && !this.#heartbeats?.everSeen };
  }

  #warnForbidden(keys: string): void {
    if (this.#warnedForbidden) return;
    this.#warnedForbidden = true;
    this.#options.log.warning(
      "consumer_forbidden",
      `Remediation: cannot tell whether the consumer is alive: the Redis user may not read ${keys} (SCAN, EXISTS)`,
    );
  }
}

const OFF: ConsumerAnswer = { open: true, reason: "off", detail: "REMEDIATION_CONSUMER_GATE is off" };

const NOT_ASKED: ConsumerAnswer = {
  open: true,
  reason: "off",
  detail: "the consumer has neither a heartbeat nor a health URL",
};

function closed(reason: ConsumerAnswer["reason"], detail: string, retryInMs: number): ConsumerAnswer {
  return { open: false, reason, detail, retryInMs };
}

/** Requests the consumer's health URL in the background. */
class HealthUrl {
  readonly fact: CachedLookup<FetchOutcome>;
  readonly #asked: Asked;
  readonly #from: string;

  constructor({ clock, fetch, healthUrlFrom = "ALERTER_HEALTH_URL", chooseProxy }: ConsumerGateOptions, url: URL) {
    const proxy = chooseProxy?.(url);
    this.#asked = { address: url.host, proxy };
    this.#from = healthUrlFrom;
    this.fact = new CachedLookup({
      clock,
      freshMs: HEALTH_URL_EVERY_MS,
      graceMs: (outcome) => isOk(outcome) ? HEALTH_URL_EVERY_MS + HEALTH_URL_TIMEOUT_MS : Infinity,
      find: async (signal) => {
        const timeoutMs = HEALTH_URL_TIMEOUT_MS;
        const request = { url, method: "GET", timeoutMs, clock, signal, proxy: proxy?.url } as const;
        const value = await fetchStatus(fetch === undefined ? request : { ...request, fetch });
        signal.throwIfAborted();
        return { value, ageMs: 0 };
      },
    });
  }

  answer(): ConsumerAnswer {
    const outcome = this.fact.current();
    if (outcome === undefined) {
      return closed("unknown", `${this.#asked.address} has not answered yet`, UNKNOWN_RETRY_MS);
    }
    if (isOk(outcome)) return { open: true, reason: "alive", detail: describeAnswer(200, this.#asked) };
    const seen = outcome.kind === "answered"
      ? `${describeAnswer(outcome.status, this.#asked)} (${this.#from})`
      : describeFailure(outcome, {
        ...this.#asked,
        url: this.#from,
        timeout: `${HEALTH_URL_TIMEOUT_MS / 1_000} s (${this.#from})`,
      });
    const retryInMs = Math.max(UNKNOWN_RETRY_MS, Math.ceil(this.fact.freshForMs()));
    return closed("health_url_failed", seen, retryInMs);
  }
}

function isOk(outcome: FetchOutcome): boolean {
  return outcome.kind === "answered" && outcome.status === 200;
}
