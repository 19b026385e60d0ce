/** One pipeline in one incident with one contender: builds it, plays it, stops it, takes the account. */
import { Buffer } from "node:buffer";
import type { Redis } from "ioredis";
import { startRedisServer } from "../../scripts/redis_server.ts";
import { type MockMoog, startMockMoog } from "../../testkit/mutt/mock_moog.ts";
import { SeededRandom } from "../../testkit/mutt/random.ts";
import { startAlerter } from "../../testkit/mutt/alerter.ts";
import type { Contender } from "./contenders.ts";
import { type CountingProxy, startCountingProxy } from "./counting_proxy.ts";
import { startForwarder } from "../../testkit/mutt/forwarder.ts";
import { judgeAnswer, type MoogAnswer } from "../../testkit/mutt/forwarder_rules.ts";
import type { Incident, World } from "./incidents.ts";
import { KEYS } from "../../testkit/mutt/keys.ts";
import { Ledger, type Leftovers, type SimAccount } from "./ledger.ts";
import { SimClock } from "../../testkit/mutt/sim_clock.ts";
import type { SimEvent } from "../../testkit/mutt/traffic.ts";
import { closeRedis, openRedis, type Worker } from "../../testkit/mutt/worker.ts";

/** How often arrivals are put in and progress is looked at, in real milliseconds. */
const TICK_MS = 10, LOOK_EVERY_TICKS = 25;

/** What a pipeline is made of. */
export interface PipelineOptions {
  readonly incident: Incident;
  readonly contender: Contender;
  readonly traffic: readonly SimEvent[];
  readonly factor: number;
  readonly intervalSeconds: number;
  /** Aborted: the run ends early, with nothing left. */
  readonly signal: AbortSignal;
  /** Told each change of the world. */
  readonly onChange?: (minute: number, says: string) => void;
}

/** Lengths of the lists at one instant. */
export interface Depths {
  readonly ingest: number;
  readonly alerts: number;
  readonly dlqAlerter: number;
  readonly dlqMoog: number;
  readonly dead: number;
}

/** What came out. */
export interface Result {
  readonly account: SimAccount;
  /** Minutes from the end of the fault until every healthy event from before it was delivered; `null`: not by the end. */
  readonly healedAfterMinutes: number | null;
  /** Healthy events from before the end of the fault that were not delivered by the end of the run. */
  readonly unhealed: number;
  /** How long the run went on after the fault. */
  readonly watchedMinutes: number;
  /** Messages in both dead-letter queues when the fault ended. */
  readonly backlog: number;
  /** Messages in the work queues then, which go before any replay. */
  readonly queued: number;
  /** Minutes from the end of the fault until both dead-letter queues were empty, and stayed so; `null`: not by the end. */
  readonly emptiedAfterMinutes: number | null;
  /** 95th percentile of how long events that came after the fault were on their way, in simulated seconds. */
  readonly liveDelaySeconds: number;
  /** Commands that the contender sent to Redis. */
  readonly commands: number;
  /** Longest time by which the script came late, in real milliseconds. */
  readonly worstLagMs: number;
  /** Share of the run by which its workers came late for good; a slow machine. */
  readonly lateShare: number;
}

/** A pipeline that was built and has not begun. Disposing of it leaves nothing. */
export interface Pipeline extends AsyncDisposable {
  readonly clock: SimClock;
  /** Plays the incident to its end, or until all is healed and the dead-letter queues are empty. */
  play(): Promise<Result>;
  measure(): Promise<Depths>;
}

