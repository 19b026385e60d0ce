import { Redis } from "ioredis";
import assert from "node:assert/strict";
import { LiveSettings } from "../../src/config/dynamic.ts";
import { DEFAULT_SETTINGS } from "../../src/config/fields.ts";
import { createLog } from "../../src/observability/log.ts";
import { CONFIG_CHANNEL, CONFIG_KEY_PREFIX, ConfigWatcher } from "../../src/redis/config_watcher.ts";
import { type Clock, SYSTEM_CLOCK } from "../../src/runtime/clock.ts";

const DEADLINE_MS = 10_000;

/** A server of the test's own, which can be stopped and started again on its port. */
class OwnRedis {
  readonly port: number;
  readonly #folder = Deno.makeTempDirSync();
  #process: Deno.ChildProcess | undefined;

  constructor() {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.port = listener.addr.port;
    listener.close();
    // Debian's redis-check-rdb is the server program under another name.
    Deno.symlinkSync("/usr/bin/redis-check-rdb", `${this.#folder}/redis-server`);
  }

  async start(): Promise<void> {
    const args = ["--port", `${this.port}`, "--bind", "127.0.0.1", "--dir", this.#folder, "--appendonly", "yes"];
    this.#process = new Deno.Command(`${this.#folder}/redis-server`, { args, stdout: "null", stderr: "null" }).spawn();
    const client = this.client();
    await until("the server answers", () => client.ping().then(() => true, () => false));
    client.disconnect();
  }

  async kill(): Promise<void> {
    this.#process?.kill("SIGTERM");
    await this.#process?.status;
    this.#process = undefined;
  }

  /** A client as the service opens them: it fails fast while disconnected and connects again for ever. */
  client(): Redis {
    const client = new Redis(this.port, "127.0.0.1", {
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      disableClientInfo: true,
      commandTimeout: 5_000,
      retryStrategy: () => 20,
    });
    client.on("error", () => {});
    return client;
  }

  async remove(): Promise<void> {
    await this.kill();
    Deno.removeSync(this.#folder, { recursive: true });
  }
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + DEADLINE_MS;
  while (!await holds()) {
    assert.ok(performance.now() < deadlineMs, `not within ${DEADLINE_MS} ms: ${what}`);
    await SYSTEM_CLOCK.sleep(5);
  }
}

/** The real clock, but each pause lasts until the test asks for the next poll (or `sleep` is aborted). */
class HeldClock implements Clock {
  readonly nowMs = SYSTEM_CLOCK.nowMs;
  readonly monotonicMs = SYSTEM_CLOCK.monotonicMs;
  readonly every = SYSTEM_CLOCK.every;
  readonly pausesMs: number[] = [];
  #next = new AbortController();

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.pausesMs.push(ms);
    this.#next = new AbortController();
    const signals = signal ? [signal, this.#next.signal] : [this.#next.signal];
    return SYSTEM_CLOCK.sleep(3_600_000, AbortSignal.any(signals));
  }

  /** Lets the next poll happen and waits until it is over. */
  async poll(): Promise<void> {
    const count = this.pausesMs.length;
    this.#next.abort();
    await until("the poll is over", () => this.pausesMs.length > count);
  }
}

interface Bench {
  readonly server: OwnRedis;
  readonly operator: Redis;
  readonly live: LiveSettings;
  readonly watcher: ConfigWatcher;
  readonly clock: HeldClock;
  readonly reloads: string[];
  readonly logged: () => { level: string; event: string; message: string }[];
  readonly isSubscribed: () => Promise<boolean>;
}

/** Gives the body a started watcher that has read once, and takes everything down again. */
async function withWatcher(dynamicConfigEnabled: boolean, body: (bench: Bench) => Promise<void>): Promise<void> {
  const server = new OwnRedis();
  await server.start();
  const [operator, reader] = [server.client(), server.client()];
  await until("clients are ready", () => operator.status === "ready" && reader.status === "ready");
  const lines: string[] = [];
  const reloads: string[] = [];
  const clock = new HeldClock();
  const live = new LiveSettings({ ...DEFAULT_SETTINGS, dynamicConfigEnabled });
  const watcher = new ConfigWatcher({
    live,
    reader,
    openSubscriber: () => server.client(),
    clock,
    log: createLog({
      clock,
      write: (line) => lines.push(line),
      level: "INFO",
      format: "json",
      podName: "p",
      version: "v",
    }),
    onReload: (result) => reloads.push(result),
  });
  const isSubscribed = async () => {
    try {
      return (await operator.pubsub("NUMSUB", CONFIG_CHANNEL))[1] === 1;
    } catch {
      return false; // The server is not back yet.
    }
  };
  try {
    watcher.start();
    watcher.start();
    await until("it has read", () => watcher.hasRead() && clock.pausesMs.length > 0);
    if (dynamicConfigEnabled) await until("it has subscribed", isSubscribed);
    await clock.poll();
    const logged = () => lines.map((line) => JSON.parse(line));
    await body({ server, operator, live, watcher, clock, reloads, logged, isSubscribed });
  } finally {
    await watcher.stop();
    await watcher.stop();
    for (const client of [operator, reader]) client.disconnect();
    await server.remove();
  }
}

function key(name: string): string {
  return CONFIG_KEY_PREFIX + name;
}

Deno.test("ConfigWatcher: re-reads at once when the bare key is published", () =>
  withWatcher(true, async ({ operator, live, reloads, clock }) => {
    await operator.set(key("remediation_interval"), "60");
    assert.equal(live.current().intervalSeconds, 300);
    await operator.publish(CONFIG_CHANNEL, "remediation_interval");
    await until("the interval is taken over", () => live.current().intervalSeconds === 60);
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
      assert.equal(live.current().intervalSeconds, 60);
      await act();
      await clock.poll();
      assert.equal(live.current().intervalSeconds, 300);
    }
    assert.ok(logged().every((line) => line.level === "INFO"));
  }));

Deno.test("ConfigWatcher: keeps the last good value and warns once when a bad one comes", () =>
  withWatcher(true, async ({ operator, live, clock, logged, reloads }) => {
    await operator.set(key("remediation_interval"), "60");
    await clock.poll();
    await operator.set(key("remediation_interval"), "0");
    for (let polls = 0; polls < 3; polls++) await clock.poll();
    assert.equal(live.current().intervalSeconds, 60);
    assert.deepEqual(reloads, ["applied", "rejected"]);
    assert.deepEqual(logged().filter((line) => line.level === "WARNING").map((line) => line.message), [
      'Remediation: remediation_interval "0" is not a whole number from 1 to 86400 (seconds); the last good value stays',
    ]);
  }));

Deno.test("ConfigWatcher: survives a restart of Redis, keeps its values meanwhile, and hears changes again", () =>
  withWatcher(true, async ({ server, operator, live, clock, logged, isSubscribed }) => {
    await operator.set(key("remediation_interval"), "60");
    await clock.poll();
    await server.kill();
    for (let polls = 0; polls < 3; polls++) await clock.poll();
    assert.equal(live.current().intervalSeconds, 60);
    await server.start();
    await until("the operator is back", () => operator.status === "ready");
    await until("it has subscribed again", isSubscribed);
    await operator.set(key("remediation_interval"), "90");
    await operator.publish(CONFIG_CHANNEL, "remediation_interval");
    await until("the interval is taken over", () => live.current().intervalSeconds === 90);
    assert.deepEqual(logged().filter((line) => line.level !== "INFO"), []);
  }));

Deno.test("ConfigWatcher: reads only the neighbours and subscribes to nothing when dynamic configuration is off", () =>
  withWatcher(false, async ({ operator, live, clock, isSubscribed }) => {
    await operator.mset(
      key("remediation_interval"),
      "60",
      key("moog_rate_limit"),
      "100",
      key("moog_rate_period"),
      "60",
    );
    await operator.set(key("alerter_queue_warn_threshold"), "500");
    await clock.poll();
    assert.equal(live.current().intervalSeconds, 300);
    assert.deepEqual(live.neighbours(), {
      moogRateLimit: 100,
      moogRatePeriodSeconds: 60,
      alerterQueueWarnThreshold: 500,
    });
    assert.equal(await isSubscribed(), false);
  }));

Deno.test("ConfigWatcher: tells a missing permission once, and goes on when it is given", () =>
  withWatcher(true, async ({ operator, live, clock, logged }) => {
    await operator.call("ACL", "SETUSER", "default", "-mget");
    for (let polls = 0; polls < 3; polls++) await clock.poll();
    await operator.call("ACL", "SETUSER", "default", "+mget");
    await operator.set(key("remediation_interval"), "60");
    await clock.poll();
    assert.equal(live.current().intervalSeconds, 60);
    assert.deepEqual(logged().filter((line) => line.level === "WARNING").map((line) => line.message), [
      "Remediation: The dynamic configuration cannot be read; the last values stay (NOPERM)",
    ]);
  }));

Deno.test("ConfigWatcher: leaves no connection behind and applies nothing after stop, even when a read hangs", () =>
  withWatcher(true, async ({ server, operator, live, watcher, clock, isSubscribed }) => {
    await operator.set(key("remediation_interval"), "60");
    const before = clock.pausesMs.length;
    await operator.call("CLIENT", "PAUSE", "1000", "ALL");
    void clock.poll().catch(() => {}); // The read hangs in the paused server; this poll never ends.
    await watcher.stop();
    assert.equal(clock.pausesMs.length, before);
    await until("the subscription is gone", async () => !await isSubscribed());
    assert.equal(live.current().intervalSeconds, 300);
    assert.equal(await watcher.readOnce(), false);
    watcher.start();
    assert.equal(await isSubscribed(), false);
    assert.ok(server.port > 0);
  }));
