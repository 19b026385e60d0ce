/** A script that calls the arguments of a commit invalid has met a bug of ours: the process ends, whoever is to start it anew. */
import assert from "node:assert/strict";
import { EXIT } from "../../src/runtime/exit.ts";
import { StoreError } from "../../src/redis/errors.ts";
import { ReplayLoop } from "../../src/replay/loop.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { createEngine, DLQ, type Engine, eventTexts, readLists } from "../../testkit/engine.ts";
import { shareRedis } from "../../testkit/redis.ts";
import { startService } from "../../testkit/service.ts";
import { PATIENT_MS } from "../../testkit/wait.ts";

const server = shareRedis();
const BUG =
  /a script rejects the arguments of a commit as invalid\. This is a bug of mutt-remediation; nothing was moved/;

/** Has the engine's commits say that less than nothing of the cycle's bound is used up. @returns how many were sent */
function spoilCommits({ store: { hooks } }: Engine): () => number {
  let sent = 0;
  hooks.commitAndRead = (commit, bounds, store) => {
    sent++;
    return store.commitAndRead({ ...commit, spent: -1 }, bounds);
  };
  return () => sent;
}

Deno.test("runOnce: rejects and moves nothing when a script calls its commit invalid", async () => {
  await server().seedList(DLQ, eventTexts(3));
  await using engine = createEngine(server());
  const sent = spoilCommits(engine);
  await assert.rejects(engine.turn(), (error: Error) => !(error instanceof StoreError) && BUG.test(error.message));
  assert.equal(sent(), 1);
  assert.deepEqual(await readLists(server()), { dlq: eventTexts(3), target: [], dead: [] });
  // It is no failure of Redis, and there is no reply to find out about.
  assert.deepEqual(await engine.errors(), {});
  assert.equal(engine.source.replay.hasUnsettled(), false);
});

Deno.test("ReplayLoop: ends with the bug, and sends nothing again, when a script calls its commit invalid", async () => {
  await server().seedList(DLQ, eventTexts(3));
  await using engine = createEngine(server());
  const sent = spoilCommits(engine), bug = Promise.withResolvers<unknown>();
  await engine.connections.waitUntilReady(PATIENT_MS);
  const loop = new ReplayLoop(engine.source.replay, {
    ...{ clock: SYSTEM_CLOCK, intervalMs: () => 10, onPass: () => {}, onBug: bug.resolve },
  });
  loop.start();
  assert.match(String(await bug.promise), BUG);
  await loop.stop();
  assert.equal(sent(), 1);
});

/** Passes everything on between a client and Redis, but tells that the arguments of each commit are invalid. */
function startSpoilingProxy(port: number): AsyncDisposable & { readonly port: number } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serve = async (client: Deno.Conn) => {
    const redis = await Deno.connect({ hostname: "127.0.0.1", port });
    // The reply of a transaction: those of the trims and pushes, then the answer. That of the script which begins a cycle is no array.
    const spoil = new TransformStream<Uint8Array, Uint8Array>({
      transform(bytes, controller) {
        const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
        const spoilt = text.replaceAll(/(\*\d\r\n(?:[+:]\w+\r\n)+)\$2\r\nok\r\n/g, "$1$7\r\ninvalid\r\n");
        controller.enqueue(Uint8Array.from(spoilt, (character) => character.charCodeAt(0)));
      },
    });
    await Promise.allSettled([
      client.readable.pipeTo(redis.writable),
      redis.readable.pipeThrough(spoil).pipeTo(client.writable),
    ]);
  };
  const serving: Promise<void>[] = [];
  const accepting = (async () => {
    for await (const client of listener) serving.push(serve(client));
  })();
  return {
    port: (listener.addr as Deno.NetAddr).port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      await Promise.all(serving);
    },
  };
}

for (const command of ["run", "once"]) {
  Deno.test(`${command}: exits with ${EXIT.failed} and says what is wrong when a script calls its commit invalid`, async () => {
    await server().seedList(DLQ, eventTexts(3));
    await using proxy = startSpoilingProxy(server().port);
    await using service = startService({
      args: [command],
      env: {
        REDIS_URL: `redis://127.0.0.1:${proxy.port}`,
        ...{ REMEDIATION_CONSUMER_GATE: "off", MOOG_HEALTH_CHECK_ENABLED: "false", REMEDIATION_MAX_PER_SECOND: "0" },
      },
    });
    assert.equal((await service.exit).code, EXIT.failed);
    assert.match(service.stderr.join("\n"), BUG);
    assert.equal(service.events("redis_error").length, 0);
    if (command === "run") assert.equal(service.events("bug").length, 1);
  });
}
