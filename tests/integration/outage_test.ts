/**
 * The own counter with its brake, end to end, on the cycle that the service has: an outage makes nothing poison, a poison
 * message ends (issue 2, 1.13). Time is simulated: each tick is one interval, because the record says that the last cycle
 * began long ago.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createEngine, DEAD, DLQ, type Engine, eventText, eventTexts, idOf, STATE, TARGET } from "../support/engine.ts";
import { withMember } from "../support/model.ts";
import { shareRedis, type TestRedis } from "../support/redis.ts";

const server = shareRedis();
/** An hour and a day in intervals of the default, 300 s. */
const HOUR = 12, DAY = 288;

/** What the consumer makes of a message: nothing comes back where it is `null`. */
type Consumer = (message: Buffer) => Uint8Array | null;
const ACCEPT: Consumer = () => null;
const FAIL: Consumer = (message) => withMember(message, '"_retry_count": 4');
const SHED: Consumer = (message) => withMember(message, '"shedding_reason": "queue_full"');

/** A pipeline in miniature: replicas, the consumer behind them, and what it delivered. */
class Pipeline implements AsyncDisposable {
  readonly delivered: string[] = [];
  readonly engines: Engine[];
  readonly redis: TestRedis;
  readonly #client: ReturnType<TestRedis["client"]>;
  #cycles = 0;

  constructor(redis: TestRedis, { replicas = 1, ...settings }: { replicas?: number; batchSize?: number } = {}) {
    this.redis = redis;
    this.#client = redis.client();
    const given = { chunkMessages: 200, intervalSeconds: 300, ...settings };
    this.engines = Array.from({ length: replicas }, () => createEngine(redis, { settings: given }));
  }

  /** Ticks so far. */
  get cycles(): number {
    return this.#cycles;
  }

  /** One interval: every replica takes its turn, all at a time; then the consumer works its queue off. */
  async tick(consumer: Consumer): Promise<void> {
    await this.#dueNow();
    await Promise.all(this.engines.map((engine) => engine.turn({ begin: "due" })));
    await this.consume(consumer);
    this.#cycles++;
  }

  /** The same with one replica and a cycle that is forced, as `once` does it. */
  async force(consumer: Consumer): Promise<void> {
    await this.engines[0]!.turn({ begin: "now" });
    await this.consume(consumer);
    this.#cycles++;
  }

  /** Works off what is in the target now. @returns how many messages that were. */
  async consume(consumer: Consumer): Promise<number> {
    let count = 0;
    for (;;) {
      const messages = await this.#client.rpopBuffer(TARGET, 1_000) ?? [];
      if (messages.length === 0) return count;
      count += messages.length;
      const back = messages.flatMap((message) => {
        const returned = consumer(message);
        if (returned === null) this.delivered.push(idOf(message));
        return returned === null ? [] : [Buffer.from(returned)];
      });
      if (back.length > 0) await this.#client.lpush(DLQ, ...back);
    }
  }

  /** Ticks until the DLQ is empty. @throws after `most`. */
  async untilEmpty(consumer: Consumer, { most }: { most: number }): Promise<number> {
    const from = this.#cycles;
    while (await this.depth(DLQ) > 0) {
      assert.ok(this.#cycles - from < most, `not empty after ${most} cycles: ${await this.depth(DLQ)} left`);
      await this.tick(consumer);
    }
    return this.#cycles - from;
  }

  depth(key: string): Promise<number> {
    return this.#client.llen(key);
  }

  /** A turn while a consumer beside it takes what comes and returns it at once, through the same kind of connection. */
  async tickPaced(consumer: Consumer): Promise<void> {
    await this.#dueNow();
    let isOver = false;
    const turns = Promise.all(this.engines.map((engine) => engine.turn({ begin: "due" }))).finally(() => isOver = true);
    while (!isOver) await this.consume(consumer);
    await turns;
    await this.consume(consumer);
    this.#cycles++;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const engine of this.engines) await engine[Symbol.asyncDispose]();
  }

  async #dueNow(): Promise<void> {
    if (this.#cycles > 0) await this.#client.hset(STATE, "startedAtMs", 1);
  }
}

const numbered = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => String(from + i)).sort();

