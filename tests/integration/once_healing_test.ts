/** Healing under cron: every cycle in a process of its own, so that all that is known lies in Redis and in the messages. */
import assert from "node:assert/strict";
import type { SourceEntry } from "../../src/config/source_fields.ts";
import { BESIDE, createEngine, DEAD, DLQ, eventTexts, TARGET } from "../../testkit/engine.ts";
import { shareRedis } from "../../testkit/redis.ts";

const redis = shareRedis();
const CRON = { batchSize: 10 };

/** One run of `once`. */
async function runOnce(entry: SourceEntry = {}): Promise<void> {
  await using engine = createEngine(redis(), { settings: CRON, entry });
  await engine.turn({ begin: "now" });
}

/** One run of `once`, and a consumer that then takes all, in order. @returns how many messages came back */
async function run(fails: (text: string) => boolean): Promise<number> {
  await runOnce();
  const client = redis().client();
  let returned = 0;
  for (let text = await client.rpop(TARGET); text !== null; text = await client.rpop(TARGET)) {
    if (fails(text)) returned += Math.sign(await client.lpush(DLQ, text));
  }
  return returned;
}

/** The same numbers each time, from 0 to 1. */
function numbers(): () => number {
  let state = 7;
  return () => (state = state * 48_271 % 2_147_483_647) / 2_147_483_647;
}

Deno.test("once: a partial outage kills no message, whoever runs it, and what waited drains behind it", async () => {
  const next = numbers();
  await redis().seedList(DLQ, eventTexts(60));
  let returned = 0;
  for (let cycle = 0; cycle < 40; cycle++) returned += await run(() => next() < 0.8);
  assert.ok(returned > 50, `${returned} came back`);
  assert.equal(await redis().depth(DEAD), 0);
  for (let cycle = 0; cycle < 60 && await redis().depth(DLQ) > 0; cycle++) await run(() => false);
  assert.deepEqual([await redis().depth(DLQ), await redis().depth(DEAD)], [0, 0]);
});

Deno.test("once: poison among messages that get through dies, and nothing else does", async () => {
  const isPoison = (text: string) => text.includes("poison");
  const texts = eventTexts(3).map((text) => text.replace("{", '{"poison": true, '));
  await redis().seedList(DLQ, texts);
  for (let cycle = 0; cycle < 12 && await redis().depth(DEAD) < 3; cycle++) {
    await redis().seedList(DLQ, eventTexts(7));
    await run(isPoison);
  }
  const dead = await redis().readTexts(DEAD);
  assert.equal(dead.length, 3);
  assert.ok(dead.every(isPoison));
});

/** What lies in the DLQ of such a source, for what its consumer failed. */
const SOURCES: readonly { what: string; entry: SourceEntry; letter: (text: string) => string }[] = [
  { what: "with stamps inside", entry: {}, letter: (text) => text },
  {
    what: "with stamps inside what it unwraps",
    entry: { unwrap: "payload", required: [] },
    letter: (text) => `{"payload": ${text}}`,
  },
  { what: "with records beside", entry: BESIDE, letter: (text) => text },
];

for (const { what, entry, letter } of SOURCES) {
  /** Another ten go each time, one of them poison, while live messages wait. @returns the cycles, at most eight, until one is dead */
  const untilDead = async (
    consume: (taken: readonly string[]) => { failed: readonly string[]; left: readonly string[] },
  ) => {
    const client = redis().client(),
      live = (cycle: number) => Array.from({ length: 30 }, (_, i) => `{"live": ${100 * cycle + i}}`);
    await redis().seedList(DLQ, [letter('{"poison": true, "hostname": "a", "timestamp": "b", "message": "c"}')]);
    for (let cycle = 1; cycle <= 8; cycle++) {
      await redis().seedList(DLQ, eventTexts(9).map((text) => letter(text.replace("{", `{"cycle": ${cycle}, `))));
      await runOnce(entry);
      if (await redis().depth(DEAD) > 0) return cycle;
      const { failed, left } = consume(await redis().readTexts(TARGET));
      await client.del(TARGET);
      await redis().seedList(TARGET, [...left, ...live(cycle)]);
      await redis().seedList(DLQ, failed.map(letter));
    }
    return Infinity;
  };
  const isPoison = (text: string) => text.includes("poison");

  Deno.test(`once: live messages that wait in the target do not hide poison, of a source ${what}`, async () => {
    assert.equal(await untilDead((taken) => ({ failed: taken.filter(isPoison), left: [] })), 4);
  });

  Deno.test(`once: nothing is blamed while what went with it still waits among live messages, of a source ${what}`, async () => {
    const cycles = await untilDead((taken) => ({
      failed: taken.filter(isPoison),
      left: taken.filter((text) => !isPoison(text) && !text.includes("live")),
    }));
    assert.equal(cycles, Infinity);
  });
}
