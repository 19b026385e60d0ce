/** What the API answers: inputs, problems, headers, repeated requests, streams. */
import assert from "node:assert/strict";
import Type from "typebox";
import type { Call } from "../../../src/api/api.ts";
import { PATIENCE_MS } from "../../../src/api/idempotency.ts";
import { findOffer } from "../../../src/cli/catalog.ts";
import { ApiClient } from "../../../src/cli/client.ts";
import { type AnyOperation, OperationError } from "../../../src/operations/operation.ts";
import { ApiStore, MOST_REQUESTS } from "../../../src/redis/api_store.ts";
import { requestKey, requestsKey } from "../../../src/redis/keys.ts";
import { type Clock, SYSTEM_CLOCK } from "../../../src/runtime/clock.ts";
import { Secret } from "../../../src/runtime/secret.ts";
import { createOperations } from "../../../testkit/api_operations.ts";
import { startApi, TEST_KEYS } from "../../../testkit/api.ts";
import { shareRedis } from "../../../testkit/redis.ts";
import { waitUntil } from "../../../testkit/wait.ts";

const server = shareRedis();
const { viewer, operator, admin } = TEST_KEYS;

function start(options: Partial<Parameters<typeof startApi>[1]> = {}) {
  const { operations, deeds } = createOperations();
  return { api: startApi(server(), { operations, ...options }), deeds };
}

Deno.test("input: texts of path and query become what the schema says, and defaults are filled in", async () => {
  await using api = start().api;
  const ask = async (path: string) => (await api.ask("GET", path, { key: viewer })).json.input;
  assert.deepEqual(await ask("/api/v1/sources/abc/things"), { source: "abc", limit: 50, from: "oldest" });
  assert.deepEqual(
    await ask("/api/v1/sources/abc/things?limit=7&from=newest&ids=a&ids=b&dry=true"),
    { source: "abc", limit: 7, from: "newest", ids: ["a", "b"], dry: true },
  );
  assert.deepEqual((await ask("/api/v1/sources/abc/things?ids=a")).ids, ["a"]);
});

Deno.test("input: all problems at once, each with field, place, value and what is wanted", async () => {
  await using api = start().api;
  const { status, json, headers } = await api.ask(
    "GET",
    "/api/v1/sources/ABC/things?limit=many&from=middle&ids=a&ids=b&ids=c&ids=d&dry=perhaps&colour=red",
    { key: viewer },
  );
  assert.equal(status, 400);
  assert.equal(headers.get("content-type"), "application/problem+json");
  assert.deepEqual([json.status, json.code, json.type], [400, "invalid", "about:blank"]);
  const problems = json.problems as { field: string; in: string; value: unknown; wanted: string }[];
  assert.deepEqual(problems.map(({ field, in: part, value }) => [field, part, value]).toSorted(), [
    ["colour", "query", null],
    ["dry", "query", "perhaps"],
    ["from", "query", "middle"],
    ["ids", "query", null],
    ["limit", "query", "many"],
    ["source", "path", "ABC"],
  ]);
  const wanted = new Map(problems.map((problem) => [problem.field, problem.wanted]));
  assert.equal(wanted.get("limit"), "a whole number from 1 to 200");
  assert.equal(wanted.get("from"), "one of oldest, newest");
  assert.match(wanted.get("colour")!, /source, limit, from, ids, dry/);
});

