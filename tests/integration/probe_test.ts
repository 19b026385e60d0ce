import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import type { Redis } from "ioredis";
import { Secret } from "../../src/runtime/secret.ts";
import { MoogsoftGate, type MoogsoftGateOptions } from "../../src/mutt/moogsoft_gate.ts";
import { FETCH_FAILURES, type FetchOutcome, fetchStatus, TLS_FLAWS } from "../../src/runtime/bounded_fetch.ts";
import { reasonsOf } from "../../src/gates/gate.ts";
import { sendProbe } from "../../src/mutt/moogsoft_probe.ts";
import { probeKey, SharedProbe } from "../../src/mutt/shared_probe.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { type RecordedLine, recordLog } from "../../testkit/recorded_log.ts";
import { TestClock } from "../../testkit/test_clock.ts";
import { type HttpStub, startHttpStub, type StubAnswer } from "../../testkit/http_stub.ts";
import { assertNoSecrets, PLANTED } from "../../testkit/planted_secrets.ts";
import { withRedis } from "../../testkit/redis.ts";
import { certificateFiles } from "../../testkit/tls.ts";
import { inTime, PATIENT_MS, waitUntil } from "../../testkit/wait.ts";

/** A Moogsoft that answers as told, for the time of `use`. */
async function withMoog(
  answer: StubAnswer,
  use: (moog: HttpStub, url: URL) => Promise<void>,
): Promise<void> {
  const moog = await startHttpStub();
  moog.answer(answer);
  try {
    await use(moog, new URL(`${moog.url}/events`));
    await waitUntil(() => moog.connections === 0, { what: "no connection is left open" });
  } finally {
    await moog.stop();
  }
}

/** Without a key, an authority or a proxy. */
const PLAIN = { apiKey: undefined, caCert: undefined };

function plainKey(url: URL): string {
  return probeKey({ ...PLAIN, url, proxy: undefined });
}

function probeOnce(url: URL, timeoutMs = PATIENT_MS): Promise<FetchOutcome> {
  const { signal } = new AbortController();
  return sendProbe({ url, apiKey: new Secret("k1"), timeoutMs, clock: SYSTEM_CLOCK, signal });
}

const misbehaviours: [string, StubAnswer, FetchOutcome][] = [
  ["never answers", { fault: "hang" }, { kind: "timeout" }],
  ["answers too late", { status: 200, delayMs: 60_000 }, { kind: "timeout" }],
  ["hangs inside the headers", { fault: "hang_in_headers" }, { kind: "timeout" }],
  ["hangs inside the body", { fault: "hang_in_body" }, { kind: "timeout" }],
  ["resets the connection", { fault: "reset" }, { kind: "unreachable" }],
  ["closes without an answer", { fault: "close" }, { kind: "unreachable" }],
  ["closes inside the body", { status: 200, headers: { "content-length": "9" }, body: "x" }, { kind: "unreachable" }],
  ["speaks something else", { fault: "garbage" }, { kind: "unreachable" }],
  ["redirects", { status: 307, headers: { location: "/elsewhere" } }, { kind: "answered", status: 307 }],
  ["answers without a body", { status: 204 }, { kind: "answered", status: 204 }],
  ["has a large body", { status: 200, body: "x".repeat(1e6) }, { kind: "answered", status: 200 }],
];

for (const [name, answer, expected] of misbehaviours) {
  Deno.test(`sendProbe: says ${JSON.stringify(expected)} when Moogsoft ${name}`, async () => {
    const moog = await startHttpStub();
    moog.answer(answer);
    const probed = probeOnce(new URL(moog.url), expected.kind === "timeout" ? 300 : PATIENT_MS);
    deepStrictEqual(await inTime(probed, { what: "it has an outcome", timeoutMs: 2_000 }), expected);
    ok(moog.requests.length <= 1);
    await moog.stop();
  });
}

