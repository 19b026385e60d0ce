import { Buffer } from "node:buffer";
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import type { Redis } from "ioredis";
import { createCommandContext } from "../../src/app/command_context.ts";
import { check } from "../../src/operations/check.ts";
import { EXIT } from "../../src/runtime/exit.ts";
import { DEFAULT_SETTINGS } from "../../src/config/fields.ts";
import { ConsumerGate, type ConsumerGateOptions } from "../../src/gates/consumer.ts";
import { type GateAnswer, reasonsOf } from "../../src/gates/gate.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { SYSTEM_RANDOM } from "../../src/runtime/random.ts";
import { startHttpStub, type StubAnswer } from "../../testkit/http_stub.ts";
import { shareRedis, type TestRedis, withRedis } from "../../testkit/redis.ts";
import { inTime, waitUntil } from "../../testkit/wait.ts";
import { recordLog } from "../../testkit/recorded_log.ts";
import { TestClock } from "../../testkit/test_clock.ts";

const PREFIX = "mutt:heartbeat:alerter";
const server = shareRedis();

function createGate(redis: Redis, overrides: Partial<ConsumerGateOptions> = {}) {
  const { log, lines } = recordLog();
  const clock = new TestClock();
  const redisErrors: unknown[] = [];
  const gate = new ConsumerGate({
    mode: "auto",
    heartbeatPrefix: PREFIX,
    healthUrl: undefined,
    redis,
    clock,
    log,
    onRedisError: (error) => redisErrors.push(error),
    ...overrides,
  });
  return { gate, clock, lines, redisErrors };
}

/** `open reason` of an answer. */
async function asked(gate: ConsumerGate): Promise<string> {
  const { open, reason }: GateAnswer = await gate.ask();
  ok((reasonsOf("consumer") as readonly string[]).includes(reason));
  return `${open ? "open" : "closed"} ${reason}`;
}

Deno.test("ConsumerGate: is open and asks nobody when it is off", async () => {
  const { gate } = createGate(null as unknown as Redis, { mode: "off", healthUrl: new URL("http://127.0.0.1:9/") });
  gate.start();
  strictEqual(await asked(gate), "open off");
  await gate.stop();
});

for (
  const [mode, first, then] of [
    ["auto", "open unknown", "open unknown"],
    ["required", "closed unknown", "closed never_seen"],
  ] as const
) {
  Deno.test(`ConsumerGate: says ${then} when no consumer was ever seen in mode ${mode}`, async () => {
    const { gate } = createGate(server().client(), { mode });
    strictEqual(await asked(gate), first);
    await gate.whenKnown();
    strictEqual(await asked(gate), then);
    await gate.stop();
  });
}

for (const mode of ["auto", "required"] as const) {
  Deno.test(`ConsumerGate: follows a consumer that comes, goes and comes back in mode ${mode}`, async () => {
    const redis = server().client();
    const { gate, clock, lines } = createGate(redis, { mode });
    await redis.setex(`${PREFIX}:pod-1`, 30, "alive");
    await gate.whenKnown();
    strictEqual(await asked(gate), "open alive");

    await redis.del(`${PREFIX}:pod-1`);
    strictEqual(await asked(gate), "closed gone");
    await redis.setex(`${PREFIX}:pod-1`, 30, "alive");
    strictEqual(await asked(gate), "open alive");

    await redis.del(`${PREFIX}:pod-1`);
    strictEqual(await asked(gate), "closed gone");
    await clock.advance(10_000);
    strictEqual(await asked(gate), "closed unknown");
    await gate.whenKnown();
    strictEqual(await asked(gate), "closed gone", "a look that finds none forgets none");
    await clock.advance(80_000);
    await redis.setex(`${PREFIX}:pod-2`, 30, "alive");
    strictEqual(await asked(gate), "closed unknown");
    await gate.whenKnown();
    strictEqual(await asked(gate), "open alive");
    await gate.stop();
    deepStrictEqual(lines, [], "what changes is told by the board");
  });
}

Deno.test("ConsumerGate: sees a heartbeat whose name is not UTF-8", async () => {
  const redis = server().client();
  await redis.setex(Buffer.from(`${PREFIX}:p\xffd`, "latin1"), 30, "alive");
  const { gate } = createGate(redis, { mode: "required" });
  await asked(gate);
  await gate.whenKnown();
  strictEqual(await asked(gate), "open alive");
  await gate.stop();
});

Deno.test("ConsumerGate: keeps to its own prefix when others have heartbeats", async () => {
  const redis = server().client();
  await redis.setex("mutt:heartbeat:moog:pod", 30, "alive");
  await redis.setex("mutt:heartbeat:alerter", 30, "alive");
  await redis.setex("mutt:heartbeat:alerterX:pod", 30, "alive");
  const { gate } = createGate(redis, { mode: "required" });
  await gate.whenKnown();
  strictEqual(await asked(gate), "closed never_seen");
  await gate.stop();
});

