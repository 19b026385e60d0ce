/** The instances of the service: who is listed, who leads what, and who has gone. */
import assert from "node:assert/strict";
import { replicas } from "../../src/operations/replicas.ts";
import type { OperatorContext } from "../../src/operations/context.ts";
import { replicasKey } from "../../src/redis/keys.ts";
import { ReplicaStore } from "../../src/redis/replica_store.ts";
import { Replicas } from "../../src/replay/replicas.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { createEngine } from "../../testkit/engine.ts";
import { operatorContext } from "../../testkit/operator_context.ts";
import { recordLog } from "../../testkit/recorded_log.ts";
import { shareRedis } from "../../testkit/redis.ts";

const server = shareRedis();

function createReplicas(name: string, { isReady = () => true, version = "1.0.0" } = {}) {
  const { log, lines } = recordLog(), instance = { token: `token-${name.slice(0, 10)}`, name };
  const list = new Replicas({
    ...{ instance, podName: name, version, isReady, log, clock: SYSTEM_CLOCK },
    store: new ReplicaStore(server().client(), instance),
  });
  return { list, lines };
}

async function plant(lines: readonly string[]): Promise<void> {
  await server().client().set(replicasKey(), lines.join("\n"));
}

Deno.test("replicas: each lists itself, says which sources it leads, and leaves the list when it stops", async () => {
  await using one = createEngine(server(), { name: "a", settings: { leaderElection: true } });
  await using other = createEngine(server(), { name: "b", settings: { leaderElection: true } });
  await one.turn();
  await other.turn();
  const [a, b] = [createReplicas("a"), createReplicas("b")];
  const context: OperatorContext = { ...operatorContext(other), replicas: b.list };
  const show = async () =>
    (await replicas.run(context)).replicas.map(({ name, pod, version, leads, isThis }) => [
      ...[name, pod, version, leads.join(), isThis],
    ]);
  assert.deepEqual(await show(), [["a", null, null, "alerter", false]], "known by its lease only");
  for (const { list } of [a, b]) await list.runOnce();
  await a.list.runOnce();
  assert.deepEqual(await show(), [["a", "a", "1.0.0", "alerter", false], ["b", "b", "1.0.0", "", true]]);
  assert.deepEqual((await replicas.run(context)).unled, []);
  const leftMs = await server().client().pttl(replicasKey());
  assert.ok(leftMs > 0 && leftMs <= 60_000);
  await a.list.stop();
  assert.deepEqual((await b.list.list()).map(({ name }) => name), ["b"]);
  await b.list.stop();
  assert.deepEqual(await b.list.list(), []);
});

Deno.test("replicas: without a leader the sources are named", async () => {
  await using engine = createEngine(server());
  const { list } = createReplicas("a");
  const report = await replicas.run({ ...operatorContext(engine), replicas: list });
  assert.deepEqual(report, { replicas: [], unled: ["alerter"] });
});

Deno.test("replicas: one that has not been seen for a minute has gone, and others' texts harm nobody", async () => {
  const { list, lines } = createReplicas("a"), nowMs = Date.now();
  const entry = (name: string) => JSON.stringify([name, name, "1", "2026-01-01T00:00:00.000Z", "digest"]);
  await plant([
    `${nowMs - 61_000} t1 ${entry("gone")}`,
    `${nowMs - 30_000} t2 ${entry("quiet")}`,
    `${nowMs} t3 ${entry("odd\u001b[2J\u202e")}`,
    ...[`${nowMs} t4 {}`, `${nowMs} t5 [1,2,3,4,5]`, `${nowMs} t6 ["x","x","x","never","x"]`, "x", "", `${nowMs}`],
  ]);
  assert.deepEqual((await list.list()).map(({ name }) => name), ["odd [2J ", "quiet"]);
  assert.deepEqual((await list.list({ seenWithinMs: 12_000 })).map(({ token }) => token), ["t3"]);
  await list.runOnce();
  assert.deepEqual((await list.list()).map(({ name }) => name), ["a", "odd [2J ", "quiet"]);
  assert.ok(!(await server().client().get(replicasKey()))!.includes("gone"));
  await plant([`${nowMs} t9 ${"x".repeat(300_000)}`]);
  await list.runOnce();
  assert.deepEqual((await list.list()).map(({ name }) => name), ["a"]);
  assert.deepEqual(lines, []);
});

Deno.test("replicas: instances with the same sources, in any order, are known by the same digest, and others are not", async () => {
  const [x, y] = [{ name: "x", dlq: "x:dlq" }, { name: "y", dlq: "y:dlq" }];
  const others = [[y, x], [x], [x, { ...y, dlq: "z:dlq" }], [x, { ...y, name: "z" }]];
  const members = [[x, y], ...others].map((sources, i) => {
    const { list } = createReplicas(`${i}`);
    list.attachSources(() => sources);
    return list;
  });
  for (const list of members) await list.runOnce();
  const digests = (await members[0]!.list()).map(({ sources }) => sources);
  assert.equal(digests[0], digests[1]);
  assert.equal(new Set(digests).size, 4);
});

Deno.test("replicas: a key of another type is logged once, and again when it is mended", async () => {
  const { list, lines } = createReplicas("a");
  await server().client().lpush(replicasKey(), "x");
  for (let i = 0; i < 3; i++) await list.runOnce();
  await server().client().del(replicasKey());
  await list.runOnce();
  assert.deepEqual(lines.map(({ event }) => event), ["replica_unknown", "replica_known"]);
});

Deno.test("replicas: many long names fit, and the list stays small", async () => {
  for (let i = 0; i < 120; i++) {
    const { list } = createReplicas(`${i}-${"ü".repeat(300)}`);
    await list.runOnce();
  }
  const { list } = createReplicas("reader");
  assert.equal((await list.list()).length, 100);
  assert.ok(await server().client().strlen(replicasKey()) < 262_144);
});
