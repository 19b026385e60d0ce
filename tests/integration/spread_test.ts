/** Sources are spread over three instances that start, die and come back, while messages are replayed. */
import assert from "node:assert/strict";
import type { Redis } from "ioredis";
import { createSourcePipeline, type SourcePipeline } from "../../src/app/source_pipeline.ts";
import { describeForMetrics } from "../../src/app/running_sources.ts";
import { COMMIT_RESULTS } from "../../src/cycle/chunk.ts";
import { DEFAULT_SETTINGS, type Settings } from "../../src/config/fields.ts";
import { LiveSettings } from "../../src/mutt/dynamic_keys.ts";
import { createSources } from "../../src/mutt/built_in_sources.ts";
import { Metrics } from "../../src/observability/metrics.ts";
import { NO_TRACER } from "../../src/observability/tracing.ts";
import { RedisConnections } from "../../src/redis/connection.ts";
import { REDIS_ERROR_CODES } from "../../src/redis/errors.ts";
import { stateKey } from "../../src/redis/keys.ts";
import { ReplicaStore } from "../../src/redis/replica_store.ts";
import { ReplayLoop } from "../../src/replay/loop.ts";
import { Replicas } from "../../src/replay/replicas.ts";
import { Spread } from "../../src/replay/spread.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { createId, SYSTEM_RANDOM } from "../../src/runtime/random.ts";
import { SloCounters } from "../../src/slo/counters.ts";
import { eventText, idOf } from "../../testkit/engine.ts";
import { type RecordedLine, recordLog } from "../../testkit/recorded_log.ts";
import { shareRedis, type TestRedis } from "../../testkit/redis.ts";
import { PATIENT_MS, waitUntil } from "../../testkit/wait.ts";

const server = shareRedis();
const NAMES = Array.from({ length: 12 }, (_, i) => `s${i}`);
const dlqOf = (name: string) => `${name}:dlq`, targetOf = (name: string) => `${name}:queue`;
const SETTINGS: Settings = {
  ...DEFAULT_SETTINGS,
  ...{ sources: [], intervalMs: 50, batchSize: 0, chunkMessages: 10, targetMaxDepth: 0, maxPerSecond: 0 },
  ...{ consumerGate: "off", moogHealthCheckEnabled: false, leaderElection: true, leaseMs: 300_000 },
};
const SETUPS = createSources(SETTINGS, {
  sources: new Map(NAMES.map((name) => {
    return [name, {
      dlq: dlqOf(name),
      target: targetOf(name),
      dead: `${name}:dead`,
      targetMaxDepth: 0,
      maxPerSecond: 0,
    }];
  })),
  windows: [],
});

/** An instance of the service in this process, with every source. */
class Member implements AsyncDisposable {
  readonly token = createId();
  readonly lines: RecordedLine[];
  readonly metrics: Metrics;
  readonly #connections: RedisConnections;
  readonly #parts: readonly SourcePipeline[];
  readonly #loops: readonly ReplayLoop[];
  readonly #replicas: Replicas;
  readonly #spread: Spread;
  #ended: Promise<void> | undefined;

