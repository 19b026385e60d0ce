/**
 * Follows MUTT's dynamic configuration: the keys `mutt:config:<key>` and the channel that announces changes (contract
 * §4).
 */
import type { Redis } from "ioredis";
import { DYNAMIC_KEYS, type LiveSettings, MAX_DYNAMIC_BYTES, MUTT_SHARED_KEYS } from "./dynamic_keys.ts";
import { unlessAborted } from "../lifecycle/cached_lookup.ts";
import { PeriodicTask } from "../lifecycle/periodic_task.ts";
import type { Log } from "../observability/log.ts";
import type { Clock } from "../runtime/clock.ts";
import type { RedisClient } from "../redis/cluster.ts";
import { redisErrorCode } from "../redis/errors.ts";

/** Prefix of MUTT's dynamic keys. */
export const CONFIG_KEY_PREFIX = "mutt:config:";
/** MUTT's update channel. A message is the bare name of the key that was set or deleted. */
export const CONFIG_CHANNEL = "mutt:config:updates";
/** Key that disables replay. No message moves until it has been read once. */
const SWITCH = "remediation_enabled";
/**
 * Poll interval in milliseconds, equal to MUTT's cache time. Operators often set a key without publishing the change.
 */
const POLL_MS = 5_000;
/** Retry interval before the first successful read, in milliseconds. */
const FIRST_POLL_MS = 250;

/** Dependencies of {@link ConfigWatcher}. */
export interface ConfigWatcherDeps {
  /** Receives the values read. */
  readonly live: LiveSettings;
  /** Any connection. It should have a command timeout. */
  readonly reader: Pick<RedisClient, "getrange">;
  /** Opens a connection for the subscription. It must reconnect on its own. Called by `start`, at most once. */
  readonly openSubscriber: () => Redis;
  /** Closes that connection permanently. Called by `stop`. */
  readonly closeSubscriber: (subscriber: Redis) => void;
  readonly clock: Clock;
  readonly log: Log;
  /** Called after each applied or rejected change, for metrics and journal. `detail`: what changed, in words. */
  readonly onReload?: (result: "applied" | "rejected", detail: string) => void;
}

/**
 * Polls the dynamic keys, and reads them at once when a change is published. If `dynamicConfigEnabled` is false it
 * reads nothing, because MUTT's alerter and forwarder then ignore these keys too. During a Redis outage all values
 * stay.
 */
export class ConfigWatcher extends PeriodicTask {
  readonly #deps: ConfigWatcherDeps;
  readonly #log: Log;
  /** Empty if dynamic configuration is disabled. */
  readonly #keys: readonly string[];
  #subscriber: Redis | null = null;
  #hasRead = false;
  /** Code of the last logged failure, to log each failure once. */
  #toldCode = "";

  constructor(deps: ConfigWatcherDeps) {
    super(deps);
    this.#deps = deps;
    this.#log = deps.log.child("config");
    this.#keys = deps.live.current().dynamicConfigEnabled ? [...DYNAMIC_KEYS, ...MUTT_SHARED_KEYS] : [];
  }

  /** Starts in the background and returns at once. Safe to call twice. Does nothing after `stop`. */
  override start(): void {
    if (this.stopping.aborted || this.#keys.length === 0) return;
    if (this.#subscriber === null) this.#subscribe(this.#deps.openSubscriber());
    super.start();
  }

  /** Ends polling and the subscription. Applies nothing afterwards. Safe to call twice, or without `start`. */
  override async stop(): Promise<void> {
    const stopped = super.stop();
    if (this.#subscriber) this.#deps.closeSubscriber(this.#subscriber);
    this.#subscriber = null;
    await stopped;
  }

  /** Whether the key that disables replay has been read at least once. */
  hasRead(): boolean {
    return this.#hasRead;
  }

  /**
   * Reads the start of each key and applies the successful reads: in a cluster, one node may be down while others
   * answer. Resolves with true if all reads succeeded. Never rejects.
   */
  async readOnce(): Promise<boolean> {
    const texts = await Promise.allSettled(this.#keys.map((key) => this.#readText(key)));
    if (this.stopping.aborted) return false;
    texts.forEach((text, at) => text.status === "fulfilled" && this.#apply(this.#keys[at]!, text.value));
    const failed = texts.find((text) => text.status === "rejected");
    if (failed) this.#tell("cannot read the dynamic configuration; keeping the last values", failed.reason);
    else this.#toldCode = "";
    // If dynamic configuration is disabled, there are no reads.
    const switched = texts[this.#keys.indexOf(SWITCH)] ?? texts[0];
    this.#hasRead ||= switched?.status !== "rejected";
    return failed === undefined;
  }

  /** Reads only enough bytes to reject an oversized value. A missing key reads as empty. */
  async #readText(key: string): Promise<string> {
    try {
      return await this.#deps.reader.getrange(CONFIG_KEY_PREFIX + key, 0, MAX_DYNAMIC_BYTES);
    } catch (error) {
      // A list or hash holds no setting. MUTT's own reader ignores it too.
      if (redisErrorCode(error) === "WRONGTYPE") return "";
      throw error;
    }
  }

  protected async run(): Promise<void> {
    try {
      // A read that hangs must not delay a stop. It ends by its own timeout, and its answer is dropped.
      await unlessAborted(this.readOnce(), this.stopping);
    } catch (error) {
      if (!this.stopping.aborted) throw error;
    }
  }

  protected intervalMs(): number {
    return this.#hasRead ? POLL_MS : FIRST_POLL_MS;
  }

  /**
   * After an outage the client resubscribes only if an earlier subscription succeeded, so subscribe at each `ready`.
   */
  #subscribe(subscriber: Redis): void {
    this.#subscriber = subscriber;
    const ask = () => {
      subscriber.subscribe(CONFIG_CHANNEL).then(
        () => this.wake(), // Reads changes published while unsubscribed.
        (error) => this.#tell("cannot subscribe to changes of the dynamic configuration; polling it instead", error),
      );
    };
    subscriber.on("error", () => {}); // The owner of the connection logs it.
    subscriber.on("ready", ask);
    subscriber.on("message", (_channel, key) => {
      if (this.#keys.includes(key)) this.wake();
    });
    if (subscriber.status === "ready") ask();
  }

  #apply(key: string, text: string | null): void {
    const applied = this.#deps.live.apply(key, text);
    if (applied.result === "unchanged") return;
    if (applied.result === "rejected") {
      this.#log.warning("config_rejected", `Remediation: ${applied.problem}; keeping the last valid value`, { key });
      this.#deps.onReload?.("rejected", applied.problem);
    } else {
      const now = `${key} is ${text?.trim() ? `now ${text.trim()}` : "no longer set"}`;
      this.#log.info("config_applied", `Remediation: dynamic key ${now}`, { key });
      this.#deps.onReload?.("applied", now);
    }
  }

  /** Logs a failure if its code changed. The owner of the connection logs connection losses. */
  #tell(message: string, error: unknown): void {
    const code = redisErrorCode(error);
    if (code === this.#toldCode || code === "CONNECTION" || this.stopping.aborted) return;
    this.#toldCode = code;
    this.#log.warning("config_unreadable", `Remediation: ${message} (${code})`, { error_code: code });
  }
}
