/** Server-sent events: what is sent, when, to whom, and that it resumes. */
import assert from "node:assert/strict";
import type { EventFeed } from "../../../src/api/events.ts";
import { createJournalFeed } from "../../../src/app/event_feeds.ts";
import { Journal } from "../../../src/journal/journal.ts";
import { JournalStore } from "../../../src/redis/journal_store.ts";
import { SYSTEM_CLOCK } from "../../../src/runtime/clock.ts";
import { entriesOf, startApi, TEST_KEYS, type TestApi } from "../../../testkit/api.ts";
import { createEngine, DLQ, eventTexts } from "../../../testkit/engine.ts";
import { startJob } from "../../../testkit/jobs.ts";
import { recordLog } from "../../../testkit/recorded_log.ts";
import { shareRedis } from "../../../testkit/redis.ts";
import { startServed } from "../../../testkit/served.ts";
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
  api: Pick<TestApi, "open">,
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
  const one = await follow(api, { key: operator });
  assert.equal(
    (await api.ask("GET", "/api/v1/events", { key: operator })).status,
    503,
    "half of the places are for others",
  );
  const two = await follow(api);
  assert.equal((await api.ask("GET", "/api/v1/events", { key: TEST_KEYS.admin })).status, 503, "no place is left");
  api.keys = { ok: true, keys: entriesOf({ viewer }) };
  await waitUntil(() => one.seen.isOver, { what: "the stream of the revoked key has ended" });
  assert.equal(two.seen.isOver, false);
  await api[Symbol.asyncDispose]();
  await waitUntil(() => two.seen.isOver, { what: "the other stream has ended" });
});

Deno.test("events: a journal's entries are sent once; after a gap clients begin anew", async () => {
  const entries = new Map<string, unknown>([["a", 1], ["b", 2]]);
  const feed: EventFeed = { name: "journal", isJournal: true, read: () => new Map(entries) };
  await using api = startApi(server(), { operations: [], feeds: [feed] });
  const one = await follow(api);
  await one.sees('{"key":"b","value":2}');
  entries.delete("a");
  entries.set("c", 3);
  await one.sees('{"key":"c","value":3}');
  assert.ok(!one.seen.text.includes('"value":null'), one.seen.text);
  const id = one.lastId()!;
  entries.clear();
  entries.set("z", 26);
  await one.sees('{"key":"z","value":26}');
  await one.leave();
  const two = await follow(api, { lastEventId: id });
  await two.sees("event: reset");
  await two.leave();
});

Deno.test("events: a running job's progress, until it has ended", async () => {
  await server().seedList(DLQ, eventTexts(20));
  await using engine = createEngine(server());
  const id = await startJob(engine, { verb: "purge", texts: eventTexts(5) });
  const { jobs } = engine.source;
  assert.ok(await jobs.request(id, "pause"));
  await using service = await startServed(server());
  const one = await follow(service);
  await one.sees(`event: job\ndata: {"key":"${id}"`);
  assert.match(one.seen.text, /event: job\ndata: .*"verb":"purge".*"planned":5.*"source":"alerter","status":"paused"/);
  assert.ok(await jobs.request(id, "resume"));
  await one.sees(`event: job\ndata: {"key":"${id}","value":null}`);
  await one.leave();
  assert.equal((await jobs.get(id))?.status, "done");
});

Deno.test("createJournalFeed: gives the latest entries, then the new ones; after too many only the latest", async () => {
  const store = new JournalStore({ reader: server().client(), committer: server().client() } as never);
  const journal = new Journal({
    ...{ store, instance: "test", clock: SYSTEM_CLOCK, log: recordLog().log, isReady: () => true },
  });
  let written = 0;
  const write = async (count: number) => {
    for (let i = 0; i < count; i++) {
      await journal.record({
        ...{ kind: "operation", actor: "ann", role: "admin", operation: `run_${++written}`, source: null },
        ...{ input: {}, result: "", correlationId: null, job: null, messages: [] },
      });
    }
  };
  const link = { isReady: true };
  const feed = createJournalFeed(journal, { isReady: () => link.isReady });
  const read = async () =>
    [...(await feed.read()).values()].map((entry) => {
      const { members } = entry as { members: { operation: string } };
      return Number(members.operation.slice(4));
    });
  assert.deepEqual(await read(), []);
  await write(3);
  assert.deepEqual(await read(), [1, 2, 3]);
  link.isReady = false;
  await write(1);
  assert.deepEqual(await read(), [1, 2, 3]);
  link.isReady = true;
  assert.deepEqual(await read(), [1, 2, 3, 4]);
  await write(600);
  const latest = await read();
  assert.deepEqual([latest.length, latest[0], latest.at(-1)], [100, 505, 604]);
  await write(1);
  assert.deepEqual((await read()).slice(-2), [604, 605]);
});