Deno.test("input: a body must be a JSON object of known members, each in one place", async () => {
  const { api, deeds } = start();
  await using _ = api;
  const post = (body: string, headers: Record<string, string> = {}) =>
    api.ask("POST", "/api/v1/sources/abc/pause", { key: operator, body, headers });
  for (
    const [body, headers, status] of [
      ["{", {}, 400],
      ["[1]", {}, 400],
      ["null", {}, 400],
      ["\xff", {}, 400],
      ['{"reason": "x"}', { "content-type": "text/plain" }, 415],
      ['{"reason": ""}', {}, 400],
      ["{}", {}, 400],
      ['{"reason": "x", "minutes": "5"}', {}, 400],
      ['{"reason": "x", "source": "other"}', {}, 400],
      ['{"reason": "x", "__proto__": {"a": 1}}', {}, 400],
      [`{"reason": "${"x".repeat(1_100_000)}"}`, {}, 413],
    ] as const
  ) {
    const answer = await post(body, headers);
    assert.equal(answer.status, status, `${body.slice(0, 60)} ${answer.text.slice(0, 200)}`);
    assert.equal(answer.json.status, status);
  }
  assert.deepEqual(deeds.done, []);
  const good = await post('{"reason": "works"}', { "content-type": "application/json; charset=utf-8" });
  assert.deepEqual([good.status, good.json], [202, { done: 1 }]);
  assert.deepEqual(deeds.done, [
    { name: "pause", actor: "operator-name", input: { source: "abc", reason: "works", minutes: 60 } },
  ]);
});

Deno.test("problems: operations, Redis and bugs have a status each, and a bug shows nothing", async () => {
  await using api = start().api;
  const ask = (how: string) => api.ask("GET", `/api/v1/fail?how=${how}`, { key: viewer });
  const [redis, bug, other] = [await ask("redis"), await ask("bug"), await ask("x")];
  assert.deepEqual([redis.status, redis.headers.get("retry-after")], [503, "1"]);
  assert.deepEqual([bug.status, /secret detail/.test(bug.text)], [500, false]);
  assert.deepEqual([other.status, other.json.detail], [404, '"x" is not a way to fail']);
  assert.deepEqual(api.lines.filter(({ level }) => level === "ERROR").map(({ event }) => event), ["api_bug"]);
});

Deno.test("headers: nothing is cached, framed or guessed; the correlation id comes back", async () => {
  await using api = start().api;
  for (const path of ["/api/v1/thing", "/nowhere", "/api/v1/openapi.json"]) {
    const { headers } = await api.ask("GET", path, { key: viewer, headers: { "x-correlation-id": "abc-1" } });
    assert.equal(headers.get("cache-control"), "no-store");
    assert.equal(headers.get("x-content-type-options"), "nosniff");
    assert.match(headers.get("content-security-policy")!, /frame-ancestors 'none'/);
    assert.doesNotMatch(headers.get("content-security-policy")!, /unsafe/);
    assert.equal(headers.get("x-correlation-id"), "abc-1");
    assert.equal(headers.get("access-control-allow-origin"), null);
  }
  const own = await api.ask("GET", "/api/v1/thing", { key: viewer, headers: { "x-correlation-id": "no good!" } });
  assert.match(own.headers.get("x-correlation-id")!, /^[0-9a-f-]{36}$/);
});

Deno.test("methods: another method is refused with those that are allowed", async () => {
  await using api = start().api;
  const answer = await api.ask("PATCH", "/api/v1/thing", { key: viewer });
  assert.deepEqual([answer.status, answer.headers.get("allow")], [405, "GET, HEAD, PUT"]);
  assert.equal((await api.ask("HEAD", "/api/v1/thing", { key: viewer })).status, 200);
  assert.equal((await api.ask("OPTIONS", "/api/v1/thing", { key: viewer })).status, 405);
  assert.equal((await api.ask("GET", "/api/v1/nowhere", { key: viewer })).status, 404);
});

Deno.test("methods: a path is not taken for one with a variable in its place", async () => {
  const { operations } = createOperations();
  const list: AnyOperation = {
    ...{ name: "list", summary: "Lists a list", runsIn: "service", role: "viewer" },
    input: Type.Object({ source: Type.String(), list: Type.Enum(["dlq", "dead"]) }, { additionalProperties: false }),
    output: Type.Object({}),
    http: { method: "GET", path: "/sources/{source}/{list}" },
    run: () => ({}),
  };
  await using api = start({ operations: [list, ...operations] }).api;
  const answer = await api.ask("GET", "/api/v1/sources/abc/pause", { key: viewer });
  assert.deepEqual([answer.status, answer.headers.get("allow")], [405, "POST"]);
  assert.equal((await api.ask("GET", "/api/v1/sources/abc/dead", { key: viewer })).status, 200);
  const wrong = await api.ask("GET", "/api/v1/sources/abc/other", { key: viewer });
  assert.deepEqual([wrong.status, wrong.json.problems[0].wanted], [400, "one of dlq, dead"]);
});

