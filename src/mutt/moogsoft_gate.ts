/** The downstream gate: open while the Moogsoft probe says that Moogsoft takes events. */
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

/** When to ask again while the first result is on its way. */
const UNKNOWN_RETRY_MS = 100;
/** How often a replica looks whether another one's probe has ended. */
const WATCH_MS = 100;
/** How often a replica looks whether key or certificate were renewed. */
const LOOK_EVERY_MS = 2_000;
/** What a claim's lease is longer than a probe: time for the reply to reach Redis. */
const LEASE_MARGIN_MS = 1000;

/** What a {@link MoogsoftGate} needs. */
export interface MoogsoftGateOptions {
  /** `MOOG_HEALTH_CHECK_ENABLED`. */
  readonly enabled: boolean;
  /** `MOOG_WEBHOOK_URL`; `undefined` where it is empty. */
  readonly url: URL | undefined;
  /** Reads what the probe is sent with, as it is now. Called every few seconds; must not throw. */
  readonly access: () => ProbeAccess;
  /** Which proxy the probe goes through; default: none. */
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
  /** `mutt_remediation_moog_health`: 1 healthy, or not asked; 0 otherwise. */
  readonly healthGauge: { set(value: number): void };
  /** Told each failed Redis call, for counting. */
  readonly onRedisError?: (error: unknown) => void;
  /** Sends a probe; replaced to trace it, or in tests. */
  readonly sendProbe?: typeof sendProbe;
}

/**
 * Asks Moogsoft by a probe, at most once per cache time for all replicas. {@link MoogsoftGate.ask} answers at once from
 * the last result; a stale one is refreshed in the background, where a healthy one counts at most a cache time and a
 * timeout longer. Without Redis each replica probes for itself.
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

  /** Answers without IO; starts a probe in the background where the result is stale. */
  ask(): GateAnswer<"downstream"> {
    if (this.#health !== undefined) return this.#health.answer();
    const { enabled, url } = this.#options;
    const why = whyMoogsoftIsNotAsked({ moogHealthCheckEnabled: enabled, moogWebhookUrl: String(url ?? "") });
    return openBecause(enabled ? "no_url" : "disabled", why ?? "");
  }

  /** Resolves once a fresh result is known (at most about a probe's timeout), at once where nothing is asked. */
  async whenKnown(): Promise<void> {
    await this.#health?.fact.whenKnown();
  }

  /** Breaks a running probe off and waits for its end. Safe to call twice. */
  async stop(): Promise<void> {
    await this.#health?.fact.stop();
  }
}

function openBecause(reason: GateReason<"downstream">, detail: string): GateAnswer<"downstream"> {
  return { open: true, reason, detail };
}

/** Keeps the result of the last probe, this replica's or another's. */
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
    return { open: false, ...verdict, retryInMs: Math.max(UNKNOWN_RETRY_MS, Math.ceil(this.fact.freshForMs())) };
  }

  /** What was answered to another key, or by other trust, holds no more. */
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

  /** The shared result, another replica's once it is there, or our own. A lease ends, so this does too. */
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

  /** `undefined`: Redis cannot be asked, so this replica is on its own. */
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
    // A probe that was broken off says nothing about Moogsoft.
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
      "Remediation: moog health cannot be shared through Redis, so this replica probes for itself",
      { code: redisErrorCode(error) },
    );
  }

  #account(verdict: ProbeVerdict): void {
    const ok = verdict.reason === "healthy";
    this.#options.healthGauge.set(ok ? 1 : 0);
    this.#health.note({ ok, ...verdict });
    if (!ok || this.#everHealthy) return;
    this.#everHealthy = true;
    this.#options.log.info(
      "moog_probe_auto_close",
      `Remediation: the moog health probe is an event; let Moogsoft auto-close source ${PROBE_SOURCE}`,
      { source: PROBE_SOURCE },
    );
  }
}
