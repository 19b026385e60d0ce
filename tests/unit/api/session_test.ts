/** Sessions while the shared secret is read again. */
import assert from "node:assert/strict";
import { digestOf, KeyRing } from "../../../src/api/key_ring.ts";
import { Sessions } from "../../../src/api/session.ts";
import { SYSTEM_CLOCK } from "../../../src/runtime/clock.ts";
import { recordLog } from "../../../testkit/recorded_log.ts";

Deno.test("session: while Redis hangs, a known secret is used; another one counts as soon as it is read", async () => {
  let nowMs = 0;
  // Every wait has passed as soon as it begins.
  const clock = { ...SYSTEM_CLOCK, monotonicMs: () => nowMs, sleep: () => Promise.resolve() };
  const key = { name: "ann", role: "viewer", digest: digestOf("a key of the test") } as const;
  const keys = new KeyRing({
    ...{ clock, log: recordLog().log, fixed: [key], readFile: () => ({ ok: true, keys: [] }) },
  });
  const reads: PromiseWithResolvers<string>[] = [];
  const sessions = new Sessions({
    ...{ keys, clock },
    sharedSecret: () => {
      reads.push(Promise.withResolvers<string>());
      return reads.at(-1)!.promise;
    },
  });
  const begun = sessions.begin(key, "loopback");
  reads[0]!.resolve("first");
  const headers = new Headers({ host: "localhost", cookie: (await begun).split(";")[0]! });
  const check = async () => {
    const session = await sessions.check(headers);
    return typeof session === "string" ? session : session.key;
  };
  assert.equal(await check(), key);
  nowMs = 60_000;
  assert.equal(await check(), key);
  assert.equal(reads.length, 2);
  reads[1]!.resolve("second");
  await reads[1]!.promise;
  assert.equal(await check(), "bad");
});