Deno.test("sendProbe: takes no more than some KiB and hangs up when the body has no end", async () => {
  await withMoog({ fault: "endless" }, async (moog, url) => {
    deepStrictEqual(await probeOnce(url), { kind: "answered", status: 200 });
    await waitUntil(() => moog.connections === 0, { what: "the connection has ended" });
    // The rest is what the kernel's buffers swallow.
    ok(moog.endlessBytes < 32e6, `${moog.endlessBytes}`);
  });
});

Deno.test("sendProbe: says refused when nobody listens", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const url = new URL(`http://127.0.0.1:${listener.addr.port}/`);
  listener.close();
  deepStrictEqual(await probeOnce(url), { kind: "refused" });
});

// Original test 5 (contract §10).
Deno.test("sendProbe: posts the original's event with length and key when sent", async () => {
  await withMoog({ status: 200 }, async (moog, url) => {
    url.username = "user";
    url.password = "pass";
    deepStrictEqual(await probeOnce(url), { kind: "answered", status: 200 });
    const { method, target, headers, body } = moog.requests[0]!;
    deepStrictEqual(
      [method, target, headers["content-type"], headers["content-length"], headers["authorization"]],
      ["POST", "/events", "application/json", String(body.length), "Bearer k1"],
    );
    const { source, description, severity, check_id, timestamp, ...rest } = JSON.parse(body);
    deepStrictEqual([source, description, severity, rest], [
      "MUTT_HEALTH_CHECK",
      "Health check probe - auto-close",
      "clear",
      {},
    ]);
    match(check_id, /^health_check_\d{10}$/);
    match(timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });
});

Deno.test("fetchStatus: never rejects when aborted at once", async () => {
  await withMoog({ status: 200 }, async (moog, url) => {
    const signal = AbortSignal.abort();
    const outcome = await fetchStatus({ url, method: "GET", timeoutMs: 1000, clock: SYSTEM_CLOCK, signal });
    deepStrictEqual([outcome, moog.requests.length], [{ kind: "unreachable" }, 0]);
  });
});

interface GateSetup {
  readonly gate: MoogsoftGate;
  readonly lines: RecordedLine[];
  readonly gauge: number[];
  readonly redisErrors: unknown[];
}

function createGate(redis: Redis, overrides: Partial<MoogsoftGateOptions>): GateSetup {
  const { log, lines } = recordLog();
  const gauge: number[] = [];
  const redisErrors: unknown[] = [];
  const gate = new MoogsoftGate({
    enabled: true,
    url: undefined,
    access: () => PLAIN,
    timeoutMs: 1000,
    cacheMs: 60_000,
    successCodes: [200, 201, 202],
    redis,
    clock: SYSTEM_CLOCK,
    log,
    healthGauge: { set: (value) => gauge.push(value) },
    onRedisError: (error) => redisErrors.push(error),
    ...overrides,
  });
  return { gate, lines, gauge, redisErrors };
}

// Original tests 3 and 4.
for (
  const [name, overrides, reason] of [
    ["it is switched off", { enabled: false, url: new URL("http://127.0.0.1:9/") }, "disabled"],
    ["there is no URL", {}, "no_url"],
  ] as const
) {
  Deno.test(`MoogsoftGate: is open with the gauge at 1 and asks nobody when ${name}`, async () => {
    const { gate, gauge } = createGate(null as unknown as Redis, overrides);
    const answer = gate.ask();
    await gate.whenKnown();
    await gate.stop();
    deepStrictEqual([answer.open, answer.reason, gauge], [true, reason, [1]]);
  });
}

// Original tests 5 to 8 and 10.
const answers: [number, string][] = [
  [200, "healthy"],
  [201, "healthy"],
  [202, "healthy"],
  [302, "probe_rejected"],
  [401, "probe_rejected"],
  [403, "probe_rejected"],
  [404, "probe_rejected"],
  [418, "unhealthy"],
  [500, "unhealthy"],
];

withRedis("MoogsoftGate: answers by the status when Moogsoft answers", async (server) => {
  const redis = server.client();
  for (const [status, reason] of answers) {
    await withMoog({ status }, async (_moog, url) => {
      const { gate, gauge } = createGate(redis, { url });
      const first = gate.ask();
      deepStrictEqual([first.open, first.reason, first.retryInMs], [false, "unknown", 100]);
      await gate.whenKnown();
      const answer = gate.ask();
      deepStrictEqual([answer.open, answer.reason, gauge], [
        reason === "healthy",
        reason,
        [reason === "healthy" ? 1 : 0],
      ]);
      ok((reasonsOf("downstream") as readonly string[]).includes(answer.reason));
      await gate.stop();
    });
  }
});

withRedis("MoogsoftGate: names no secret when it tells of a failure", async (server) => {
  const redis = server.client();
  await withMoog({ status: 401 }, async (_moog, url) => {
    const secret = new URL(url.href.replace("//", "//user:@") + `?token=${encodeURIComponent(PLANTED.webhookToken)}`);
    secret.password = PLANTED.webhookPassword;
    const { gate, lines } = createGate(redis, {
      url: secret,
      access: () => ({ ...PLAIN, apiKey: new Secret(PLANTED.moogApiKey) }),
      chooseProxy: () => undefined,
    });
    await gate.whenKnown();
    const told = JSON.stringify([await gate.ask(), lines, await redis.keys("*")]);
    assertNoSecrets("the gate, its log and its keys", told);
    ok(!/user|events/.test(told), told);
    ok(told.includes(url.host));
    await gate.stop();
  });
});

// Original test 9, which was skipped there.
withRedis("MoogsoftGate: probes once a cache time when asked often", async (server) => {
  const redis = server.client();
  await withMoog({ status: 200 }, async ({ requests }, url) => {
    const { gate } = createGate(redis, { url, cacheMs: 300 });
    await gate.whenKnown();
    for (let i = 0; i < 50; i++) gate.ask();
    await gate.whenKnown();
    strictEqual(requests.length, 1);
    await waitUntil(() => {
      gate.ask();
      return requests.length === 2;
    }, { what: "a second probe was sent" });
    await gate.stop();
  });
});

withRedis("MoogsoftGate: probes once for all replicas when ten start together", async (server) => {
  await withMoog({ status: 200 }, async ({ requests }, url) => {
    const gates = Array.from({ length: 10 }, () => createGate(server.client(), { url }).gate);
    await Promise.all(gates.map((gate) => gate.whenKnown()));
    deepStrictEqual(gates.map((gate) => gate.ask().reason), Array(10).fill("healthy"));
    strictEqual(requests.length, 1);
    await Promise.all(gates.map((gate) => gate.stop()));
  });
});

withRedis("MoogsoftGate: probes for itself when another URL has a result", async (server) => {
  const redis = server.client();
  await withMoog({ status: 200 }, async (_one, oneUrl) => {
    await withMoog({ status: 500 }, async (_other, otherUrl) => {
      const gates = [oneUrl, otherUrl].map((url) => createGate(redis, { url }).gate);
      await Promise.all(gates.map((gate) => gate.whenKnown()));
      deepStrictEqual(gates.map((gate) => gate.ask().reason), ["healthy", "unhealthy"]);
      await Promise.all(gates.map((gate) => gate.stop()));
    });
  });
});

withRedis("MoogsoftGate: judges a shared result by its own codes when they differ", async (server) => {
  const redis = server.client();
  await withMoog({ status: 202 }, async ({ requests }, url) => {
    const gates = [[200, 201, 202], [200, 201]].map((successCodes) => createGate(redis, { url, successCodes }).gate);
    for (const gate of gates) await gate.whenKnown();
    deepStrictEqual([gates.map((gate) => gate.ask().open), requests.length], [[true, false], 1]);
    await Promise.all(gates.map((gate) => gate.stop()));
  });
});

withRedis("MoogsoftGate: probes after the lease when the prober died", async (server) => {
  const redis = server.client();
  await withMoog({ status: 200 }, async (_moog, url) => {
    await new SharedProbe({ redis, cacheMs: 60_000, leaseMs: 300 }).claim(plainKey(url));
    const { gate } = createGate(redis, { url, timeoutMs: PATIENT_MS });
    gate.ask();
    await gate.whenKnown();
    strictEqual(gate.ask().reason, "healthy");
    await gate.stop();
  });
});

withRedis("MoogsoftGate: probes with its own cache, with one warning, when Redis fails", async (server) => {
  const redis = server.client();
  await withMoog({ status: 200 }, async ({ requests }, url) => {
    await redis.set(plainKey(url), "not a hash");
    const { gate, lines, redisErrors } = createGate(redis, { url, cacheMs: 200 });
    await gate.whenKnown();
    strictEqual(gate.ask().reason, "healthy");
    await gate.whenKnown();
    strictEqual(requests.length, 1);
    await waitUntil(() => {
      gate.ask();
      return requests.length === 2;
    }, { what: "a second probe was sent" });
    await gate.whenKnown();
    const warnings = lines.filter(({ level }) => level === "WARNING");
    deepStrictEqual(warnings.map(({ event, fields }) => [event, fields]), [["moog_probe_alone", {
      code: "WRONGTYPE",
    }]]);
    strictEqual(redisErrors.length, 2);
    await gate.stop();
  });
});

withRedis("MoogsoftGate: probes for itself when the ACL forbids to share", async (server) => {
  await server.client().call("ACL", "SETUSER", "u", "on", ">p", "~*", "+@all", "-hset");
  await withMoog({ status: 200 }, async (_moog, url) => {
    const { gate, lines } = createGate(server.client({ username: "u", password: "p" }), { url });
    await gate.whenKnown();
    strictEqual(gate.ask().reason, "healthy");
    deepStrictEqual(lines[0]?.fields, { code: "NOPERM" });
    await gate.stop();
  });
});

withRedis("MoogsoftGate: answers at once and stops at once when Redis is stopped", async (server) => {
  const redis = server.client();
  await withMoog({ status: 200 }, async (_moog, url) => {
    await redis.ping();
    Deno.kill(server.pid, "SIGSTOP");
    const { gate } = createGate(redis, { url });
    strictEqual(gate.ask().reason, "unknown");
    await inTime(gate.stop(), { what: "it stops", timeoutMs: 500 });
    strictEqual(gate.ask().reason, "unknown");
    Deno.kill(server.pid, "SIGCONT");
  });
});

withRedis("MoogsoftGate.stop: breaks the probe off when Moogsoft hangs", async (server) => {
  const redis = server.client();
  await withMoog({ fault: "hang" }, async ({ requests }, url) => {
    const { gate, lines, gauge } = createGate(redis, { url, timeoutMs: 60_000 });
    gate.ask();
    await waitUntil(() => requests.length === 1, { what: "the probe was sent" });
    await gate.stop();
    deepStrictEqual([lines, gauge], [[], []]);
    strictEqual(await redis.hget(plainKey(url), "outcome"), null);
  });
});

withRedis(
  "MoogsoftGate: counts a healthy result a cache time and a timeout longer when the next probe hangs",
  async (server) => {
    const redis = server.client();
    const clock = new TestClock();
    const outcomes = [{ kind: "answered", status: 200 } as const];
    const sendProbe: MoogsoftGateOptions["sendProbe"] = ({ signal }) => {
      const next = outcomes.pop();
      if (next !== undefined) return Promise.resolve(next);
      return new Promise((resolve) => signal.addEventListener("abort", () => resolve({ kind: "unreachable" })));
    };
    const { gate } = createGate(redis, {
      url: new URL("http://moog/"),
      cacheMs: 1000,
      timeoutMs: 500,
      clock,
      sendProbe,
    });
    await gate.whenKnown();
    const seen: [number, string][] = [];
    for (const ms of [0, 999, 1, 1499, 1]) {
      await clock.advance(ms);
      seen.push([clock.monotonicMs(), gate.ask().reason]);
    }
    deepStrictEqual(seen, [[0, "healthy"], [999, "healthy"], [1000, "healthy"], [2499, "healthy"], [2500, "unknown"]]);
    await gate.stop();
  },
);

withRedis("MoogsoftGate: logs changes, an outage's length and the auto-close hint when it probes", async (server) => {
  await withMoog({ status: 200 }, async (moog, url) => {
    const { gate, lines, gauge } = createGate(server.client(), { url, cacheMs: 1 });
    for (const status of [200, 200, 500, 500, 200]) {
      moog.answer({ status });
      const before = moog.requests.length;
      await waitUntil(async () => {
        await gate.whenKnown();
        return moog.requests.length > before;
      }, { what: `a probe was answered ${status}` });
    }
    await gate.stop();
    deepStrictEqual(lines.map(({ level, message }) => `${level} ${message.replace(url.host, "HOST")}`), [
      "INFO Remediation: moog health is healthy: HOST answered 200",
      "INFO Remediation: the moog health probe sends an event; configure Moogsoft to auto-close source MUTT_HEALTH_CHECK",
      "WARNING Remediation: moog health is down (unhealthy): HOST answered 500 (MOOG_WEBHOOK_URL)",
      "INFO Remediation: moog health is healthy again after 0 s: HOST answered 200",
    ]);
    strictEqual(gauge.at(-1), 1);
  });
});

const KEY = plainKey(new URL("http://moog/"));

withRedis("SharedProbe: lets one claim, then shares what it wrote, when several ask", async (server) => {
  const redis = server.client();
  const record = new SharedProbe({ redis, cacheMs: 60_000, leaseMs: 60_000 });
  const claims = await Promise.all(Array.from({ length: 5 }, () => record.claim(KEY)));
  deepStrictEqual(claims.map(({ kind }) => kind), ["claimed", "probing", "probing", "probing", "probing"]);
  const [claim] = claims;
  ok(claim?.kind === "claimed");
  await record.write({ key: KEY, token: claim.token }, { kind: "timeout" });
  const fresh = await record.claim(KEY);
  ok(fresh.kind === "fresh" && fresh.ageMs >= 0 && fresh.ageMs < 5000);
  deepStrictEqual(fresh.outcome, { kind: "timeout" });
});

withRedis("SharedProbe: ignores a result when its claim was lost", async (server) => {
  const redis = server.client();
  const record = new SharedProbe({ redis, cacheMs: 60_000, leaseMs: 60_000 });
  await record.claim(KEY);
  await record.write({ key: KEY, token: "another token" }, { kind: "answered", status: 200 });
  deepStrictEqual(await record.claim(KEY), { kind: "probing" });
});

withRedis("SharedProbe: claims when the record is from the future, or cannot be read", async (server) => {
  const redis = server.client();
  const record = new SharedProbe({ redis, cacheMs: 60_000, leaseMs: 1000 });
  const future = String(Date.now() + 3_600_000);
  for (
    const fields of [
      { outcome: "200", atMs: future, claimedUntilMs: future },
      { outcome: "200", atMs: "x", claimedUntilMs: "y" },
      { outcome: "bad", atMs: String(Date.now()) },
    ]
  ) {
    await redis.del(KEY);
    await redis.hset(KEY, fields);
    strictEqual((await record.claim(KEY)).kind, "claimed", JSON.stringify(fields));
  }
});

withRedis("SharedProbe: leaves nothing behind for ever when it was used", async (server) => {
  const redis = server.client();
  const record = new SharedProbe({ redis, cacheMs: 60_000, leaseMs: 6000 });
  const claim = await record.claim(KEY);
  ok(claim.kind === "claimed" && await redis.pttl(KEY) > 0);
  await record.write({ key: KEY, token: claim.token }, { kind: "unreachable" });
  const leftMs = await redis.pttl(KEY);
  ok(leftMs > 0 && leftMs <= 66_000);
});

withRedis("SharedProbe: shares each outcome as it was", async (server) => {
  const record = new SharedProbe({ redis: server.client(), cacheMs: 60_000, leaseMs: 60_000 });
  const outcomes: FetchOutcome[] = [
    { kind: "answered", status: 207 },
    ...FETCH_FAILURES.map((kind) => ({ kind })),
    ...TLS_FLAWS.map((flaw) => ({ kind: "tls" as const, flaw })),
  ];
  for (const [at, outcome] of outcomes.entries()) {
    const key = `${KEY}:${at}`;
    const claim = await record.claim(key);
    ok(claim.kind === "claimed");
    await record.write({ key, token: claim.token }, outcome);
    const shared = await record.claim(key);
    deepStrictEqual(shared.kind === "fresh" && shared.outcome, outcome);
  }
});

withRedis("MoogsoftGate: has a result of its own when key, authority or credentials differ", async (server) => {
  const redis = server.client();
  await withMoog({ status: 200 }, async (moog, url) => {
    const withUser = new URL(url);
    withUser.username = "u";
    const askings: Partial<MoogsoftGateOptions>[] = [
      { url },
      { url, access: () => ({ ...PLAIN, apiKey: new Secret("old") }) },
      { url, access: () => ({ ...PLAIN, apiKey: new Secret("new") }) },
      { url, access: () => ({ ...PLAIN, caCert: Deno.readTextFileSync(certificateFiles("localhost").authority) }) },
      { url: withUser },
    ];
    for (const asking of [...askings, ...askings]) {
      const { gate } = createGate(redis, asking);
      await gate.whenKnown();
      strictEqual(gate.ask().reason, "healthy");
      await gate.stop();
    }
    strictEqual(moog.requests.length, askings.length);
  });
});

withRedis("MoogsoftGate: asks again within seconds when the key was renewed", async (server) => {
  const redis = server.client();
  const clock = new TestClock();
  let key = "old";
  const sent: (string | undefined)[] = [];
  const { gate, lines } = createGate(redis, {
    url: new URL("http://moog/"),
    cacheMs: 3_600_000,
    clock,
    access: () => ({ ...PLAIN, apiKey: new Secret(key) }),
    sendProbe: ({ apiKey }) => {
      sent.push(apiKey?.reveal());
      return Promise.resolve({ kind: "answered", status: apiKey?.reveal() === "new" ? 200 : 401 });
    },
  });
  await gate.whenKnown();
  strictEqual(gate.ask().reason, "probe_rejected");
  key = "new";
  await clock.advance(1_999);
  strictEqual(gate.ask().reason, "probe_rejected");
  await gate.whenKnown();
  deepStrictEqual(sent, ["old"]);
  await clock.advance(1);
  // The old answer stands until there is a new one.
  strictEqual(gate.ask().reason, "probe_rejected");
  await gate.whenKnown();
  strictEqual(gate.ask().reason, "healthy");
  deepStrictEqual(sent, ["old", "new"]);
  ok(!JSON.stringify(lines).includes("new"));
  await gate.stop();
});

withRedis(
  "MoogsoftGate: counts the probes that failed alike in a row, once for all that share a result",
  async (server) => {
    await withMoog({ status: 503 }, async (moog, url) => {
      const gates = [1, 2].map(() => createGate(server.client(), { url, cacheMs: 100 }).gate);
      const isEach = (status: number, failures: number | undefined) =>
        waitUntil(() => {
          const seen = gates.map((gate) => gate.ask());
          // Failures are counted up to what was answered, never beyond.
          for (const one of seen) ok((one.failures ?? 0) <= moog.requests.length);
          return seen.every((one) => one.status === status && (failures === undefined || one.failures === failures));
        }, { what: `both saw ${status} ${failures} times` });
      await Promise.all(gates.map((gate) => gate.whenKnown()));
      await isEach(503, undefined);
      await waitUntil(() => gates.every((gate) => (gate.ask().failures ?? 0) >= 3), {
        what: "both have counted three",
      });
      moog.answer({ status: 500 });
      await waitUntil(() => gates.every((gate) => gate.ask().status === 500), { what: "both saw the other status" });
      moog.answer({ status: 200 });
      await isEach(200, undefined);
      strictEqual(gates[0]!.ask().failures, undefined);
      await Promise.all(gates.map((gate) => gate.stop()));
    });
  },
);
