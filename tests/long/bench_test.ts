/** The benchmarks' short form: each family runs, every message arrives (the families see to that), every figure is a number. */
import { ok } from "node:assert/strict";
import { FAMILIES } from "../../bench/families/all.ts";
import { BenchRedis } from "../../bench/harness/bench_redis.ts";
import { pingWhile } from "../../bench/harness/bystander.ts";
import { needs } from "../../testkit/redis_version.ts";

const STALL_MS = 300;

for (const { name, run } of FAMILIES) {
  Deno.test(needs("6.2", `bench: ${name} gives figures in its short form`), async () => {
    const tables = await run({ scale: "short", rounds: 1, signal: new AbortController().signal, tell: () => {} });
    ok(tables.length > 0);
    for (const { title, rows } of tables) {
      ok(rows.length > 0, title);
      for (const row of rows) {
        const figures = Object.entries(row.figures);
        ok(figures.some(([, value]) => value !== null), `${title}: ${row.name}`);
        for (const [heading, value] of figures) {
          ok(value === null || (Number.isFinite(value) && value >= 0), `${title}: ${row.name}: ${heading} is ${value}`);
        }
      }
    }
  });
}

Deno.test("bench: a stall is felt by every ping that falls into it", async () => {
  await using redis = await BenchRedis.start();
  const pings = await pingWhile(redis, async () => {
    // Redis answers nobody meanwhile, the one who asked for it neither.
    await redis.client().client("PAUSE", STALL_MS);
    await redis.client().ping();
  });
  // On a busy machine the first ping may be late by a part of the stall.
  ok(pings.max >= STALL_MS * 0.5, `${pings.max} ms`);
  ok(pings.p50 > STALL_MS * 0.1, `half of the pings waited ${pings.p50} ms`);
});
