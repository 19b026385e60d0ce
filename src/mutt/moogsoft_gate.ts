/** Gate `downstream`: open while the probe shows that Moogsoft accepts events. */
import type { RedisClient } from "../redis/cluster.ts";
import type { ChooseProxy, ChosenProxy } from "../config/proxy.ts";
import { whyMoogsoftIsNotAsked } from "../config/rules.ts";
import type { Log } from "../observability/log.ts";
import { redisErrorCode } from "../redis/errors.ts";
import type { Clock } from "../runtime/clock.ts";
import { CachedLookup, type LookupResult, unlessAborted } from "../lifecycle/cached_lookup.ts";
import type { FetchOutcome } from "../runtime/bounded_fetch.ts";
import type { Gate, GateAnswer, GateReason } from "../gates/gate.ts";
import { HealthLog } from "../lifecycle/outage_log.ts";
import { judgeProbe, PROBE_SOURCE, type ProbeAccess, type ProbeVerdict, sendProbe } from "./moogsoft_probe.ts";
import { type Asking, type ProbeClaim, probeKey, SharedProbe } from "./shared_probe.ts";

/** Retry time while the first probe runs, in milliseconds. */
const UNKNOWN_RETRY_MS = 100;
/** Interval at which a replica checks for the result of another replica's probe, in milliseconds. */
const WATCH_MS = 100;
/** Interval at which a replica checks for a renewed key or certificate, in milliseconds. */
const LOOK_EVERY_MS = 2_000;
/** Time that a claim's lease outlasts a probe, in milliseconds, so that the reply can reach Redis. */
const LEASE_MARGIN_MS = 1000;

/** Options of {@link MoogsoftGate}. */
export interface MoogsoftGateOptions {
  /** `MOOG_HEALTH_CHECK_ENABLED`. */
  readonly enabled: boolean;
  /** `MOOG_WEBHOOK_URL`; `undefined` if empty. */
  readonly url: URL | undefined;
  /** Reads the probe's current key and certificate. Called every few seconds. Must not throw. */
  readonly access: () => ProbeAccess;
  /** Chooses the probe's proxy. Default: none. */
  readonly chooseProxy?: ChooseProxy;
  /** `MOOG_HEALTH_TIMEOUT`, in milliseconds. */
  readonly timeoutMs: number;
  /** `MOOG_HEALTH_CACHE_SECONDS`, in milliseconds. */
  readonly cacheMs: number;
  /** `MOOG_HEALTH_SUCCESS_CODES`. */
  readonly successCodes: readonly number[];
  readonly redis: RedisClient;
  readonly clock: Clock;
  readonly log: Log;
  /** `mutt_remediation_moog_health`: 1 if healthy or not probed, else 0. */
  readonly healthGauge: { set(value: number): void };
  /** Called with the error of each failed Redis call, for counting. */
  readonly onRedisError?: (error: unknown) => void;
  /** Sends a probe. Replaced for tracing and in tests. */
  readonly sendProbe?: typeof sendProbe;
}

/**
 * Probes Moogsoft at most once per cache time for all replicas. {@link MoogsoftGate.ask} answers at once from the last
 * result and refreshes a stale one in the background. A stale healthy result stays valid for at most one more cache
 * time plus a timeout. Without Redis, each replica probes on its own.
 */
export class MoogsoftGate implements Gate<"downstream"> {
  readonly name = "downstream";
  readonly #options: MoogsoftGateOptions;
  readonly #health: MoogsoftHealth | undefined;

