import assert from "node:assert/strict";
import { SpreadWorld } from "../../../testkit/spread_world.ts";

/** Long enough for all that is to happen. */
const LONG_MS = 120_000;

Deno.test("Spread: with two instances and MUTT's two sources, each comes to lead one", async () => {
  const world = new SpreadWorld();
  world.join("a");
  world.join("b");
  world.lead({ a: 2 });
  await world.pass(LONG_MS);
  assert.deepEqual([world.counts(), world.handedOver], [{ a: 1, b: 1 }, 1]);
});

Deno.test("Spread: hands over nothing within 15 s of a start, then ten sources at a time, until all lead equally many", async () => {
  const world = new SpreadWorld();
  for (const token of ["a", "b", "c"]) world.join(token);
  world.lead({ a: 100 });
  await world.pass(14_000);
  assert.equal(world.handedOver, 0);
  let last = 0, most = 0;
  while (world.clock.monotonicMs() < LONG_MS) {
    await world.pass(2_000);
    most = Math.max(most, world.handedOver - last);
    last = world.handedOver;
  }
  assert.deepEqual([world.counts(), last, most], [{ a: 34, b: 33, c: 33 }, 66, 10]);
});

Deno.test("Spread: waits while instances come and go, as in a rolling update, and then hands over once", async () => {
  const world = new SpreadWorld();
  for (const token of ["a1", "b1", "c1"]) world.join(token);
  world.lead({ a1: 10, b1: 10, c1: 10 });
  await world.pass(LONG_MS);
  for (const one of ["a", "b", "c"]) {
    world.join(`${one}2`);
    await world.pass(10_000);
    // Whoever asks first takes all.
    world.leave(`${one}1`, "a2");
    await world.pass(4_000);
  }
  assert.equal(world.handedOver, 0);
  await world.pass(LONG_MS);
  assert.deepEqual([world.counts(), world.handedOver], [{ a2: 10, b2: 10, c2: 10 }, 20]);
});

Deno.test("Spread: waits until every lease is known, or has not been known for 15 s", async () => {
  const world = new SpreadWorld();
  world.join("a");
  world.join("b");
  world.lead({ a: 6 });
  await world.pass(8_000);
  world.leaders.set("s5", "");
  await world.pass(14_000);
  assert.equal(world.handedOver, 0);
  await world.pass(8_000);
  assert.deepEqual(world.counts(), { a: 3, b: 2 });
});

Deno.test("Spread: leaves sources with a job or a drill where they are until it is over", async () => {
  const world = new SpreadWorld();
  world.join("a");
  world.join("b");
  world.lead({ a: 4 });
  for (const name of ["s0", "s1", "s2"]) world.busy.add(name);
  await world.pass(LONG_MS);
  assert.deepEqual([world.counts(), world.leaders.get("s3")], [{ a: 3, b: 1 }, "b"]);
  world.busy.clear();
  await world.pass(LONG_MS);
  assert.deepEqual(world.counts(), { a: 2, b: 2 });
});

Deno.test("Spread: an instance that takes nothing keeps the others from nothing, is named once, and is tried again after 5 min", async () => {
  const world = new SpreadWorld();
  for (const token of ["a", "b", "c"]) world.join(token);
  world.members.get("b")!.takes = false;
  world.lead({ a: 30 });
  await world.pass(LONG_MS);
  assert.deepEqual(world.counts(), { a: 15, b: 0, c: 15 });
  await world.pass(600_000);
  const lines = ["a", "c"].map((token) =>
    world.members.get(token)!.lines.map(({ event, fields }) => [event, fields?.to])
  );
  assert.deepEqual(lines, [[["offer_not_taken", "b"]], [["offer_not_taken", "b"]]]);
  world.members.get("b")!.takes = true;
  await world.pass(400_000);
  assert.deepEqual(world.counts(), { a: 10, b: 10, c: 10 });
});

Deno.test("Spread: offers nothing to instances that have other sources", async () => {
  const world = new SpreadWorld();
  for (const [token, sources] of [["a", "one"], ["b", "one"], ["c", "other"]] as const) world.join(token, { sources });
  world.lead({ a: 10 });
  await world.pass(LONG_MS);
  assert.deepEqual([world.counts(), world.members.get("a")!.lines], [{ a: 5, b: 5, c: 0 }, []]);
});

Deno.test("Spread: what a killed instance led, and one took, is spread, and again when it is back", async () => {
  const world = new SpreadWorld();
  for (const token of ["a", "b", "c"]) world.join(token);
  world.lead({ a: 5, b: 4, c: 4 });
  await world.pass(LONG_MS);
  assert.equal(world.handedOver, 0, "even shares stay as they are");
  world.leave("a", "b");
  await world.pass(LONG_MS);
  assert.deepEqual([world.counts(), world.handedOver], [{ b: 7, c: 6 }, 2]);
  world.join("a");
  await world.pass(LONG_MS);
  assert.deepEqual([world.counts(), world.handedOver], [{ a: 4, b: 4, c: 5 }, 6]);
});