/** Builds one. Rejects, with nothing left, where a part does not start or the signal aborts meanwhile. */
export async function openPipeline(options: PipelineOptions): Promise<Pipeline> {
  const { incident, contender, factor, intervalSeconds, signal } = options;
  await using parts = new AsyncDisposableStack();
  const clock = new SimClock(factor);
  const server = await startRedisServer();
  parts.defer(() => server.stop());
  signal.throwIfAborted();
  const ledger = new Ledger({
    elapsedMs: () => clock.elapsedMs(),
    rateWindowMs: clock.realMs(incident.rate.periodSeconds * 1_000),
  });
  const moog = startMockMoog();
  parts.defer(() => moog.stop());
  const redis = openRedis(server.url);
  parts.defer(() => closeRedis(redis));
  const proxy = startCountingProxy(server.port);
  parts.defer(() => proxy.stop());
  const world: World = { ...incident.world };
  setWorld(moog, { clock, world });
  const common = { redisUrl: server.url, clock, observer: ledger }, random = new SeededRandom(1);
  const post = (event: string): Promise<MoogAnswer> => {
    if (judgeAnswer(world.moogStatus) === "delivered") ledger.delivered(event);
    return Promise.resolve(world.moogStatus);
  };
  const consumers = [
    ...Array.from(
      { length: incident.alerters ?? 1 },
      (_, i) =>
        startAlerter({
          ...common,
          pod: `sim-${i}`,
          isDatabaseUp: () => world.isDatabaseUp && random.below(100) >= 100 * world.failedInserts,
        }),
    ),
    ...Array.from(
      { length: incident.forwarders },
      (_, i) =>
        startForwarder({
          ...common,
          rate: incident.rate,
          pod: `sim-${i}`,
          post,
          moogLatencyMs: () => world.moogLatencyMs,
        }),
    ),
  ];
  for (const consumer of consumers) parts.defer(() => consumer.stop());
  const healer = await contender.start({
    ...{
      redisUrl: proxy.url,
      moogUrl: moog.url,
      clock,
      rate: incident.rate,
      intervalSeconds,
      dir: server.dir,
    },
  });
  parts.defer(() => healer.stop());
  signal.throwIfAborted();
  const owned = parts.move();
  const run = new Run(options, { clock, ledger, moog, redis, proxy, consumers, healer, world });
  return {
    clock,
    play: () => run.play(),
    measure: () => measure(redis),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

interface Parts {
  readonly clock: SimClock;
  readonly ledger: Ledger;
  /** Asked by the contenders' probes. The forwarders post within this process: HTTP costs too much in compressed time. */
  readonly moog: MockMoog;
  readonly redis: Redis;
  readonly proxy: CountingProxy;
  readonly consumers: readonly Worker[];
  readonly healer: Worker;
  /** As it is now; changed by the script. */
  readonly world: World;
}

class Run {
  readonly #options: PipelineOptions;
  readonly #parts: Parts;
  #arrived = 0;
  #changed = 0;
  #worstLagMs = 0;
  /** When the fault ended. */
  #depths: Depths | null = null;
  #emptiedAtMs: number | null = null;

  constructor(options: PipelineOptions, parts: Parts) {
    this.#options = options;
    this.#parts = parts;
  }

  async play(): Promise<Result> {
    const { clock, consumers, healer } = this.#parts;
    clock.restart();
    const failed = Promise.race([...consumers, healer].map(({ running }) => running)).then(() => {
      throw new Error("a part of the simulation ended by itself");
    });
    await Promise.race([this.#playScript(), failed]);
    const endedAtMs = clock.elapsedMs();
    await healer.stop();
    await Promise.all(consumers.map((consumer) => consumer.stop()));
    return await this.#conclude(endedAtMs);
  }

  async #playScript(): Promise<void> {
    const { clock } = this.#parts;
    const { incident, signal, factor } = this.#options;
    const startedAtMs = performance.now();
    for (let tick = 1;; tick++) {
      const dueMs = startedAtMs + tick * TICK_MS;
      await clock.sleep(Math.max(0, dueMs - performance.now()) * factor, signal);
      signal.throwIfAborted();
      const lagMs = performance.now() - dueMs;
      this.#worstLagMs = Math.max(this.#worstLagMs, lagMs);
      if (lagMs > TICK_MS) tick += Math.floor(lagMs / TICK_MS);
      this.#changeWorld();
      await this.#putArrivals();
      if (clock.elapsedMs() >= incident.endsAtMinute * 60_000) return;
      const isOver = clock.elapsedMs() >= incident.faultEndsAtMinute * 60_000;
      if (isOver && (this.#depths === null || tick % LOOK_EVERY_TICKS === 0) && await this.#isHealed()) return;
    }
  }

  #changeWorld(): void {
    const { clock, moog, world } = this.#parts;
    const { incident: { changes }, onChange } = this.#options;
    for (let next = changes[this.#changed]; next; next = changes[this.#changed]) {
      if (clock.elapsedMs() < next.atMinute * 60_000) return;
      Object.assign(world, next.world);
      setWorld(moog, { clock, world });
      onChange?.(next.atMinute, next.says);
      this.#changed++;
    }
  }

  async #putArrivals(): Promise<void> {
    const { clock, ledger, redis } = this.#parts;
    const { traffic } = this.#options;
    const from = this.#arrived, nowMs = clock.elapsedMs();
    while (this.#arrived < traffic.length && traffic[this.#arrived]!.dueMs <= nowMs) this.#arrived++;
    const due = traffic.slice(from, this.#arrived);
    if (due.length === 0) return;
    for (const event of due) ledger.entered(event);
    await redis.lpush(KEYS.ingest, ...due.map(({ text }) => text));
  }

  /** Looks at the dead-letter queues after the fault. */
  async #isHealed(): Promise<boolean> {
    const { clock, ledger, redis } = this.#parts;
    const depths = await measure(redis), depth = inDlqs(depths);
    this.#depths ??= depths;
    this.#emptiedAtMs = depth > 0 ? null : this.#emptiedAtMs ?? clock.elapsedMs();
    return depth === 0 && ledger.healing(this.#options.incident.faultEndsAtMinute * 60_000).open === 0;
  }

  async #conclude(endedAtMs: number): Promise<Result> {
    const { clock, ledger, redis, proxy } = this.#parts;
    const endMs = this.#options.incident.faultEndsAtMinute * 60_000;
    const { open, lastDeliveryMs } = ledger.healing(endMs);
    return {
      account: ledger.close(await collect(redis)),
      healedAfterMinutes: open > 0 ? null : Math.max(0, (lastDeliveryMs ?? 0) - endMs) / 60_000,
      unhealed: open,
      watchedMinutes: Math.max(0, endedAtMs - endMs) / 60_000,
      backlog: this.#depths ? inDlqs(this.#depths) : 0,
      queued: this.#depths ? this.#depths.ingest + this.#depths.alerts : 0,
      emptiedAfterMinutes: this.#emptiedAtMs === null ? null : (this.#emptiedAtMs - endMs) / 60_000,
      liveDelaySeconds: ledger.liveDelayMs({ fromMs: endMs, nowMs: endedAtMs }) / 1_000,
      commands: proxy.commands,
      worstLagMs: this.#worstLagMs,
      lateShare: clock.lostMs / clock.realMs(endedAtMs),
    };
  }
}

function setWorld(moog: MockMoog, { clock, world }: { clock: SimClock; world: World }): void {
  moog.answerWith(world.moogStatus);
  moog.delayBy(clock.realMs(world.moogLatencyMs));
}

async function measure(redis: Redis): Promise<Depths> {
  const keys = [KEYS.ingest, KEYS.alerts, KEYS.dlqAlerter, KEYS.dlqMoog, KEYS.dead];
  const [ingest = 0, alerts = 0, dlqAlerter = 0, dlqMoog = 0, dead = 0] = await Promise.all(
    keys.map((key) => redis.llen(key)),
  );
  return { ingest, alerts, dlqAlerter, dlqMoog, dead };
}

function inDlqs({ dlqAlerter, dlqMoog }: Depths): number {
  return dlqAlerter + dlqMoog;
}

async function collect(redis: Redis): Promise<Leftovers> {
  const read = async (...keys: string[]): Promise<Buffer[]> =>
    (await Promise.all(keys.map((key) => redis.lrangeBuffer(key, 0, -1)))).flat();
  return {
    queued: await read(KEYS.ingest, KEYS.alerts),
    wedged: await read(...await redis.keys("mutt:processing:*")),
    dlqAlerter: await read(KEYS.dlqAlerter),
    dlqMoog: await read(KEYS.dlqMoog),
    dead: await read(KEYS.dead),
  };
}
