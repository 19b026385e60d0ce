/** Server-sent events: what is sent, when, to whom, and that it resumes. */
import assert from "node:assert/strict";
import type { EventFeed } from "../../../src/api/events.ts";
import { entriesOf, startApi, TEST_KEYS } from "../../../testkit/api.ts";
import { shareRedis } from "../../../testkit/redis.ts";
import { waitUntil } from "../../../testkit/wait.ts";

const server = shareRedis();
const { viewer, operator } = TEST_KEYS;

function start(options: Partial<Parameters<typeof startApi>[1]> = {}) {
  const states = new Map<string, unknown>([["alerter", { depth: 1 }]]);
  const world = { states, reads: 0 };
  const feeds: EventFeed[] = [{
    name: "source",
    read: () => {
      world.reads++;
      return new Map(states);
    },
  }];
  return { api: startApi(server(), { operations: [], feeds, ...options }), world };
}

/** Follows the events until it is closed. */
async function follow(
  api: ReturnType<typeof startApi>,
  { key = viewer, lastEventId }: { key?: string; lastEventId?: string } = {},
) {
  const leave = new AbortController();
  const headers: Record<string, string> = lastEventId ? { "last-event-id": lastEventId } : {};
  const response = await api.open("GET", "/api/v1/events", { key, headers, signal: leave.signal });
  const seen = { status: response.status, text: "", isOver: false };
  const reading = (async () => {
    try {
      for await (const part of response.body!.pipeThrough(new TextDecoderStream())) seen.text += part;
    } catch {
      // We have left.
    }
    seen.isOver = true;
  })();
  return {
    seen,
    lastId: () => [...seen.text.matchAll(/^id: (.*)$/gm)].at(-1)?.[1],
    sees: (text: string) => waitUntil(() => seen.text.includes(text), { what: `an event has ${text}` }),
    leave: async () => {
      leave.abort();
      await reading;
    },
  };
}

Deno.test("events: all states first, then what changes; read once for all clients, and not at all without them", async () => {
  const { api, world } = start();
  await using _ = api;
  const [one, two] = [await follow(api), await follow(api)];
  const first = 'event: source\ndata: {"key":"alerter","value":{"depth":1}}';
  await Promise.all([one.sees(first), two.sees(first)]);
  const before = world.reads;
  world.states.set("alerter", { depth: 2 });
  await Promise.all([one.sees('{"depth":2}'), two.sees('{"depth":2}')]);
  assert.ok(world.reads - before <= 3, `${world.reads - before} reads`);
  world.states.delete("alerter");
  await one.sees('{"key":"alerter","value":null}');
  await Promise.all([one.leave(), two.leave()]);
  await waitUntil(async () => /api_event_clients 0\n/.test(await api.metrics.render()), { what: "both have left" });
});

Deno.test("events: Last-Event-ID continues; one that is not known starts again", async () => {
  const { api, world } = start();
  await using _ = api;
  const one = await follow(api);
  await one.sees('{"depth":1}');
  world.states.set("alerter", { depth: 2 });
  await one.sees('{"depth":2}');
  const id = one.lastId()!;
  await one.leave();
  world.states.set("moog", { depth: 7 });
  const two = await follow(api, { lastEventId: id });
  await two.sees('{"depth":7}');
  assert.ok(!two.seen.text.includes('"alerter"') && !two.seen.text.includes("reset"), two.seen.text);
  const three = await follow(api, { lastEventId: "00000000-5" });
  await three.sees("event: reset");
  await three.sees('"alerter"');
  await Promise.all([two.leave(), three.leave()]);
});

Deno.test("events: end when the key is revoked and when the service stops; are bounded", async () => {
  const { api } = start({ mostEventClients: 2 });
  const [one, two] = [await follow(api, { key: operator }), await follow(api)];
  assert.equal((await api.ask("GET", "/api/v1/events", { key: viewer })).status, 503);
  api.keys = { ok: true, keys: entriesOf({ viewer }) };
  await waitUntil(() => one.seen.isOver, { what: "the stream of the revoked key has ended" });
  assert.equal(two.seen.isOver, false);
  await api[Symbol.asyncDispose]();
  await waitUntil(() => two.seen.isOver, { what: "the other stream has ended" });
});
