/**
 * The own counter with its brake, end to end, on the cycle that the service has: an outage makes nothing poison, a poison
 * message ends. Time is simulated: each tick is one interval, because the record says that the last cycle
 * began long ago.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { DEAD, DLQ, eventText, eventTexts, idOf } from "../support/engine.ts";
import { ACCEPT, type Consumer, FAIL, numbered, Pipeline, SHED } from "../support/pipeline.ts";
import { shareRedis } from "../support/redis.ts";

const server = shareRedis();
/** An hour and a day in intervals of the default, 300 s. */
const HOUR = 12, DAY = 288;

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

Deno.test("outage: kills none of 100 when the consumer fails everything for a day", async () => {
  await using pipeline = new Pipeline(server(), { batchSize: 10 });
  await server().seedList(DLQ, eventTexts(100));
  for (let cycle = 0; cycle < DAY; cycle++) await pipeline.force(FAIL);
  assert.equal(await pipeline.depth(DEAD), 0);
  const { troubled } = pipeline.engines[0]!.source.replay.lastSnapshot()!.record;
  assert.equal(troubled.length, 1, "one outage is one range, so that a long one is not forgotten from its beginning");
  await pipeline.untilEmpty(ACCEPT, { most: 20 });
  assert.deepEqual(pipeline.delivered.toSorted(), numbered(0, 100));
});

for (const replicas of [1, 4]) {
  Deno.test(`outage: sees the trouble and kills none when messages come back while the cycle is running (${replicas} replicas)`, async () => {
    await using pipeline = new Pipeline(server(), { replicas });
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
