import assert from "node:assert/strict";
import { waitUntil } from "../../../testkit/wait.ts";

Deno.test("waitUntil: gives the first truthy value", async () => {
  let turn = 0;
  assert.equal(await waitUntil(() => ++turn >= 3 && turn, { what: "the third turn" }), 3);
});

Deno.test("waitUntil: says what it waited for and what it saw last", async () => {
  await assert.rejects(
    waitUntil(() => 0, { what: "there is one", timeoutMs: 20 }),
    { message: "Waited 160 ms in vain until there is one; last seen: 0" },
  );
});
