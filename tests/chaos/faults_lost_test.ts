/** Redis does not answer: cut, stopped, killed, out of reach. What was lost on the way is found out, never guessed. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import finishMoves from "../../src/redis/scripts/finish_moves.lua" with { type: "text" };
import { StoreError } from "../../src/redis/errors.ts";
import { scriptText } from "../../src/redis/scripts.ts";
import {
  createEngine,
  DLQ,
  type Engine,
  eventText,
  eventTexts,
  readLists,
  replayedText,
  waitUntilEmpty,
} from "../../testkit/engine.ts";
import { shareRedis, type TestRedis, withRedis } from "../../testkit/redis.ts";
import { startTcpProxy } from "../../testkit/tcp_proxy.ts";
import { waitUntil } from "../../testkit/wait.ts";

const server = shareRedis();
/** By this a guarded commit is known on the wire. */
const COMMIT = scriptText(finishMoves).slice(-60);
const SAME = Array.from({ length: 1_000 }, () => eventText("same"));

/** The DLQ is in the target, once and in order, and the metrics say just that. */
async function checkDone(redis: TestRedis, engine: Engine, texts: readonly string[]): Promise<void> {
  deepStrictEqual(await readLists(redis), { dlq: [], target: texts.map((text) => replayedText(text)), dead: [] });
  // The DLQ is empty a moment before the engine has the answer to its last commit.
  const isCounted = async () => (await engine.moved()).replayed >= texts.length;
  await waitUntil(isCounted, { what: "the last commit is counted" });
  deepStrictEqual(await engine.moved(), { replayed: texts.length, dead: {} });
}

for (const point of ["before_reply", "before_request"] as const) {
  Deno.test(`replay: neither loses nor doubles any of 1,000 equal messages when a commit is cut ${point}`, async () => {
    const proxy = startTcpProxy(server());
    try {
      await server().seedList(DLQ, SAME);
      await using engine = createEngine(proxy, { settings: { chunkMessages: 100 } });
      const cut = proxy.cut(point, COMMIT);
      await engine.start();
      await cut;
      await waitUntilEmpty(server(), DLQ);
      await checkDone(server(), engine, SAME);
      deepStrictEqual(Object.keys(await engine.errors()), ["CONNECTION"]);
      const settled = settlements(engine), [ran] = settled;
      strictEqual(settled.length, 1);
      // The reply that is met first may be that of a push, before the transaction has run.
      if (point === "before_request") strictEqual(ran, false);
      deepStrictEqual(await engine.commits(), { ok: ran ? 9 : 10, error: 1 });
    } finally {
      await proxy.stop();
    }
  });
}

function settlements(engine: Engine): unknown[] {
  return engine.lines.filter(({ event }) => event === "commit_settled").map(({ fields }) => fields.ran);
}

Deno.test("replay: neither loses nor doubles anything when connections are cut again and again", async () => {
  const proxy = startTcpProxy(server());
  try {
    const texts = eventTexts(600);
    await server().seedList(DLQ, texts);
    await using engine = createEngine(proxy, { settings: { chunkMessages: 20 } });
    let cuts = 0;
    engine.beforeCommit((number) => {
      if (number % 4 === 1) proxy.cut(number % 8 === 1 ? "before_reply" : "before_request").then(() => cuts++);
      if (number % 7 === 0) proxy.cutAll();
    });
    engine.start();
    await waitUntilEmpty(server(), DLQ, 20_000);
    await waitUntil(async () => (await engine.moved()).replayed === 600, { what: "the last commit is accounted" });
    await checkDone(server(), engine, texts);
    ok(cuts > 3, `${cuts} cuts`);
  } finally {
    await proxy.stop();
  }
});

withRedis(
  "replay: accounts for a commit that ran late when Redis was stopped for less than its deadline",
  async (redis) => {
    await redis.seedList(DLQ, SAME);
    await using engine = createEngine(redis, { settings: { chunkMessages: 100 }, commandTimeoutMs: 200 });
    const stopped = Promise.withResolvers<void>();
    engine.beforeCommit((number) => {
      if (number !== 2) return;
      Deno.kill(redis.pid, "SIGSTOP");
      stopped.resolve();
    });
    engine.start();
    await stopped.promise;
    await waitUntil(async () => ((await engine.errors()).TIMEOUT ?? 0) >= 2, { what: "time-outs are counted" });
    Deno.kill(redis.pid, "SIGCONT");
    await waitUntilEmpty(redis, DLQ);
    await checkDone(redis, engine, SAME);
    deepStrictEqual(settlements(engine), [true]);
    deepStrictEqual(Object.keys(await engine.errors()), ["TIMEOUT"]);
  },
);

