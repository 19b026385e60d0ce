import { Redis } from "ioredis";
import assert from "node:assert/strict";
import { LiveSettings } from "../../src/mutt/dynamic_keys.ts";
import { DEFAULT_SETTINGS } from "../../src/config/fields.ts";
import { createLog } from "../../src/observability/log.ts";
import { CONFIG_CHANNEL, CONFIG_KEY_PREFIX, ConfigWatcher } from "../../src/mutt/dynamic_keys_watcher.ts";
import { type Clock, SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { startRedis, type TestRedis } from "../../testkit/redis.ts";
import { watchOutput } from "../../testkit/secrets_net.ts";
import { inTime, PATIENT_MS, waitUntil } from "../../testkit/wait.ts";

/** The real clock, but each pause lasts until the test asks for the next poll (or `sleep` is aborted). */
class HeldClock implements Clock {
  readonly nowMs = SYSTEM_CLOCK.nowMs;
  readonly monotonicMs = SYSTEM_CLOCK.monotonicMs;
  readonly pausesMs: number[] = [];
  #next = new AbortController();

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.pausesMs.push(ms);
    this.#next = new AbortController();
    const signals = signal ? [signal, this.#next.signal] : [this.#next.signal];
    return SYSTEM_CLOCK.sleep(3_600_000, AbortSignal.any(signals));
  }

  /** Lets the next poll begin. */
  release(): void {
    this.#next.abort();
  }

  /** Lets the next poll happen and waits until it is over. */
  async poll(): Promise<void> {
    const count = this.pausesMs.length;
    this.release();
    await waitUntil(() => this.pausesMs.length > count, { what: "the poll is over" });
  }
}

interface Bench {
  readonly server: TestRedis;
  readonly operator: Redis;
  readonly live: LiveSettings;
  readonly watcher: ConfigWatcher;
  readonly clock: HeldClock;
  readonly reloads: string[];
  readonly countReads: () => number;
  readonly logged: () => { level: string; event: string; message: string }[];
  readonly isSubscribed: () => Promise<boolean>;
}

/** Options of the service's connections, as far as they matter here: they fail fast while disconnected. */
const AS_THE_SERVICE = {
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  commandTimeout: PATIENT_MS,
  connectionName: "watcher",
  retryStrategy: () => 20,
};

/** Gives the body a started watcher that has read once where it reads at all, and takes everything down again. */
async function withWatcher(dynamicConfigEnabled: boolean, body: (bench: Bench) => Promise<void>): Promise<void> {
  const server = await startRedis();
  const [operator, reader] = [server.client(), server.client(AS_THE_SERVICE)];
  await waitUntil(() => reader.status === "ready", { what: "the reader is ready" });
  const lines: string[] = [];
  const reloads: string[] = [];
  let reads = 0;
  const clock = new HeldClock();
  const live = new LiveSettings({ ...DEFAULT_SETTINGS, dynamicConfigEnabled });
  const watcher = new ConfigWatcher({
    live,
    reader: {
      getrange(...range: [key: string, start: number, end: number]) {
        reads++;
        return reader.getrange(...range);
      },
    } as Pick<Redis, "getrange">,
    openSubscriber: () => new Redis({ ...AS_THE_SERVICE, host: "127.0.0.1", port: server.port }),
    closeSubscriber: (subscriber) => subscriber.disconnect(),
    clock,
    log: createLog({
      clock,
      write: (line) => {
        lines.push(line);
        watchOutput("log", line);
      },
      level: "INFO",
      format: "json",
      podName: "p",
      version: "v",
    }),
    onReload: (result) => reloads.push(result),
  });
  const isSubscribed = async () => {
    return (await operator.pubsub("NUMSUB", CONFIG_CHANNEL))[1] === 1;
  };
  try {
    watcher.start();
    watcher.start();
    if (dynamicConfigEnabled) {
      await waitUntil(() => watcher.hasRead() && clock.pausesMs.length > 0, { what: "it has read" });
      await waitUntil(isSubscribed, { what: "it has subscribed" });
      await clock.poll();
    }
    const logged = () => lines.map((line) => JSON.parse(line));
    await body({ server, operator, live, watcher, clock, reloads, logged, isSubscribed, countReads: () => reads });
  } finally {
    await watcher.stop();
    await watcher.stop();
    await server.stop();
  }
}

function key(name: string): string {
  return CONFIG_KEY_PREFIX + name;
}

Deno.test("ConfigWatcher: re-reads at once when the bare key is published", () =>
  withWatcher(true, async ({ operator, live, reloads, clock }) => {
    await operator.set(key("remediation_interval"), "60");
    assert.equal(live.current().intervalMs, 300_000);
    await operator.publish(CONFIG_CHANNEL, "remediation_interval");
    await waitUntil(() => live.current().intervalMs === 60_000, { what: "the interval is taken over" });
    assert.deepEqual(reloads, ["applied"]);
    assert.ok(clock.pausesMs.every((ms) => ms === 5_000), "polls every 5 s once it has read");
  }));

Deno.test("ConfigWatcher: finds at the next poll what was set and not told", () =>
  withWatcher(true, async ({ operator, live, clock }) => {
    await operator.mset(
      key("remediation_enabled"),
      "False",
      key("remediation_batch_size"),
      "0",
      key("max_poison_retries"),
      "7",
    );
    await clock.poll();
    const { enabled, batchSize, maxPoisonRetries } = live.current();
    assert.deepEqual([enabled, batchSize, maxPoisonRetries], [false, 0, 7]);
  }));

Deno.test("ConfigWatcher: returns to the static value when the key is deleted, emptied or of another type", () =>
  withWatcher(true, async ({ operator, live, clock, logged }) => {
    const name = key("remediation_interval");
    const clear = [() => operator.del(name), () => operator.set(name, ""), async () => {
      await operator.del(name);
      await operator.lpush(name, "60");
    }];
    for (const act of clear) {
      await operator.del(name);
      await operator.set(name, "60");
      await clock.poll();
      assert.equal(live.current().intervalMs, 60_000);
      await act();
      await clock.poll();
      assert.equal(live.current().intervalMs, 300_000);
    }
    assert.ok(logged().every((line) => line.level === "INFO"));
  }));

Deno.test("ConfigWatcher: keeps the last good value and warns once when a bad one comes", () =>
  withWatcher(true, async ({ operator, live, clock, logged, reloads }) => {
    await operator.set(key("remediation_interval"), "60");
    await clock.poll();
    await operator.set(key("remediation_interval"), "0");
    for (let polls = 0; polls < 3; polls++) await clock.poll();
    assert.equal(live.current().intervalMs, 60_000);
    assert.deepEqual(reloads, ["applied", "rejected"]);
    assert.deepEqual(logged().filter((line) => line.level === "WARNING").map((line) => line.message), [
      'Remediation: remediation_interval "0" is not a whole number from 1 to 86400 (seconds); keeping the last valid value',
    ]);
  }));

Deno.test("ConfigWatcher: refuses a value of 100 MB without reading it, however often it looks", () =>
  withWatcher(true, async ({ operator, live, clock, logged }) => {
    await operator.setrange(key("remediation_interval"), 100_000_000, "0");
    await operator.set(key("moog_rate_limit"), "9".repeat(1_025));
    const sent = async () => Number(/total_net_output_bytes:(\d+)/.exec(await operator.info("stats"))![1]);
    const before = await sent();
    for (let polls = 0; polls < 3; polls++) await clock.poll();
    assert.ok(await sent() - before < 100_000, "some kilobytes a look");
    assert.deepEqual([live.current().intervalMs, live.muttShared().moogRateLimit], [300_000, null]);
    assert.deepEqual(logged().map((line) => line.message), [
      "Remediation: remediation_interval is longer than 1024 bytes; keeping the last valid value",
      "Remediation: moog_rate_limit is longer than 1024 bytes; keeping the last valid value",
    ]);
  }));

Deno.test("ConfigWatcher: survives a restart of Redis, keeps its values meanwhile, and hears changes again", () =>
  withWatcher(true, async ({ server, operator, live, clock, logged, isSubscribed }) => {
    await operator.set(key("remediation_interval"), "60");
    await clock.poll();
    await server.kill("SIGKILL");
    for (let polls = 0; polls < 3; polls++) await clock.poll();
    assert.equal(live.current().intervalMs, 60_000);
    await server.restart();
    await waitUntil(isSubscribed, { what: "it has subscribed again" });
    await operator.set(key("remediation_interval"), "90");
    await operator.publish(CONFIG_CHANNEL, "remediation_interval");
    await waitUntil(() => live.current().intervalMs === 90_000, { what: "the interval is taken over" });
    assert.deepEqual(logged().filter((line) => line.level !== "INFO"), []);
  }));

Deno.test("ConfigWatcher: reads nothing, as MUTT's services, and subscribes to nothing when dynamic configuration is off", () =>
  withWatcher(false, async ({ operator, live, watcher, isSubscribed, countReads }) => {
    await operator.mset(
      key("remediation_interval"),
      "60",
      key("moog_rate_limit"),
      "100",
      key("moog_rate_period"),
      "60",
    );
    await operator.set(key("alerter_queue_warn_threshold"), "500");
    assert.equal(await watcher.readOnce(), true);
    assert.equal(countReads(), 0);
    assert.equal(live.current().intervalMs, 300_000);
    assert.deepEqual(live.muttShared(), {
      moogRateLimit: null,
      moogRatePeriodMs: null,
      alerterQueueWarnThreshold: null,
    });
    assert.equal(await isSubscribed(), false);
  }));

Deno.test("ConfigWatcher: tells a missing permission once, and goes on when it is given", () =>
  withWatcher(true, async ({ operator, live, clock, logged }) => {
    await operator.call("ACL", "SETUSER", "default", "-getrange");
    for (let polls = 0; polls < 3; polls++) await clock.poll();
    await operator.call("ACL", "SETUSER", "default", "+getrange");
    await operator.set(key("remediation_interval"), "60");
    await clock.poll();
    assert.equal(live.current().intervalMs, 60_000);
    assert.deepEqual(logged().filter((line) => line.level === "WARNING").map((line) => line.message), [
      "Remediation: cannot read the dynamic configuration; keeping the last values (NOPERM)",
    ]);
  }));

Deno.test("ConfigWatcher: stops at once while a read hangs, then applies nothing and leaves no connection", () =>
  withWatcher(true, async ({ server, operator, live, watcher, clock, countReads, isSubscribed }) => {
    await operator.set(key("remediation_interval"), "60");
    const before = countReads();
    await server.kill("SIGSTOP");
    clock.release();
    await waitUntil(() => countReads() > before, { what: "a read has begun" });
    await inTime(watcher.stop(), {
      what: "it stops, without waiting for the read's time-out",
      timeoutMs: PATIENT_MS / 20,
    });
    await server.kill("SIGCONT");
    await waitUntil(async () => !await isSubscribed(), { what: "the subscription is gone" });
    assert.equal(await watcher.readOnce(), false, "its answer comes behind that of the read that hung");
    assert.equal(live.current().intervalMs, 300_000);
    watcher.start();
    assert.deepEqual(
      (await server.clientConnections()).length,
      1,
      "only the reader is left, which is not the watcher's",
    );
  }));