Deno.test("writes: one that takes longer than a connection may is answered; a read is cut", async () => {
  const [writes, reads] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const [limit, cut] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const common = {
    ...{ summary: "Waits", runsIn: "service", role: "operator" } as const,
    ...{ input: Type.Object({}, { additionalProperties: false }), output: Type.Object({}) },
  };
  const write: AnyOperation = {
    ...{ ...common, name: "write", http: { method: "POST", path: "/write" } },
    run: async () => {
      writes.resolve();
      await cut.promise;
      return {};
    },
  };
  const read: AnyOperation = {
    ...{ ...common, name: "read", http: { method: "GET", path: "/read" } },
    run: ({ signal }: Call) => {
      reads.resolve();
      return new Promise((resolve) => signal.addEventListener("abort", () => resolve({})));
    },
  };
  // The time limit of a connection ends when both operations run.
  const sleep: Clock["sleep"] = (ms, signal) => ms === 10_000 ? limit.promise : SYSTEM_CLOCK.sleep(ms, signal);
  await using api = start({ operations: [write, read], portClock: { ...SYSTEM_CLOCK, sleep } }).api;
  const writing = api.ask("POST", "/api/v1/write", { key: operator });
  const reading = assert.rejects(api.ask("GET", "/api/v1/read", { key: operator }));
  await Promise.all([writes.promise, reads.promise]);
  limit.resolve();
  await reading;
  cut.resolve();
  assert.equal((await writing).status, 200);
});

Deno.test("ETag and If-Match: a write that rests on what was seen fails once that has changed", async () => {
  const { api, deeds } = start();
  await using _ = api;
  const etag = (await api.ask("GET", "/api/v1/thing", { key: viewer })).headers.get("etag")!;
  const put = (ifMatch: string) => api.ask("PUT", "/api/v1/thing", { key: operator, headers: { "if-match": ifMatch } });
  assert.deepEqual([etag, (await put(etag)).status], ['"v1"', 200]);
  deeds.version = "v2";
  const { status, json } = await put(etag);
  assert.deepEqual([status, json.code], [412, "stale"]);
  assert.equal(deeds.done.length, 1);
});

Deno.test("Idempotency-Key: a repeated request is answered as the first was, on any instance; another one is refused", async () => {
  const { operations, deeds } = createOperations();
  await using one = startApi(server(), { operations });
  await using two = startApi(server(), { operations });
  const post = (api: typeof one, { key = operator, id = "k-1", reason = "x" } = {}) =>
    api.ask("POST", "/api/v1/sources/abc/pause", { key, headers: { "idempotency-key": id }, body: { reason } });
  const first = await post(one), again = await post(two);
  assert.deepEqual([first.status, first.json, again.status, again.json], [202, { done: 1 }, 202, { done: 1 }]);
  assert.deepEqual([first.headers.get("idempotency-replayed"), again.headers.get("idempotency-replayed")], [
    null,
    "true",
  ]);
  assert.equal((await post(one, { reason: "other" })).status, 422);
  assert.equal((await post(one, { id: "k-2" })).json.done, 2);
  // Keys belong to their callers.
  assert.equal((await post(one, { key: admin })).json.done, 3);
  assert.equal((await post(one, { id: "a b" })).status, 400);
  // A refusal is an answer too.
  const bad = await post(one, { id: "k-3", reason: "" });
  assert.deepEqual([bad.status, (await post(two, { id: "k-3", reason: "" })).text], [400, bad.text]);
  assert.equal(deeds.done.length, 3);
  const [key] = await server().client().keys("mutt:remediation:{api}:request:*");
  assert.ok(await server().client().pttl(key!) > 0);
});