for (const replicas of [1, 4]) {
  Deno.test(`outage: kills none of 5,000 and delivers all when the consumer fails everything for an hour (${replicas} replicas)`, async () => {
    await using pipeline = new Pipeline(server(), { replicas });
    await server().seedList(DLQ, eventTexts(5_000));
    for (let cycle = 0; cycle < HOUR; cycle++) {
      await pipeline.tick(FAIL);
      await server().seedList(DLQ, eventTexts(500, 5_000 + 500 * cycle)); // live traffic fails as well
      assert.equal(await pipeline.depth(DEAD), 0);
    }
    assert.deepEqual(pipeline.delivered, []);
    const healed = await pipeline.untilEmpty(ACCEPT, { most: 10 });
    assert.ok(healed <= 4, `healed after ${healed} cycles; the simulation says 3, and one to see that it is empty`);
    assert.deepEqual(pipeline.delivered.toSorted(), numbered(0, 11_000));
    assert.equal(await pipeline.depth(DEAD), 0);
  });
}

Deno.test("outage: kills none of 5,000 when an hour is 3,600 cycles of a second and the batch is the default", {
  ignore: !Deno.env.has("OUTAGE_LONG"),
}, async () => {
  await using pipeline = new Pipeline(server(), { batchSize: 10 });
  await server().seedList(DLQ, eventTexts(5_000));
  for (let cycle = 0; cycle < 3_600; cycle++) await pipeline.tick(FAIL);
  assert.equal(await pipeline.depth(DEAD), 0);
  await pipeline.untilEmpty(ACCEPT, { most: 600 });
  assert.deepEqual(pipeline.delivered.toSorted(), numbered(0, 5_000));
});

Deno.test("outage: kills none of 100 when the consumer fails everything for a day", async () => {
  await using pipeline = new Pipeline(server(), { batchSize: 10 });
  await server().seedList(DLQ, eventTexts(100));
  for (let cycle = 0; cycle < DAY; cycle++) await pipeline.force(FAIL);
  assert.equal(await pipeline.depth(DEAD), 0);
  await pipeline.untilEmpty(ACCEPT, { most: 20 });
  assert.deepEqual(pipeline.delivered.toSorted(), numbered(0, 100));
});

for (const replicas of [1, 4]) {
  Deno.test(`outage: sees the trouble and kills none when messages come back while the cycle is running (${replicas} replicas)`, async () => {
    await using pipeline = new Pipeline(server(), { replicas });
    for (const { source } of pipeline.engines) void source;
    await server().seedList(DLQ, eventTexts(1_000));
    for (let cycle = 1; cycle <= HOUR; cycle++) {
      await pipeline.tickPaced(FAIL);
      assert.equal(await pipeline.depth(DEAD), 0);
      assert.equal(await pipeline.depth(DLQ), 1_000);
    }
    const { record } = pipeline.engines[0]!.source.replay.lastSnapshot()!;
    assert.equal(record.troubled[0]?.[0], 1, "the first cycle is seen as troubled");
    await pipeline.untilEmpty(ACCEPT, { most: 10 });
    assert.deepEqual(pipeline.delivered.toSorted(), numbered(0, 1_000));
  });
}