Deno.test("ConsumerGate: takes the prefix literally when it has glob characters", async () => {
  const redis = server().client();
  await redis.setex("axb:[1]\\*:pod", 30, "alive");
  const { gate } = createGate(redis, { mode: "required", heartbeatPrefix: "a?b:[1]\\*" });
  await gate.whenKnown();
  strictEqual(await asked(gate), "closed never_seen");
  await redis.setex("a?b:[1]\\*:pod", 30, "alive");
  const { gate: other } = createGate(redis, { mode: "required", heartbeatPrefix: "a?b:[1]\\*" });
  await other.whenKnown();
  strictEqual(await asked(other), "open alive");
  await Promise.all([gate.stop(), other.stop()]);
});

/** How often a command ran on the server. */
async function callsOf(redis: Redis, command: string): Promise<number> {
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(await redis.info("commandstats"))?.[1] ?? 0);
}

Deno.test("ConsumerGate: finds a heartbeat among 50,000 keys in small steps, and looks again only after 10 s", async () => {
  const redis = server().client();
  await redis.eval("for i = 1, 50000 do redis.call('SET', 'k' .. i, '') end", 0);
  await redis.config("RESETSTAT");
  const { gate, clock } = createGate(redis, { mode: "required", clock: SYSTEM_CLOCK });
  await gate.whenKnown();
  strictEqual(await asked(gate), "closed never_seen");
  const steps = await callsOf(redis, "scan");
  ok(steps >= 50 && steps <= 250, `${steps}`);
  for (let i = 0; i < 20; i++) await gate.ask();
  strictEqual(await callsOf(redis, "scan"), steps);
  await gate.stop();

  await redis.setex(`${PREFIX}:pod-1`, 30, "alive");
  const { gate: later, clock: laterClock } = createGate(redis, { mode: "required", clock });
  const settled = later.whenKnown();
  await waitUntil(async () => (await clock.advance(10), await asked(later)) === "open alive", { what: "it was found" });
  await settled;
  strictEqual(await later.ask().then(({ open }) => open), true);
  const found = await callsOf(redis, "scan");
  await laterClock.advance(60_000);
  for (let i = 0; i < 20; i++) await later.ask();
  strictEqual(await callsOf(redis, "scan"), found, "looks while a known one is alive");
  await later.stop();
});

Deno.test("ConsumerGate: pauses its look after ten steps, and answers meanwhile, when there are many keys", async () => {
  const redis = server().client();
  await redis.eval("for i = 1, 20000 do redis.call('SET', 'k' .. i, '') end", 0);
  await redis.config("RESETSTAT");
  // The test's clock stands still, so the first pause has no end.
  const { gate } = createGate(redis, { mode: "required" });
  strictEqual(await asked(gate), "closed unknown");
  await waitUntil(async () => await callsOf(redis, "scan") >= 10, { what: "ten steps were made" });
  for (let i = 0; i < 20; i++) strictEqual(await asked(gate), "closed unknown");
  strictEqual(await callsOf(redis, "scan"), 10);
  await gate.stop();
});

for (const [mode, expected] of [["auto", "open unknown"], ["required", "closed unknown"]] as const) {
  withRedis(
    `ConsumerGate: says ${expected}, with one warning, when the ACL forbids SCAN in mode ${mode}`,
    async (own) => {
      await own.client().call("ACL", "SETUSER", "u", "on", ">p", "~*", "+@all", "-scan");
      const { gate, clock, lines, redisErrors } = createGate(own.client({ username: "u", password: "p" }), { mode });
      for (let look = 0; look < 3; look++) {
        await gate.whenKnown();
        strictEqual(await asked(gate), expected);
        await clock.advance(10_000);
      }
      await gate.stop();
      deepStrictEqual(lines.map(({ event }) => event), ["consumer_forbidden"]);
      strictEqual(redisErrors.length, 3);
    },
  );
}

withRedis("ConsumerGate: says unknown and open when the ACL comes to forbid EXISTS", async (own) => {
  const admin = own.client();
  await admin.call("ACL", "SETUSER", "u", "on", ">p", "~*", "+@all");
  await admin.setex(`${PREFIX}:pod`, 30, "alive");
  const { gate } = createGate(own.client({ username: "u", password: "p" }));
  await gate.whenKnown();
  strictEqual(await asked(gate), "open alive");
  await admin.call("ACL", "SETUSER", "u", "-exists");
  strictEqual(await asked(gate), "open unknown");
  await gate.stop();
});