/** A write that ends when the test says so. */
function createSlowPause() {
  const end = Promise.withResolvers<void>();
  const state = { runs: 0, wasAborted: false, end: () => end.resolve() };
  const operation: AnyOperation = {
    ...{ name: "pause", summary: "Pauses a source", runsIn: "service", role: "operator" },
    input: Type.Object({ source: Type.String(), reason: Type.String() }, { additionalProperties: false }),
    output: Type.Object({ run: Type.Integer() }, { additionalProperties: false }),
    http: { method: "POST", path: "/sources/{source}/pause" },
    run: async ({ signal }: Call) => {
      const run = ++state.runs;
      await end.promise;
      state.wasAborted = signal.aborted;
      return { run };
    },
  };
  return { operations: [operation], state };
}

/** A clock by which nobody waits for a request. */
const IMPATIENT: Clock = {
  ...SYSTEM_CLOCK,
  sleep: (ms, signal) => SYSTEM_CLOCK.sleep(ms === PATIENCE_MS ? 10 : ms, signal),
};

Deno.test("Idempotency-Key: a slow write says that it still runs, goes on without its client, and is answered when it has ended", async () => {
  const { operations, state } = createSlowPause();
  await using one = startApi(server(), { operations, clock: IMPATIENT });
  await using two = startApi(server(), { operations });
  const ask = { key: operator, headers: { "idempotency-key": "slow" }, body: { reason: "x" } };
  const first = await one.ask("POST", "/api/v1/sources/abc/pause", ask);
  assert.deepEqual([first.status, first.json.code, first.headers.get("retry-after")], [409, "in_progress", "1"]);
  assert.equal((await two.ask("POST", "/api/v1/sources/abc/pause", ask)).json.code, "in_progress");
  state.end();
  await waitUntil(async () => (await two.ask("POST", "/api/v1/sources/abc/pause", ask)).status === 200, {
    what: "another instance has the answer",
  });
  assert.deepEqual([state.runs, state.wasAborted], [1, false]);
});

Deno.test("ApiClient: asks for the answer of a slow write until it is there", async () => {
  const { operations, state } = createSlowPause();
  await using api = startApi(server(), { operations, clock: IMPATIENT });
  const client = new ApiClient({
    url: api.url,
    key: new Secret(operator),
    patienceMs: 60_000,
    proxy: undefined,
    caCert: undefined,
  }, new AbortController().signal);
  const answer = client.run(findOffer("pause"), { source: "abc", reason: "x" });
  await waitUntil(() => api.lines.some(({ fields }) => fields?.code === "in_progress"), { what: "it still runs" });
  state.end();
  assert.deepEqual([await answer, state.runs], [{ run: 1 }, 1]);
});

Deno.test("Idempotency-Key: a write that is only missing from the journal does not run again", async () => {
  let runs = 0;
  const { operations: [pause] } = createSlowPause();
  const run = () => {
    throw new OperationError("unrecorded", `done (${++runs}), but perhaps not in the journal`);
  };
  await using api = startApi(server(), { operations: [{ ...pause!, run } as AnyOperation] });
  const ask = { key: operator, headers: { "idempotency-key": "unrecorded" }, body: { reason: "x" } };
  const answers = [
    await api.ask("POST", "/api/v1/sources/abc/pause", ask),
    await api.ask("POST", "/api/v1/sources/abc/pause", ask),
  ];
  assert.deepEqual(answers.map(({ status, json }) => [status, json.code]), [[500, "unrecorded"], [500, "unrecorded"]]);
  assert.equal(runs, 1);
});

Deno.test("ApiStore: keeps the answers of the newest requests only", async () => {
  const redis = server().client(), store = new ApiStore(redis);
  const ids = Array.from({ length: MOST_REQUESTS + 5 }, (_, i) => `digest-${String(i).padStart(5, "0")}`);
  await redis.zadd(requestsKey(), ...ids.slice(0, -1).flatMap((id, i) => [i, requestKey(id)]));
  await redis.mset(...ids.slice(0, -1).flatMap((id) => [requestKey(id), "answer"]));
  assert.equal(await store.claim(ids.at(-1)!, "claim"), null);
  assert.equal(await redis.zcard(requestsKey()), MOST_REQUESTS);
  const kept = await Promise.all(ids.map((id) => redis.exists(requestKey(id))));
  assert.deepEqual(kept, ids.map((_, i) => i < 5 ? 0 : 1));
  assert.ok(await redis.pttl(requestsKey()) > 0);
});