  constructor({ port }: TestRedis, name: string) {
    const { log, lines } = recordLog(), clock = SYSTEM_CLOCK, instance = { token: this.token, name };
    this.lines = lines;
    this.metrics = new Metrics({
      sources: SETUPS.map(describeForMetrics),
      commitResults: [...COMMIT_RESULTS, "error"],
      redisErrorCodes: REDIS_ERROR_CODES,
      ...{ version: "test", commit: "test" },
      readProcessUsage: () => ({ residentBytes: 0, cpuSeconds: 0, startedAtSeconds: 0 }),
    });
    const connections = this.#connections = new RedisConnections({
      ...{ clusterNodes: [], url: null, host: "127.0.0.1", port, db: 0, username: "", password: null },
      ...{ passwordNext: null, tls: false, caCert: "" },
    }, { clock, random: SYSTEM_RANDOM, log, commandTimeoutMs: PATIENT_MS, onReconnect: () => {} });
    const shared = {
      ...{
        live: new LiveSettings(SETTINGS),
        metrics: this.metrics,
        sloCounters: new SloCounters(),
        log,
        clock,
        instance,
      },
      ...{ connections, isConfigKnown: () => true, tracer: NO_TRACER, chooseProxy: () => undefined },
      moogAccess: () => ({ apiKey: undefined, caCert: undefined }),
    };
    this.#parts = SETUPS.map((setup) => createSourcePipeline(setup, shared));
    this.#loops = this.#parts.map(({ turns, leadership }) => {
      const loop = new ReplayLoop(turns, {
        ...{ clock, intervalMs: () => SETTINGS.intervalMs, onPass: () => {} },
        onBug: (error) => {
          throw error;
        },
      });
      leadership.attachLoop({ wake: () => loop.wake(), isTurning: () => loop.isTurning() });
      return loop;
    });
    const isReady = () => connections.isReady();
    this.#replicas = new Replicas({
      ...{ clock, log, instance, podName: name, version: "1", isReady },
      store: new ReplicaStore(connections.reader, instance),
    });
    this.#replicas.attachSources(() => SETUPS.map(({ policy }) => policy));
    this.#spread = new Spread({
      ...{ clock, log, isReady, replicas: this.#replicas, timing: { lookMs: 100, quietMs: 500 } },
      sources: () =>
        this.#parts.map(({ setup, leadership }) => ({ name: setup.policy.name, leadership, isBusy: false })),
      onRedisError: (error) => log.warning("failed", String(error)),
    });
  }

  async start(): Promise<void> {
    await this.#connections.waitUntilReady(PATIENT_MS);
    for (const { leadership } of this.#parts) leadership.start();
    for (const loop of this.#loops) loop.start();
    this.#replicas.start();
    this.#spread.start();
  }

  leads(): number {
    return this.#parts.filter(({ leadership }) => leadership.leads()).length;
  }

  async results(): Promise<string[]> {
    return (await this.metrics.commits.get()).values.filter(({ value }) => value > 0).map(({ labels }) =>
      String(labels.result)
    );
  }

  /** Ends like a crash: cuts the connections first, so that no lease is given back. */
  kill(): Promise<void> {
    return this.#end(async () => await this.#connections.close());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end(() => Promise.resolve());
  }

  #end(first: () => Promise<void>): Promise<void> {
    return this.#ended ??= (async () => {
      await first();
      await Promise.all([this.#spread.stop(), ...this.#loops.map((loop) => loop.stop())]);
      await Promise.all([this.#replicas.stop(), ...this.#parts.map((parts) => parts.stop())]);
      await this.#connections.close();
    })();
  }
}

async function lead(members: readonly Member[], counts: readonly number[]): Promise<void> {
  const seen = () => members.map((member) => member.leads()).sort((a, b) => a - b).join();
  await waitUntil(() => seen() === counts.join(), { what: `they lead ${counts}`, timeoutMs: 20_000 });
}

/** Ends what a killed instance still holds, so that nobody has to wait for it. */
async function expireLeases(client: Redis, { token }: Member): Promise<void> {
  for (const key of NAMES.map((name) => stateKey(dlqOf(name)))) {
    if (await client.hget(key, "leader") === token) await client.hset(key, "leaderUntilMs", 0);
  }
}

/** Pushes messages with numbers, to each source in turn, until it is told to end. @returns how many went to each */
function produce(client: Redis): { end(): Promise<number> } {
  let isOver = false, count = 0;
  const working = (async () => {
    while (!isOver) {
      for (const name of NAMES) await client.lpush(dlqOf(name), ...[0, 1, 2].map((i) => eventText(count + i)));
      count += 3;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  return {
    async end() {
      isOver = true;
      await working;
      return count;
    },
  };
}

/** Notes every write of a lease that leaves a source without a leader. Leases are too long to end by themselves. */
async function watchLeases(redis: TestRedis): Promise<{ end(): { writes: number; gaps: readonly string[] } }> {
  const monitor = await redis.monitor(), states = new Set(NAMES.map((name) => stateKey(dlqOf(name))));
  const gaps: string[] = [];
  let writes = 0;
  monitor.on("monitor", (atSeconds: string, [command, key, ...fields]: string[]) => {
    if (command !== "HSET" || !states.has(key!) || fields[0] !== "leader") return;
    writes++;
    const untilMs = Number(fields[fields.indexOf("leaderUntilMs") + 1]);
    if (fields[1] === "" || untilMs < Number(atSeconds) * 1_000) gaps.push(`${key} ${fields}`);
  });
  return {
    end() {
      monitor.disconnect();
      return { writes, gaps };
    },
  };
}

Deno.test("spread: instances that start, die and come back lead equally many; no source is without a leader meanwhile, and each list leaves in order", async () => {
  const client = server().client();
  // Before anybody works, see `monitor`.
  const watch = await watchLeases(server());
  await using a = new Member(server(), "a");
  await using b = new Member(server(), "b");
  await using c = new Member(server(), "c");
  await using again = new Member(server(), "c2");
  await a.start();
  await lead([a], [12]);
  const producer = produce(server().client());
  await b.start();
  await lead([a, b], [6, 6]);
  await c.start();
  await lead([a, b, c], [4, 4, 4]);
  const { writes, gaps } = watch.end();
  assert.deepEqual([gaps, writes >= 12 + 8], [[], true]);
  await c.kill();
  await expireLeases(client, c);
  await lead([a, b], [6, 6]);
  await again.start();
  await lead([a, b, again], [4, 4, 4]);
  const count = await producer.end(), ids = Array.from({ length: count }, (_, i) => String(i));
  for (const name of NAMES) {
    await waitUntil(async () => await client.llen(dlqOf(name)) === 0, {
      what: `${name} is drained`,
      timeoutMs: 20_000,
    });
    assert.deepEqual((await server().readTexts(targetOf(name))).map(idOf), ids, name);
  }
  assert.equal((await client.keys("*:dead")).length, 0);
  for (const member of [a, b, again]) {
    assert.deepEqual(member.lines.filter(({ level }) => level !== "INFO" && level !== "DEBUG"), []);
    assert.ok((await member.results()).every((result) => ["ok", "not_leader", "conflict"].includes(result)));
  }
});
