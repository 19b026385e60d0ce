/** Requests that may be repeated: what is kept of their answers, and that a hung store does not hold them. */
import assert from "node:assert/strict";
import { type RequestStore, runOnce } from "../../../src/api/idempotency.ts";
import { Problem } from "../../../src/api/problem.ts";

const request = { key: "k-1", actor: "ann", method: "POST", url: "/x", body: new Uint8Array() };

function createStore(settle?: RequestStore["settle"]) {
  const values = new Map<string, string>();
  const store: RequestStore = {
    claim: (digest, claim) => {
      const found = values.get(digest) ?? null;
      if (found === null) values.set(digest, claim);
      return Promise.resolve(found);
    },
    settle: settle ?? ((digest, { answer }) => {
      if (answer === null) values.delete(digest);
      else values.set(digest, answer);
      return Promise.resolve();
    }),
  };
  return { store, values };
}

Deno.test("runOnce: an answer that is too long is sent but not kept, and the request does not run again", async () => {
  const { store, values } = createStore();
  let runs = 0;
  const run = () => runOnce(store, request, () => Promise.resolve(new Response(`${++runs}${"x".repeat(1_000_000)}`)));
  assert.equal((await (await run()).text()).length, 1_000_001);
  await assert.rejects(run(), (error) => error instanceof Problem && error.code === "conflict");
  assert.equal(runs, 1);
  assert.ok([...values.values()].every((value) => value.length < 1_000));
});

Deno.test("runOnce: a failure is answered although the store hangs", async () => {
  const { store } = createStore(() => new Promise(() => {}));
  const answer = await runOnce(store, request, () => Promise.resolve(new Response("away", { status: 503 })));
  assert.deepEqual([answer.status, await answer.text()], [503, "away"]);
  await assert.rejects(
    runOnce(createStore(() => new Promise(() => {})).store, request, () => Promise.reject(new Error("bug"))),
    /bug/,
  );
});
