import assert from "node:assert/strict";
import type { Settings } from "../../src/config/fields.ts";
import { stateKey } from "../../src/redis/keys.ts";
import { createEngine, type Engine, withoutInstants } from "../../testkit/engine.ts";
import { shareRedis } from "../../testkit/redis.ts";
import { waitUntil } from "../../testkit/wait.ts";

const redis = shareRedis();
const DLQ = "mutt:dlq:moog", TARGET = "mutt:alert_queue";
const STATE = "mutt:circuit_breaker:moogsoft:state", OPEN_TIME = "mutt:circuit_breaker:moogsoft:open_time";
const SETTINGS: Partial<Settings> = { sources: ["moog"], breakerTimeoutMs: 2_000 };

const alerts = (count: number) => Array.from({ length: count }, (_, i) => `{"alert": ${i}, "_moog_retry_count": 6}`);

async function setBreaker(state: string, { openedSecondsAgo }: { openedSecondsAgo?: number } = {}): Promise<void> {
  const client = redis().client();
  await client.set(STATE, state);
  if (openedSecondsAgo === undefined) await client.del(OPEN_TIME);
  else await client.set(OPEN_TIME, String(Date.now() / 1_000 - openedSecondsAgo));
}

async function withEngines(count: number, body: (engines: Engine[]) => Promise<void>, more: Partial<Settings> = {}) {
  const engines = Array.from({ length: count }, () => createEngine(redis(), { settings: { ...SETTINGS, ...more } }));
  try {
    await body(engines);
  } finally {
    for (const engine of engines) await engine[Symbol.asyncDispose]();
  }
}

const stopsAndMoves = async (engine: Engine) => {
  const { stoppedBy, replayed } = await engine.turn({ begin: "now" });
  return [stoppedBy, replayed];
};

Deno.test("source moog: replays what an outage left, its retry count cut, when the breaker is closed or absent", async () => {
  await redis().seedList(DLQ, alerts(25));
  await withEngines(1, async ([engine]) => {
    assert.deepEqual(await stopsAndMoves(engine!), ["empty", 25]);
    const [oldest] = await redis().readTexts(TARGET);
    assert.equal(
      withoutInstants(oldest!),
      '{"alert": 0, "_remediation": {"failures": 0, "evidence": 0, "since": 0, "cycle": 1, "source": "moog"}}',
    );
    await setBreaker("CLOSED");
    await redis().seedList(DLQ, alerts(5));
    assert.deepEqual(await stopsAndMoves(engine!), ["empty", 5]);
  });
});

Deno.test("breaker: holds the source while it is open and young", async () => {
  await redis().seedList(DLQ, alerts(5));
  await setBreaker("OPEN", { openedSecondsAgo: 0 });
  await withEngines(1, async ([engine]) => {
    assert.deepEqual(await stopsAndMoves(engine!), ["breaker", 0]);
    assert.equal((await redis().readTexts(DLQ)).length, 5);
  }, { breakerTimeoutMs: 300_000 });
});

Deno.test("breaker: lets one message through a timeout, for all replicas together, when it is half open", async () => {
  await redis().seedList(DLQ, alerts(5));
  await setBreaker("HALF_OPEN");
  await withEngines(3, async (engines) => {
    const turns = await Promise.all(engines.map((engine) => engine.turn({ begin: "now" })));
    assert.equal(turns.reduce((sum, { replayed }) => sum + replayed, 0), 1);
    assert.deepEqual(await stopsAndMoves(engines[0]!), ["breaker", 0]);
    assert.equal(await redis().depth(TARGET), 1);
  }, { breakerTimeoutMs: 300_000 });
});

Deno.test("breaker: does not count canaries, sends different messages, and all when it closes", async () => {
  await redis().seedList(DLQ, alerts(3));
  await setBreaker("OPEN", { openedSecondsAgo: 3_600 });
  await withEngines(1, async ([engine]) => {
    const client = redis().client();
    const seen: string[] = [];
    for (let canary = 1; canary <= 6; canary++) {
      await waitUntil(async () => (await engine!.turn({ begin: "now" })).replayed === 1, {
        what: `canary ${canary} goes`,
        timeoutMs: 5_000,
      });
      const message = await client.rpop(TARGET);
      seen.push(/"alert": \d+/.exec(message!)![0]);
      assert.match(message!, /"failures": 0, "evidence": 0/);
      await client.lpush(DLQ, message!); // the forwarder fails it
    }
    assert.deepEqual(new Set(seen).size, 3);
    await setBreaker("CLOSED");
    await waitUntil(async () => {
      await engine!.turn({ begin: "now" });
      return await client.llen(DLQ) === 0;
    }, { what: "all is replayed" });
    assert.equal(await client.llen(TARGET), 3);
    assert.equal(await client.llen("mutt:dlq:dead"), 0);
  }, { breakerTimeoutMs: 1_000 });
});

const gateIs = (engine: Engine, reason: string) =>
  waitUntil(() => engine.source.board.last().closed.some((gate) => gate.name === "breaker" && gate.reason === reason), {
    what: `the gate is closed, reason ${reason}`,
  });

for (const [state, replayed] of [["CLOSED", 5], ["HALF_OPEN", 1]] as const) {
  Deno.test(`breaker: ends the loop's pause when the breaker is ${state} long before its timeout`, async () => {
    await redis().seedList(DLQ, alerts(5));
    await setBreaker("OPEN", { openedSecondsAgo: 0 });
    await withEngines(1, async ([engine]) => {
      await engine!.start();
      await gateIs(engine!, "open");
      await setBreaker(state);
      await waitUntil(async () => await redis().depth(TARGET) === replayed, {
        what: `${replayed} are replayed`,
      });
    }, { breakerTimeoutMs: 300_000 });
  });
}

Deno.test("breaker: ends the loop's pause when the breaker closes just behind a canary", async () => {
  await redis().seedList(DLQ, alerts(5));
  await setBreaker("HALF_OPEN");
  await redis().client().hset(stateKey(DLQ), "breakerCanaryAtMs", Date.now());
  await withEngines(1, async ([engine]) => {
    await engine!.start();
    await gateIs(engine!, "canary_sent");
    await setBreaker("CLOSED");
    await waitUntil(async () => await redis().depth(TARGET) === 5, { what: "all are replayed" });
  }, { breakerTimeoutMs: 300_000 });
});

Deno.test("breaker: sends a canary when the last one went in the future, by a clock that was set back", async () => {
  await redis().seedList(DLQ, alerts(5));
  await setBreaker("HALF_OPEN");
  await redis().client().hset(stateKey(DLQ), "breakerCanaryAtMs", Date.now() + 3_600_000);
  await withEngines(1, async ([engine]) => {
    assert.deepEqual(await stopsAndMoves(engine!), ["breaker", 1]);
  }, { breakerTimeoutMs: 300_000 });
});

Deno.test("breaker: is ignored with one warning when CIRCUIT_BREAKER_ENABLED is false", async () => {
  await redis().seedList(DLQ, alerts(5));
  await setBreaker("OPEN", { openedSecondsAgo: 0 });
  await withEngines(1, async ([engine]) => {
    assert.deepEqual(await stopsAndMoves(engine!), ["empty", 5]);
    await stopsAndMoves(engine!);
    assert.equal(engine!.lines.filter(({ event }) => event === "breaker_ignored").length, 1);
  }, { breakerEnabled: false });
});