withRedis("replay: never runs a commit late when Redis was stopped for longer than its deadline", async (redis) => {
  await redis.seedList(DLQ, SAME);
  await using engine = createEngine(redis, { settings: { chunkMessages: 100 }, commandTimeoutMs: 200 });
  let stoppedAtMs = 0;
  engine.beforeCommit((number) => {
    if (number !== 2) return;
    Deno.kill(redis.pid, "SIGSTOP");
    stoppedAtMs = performance.now();
  });
  strictEqual((await engine.turn()).stoppedBy, "error");
  await waitUntil(() => performance.now() - stoppedAtMs > 5_300, { what: "the deadline is over", timeoutMs: 7_000 });
  Deno.kill(redis.pid, "SIGCONT");
  // What was sent over the old connection has been refused by the time that a new one has the answer.
  await waitUntil(async () => {
    if (!engine.connections.isReady()) return false;
    await engine.source.store.readState();
    return settlements(engine).length > 0 || (await engine.turn({ signal: AbortSignal.abort() })) && null;
  }, { what: "it is known what became of the commit" });
  deepStrictEqual(settlements(engine), [false]);
  const { dlq, target } = await readLists(redis);
  deepStrictEqual([dlq.length, target.length], [900, 100]);
  await engine.start();
  await waitUntilEmpty(redis, DLQ);
  await checkDone(redis, engine, SAME);
});

withRedis("replay: waits for ever and then moves all when Redis is killed in mid-cycle and comes back", {
  config: ["appendonly yes", "appendfsync always"],
}, async (redis) => {
  const texts = eventTexts(100);
  await redis.seedList(DLQ, texts);
  await using engine = createEngine(redis);
  const killed = Promise.withResolvers<void>();
  engine.beforeCommit((number) => {
    if (number === 4) redis.kill("SIGKILL").then(killed.resolve, killed.reject);
  });
  await engine.start();
  await killed.promise;
  await waitUntil(() => engine.source.board.last().closed.some(({ name }) => name === "redis"), {
    what: "the gate redis is closed",
  });
  strictEqual(engine.connections.isReady(), false);
  await redis.restart();
  await waitUntilEmpty(redis, DLQ);
  await checkDone(redis, engine, texts);
  deepStrictEqual(Object.keys(await engine.errors()), ["CONNECTION"]);
});

Deno.test("replay: accounts for each commit once when another instance commits before a lost reply is looked into", async () => {
  const proxy = startTcpProxy(server());
  try {
    const texts = eventTexts(60);
    await server().seedList(DLQ, texts);
    await using first = createEngine(proxy);
    await using second = createEngine(server());
    const cut = proxy.cut("before_reply", COMMIT);
    await first.turn();
    await cut;
    await second.turn();
    await first.turn();
    const [one, two] = [await first.moved(), await second.moved()];
    const { target } = await readLists(server());
    deepStrictEqual([target.length, one.replayed + two.replayed], [60, 60]);
  } finally {
    await proxy.stop();
  }
});

for (const how of ["the reply is lost", "the connection is lost too"] as const) {
  Deno.test(`stop: finds out whether its last commit ran when ${how}`, async () => {
    const proxy = startTcpProxy(server());
    try {
      await server().seedList(DLQ, eventTexts(60));
      const engine = createEngine(proxy);
      const lost = Promise.withResolvers<void>();
      engine.store.hooks.commitAndRead = async (commit, bounds, store) => {
        await store.commitAndRead(commit, bounds);
        if (how === "the connection is lost too") proxy.cutAll();
        lost.resolve();
        throw new StoreError("no reply", { code: "TIMEOUT", isCertain: false });
      };
      await engine.start();
      await lost.promise;
      await engine[Symbol.asyncDispose]();
      const { target } = await readLists(server());
      ok(target.length > 0);
      deepStrictEqual((await engine.moved()).replayed, target.length);
      deepStrictEqual(settlements(engine), [true]);
    } finally {
      await proxy.stop();
    }
  });
}