Deno.test("Idempotency-Key: of many at once only one runs", async () => {
  const { api, deeds } = start();
  await using _ = api;
  const answers = await Promise.all(Array.from({ length: 10 }, () =>
    api.ask("POST", "/api/v1/sources/abc/pause", {
      ...{ key: operator, headers: { "idempotency-key": "same" }, body: { reason: "x" } },
    })));
  assert.equal(deeds.done.length, 1);
  assert.deepEqual(new Set(answers.map(({ status }) => status)).difference(new Set([202, 409])), new Set());
});

Deno.test("streams: items a line each; a failure before the first is a problem, a later one the last line", async () => {
  const { api, deeds } = start();
  await using _ = api;
  const search = (query = "") => api.ask("GET", `/api/v1/search${query}`, { key: viewer });
  const good = await search();
  assert.equal(good.headers.get("content-type"), "application/x-ndjson");
  assert.equal(good.text, '{"id":1}\n{"id":2}\n');
  assert.equal((await search("?first=true")).status, 409);
  deeds.items.push({ id: 3 });
  const lines = (await search()).text.trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual([lines.length, lines[3].error.code], [4, "unavailable"]);
});

Deno.test("streams: no more than the port has places for", async () => {
  const { api, deeds } = start({ mostStaying: 2 });
  await using _ = api;
  deeds.isEndless = true;
  const leaving = new AbortController();
  const open = [1, 2].map(() => api.open("GET", "/api/v1/search", { key: viewer, signal: leaving.signal }));
  await Promise.all(open);
  const third = await api.ask("GET", "/api/v1/search", { key: viewer });
  assert.deepEqual([third.status, third.headers.get("retry-after")], [503, "5"]);
  assert.equal((await api.ask("GET", "/api/v1/thing", { key: viewer })).status, 200);
  leaving.abort();
  await waitUntil(() => deeds.left === 2, { what: "both operations know that their client has left" });
});

Deno.test("uploads: of any size, streamed to the operation", async () => {
  const { api, deeds } = start();
  await using _ = api;
  const body = "x".repeat(3_000_000);
  const answer = await api.ask("POST", "/api/v1/sources/abc/import", { key: operator, body });
  assert.equal(answer.status, 200, answer.text);
  assert.deepEqual(deeds.done[0]!.input, { source: "abc", bytes: 3_000_000 });
});

Deno.test("CORS: only the configured origins, and never with a session", async () => {
  const origin = "https://console.example.com";
  await using api = start({ corsOrigins: [origin] }).api;
  const preflight = await api.ask("OPTIONS", "/api/v1/thing", { headers: { origin } });
  assert.deepEqual([preflight.status, preflight.headers.get("access-control-allow-origin")], [204, origin]);
  assert.equal(preflight.headers.get("access-control-allow-credentials"), null);
  const other = await api.ask("OPTIONS", "/api/v1/thing", { headers: { origin: "https://evil.example" } });
  assert.deepEqual([other.status, other.headers.get("access-control-allow-origin")], [401, null]);
});

Deno.test("metrics: by route template and status class; the log has no key", async () => {
  await using api = start().api;
  await api.ask("GET", "/api/v1/sources/abc/things", { key: viewer });
  await api.ask("GET", "/api/v1/sources/abc/things", { key: "wrong" });
  await api.ask("GET", "/nowhere/abc", { key: viewer });
  const text = await api.metrics.render();
  const has = (line: string) => assert.ok(text.includes(line), line);
  has('api_requests_total{route="/api/v1/sources/{source}/things",method="GET",status="2xx"} 1');
  has('api_requests_total{route="/api/v1/sources/{source}/things",method="GET",status="4xx"} 1');
  has('api_requests_total{route="unmatched",method="GET",status="4xx"} 1');
  has('api_auth_failures_total{reason="wrong_key"} 1');
  assert.deepEqual(api.lines.filter(({ event }) => event === "api_refused").map(({ level }) => level), [
    "WARNING",
    "DEBUG",
  ]);
  assert.ok(!JSON.stringify(api.lines).includes(viewer));
});
