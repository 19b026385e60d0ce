/**
 * The own counter with its brake, end to end, on the cycle that the service has: an outage makes nothing poison, a poison
 * message ends. Time is simulated: each tick is one interval, because the record says that the last cycle
 * began long ago.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { DEAD, DLQ, eventText, eventTexts, idOf } from "../../testkit/engine.ts";
import { ACCEPT, type Consumer, FAIL, numbered, Pipeline, SHED } from "../../testkit/pipeline.ts";
import { shareRedis } from "../../testkit/redis.ts";

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
    const [first] = record.tallies;
    assert.deepEqual(
      [first?.cycle, first?.returned, first?.isTroubled],
      [1, 1_000, true],
      "all of the first came back",
    );
    await pipeline.untilEmpty(ACCEPT, { most: 10 });
    assert.deepEqual(pipeline.delivered.toSorted(), numbered(0, 1_000));
  });
}

/** As if the messages that wait had first been replayed half a day ago. */
async function ageStamps(client: ReturnType<ReturnType<typeof server>["client"]>): Promise<void> {
  const since = Math.floor(Date.now() / 1_000) - 13 * 3_600;
  const texts = (await server().readTexts(DLQ)).map((text) => text.replace(/"since": \d+/, `"since": ${since}`));
  await client.del(DLQ);
  await server().seedList(DLQ, texts);
}

Deno.test("poison: is dead after half a day and 24 failures where nothing can be compared with it, and not before", async () => {
  await using pipeline = new Pipeline(server(), { batchSize: 10 });
  await server().seedList(DLQ, eventTexts(1));
  for (let cycle = 0; cycle < 60; cycle++) await pipeline.force(FAIL);
  assert.deepEqual([await pipeline.depth(DEAD), await pipeline.depth(DLQ)], [0, 1]);
  await ageStamps(server().client());
  for (let cycle = 0; cycle < 60 && await pipeline.depth(DEAD) === 0; cycle++) await pipeline.force(FAIL);
  const [dead] = (await server().readTexts(DEAD)).map((text) => JSON.parse(text));
  assert.equal(dead._remediation.reason, "poison");
  assert.ok(dead._remediation.failures >= 24, dead._remediation.failures);
});

Deno.test("poison: is dead at the fourth look, and holds up no other, when ten of 1,000 always fail beside fresh ones", async () => {
  await using pipeline = new Pipeline(server());
  await server().seedList(DLQ, eventTexts(1_000));
  const isPoison = (message: Buffer) => Number(idOf(message)) < 1_000 && Number(idOf(message)) % 100 === 7;
  const consumer: Consumer = (message) => isPoison(message) ? FAIL(message) : null;
  await pipeline.tick(consumer);
  assert.equal(pipeline.delivered.length, 990);
  for (let cycle = 1; cycle <= 3; cycle++) {
    await server().seedList(DLQ, eventTexts(50, 1_000 * cycle));
    await pipeline.tick(consumer);
    assert.equal(pipeline.delivered.length, 990 + 50 * cycle, "fresh ones go at once");
  }
  const dead = (await server().readTexts(DEAD)).map((text) => JSON.parse(text));
  const expected = Array.from({ length: 10 }, (_, i) => 100 * i + 7);
  assert.deepEqual(dead.map(({ id }) => Number(id)).toSorted((a, b) => a - b), expected);
  for (const { _remediation: { failures, evidence } } of dead) {
    assert.ok(failures === 3 && evidence >= 10, `${evidence}`);
  }
  assert.equal(await pipeline.depth(DLQ), 0);
});

Deno.test("partial outage: kills none of 300 when two thirds of whatever goes fail, with and without fresh ones beside", async () => {
  for (const fresh of [0, 5]) {
    await server().client().flushall();
    await using pipeline = new Pipeline(server());
    await server().seedList(DLQ, eventTexts(300));
    let given = 0;
    const flaky: Consumer = (message) => given++ % 20 < 13 ? FAIL(message) : null;
    for (let cycle = 1; cycle <= 20; cycle++) {
      await pipeline.tick(flaky);
      if (fresh > 0) await server().seedList(DLQ, eventTexts(fresh, 1_000 * cycle));
    }
    await pipeline.untilEmpty(ACCEPT, { most: 10 });
    assert.deepEqual([await pipeline.depth(DEAD), pipeline.delivered.length], [0, 300 + 20 * fresh]);
  }
});

Deno.test("shed: is not poison for a few sheds, and is after half a day and ten for each of 24 failures", async () => {
  await using pipeline = new Pipeline(server());
  await server().seedList(DLQ, [eventText(0)]);
  let sheds = 0;
  const consumer: Consumer = (message) => (sheds++, SHED(message));
  for (let cycle = 0; cycle < 800 && await pipeline.depth(DEAD) === 0; cycle++) {
    await pipeline.force(consumer);
    if (sheds === 200) await ageStamps(server().client());
  }
  assert.equal(sheds, 240);
  const [dead] = (await server().readTexts(DEAD)).map((text) => JSON.parse(text));
  assert.equal(dead._remediation.sheds, 240);
  assert.equal(dead._remediation.reason, "poison");
});

Deno.test("stamps: survive and count on when the consumer is Python's loads and dumps", {
  ignore: !hasPython(),
}, async () => {
  await using pipeline = new Pipeline(server());
  await server().seedList(DLQ, [eventText("ä€😀", ', "n": [1.0, 1e5, 12345678901234567890], "nan": NaN')]);
  for (let cycle = 0; cycle < 4; cycle++) {
    await server().seedList(DLQ, eventTexts(30, 100 * cycle));
    await pipeline.force((message) => message.includes('"n": [') ? throughPython(message) : null);
  }
  const [dead] = await server().readTexts(DEAD);
  assert.match(
    dead!,
    /"_remediation": \{"failures": 3\.0, "evidence": 14\.\d+, "since": \d+, "cycle": 4, "source": "alerter", "reason": "poison"\}\}$/,
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
