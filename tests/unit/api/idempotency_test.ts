/** Requests that may be repeated: what is kept of their answers, and that neither a hung store nor a slow request holds them. */
import assert from "node:assert/strict";
import { PATIENCE_MS, RepeatableRequests, type RequestStore } from "../../../src/api/idempotency.ts";
import { Problem, type ProblemCode } from "../../../src/api/problem.ts";
import { TestClock, turn } from "../../../testkit/test_clock.ts";

const request = { key: "k-1", actor: "ann", method: "POST", url: "/x", body: new Uint8Array() };

function createRequests({ settle }: { settle?: RequestStore["settle"] } = {}) {
  const values = new Map<string, string>(), renewed: string[] = [], clock = new TestClock();
  const store: RequestStore = {
    claim: (digest, claim) => {
      const found = values.get(digest) ?? null;
      if (found === null) values.set(digest, claim);
      return Promise.resolve(found);
    },
    renew: (_, claim) => Promise.resolve(void renewed.push(claim)),
    settle: settle ?? ((digest, { answer }) => {
      if (answer === null) values.delete(digest);
      else values.set(digest, answer);
      return Promise.resolve();
    }),
  };
  return { requests: new RepeatableRequests({ store, clock }), values, renewed, clock };
}

const is = (code: ProblemCode) => (error: unknown) => error instanceof Problem && error.code === code;
const final = (text: string) => ({ response: new Response(text), isFinal: true });

Deno.test("RepeatableRequests: an answer that is too long is sent but not kept, and the request does not run again", async () => {
  const { requests, values } = createRequests();
  let runs = 0;
  const run = () => requests.run(request, () => Promise.resolve(final(`${++runs}${"x".repeat(1_000_000)}`)));
  assert.equal((await (await run()).text()).length, 1_000_001);
  await assert.rejects(run(), is("conflict"));
  assert.equal(runs, 1);
  assert.ok([...values.values()].every((value) => value.length < 1_000));
});

Deno.test("RepeatableRequests: a failure is answered although the store hangs", async () => {
  const hung = () => createRequests({ settle: () => new Promise(() => {}) }).requests;
  const away = { response: new Response("away", { status: 503 }), isFinal: false };
  const answer = await hung().run(request, () => Promise.resolve(away));
  assert.deepEqual([answer.status, await answer.text()], [503, "away"]);
  await assert.rejects(hung().run(request, () => Promise.reject(new Error("bug"))), /bug/);
});

Deno.test("RepeatableRequests: a failure is kept if it is final, else the request runs again", async () => {
  for (const isFinal of [true, false]) {
    const { requests } = createRequests();
    let runs = 0;
    const run = () =>
      requests.run(request, () => Promise.resolve({ response: new Response(`${++runs}`, { status: 500 }), isFinal }));
    assert.equal(await (await run()).text(), "1");
    assert.equal(await (await run()).text(), isFinal ? "1" : "2");
  }
});

Deno.test("RepeatableRequests: a slow failure is kept for the client that was told to ask again, and does not run again for it", async () => {
  const passing: (boolean | undefined)[] = [],
    { requests, values, clock } = createRequests({
      settle: (digest, { answer, isPassing }) => {
        passing.push(isPassing);
        return Promise.resolve(void (answer === null ? values.delete(digest) : values.set(digest, answer)));
      },
    });
  const slow = Promise.withResolvers<void>();
  let runs = 0;
  const run = () =>
    requests.run(request, async () => {
      runs++;
      await slow.promise;
      return { response: new Response("away", { status: 503 }), isFinal: false };
    });
  const first = assert.rejects(run(), is("in_progress"));
  await turn();
  await clock.advance(PATIENCE_MS);
  await first;
  slow.resolve();
  await turn();
  const again = await run();
  assert.deepEqual([again.status, await again.text(), runs, passing], [503, "away", 1, [true]]);
});

Deno.test("RepeatableRequests: a slow request goes on, keeps its claim, and its repetition gets the answer", async () => {
  const { requests, renewed, clock } = createRequests(), slow = Promise.withResolvers<void>();
  let runs = 0;
  const run = () =>
    requests.run(request, async () => {
      runs++;
      await slow.promise;
      return final("done");
    });
  const first = assert.rejects(run(), is("in_progress"));
  await turn();
  await clock.advance(PATIENCE_MS);
  await first;
  await assert.rejects(run(), is("in_progress"));
  await clock.advance(60_000);
  assert.equal(renewed.length, 1, "the claim lives as long as the request");
  slow.resolve();
  await requests.whenOver();
  const answer = await run();
  assert.deepEqual([await answer.text(), answer.headers.get("idempotency-replayed"), runs], ["done", "true", 1]);
});
