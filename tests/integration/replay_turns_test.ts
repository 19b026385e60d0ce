/** Several instances at one Redis: one bound and one interval for all of them, whoever dies. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Redis } from "ioredis";
import { createEngine, DEAD, DLQ, type Engine, eventTexts, idOf, STATE, TARGET } from "../../testkit/engine.ts";
import { shareRedis } from "../../testkit/redis.ts";
import { PATIENT_MS, waitUntil } from "../../testkit/wait.ts";

const server = shareRedis();
const INTERVAL_MS = 300;
const MESSAGES = 60;
const SETTINGS = { intervalMs: INTERVAL_MS, maxPoisonRetries: 1_000, chunkMessages: 7 };

/** Gives every message back to the DLQ at once, as a consumer does that fails, and writes down what it was given. */
class FailingConsumer {
  /** What was delivered, as "id in cycle". */
  readonly deliveries: string[] = [];
  /** When each cycle began, by the server's clock. */
  readonly starts = new Map<number, number>();
  readonly #client: Redis;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor(client: Redis) {
    this.#client = client;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Ids of the messages that were delivered. */
  ids(): Set<string> {
    return new Set(this.deliveries.map((delivery) => delivery.split(" ")[0]!));
  }

  /** Once it has been given all that was replayed. */
  async stop(): Promise<void> {
    await waitUntil(async () => await this.#client.llen(TARGET) === 0, { what: "the consumer has taken all" });
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const [cycle, startedAtMs] = await this.#client.hmget(STATE, "cycle", "startedAtMs");
      if (cycle) this.starts.set(Number(cycle), Number(startedAtMs));
      const message = await this.#client.rpop(TARGET);
      if (message === null) continue;
      this.deliveries.push(`${idOf(message)} in ${/"cycle": (\d+)/.exec(message)?.[1]}`);
      await this.#client.lpush(DLQ, message);
    }
  }
}

/** No message twice in a cycle, no two cycles within an interval, nothing gone. */
async function checkTurns({ deliveries, starts }: FailingConsumer): Promise<void> {
  const twice = deliveries.filter((delivery, i) => deliveries.indexOf(delivery) !== i);
  deepStrictEqual(twice, []);
  const begun = [...starts].sort(([a], [b]) => a - b);
  const gaps = begun.slice(1).map(([cycle, atMs], i) => (atMs - begun[i]![1]) / (cycle - begun[i]![0]));
  ok(gaps.every((gap) => gap >= INTERVAL_MS), `cycles ${gaps.join(", ")} ms apart`);
  const left = [
    ...await server().readTexts(DLQ),
    ...await server().readTexts(TARGET),
    ...await server().readTexts(DEAD),
  ];
  deepStrictEqual(left.map(idOf).map(Number).sort((a, b) => a - b), Array.from({ length: MESSAGES }, (_, i) => i));
}

Deno.test("replay: takes no message twice within an interval when four instances start together", async () => {
  await server().seedList(DLQ, eventTexts(MESSAGES));
  const consumer = new FailingConsumer(server().client());
  // The brake is off, or a cycle that a busy machine draws out beyond the interval is followed by canary groups. The timeout is
  // long, or the reply to an engine's last commit gets lost, and nothing counts what that moved.
  const options = { settings: { ...SETTINGS, brakeEnabled: false }, commandTimeoutMs: PATIENT_MS };
  await using one = createEngine(server(), options);
  await using two = createEngine(server(), options);
  await using three = createEngine(server(), options);
  await using four = createEngine(server(), options);
  consumer.start();
  await Promise.all([one, two, three, four].map((engine) => engine.start()));
  await waitUntil(() => consumer.starts.size >= 6 && consumer.ids().size === MESSAGES, {
    what: "six cycles have begun, and each message was delivered",
    timeoutMs: 10_000,
  });
  await Promise.all([one, two, three, four].map((engine) => engine[Symbol.asyncDispose]()));
  await consumer.stop();
  await checkTurns(consumer);
  strictEqual(consumer.ids().size, MESSAGES);
  const moved = await Promise.all([one, two, three, four].map((engine) => engine.moved()));
  strictEqual(moved.reduce((sum, { replayed }) => sum + replayed, 0), consumer.deliveries.length);
});

Deno.test("replay: tells how the brake changed when another instance began the cycle", async () => {
  const client = server().client();
  await server().seedList(DLQ, eventTexts(100));
  await using first = createEngine(server());
  await using second = createEngine(server());
  await first.turn({ begin: "now" });
  await client.rename(TARGET, DLQ); // all of them come back
  await first.turn({ begin: "now" });
  await client.del(TARGET); // the canary group stays away
  await second.turn({ begin: "now" });
  await first.source.replay.askGates();
  const told = ({ lines }: Engine) =>
    lines.filter(({ event }) => event === "brake").map(({ fields: { from, to, other_instance = false } }) => {
      return [from, to, other_instance];
    });
  deepStrictEqual([told(first), told(second)], [
    [["healthy", "canary", false], ["canary", "ramping", true]],
    [["canary", "ramping", false]],
  ]);
  const shown = (await first.metrics.brakeState.get()).values.filter(({ value }) => value === 1);
  deepStrictEqual(shown.map(({ labels }) => labels.state), ["ramping"]);
});

Deno.test("replay: takes no message twice within an interval when instances are killed and started again", async () => {
  await server().seedList(DLQ, eventTexts(MESSAGES));
  const consumer = new FailingConsumer(server().client());
  await using steady = createEngine(server(), { settings: SETTINGS });
  consumer.start();
  await steady.start();
  let killed = 0;
  for (; killed < 5 || consumer.starts.size < 8; killed++) {
    const engine: Engine = createEngine(server(), { settings: SETTINGS });
    let commits = 0;
    // Dies in the middle of a commit if it gets to one, else when another cycle has begun.
    engine.beforeCommit(() => void commits++);
    await engine.start();
    const cycles = consumer.starts.size;
    await waitUntil(() => commits > 0 || consumer.starts.size > cycles, {
      what: "it commits, or another cycle begins",
    });
    await engine.kill();
  }
  await steady[Symbol.asyncDispose]();
  await consumer.stop();
  await checkTurns(consumer);
});
