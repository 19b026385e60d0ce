/** Follows MUTT's dynamic configuration: keys `mutt:config:<key>`, with changes told on a channel (contract §4). */
import type { Redis } from "ioredis";
import { DYNAMIC_KEYS, type LiveSettings, MAX_DYNAMIC_BYTES, MUTT_SHARED_KEYS } from "./dynamic_keys.ts";
import { unlessAborted } from "../lifecycle/cached_lookup.ts";
import { PeriodicTask } from "../lifecycle/periodic_task.ts";
import type { Log } from "../observability/log.ts";
import type { Clock } from "../runtime/clock.ts";
import type { RedisClient } from "../redis/cluster.ts";
import { redisErrorCode } from "../redis/errors.ts";

/** MUTT's prefix of the keys. */
export const CONFIG_KEY_PREFIX = "mutt:config:";
/** MUTT's channel; a message is the bare name of the key that was set or deleted. */
export const CONFIG_CHANNEL = "mutt:config:updates";
/** The key that switches replay off; while nobody knows what it says, nothing moves. */
const SWITCH = "remediation_enabled";
/** Time between two polls in milliseconds, MUTT's own cache time: operators often set a key and tell nobody. */
const POLL_MS = 5_000;
/** Time between two attempts while nothing could be read yet, in milliseconds. */
const FIRST_POLL_MS = 250;

/** What a {@link ConfigWatcher} needs. */
export interface ConfigWatcherDeps {
  /** Receives what is read. */
  readonly live: LiveSettings;
  /** Any connection; it should have a command time-out. */
  readonly reader: Pick<RedisClient, "getrange">;
  /** Opens a connection for the subscription alone, which connects by itself, for ever. Called by `start`, at most once. */
  readonly openSubscriber: () => Redis;
  /** Closes it for good. Called by `stop`. */
  readonly closeSubscriber: (subscriber: Redis) => void;
  readonly clock: Clock;
  readonly log: Log;
  /** Called after each change that was taken over or refused, for metrics. */
  readonly onReload?: (result: "applied" | "rejected") => void;
}

/**
 * Polls the keys and re-reads them when a change is told. With `dynamicConfigEnabled` false it reads nothing: MUTT's alerter and
 * forwarder pass over every key then, the ones that this service takes from them included. An outage of Redis changes no value
 * and ends nothing.
 */
export class ConfigWatcher extends PeriodicTask {
  readonly #deps: ConfigWatcherDeps;
  readonly #log: Log;
  /** None where dynamic configuration is off. */
  readonly #keys: readonly string[];
  #subscriber: Redis | null = null;
  #hasRead = false;
  /** Code of the failure that was last logged, so that it is told once. */
  #toldCode = "";

  constructor(deps: ConfigWatcherDeps) {
    super(deps);
    this.#deps = deps;
    this.#log = deps.log.child("config");
    this.#keys = deps.live.current().dynamicConfigEnabled ? [...DYNAMIC_KEYS, ...MUTT_SHARED_KEYS] : [];
  }

  /** Starts in the background and returns at once. Safe to call twice; does nothing after `stop`. */
  override start(): void {
    if (this.stopping.aborted || this.#keys.length === 0) return;
    if (this.#subscriber === null) this.#subscribe(this.#deps.openSubscriber());
    super.start();
  }

  /** Ends polling and subscription; nothing is applied afterwards. Safe to call twice, and without `start`. */
  override async stop(): Promise<void> {
    const stopped = super.stop();
    if (this.#subscriber) this.#deps.closeSubscriber(this.#subscriber);
    this.#subscriber = null;
    await stopped;
  }

  /** Whether the key that switches replay off has been read at least once. */
  hasRead(): boolean {
    return this.#hasRead;
  }

  /**
   * Reads the beginning of each key now and applies those that were read: of a cluster one node may be down and the others not.
   * Resolves with whether all were; never rejects.
   */
  async readOnce(): Promise<boolean> {
    const texts = await Promise.allSettled(this.#keys.map((key) => this.#readText(key)));
    if (this.stopping.aborted) return false;
    texts.forEach((text, at) => text.status === "fulfilled" && this.#apply(this.#keys[at]!, text.value));
    const failed = texts.find((text) => text.status === "rejected");
    if (failed) this.#tell("The dynamic configuration cannot be read; the last values stay", failed.reason);
    else this.#toldCode = "";
    // None of them is read where dynamic configuration is off.
    const switched = texts[this.#keys.indexOf(SWITCH)] ?? texts[0];
    this.#hasRead ||= switched?.status !== "rejected";
    return failed === undefined;
  }

  /** Anybody may have put anything there, so no more is read than is needed to refuse it. A missing key reads as empty. */
  async #readText(key: string): Promise<string> {
    try {
      return await this.#deps.reader.getrange(CONFIG_KEY_PREFIX + key, 0, MAX_DYNAMIC_BYTES);
    } catch (error) {
      // A list or hash under that name holds no value; MUTT's own reader passes over it too.
      if (redisErrorCode(error) === "WRONGTYPE") return "";
      throw error;
    }
  }

  protected async run(): Promise<void> {
    try {
      // A read that hangs must not delay a stop. It ends by its own time-out, and its answer is dropped.
      await unlessAborted(this.readOnce(), this.stopping);
    } catch (error) {
      if (!this.stopping.aborted) throw error;
    }
  }

  protected intervalMs(): number {
    return this.#hasRead ? POLL_MS : FIRST_POLL_MS;
  }

  /** The client subscribes again by itself after an outage only if it once succeeded, so it is asked at each `ready`. */
  #subscribe(subscriber: Redis): void {
    this.#subscriber = subscriber;
    const ask = () => {
      subscriber.subscribe(CONFIG_CHANNEL).then(
        () => this.wake(), // Reads what changed while nobody listened.
        (error) => this.#tell("Changes of the dynamic configuration are not heard, only polled", error),
      );
    };
    subscriber.on("error", () => {}); // Told by whoever opened the connection.
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
      this.#log.warning("config_rejected", `Remediation: ${applied.problem}; the last good value stays`, { key });
    } else {
      const now = text?.trim() ? `now ${text.trim()}` : "not set any more";
      this.#log.info("config_applied", `Remediation: dynamic key ${key} is ${now}`, { key });
    }
    this.#deps.onReload?.(applied.result);
  }

  /** Logs a failure when it is another one than before. A lost connection is told by whoever opened it. */
  #tell(message: string, error: unknown): void {
    const code = redisErrorCode(error);
    if (code === this.#toldCode || code === "CONNECTION" || this.stopping.aborted) return;
    this.#toldCode = code;
    this.#log.warning("config_unreadable", `Remediation: ${message} (${code})`, { error_code: code });
  }
}
