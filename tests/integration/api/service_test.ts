/** The API of the whole service: opened with keys only, loaded with the first request, the same as its health document. */
import assert from "node:assert/strict";
import { DLQ, eventTexts } from "../../../testkit/engine.ts";
import { TEST_KEYS } from "../../../testkit/api.ts";
import { shareRedis } from "../../../testkit/redis.ts";
import { startServed } from "../../../testkit/served.ts";
import { waitUntil } from "../../../testkit/wait.ts";

const server = shareRedis();
const { viewer, operator } = TEST_KEYS;

Deno.test("run: without keys the API's port is not open, and the log says how to open it", async () => {
  await using service = await startServed(server(), { apiKeys: null });
  assert.equal(service.port("api"), undefined);
  const line = await waitUntil(() => service.lines.find(({ event }) => event === "api_closed"), {
    what: "the log says so",
  });
  assert.match(line!.message, /mutt-remediation key new .*/);
});

Deno.test("run: the API shows what the health port shows, follows it, and ends its streams at the stop", async () => {
  await server().client().lpush(DLQ, ...eventTexts(3));
  let events: Promise<string> | undefined;
  {
    await using service = await startServed(server(), { enabled: false });
    const ask = async (name: "api" | "health", path: string) =>
      await (await fetch(`http://127.0.0.1:${service.port(name)}${path}`, {
        headers: { "x-api-key": viewer, accept: "application/json" },
      })).json();
    await waitUntil(async () => (await ask("health", "/health")).sources[0]?.depth === 3, {
      what: "the depth is known",
    });
    const [health, api] = [await ask("health", "/health"), await ask("api", "/api/v1/status")];
    assert.deepEqual(Object.keys(api), Object.keys(health));
    assert.equal(api.sources[0].depth, 3);
    assert.deepEqual(Object.keys(await ask("api", "/api/v1/slo")), Object.keys(await ask("health", "/api/v1/slo")));
    events = (await service.open("GET", "/api/v1/events", { key: viewer })).text();
    assert.equal(service.lines.filter(({ level }) => level === "ERROR").length, 0);
  }
  const text = await events;
  assert.match(text, /event: source\ndata: \{"key":"alerter","value":\{"name":"alerter","dlq":"mutt:dlq:alerter"/);
  assert.match(text, /event: service\n/);
});

/** The body of each write. Those with a source in it are on no source's path. */
const BODIES: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  pause: { reason: "network work", forSeconds: 60 },
  freeze: { source: "alerter", reason: "change 4711", forSeconds: 60 },
  unfreeze: { source: "alerter" },
  release: { reason: "repaired" },
  resume: {},
  replay: {},
};

Deno.test("writes: each is in the journal with its actor and correlation id, once for an Idempotency-Key, and is an event", async () => {
  await using service = await startServed(server());
  const leave = new AbortController(), seen = { text: "" };
  const followed = await service.open("GET", "/api/v1/events", { key: viewer, signal: leave.signal });
  const reading = (async () => {
    try {
      for await (const part of followed.body!.pipeThrough(new TextDecoderStream())) seen.text += part;
    } catch {
      // We have left.
    }
  })();
  for (const [action, body] of Object.entries(BODIES)) {
    const id = `test-${action}`, headers = { "x-correlation-id": id, "idempotency-key": id };
    const path = "source" in body ? `/api/v1/${action}` : `/api/v1/sources/alerter/${action}`;
    const answer = await service.ask("POST", path, { key: operator, headers, body });
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.headers.get("x-correlation-id"), id);
    const again = await service.ask("POST", path, { key: operator, headers, body });
    assert.deepEqual([again.json, again.headers.get("idempotency-replayed")], [answer.json, "true"]);
    const found = await service.ask("GET", "/api/v1/journal?kind=operation&actor=operator-name", { key: viewer });
    const entries = found.json.entries.filter((entry: { members: { correlationId: string } }) =>
      entry.members.correlationId === id
    );
    assert.equal(entries.length, 1, found.text);
    const { source, members: { operation, role, input, result } } = entries[0];
    const { forSeconds: _, source: _source, ...told } = body;
    const done = answer.json.sources?.[0] ?? answer.json;
    assert.deepEqual({ source, role, input, result }, {
      ...{ source: "alerter", role: "operator", input: told, result: done.result },
    });
    assert.match(operation, new RegExp(`^${action}(_now)?$`));
    await waitUntil(() => seen.text.includes(`"correlationId":"${id}"`), { what: `an event tells of ${action}` });
  }
  const refused = await service.ask("POST", "/api/v1/sources/alerter/pause", { key: operator, body: { reason: "" } });
  assert.equal(refused.status, 400);
  const { json } = await service.ask("GET", "/api/v1/journal?kind=operation&actor=operator-name", { key: viewer });
  assert.equal(json.entries.length, Object.keys(BODIES).length);
  const verified = await service.ask("GET", "/api/v1/journal/verify", { key: viewer });
  assert.ok(verified.json.intact, verified.text);
  leave.abort();
  await reading;
});
