/** An hour's outage in cycles of a second, every one of them. */
import assert from "node:assert/strict";
import { DEAD, DLQ, eventTexts } from "../../testkit/engine.ts";
import { ACCEPT, FAIL, numbered, Pipeline } from "../../testkit/pipeline.ts";
import { shareRedis } from "../../testkit/redis.ts";

const server = shareRedis();

for (const replicas of [1, 4]) {
  Deno.test(`outage: kills none of 5,000 when an hour is 3,600 cycles of a second (${replicas} replicas)`, async () => {
    await using pipeline = new Pipeline(server(), { replicas, intervalMs: 1_000 });
    await server().seedList(DLQ, eventTexts(5_000));
    for (let cycle = 0; cycle < 3_600; cycle++) {
      await pipeline.tick(FAIL);
      await server().seedList(DLQ, eventTexts(1, 5_000 + cycle)); // live traffic fails as well
    }
    assert.equal(await pipeline.depth(DEAD), 0);
    await pipeline.untilEmpty(ACCEPT, { most: 40 });
    assert.deepEqual(pipeline.delivered.toSorted(), numbered(0, 8_600));
    assert.equal(await pipeline.depth(DEAD), 0);
  });
}