  constructor(options: MoogsoftGateOptions) {
    this.#options = options;
    this.#health = options.enabled && options.url !== undefined ? new MoogsoftHealth(options, options.url) : undefined;
    if (this.#health === undefined) options.healthGauge.set(1);
  }

  /** Answers without IO. Starts a background probe if the result is stale. */
  ask(): GateAnswer<"downstream"> {
    if (this.#health !== undefined) return this.#health.answer();
    const { enabled, url } = this.#options;
    const why = whyMoogsoftIsNotAsked({ moogHealthCheckEnabled: enabled, moogWebhookUrl: String(url ?? "") });
    return openBecause(enabled ? "no_url" : "disabled", why ?? "");
  }

  /**
   * Resolves when a fresh result is known, after about one probe timeout at most. Resolves at once if probing is
   * disabled.
   */
  async whenKnown(): Promise<void> {
    await this.#health?.fact.whenKnown();
  }

  /** Aborts a running probe and waits for its end. Safe to call twice. */
  async stop(): Promise<void> {
    await this.#health?.fact.stop();
  }
}

function openBecause(reason: GateReason<"downstream">, detail: string): GateAnswer<"downstream"> {
  return { open: true, reason, detail };
}

/** Holds the latest probe result, from this replica or another. */
class MoogsoftHealth {
  readonly fact: CachedLookup<ProbeVerdict>;
  readonly #options: MoogsoftGateOptions;
  readonly #url: URL;
  readonly #record: SharedProbe;
  readonly #health: HealthLog;
  readonly #proxy: ChosenProxy | undefined;
  #asking: Asking;
  #key: string;
  #lookedAtMs: number;
  #everHealthy = false;
  /** The last failure, and how many probes in a row ended with it, of all replicas, as far as this one has seen. */
  #failed: { readonly verdict: ProbeVerdict; readonly count: number } | null = null;
  #sharing = true;

  constructor(options: MoogsoftGateOptions, url: URL) {
    const { clock, log, timeoutMs, cacheMs, redis } = options;
    this.#options = options;
    this.#url = url;
    this.#proxy = options.chooseProxy?.(url);
    this.#asking = { ...options.access(), url, proxy: this.#proxy?.url };
    this.#key = probeKey(this.#asking);
    this.#lookedAtMs = clock.monotonicMs();
    this.#record = new SharedProbe({ redis, cacheMs, leaseMs: timeoutMs + LEASE_MARGIN_MS });
    this.#health = new HealthLog({ clock, log, event: "moog_health", subject: "moog health" });
    this.fact = new CachedLookup({
      clock,
      freshMs: cacheMs,
      graceMs: ({ reason }) => reason === "healthy" ? cacheMs + timeoutMs : Infinity,
      find: (signal) => this.#find(signal),
    });
  }

  answer(): GateAnswer<"downstream"> {
    this.#lookForChanges();
    const verdict = this.fact.current();
    if (verdict === undefined) {
      const detail = `the probe of ${this.#url.host} has no result yet (MOOG_WEBHOOK_URL)`;
      return { open: false, reason: "unknown", detail, retryInMs: UNKNOWN_RETRY_MS };
    }
    if (verdict.reason === "healthy") return { open: true, ...verdict };
    const failures = this.#failed?.count ?? 1;
    return {
      open: false,
      ...verdict,
      failures,
      retryInMs: Math.max(UNKNOWN_RETRY_MS, Math.ceil(this.fact.freshForMs())),
    };
  }

  /** A changed key or certificate invalidates the result. */
  #lookForChanges(): void {
    const { clock, access } = this.#options;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#lookedAtMs < LOOK_EVERY_MS) return;
    this.#lookedAtMs = nowMs;
    const asking = { ...this.#asking, ...access() }, key = probeKey(asking);
    if (key === this.#key) return;
    this.#asking = asking;
    this.#key = key;
    this.fact.expire();
  }

  async #find(signal: AbortSignal): Promise<LookupResult<ProbeVerdict>> {
    this.#lookForChanges();
    const { outcome, ageMs } = await this.#findOutcome({ asking: this.#asking, key: this.#key }, signal);
    const { successCodes } = this.#options;
    const verdict = judgeProbe(outcome, { successCodes, address: this.#url.host, proxy: this.#proxy });
    this.#account(verdict);
    return { value: verdict, ageMs };
  }

  /** Returns the shared result, waits for another replica's probe, or probes. Ends because every lease ends. */
  async #findOutcome(
    { asking, key }: { asking: Asking; key: string },
    signal: AbortSignal,
  ): Promise<{ outcome: FetchOutcome; ageMs: number }> {
    for (;;) {
      const claim = await this.#claim(key, signal);
      if (claim?.kind === "fresh") return claim;
      if (claim?.kind !== "probing") {
        return { outcome: await this.#probe(asking, { key, token: claim?.token, signal }), ageMs: 0 };
      }
      await this.#options.clock.sleep(WATCH_MS, signal);
    }
  }

  /** `undefined` if Redis is unavailable; then this replica probes on its own. */
  #claim(key: string, signal: AbortSignal): Promise<ProbeClaim | undefined> {
    return this.#viaRedis(() => this.#record.claim(key), signal);
  }

  async #probe(
    asking: Asking,
    { key, token, signal }: { key: string; token: string | undefined; signal: AbortSignal },
  ): Promise<FetchOutcome> {
    const { timeoutMs, clock } = this.#options;
    const send = this.#options.sendProbe ?? sendProbe;
    const outcome = await send({ ...asking, timeoutMs, clock, signal });
    // An aborted probe says nothing about Moogsoft.
    signal.throwIfAborted();
    if (token !== undefined) await this.#viaRedis(() => this.#record.write({ key, token }, outcome), signal);
    return outcome;
  }

  async #viaRedis<T>(call: () => Promise<T>, signal: AbortSignal): Promise<T | undefined> {
    try {
      const result = await unlessAborted(call(), signal);
      this.#sharing = true;
      return result;
    } catch (error) {
      signal.throwIfAborted();
      this.#options.onRedisError?.(error);
      this.#warnAlone(error);
      return undefined;
    }
  }

  #warnAlone(error: unknown): void {
    if (!this.#sharing) return;
    this.#sharing = false;
    this.#options.log.warning(
      "moog_probe_alone",
      "Remediation: cannot share moog health through Redis; this replica probes on its own",
      { code: redisErrorCode(error) },
    );
  }

  #isRepeated({ reason, status }: ProbeVerdict): boolean {
    return this.#failed?.verdict.reason === reason && this.#failed.verdict.status === status;
  }

  #account(verdict: ProbeVerdict): void {
    const ok = verdict.reason === "healthy";
    this.#failed = ok ? null : { verdict, count: this.#isRepeated(verdict) ? this.#failed!.count + 1 : 1 };
    this.#options.healthGauge.set(ok ? 1 : 0);
    this.#health.note({ ok, ...verdict });
    if (!ok || this.#everHealthy) return;
    this.#everHealthy = true;
    this.#options.log.info(
      "moog_probe_auto_close",
      `Remediation: the moog health probe sends an event; configure Moogsoft to auto-close source ${PROBE_SOURCE}`,
      { source: PROBE_SOURCE },
    );
  }
}
