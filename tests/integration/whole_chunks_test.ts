/** How many messages go with a commit while the pace lets few replays through. */
import assert from "node:assert/strict";
import { createEngine, DEAD, DLQ, eventTexts, TARGET } from "../../testkit/engine.ts";
import { pushOf, shareRedis } from "../../testkit/redis.ts";
import { waitUntil } from "../../testkit/wait.ts";

const redis = shareRedis({ push: pushOf(import.meta) });
/** Four replays each 200 ms, and chunks of 200. */
const PACED = { maxPerSecond: 20, chunkMessages: 200 };
const BROKEN = Array.from({ length: 1_000 }, (_, i) => `no JSON, ${i}`);

Deno.test("SourceReplay: moves what dies in whole chunks, because it uses up no pace", async () => {
  await redis().seedList(DLQ, BROKEN);
  await using engine = createEngine(redis(), { settings: PACED });
  await engine.start();
  await waitUntilMoved(1_000);
  const { ok = 0 } = await engine.commits();
  assert.ok(ok <= 10, `${ok} commits`);
  assert.equal(await redis().depth(DEAD), 1_000);
});

Deno.test("SourceReplay: replays no more at a time than the pace allows, whatever dies between", async () => {
  await redis().seedList(DLQ, [
    ...BROKEN.slice(0, 300),
    ...eventTexts(30),
    ...BROKEN.slice(300, 400),
    ...eventTexts(5),
  ]);
  await using engine = createEngine(redis(), { settings: PACED });
  const most: number[] = [];
  engine.beforeCommit((_, { moves }) => {
    most.push(moves.filter(({ to }) => to === "target").length);
  });
  const beganMs = performance.now();
  await engine.start();
  await waitUntilMoved(435);
  assert.ok(Math.max(...most) <= 20, `replays by commit: ${most}`);
  assert.ok(performance.now() - beganMs >= 500, "35 replays at 20 a second, of which 20 may go at once");
  assert.deepEqual([await redis().depth(TARGET), await redis().depth(DEAD)], [35, 400]);
});

async function waitUntilMoved(count: number): Promise<void> {
  await waitUntil(async () => await redis().depth(TARGET) + await redis().depth(DEAD) === count, {
    ...{ what: `${count} messages are moved`, timeoutMs: 20_000 },
  });
}