for (const [count, cycles] of [[1, 21], [10, 219]] as const) {
  Deno.test(`poison: is dead after the simulation's ${cycles} cycles when ${count} always fail`, async () => {
    await using pipeline = new Pipeline(server(), { batchSize: 10 });
    await server().seedList(DLQ, eventTexts(count));
    let last = 0;
    for (; await pipeline.depth(DEAD) < count; last = pipeline.cycles) {
      assert.ok(pipeline.cycles <= cycles, "as many cycles as the simulation takes");
      await pipeline.force(FAIL);
    }
    // The simulation counts cycles from 0, and says in which one the DLQ was found empty.
    assert.equal(last - 1, cycles);
    assert.deepEqual((await server().readTexts(DEAD)).map(idOf).toSorted(), numbered(0, count));
    const [dead] = (await server().readTexts(DEAD)).map((text) => JSON.parse(text));
    assert.deepEqual([dead._remediation.failures, dead._remediation.reason], [3, "poison"]);
    assert.ok(dead._remediation.excused <= 5);
  });
}

Deno.test("poison: does not keep the healthy ones when ten of 1,000 always fail", async () => {
  await using pipeline = new Pipeline(server());
  await server().seedList(DLQ, eventTexts(1_000));
  const isPoison = (message: Buffer) => Number(idOf(message)) % 100 === 7;
  const consumer: Consumer = (message) => isPoison(message) ? FAIL(message) : null;
  await pipeline.tick(consumer);
  assert.equal(pipeline.delivered.length, 990);
  await pipeline.untilEmpty(consumer, { most: 230 });
  const dead = (await server().readTexts(DEAD)).map(idOf);
  assert.deepEqual(dead.map(Number).toSorted((a, b) => a - b), Array.from({ length: 10 }, (_, i) => 100 * i + 7));
});

Deno.test("shed: is not poison for a few sheds, and is after ten for each allowed failure", async () => {
  await using pipeline = new Pipeline(server());
  await server().seedList(DLQ, [eventText(0)]);
  let sheds = 0;
  const consumer: Consumer = (message) => (sheds++, SHED(message));
  for (let cycle = 0; await pipeline.depth(DEAD) === 0; cycle++) {
    assert.ok(cycle < 200, "a message that is always shed ends");
    await pipeline.force(consumer);
  }
  assert.equal(sheds, 30);
  const [dead] = (await server().readTexts(DEAD)).map((text) => JSON.parse(text));
  assert.equal(dead._remediation.sheds, 30);
  assert.equal(dead._remediation.reason, "poison");
});

Deno.test("stamps: survive and count on when the consumer is Python's loads and dumps", {
  ignore: !hasPython(),
}, async () => {
  await using pipeline = new Pipeline(server());
  await server().seedList(DLQ, [eventText("ä€😀", ', "n": [1.0, 1e5, 12345678901234567890], "nan": NaN')]);
  for (let cycle = 0; await pipeline.depth(DEAD) === 0; cycle++) {
    assert.ok(cycle < 50, "the message ends");
    await pipeline.force((message) => throughPython(message));
  }
  assert.equal(pipeline.cycles - 1, 21);
  const [dead] = await server().readTexts(DEAD);
  assert.match(
    dead!,
    /"_remediation": \{"failures": 3, "excused": 5, "cycle": \d+, "source": "alerter", "reason": "poison"\}\}$/,
  );
  assert.ok(dead!.includes('"n": [1.0, 100000.0, 12345678901234567890], "nan": NaN'), dead);
});

function hasPython(): boolean {
  try {
    return new Deno.Command("python3", { args: ["-c", ""] }).outputSync().success;
  } catch {
    console.log("stamps: there is no python3 here, so its loads and dumps are not tested");
    return false;
  }
}

/** As MUTT's alerter dead-letters a message: read, a member set, written. */
function throughPython(message: Uint8Array): Uint8Array {
  const code = "import json, sys\nm = json.loads(bytes.fromhex(sys.argv[1]).decode('utf-8'))\n" +
    "m['_retry_count'] = 4\nsys.stdout.write(json.dumps(m))";
  const { success, stdout } = new Deno.Command("python3", { args: ["-c", code, message.toHex()] }).outputSync();
  assert.ok(success, "Python reads what was replayed");
  return stdout;
}