withRedis("ConsumerGate: closes when Redis stops answering about a consumer that was seen", async (own: TestRedis) => {
  await own.client().setex(`${PREFIX}:pod`, 3_600, "alive");
  const { gate, clock } = createGate(own.client({ commandTimeout: 100 }));
  await waitUntil(async () => {
    await gate.whenKnown();
    await clock.advance(60_000); // looks again where Redis was too slow
    return await asked(gate) === "open alive";
  }, { what: "the consumer is seen" });
  Deno.kill(own.pid, "SIGSTOP");
  strictEqual(await asked(gate), "closed unknown");
  Deno.kill(own.pid, "SIGCONT");
  await waitUntil(async () => await asked(gate) === "open alive", { what: "the gate is open again" });
  await gate.stop();
});

withRedis("ConsumerGate.stop: does not wait when Redis hangs in mid-look", async (own) => {
  const redis = own.client();
  await redis.ping();
  Deno.kill(own.pid, "SIGSTOP");
  const { gate } = createGate(redis);
  gate.start();
  await inTime(gate.stop(), { what: "it stops", timeoutMs: 500 });
  await gate.stop();
  Deno.kill(own.pid, "SIGCONT");
});

const healthAnswers: [string, StubAnswer, string][] = [
  ["answers 200", { status: 200 }, "open alive"],
  ["answers 200 with a body without end", { fault: "endless" }, "open alive"],
  ["answers 201", { status: 201 }, "closed health_url_failed"],
  ["redirects", { status: 302, headers: { location: "/ok" } }, "closed health_url_failed"],
  ["answers 503", { status: 503 }, "closed health_url_failed"],
  ["closes", { fault: "close" }, "closed health_url_failed"],
];

for (const [name, answer, expected] of healthAnswers) {
  Deno.test(`ConsumerGate: says ${expected} when the health URL ${name}`, async () => {
    const alerter = await startHttpStub();
    alerter.answer(answer);
    const { gate } = createGate(server().client(), { healthUrl: new URL(`${alerter.url}/health`) });
    strictEqual(await asked(gate), "closed unknown");
    await gate.whenKnown();
    strictEqual(await asked(gate), expected);
    strictEqual(alerter.requests[0]?.method, "GET");
    strictEqual(alerter.requests.length, 1);
    await gate.stop();
    await alerter.stop();
  });
}

Deno.test("ConsumerGate: asks the health URL every 10 s and gives it 5 s when asked often", async () => {
  const alerter = await startHttpStub();
  const { gate, clock } = createGate(server().client(), { healthUrl: new URL(alerter.url) });
  await gate.whenKnown();
  for (let i = 0; i < 20; i++) await gate.ask();
  strictEqual(alerter.requests.length, 1);

  alerter.answer({ fault: "hang" });
  await clock.advance(10_000);
  strictEqual(await asked(gate), "open alive");
  await waitUntil(() => alerter.requests.length === 2, { what: "it was asked again" });
  await clock.advance(5_000);
  await gate.whenKnown();
  strictEqual(await asked(gate), "closed health_url_failed");
  const { detail } = await gate.ask();
  match(detail, /did not answer within 5 s \(ALERTER_HEALTH_URL\)/);
  await gate.stop();
  await alerter.stop();
});

Deno.test("ConsumerGate: stays closed by a gone heartbeat when the health URL still answers", async () => {
  const alerter = await startHttpStub();
  const redis = server().client();
  await redis.setex(`${PREFIX}:pod`, 30, "alive");
  const { gate } = createGate(redis, { healthUrl: new URL(alerter.url) });
  await gate.whenKnown();
  strictEqual(await asked(gate), "open alive");
  await redis.del(`${PREFIX}:pod`);
  strictEqual(await asked(gate), "closed gone");
  await gate.stop();
  await alerter.stop();
});

for (
  const [status, mode, expected] of [
    [200, "auto", ["ok", EXIT.done]],
    [503, "auto", ["failed", EXIT.failed]],
    [503, "off", [undefined, EXIT.done]],
  ] as const
) {
  Deno.test(`check: says of a consumer whose page answers ${status} what the gate would, mode ${mode}`, async () => {
    const alerter = await startHttpStub();
    alerter.answer({ status });
    const { findings, exitCode } = await check.run(
      createCommandContext({
        settings: {
          ...{ ...DEFAULT_SETTINGS, redisHost: "127.0.0.1", redisPort: server().port, moogHealthCheckEnabled: false },
          ...{ consumerGate: mode, alerterHealthUrl: `${alerter.url}/health` },
        },
        ...{ log: recordLog().log, clock: SYSTEM_CLOCK, random: SYSTEM_RANDOM },
        signal: new AbortController().signal,
      }),
      { probe: false },
    );
    const found = findings.find(({ text }) => text.startsWith("consumer health page"));
    deepStrictEqual([found?.level, exitCode], expected);
    // The client's own end, a timer, comes behind that of its connection.
    await waitUntil(async () => (await server().clientConnections()).length === 0, {
      what: "its connections are closed",
    });
    if (status === 503 && found) match(found.text, /127\.0\.0\.1:\d+ answered 503 \(ALERTER_HEALTH_URL\)/);
    await alerter.stop();
  });
}
