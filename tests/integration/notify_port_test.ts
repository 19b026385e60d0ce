/** The notifier's calls to a real Redis that takes some of them, and not others. */
import assert from "node:assert/strict";
import { createPort } from "../../src/app/notifying.ts";
import { journalKey } from "../../src/redis/keys.ts";
import { NoticeStore } from "../../src/redis/notice_store.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { recordLog } from "../../testkit/recorded_log.ts";
import { shareRedis } from "../../testkit/redis.ts";

const server = shareRedis();

Deno.test("createPort: logs once that a call goes on to fail, though others succeed", async () => {
  const client = server().client(), { log, lines } = recordLog();
  const store = new NoticeStore(client, { token: "a", name: "pod a" });
  const port = createPort(store, { clock: SYSTEM_CLOCK, log, instance: "pod a" });
  await client.set(journalKey("incidents"), "a text");
  for (let look = 0; look < 3; look++) {
    assert.equal(await port.take(60_000), true);
    assert.equal(await port.enter(), null);
  }
  assert.deepEqual(lines.map(({ event }) => event), ["notices_unwritable"]);
  await client.del(journalKey("incidents"));
  assert.equal(await port.enter(), true);
  assert.deepEqual(lines.map(({ event }) => event), ["notices_unwritable", "notices_written"]);
});
