/** The journals in a real Redis: what is recorded, found and verified, beside commits, lost replies and other clients. */
import assert from "node:assert/strict";
import type { Redis } from "ioredis";
import { type FoundEntry, Journal } from "../../src/journal/journal.ts";
import { beginIncident } from "../../src/journal/incidents.ts";
import type { JournalQuery } from "../../src/journal/query.ts";
import type { NewEntry } from "../../src/journal/entries.ts";
import { operationEntry } from "../../src/operations/audit.ts";
import { journal as journalOperation } from "../../src/operations/journal.ts";
import { OperationError } from "../../src/operations/operation.ts";
import { verify } from "../../src/operations/verify.ts";
import type { ServiceContext } from "../../src/operations/context.ts";
import { ENTRIES_KEPT, JournalStore } from "../../src/redis/journal_store.ts";
import { journalHeadKey, journalKey, movesKey } from "../../src/redis/keys.ts";
import commitChecks from "../../src/redis/scripts/commit_checks.lua" with { type: "text" };
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { createEngine, DLQ, dumpKeys, eventTexts, readLists, STATE } from "../../testkit/engine.ts";
import { recordLog } from "../../testkit/recorded_log.ts";
import { shareRedis } from "../../testkit/redis.ts";
import { startTcpProxy } from "../../testkit/tcp_proxy.ts";
import { waitUntil } from "../../testkit/wait.ts";

const server = shareRedis();
const MOVES = movesKey(DLQ), AUDIT = journalKey("audit");
const ANN = { name: "ann", role: "operator" } as const;

function openJournal(client: Redis = server().client()) {
  const { log, lines } = recordLog();
  const store = new JournalStore({ reader: client, committer: client });
  const isReady = () => client.status === "ready";
  const journal = new Journal({ store, clock: SYSTEM_CLOCK, log, instance: "pod", isReady });
  journal.attachSources(() => [{ name: "alerter", dlq: DLQ }]);
  return { journal, store, lines, client };
}

/** The parts of a service's context that the operations use. */
function contextOf(journal: Journal): Pick<ServiceContext, "journal" | "sources"> {
  return { journal, sources: () => [{ parts: { setup: { policy: { name: "alerter" } } } }] as never };
}

const run = (operation: string, given: Partial<Parameters<typeof operationEntry>[1]> = {}): NewEntry =>
  operationEntry(ANN, { operation, result: "ok", ...given });

const namesOf = (entries: readonly FoundEntry[]) =>
  entries.map(({ entry }) => entry.kind === "operation" ? entry.operation : entry.kind);

Deno.test("ENTRIES_KEPT: is what the commit's script trims to", () => {
  assert.match(commitChecks, new RegExp(`MOST_ENTRIES = ${ENTRIES_KEPT.moves}\\n`));
});

Deno.test("runOnce: each commit has one entry, in its order, which says what moved", async () => {
  await server().seedList(DLQ, [...eventTexts(12), "not JSON", ...eventTexts(12, 12)]);
  await using engine = createEngine(server(), { name: "pod 1" });
  await engine.turn();
  const { journal } = openJournal();
  const { entries } = await journal.query({ oldestFirst: true, limit: 100 });
  const shown = entries.map(({ entry, source }) =>
    entry.kind === "move" && [source, entry.replayed, entry.dead, entry.cycle, entry.instance]
  );
  assert.deepEqual(shown, [
    ["alerter", 10, {}, 1, "pod 1"],
    ["alerter", 9, { unreadable: 1 }, 1, "pod 1"],
    ["alerter", 5, {}, 1, "pod 1"],
  ]);
  const [{ isIntact, entries: count } = assert.fail()] = await journal.verify({ journals: ["moves"] });
  assert.deepEqual([isIntact, count], [true, 3]);
});

for (const when of ["before_reply", "before_request"] as const) {
  Deno.test(`runOnce: a commit whose reply is lost (${when}) has one entry if it ran, else none`, async () => {
    const proxy = startTcpProxy({ port: server().port });
    await server().seedList(DLQ, eventTexts(25));
    {
      await using engine = createEngine({ port: proxy.port });
      const cut = proxy.cut(when, { texts: ['"id": "13"'] });
      await engine.start();
      await cut;
      await waitUntil(async () => await server().depth(DLQ) === 0, { what: "the DLQ is empty" });
      await waitUntil(() => !engine.source.replay.hasUnsettled(), { what: "the commit is settled" });
    }
    await proxy.stop();
    const { journal } = openJournal();
    const { entries } = await journal.query({ journals: ["moves"], limit: 100 });
    const moved = entries.reduce((sum, { entry }) => sum + (entry.kind === "move" ? entry.replayed : NaN), 0);
    assert.deepEqual([moved, (await readLists(server())).target.length], [25, 25]);
    const [report] = await journal.verify({ journals: ["moves"] });
    assert.deepEqual(report?.breaks, []);
  });
}

Deno.test("runOnce: a killed instance's commits are all in the journal, beside those of the next one", async () => {
  await server().seedList(DLQ, eventTexts(100));
  const first = createEngine(server(), { name: "first" });
  first.beforeCommit((number) => number === 4 ? void first.kill() : undefined);
  await first.turn().catch(() => {});
  await first.kill();
  await using second = createEngine(server(), { name: "second" });
  await second.start();
  await waitUntil(async () => await server().depth(DLQ) === 0, { what: "the DLQ is empty" });
  const { journal } = openJournal();
  const { entries } = await journal.query({ journals: ["moves"], limit: 100 });
  const byInstance = Map.groupBy(entries, ({ entry }) => entry.kind === "move" ? entry.instance : "");
  const moved = (name: string) =>
    byInstance.get(name)!.reduce((sum, { entry }) => sum + (entry.kind === "move" ? entry.replayed : 0), 0);
  assert.ok(moved("first") >= 30);
  assert.equal(moved("first") + moved("second"), 100);
  assert.deepEqual((await journal.verify()).flatMap(({ breaks }) => breaks), []);
});

Deno.test("runOnce: two instances that drain at once make one chain, with one entry for each commit", async () => {
  await server().seedList(DLQ, eventTexts(400));
  {
    await using one = createEngine(server(), { name: "one" });
    await using two = createEngine(server(), { name: "two" });
    await Promise.all([one.start(), two.start()]);
    await waitUntil(async () => await server().depth(DLQ) === 0, { what: "the DLQ is empty" });
  }
  const { journal } = openJournal();
  const { entries } = await journal.query({ journals: ["moves"], limit: 1_000 });
  const sequences = entries.map(({ entry }) => entry.kind === "move" ? entry.sequence : "");
  assert.equal(new Set(sequences).size, entries.length);
  assert.equal(entries.reduce((sum, { entry }) => sum + (entry.kind === "move" ? entry.replayed : NaN), 0), 400);
  assert.deepEqual((await journal.verify()).flatMap(({ breaks }) => breaks), []);
});

Deno.test("record: two instances at once make one chain", async () => {
  const [one, two] = [openJournal().journal, openJournal().journal];
  await Promise.all(Array.from({ length: 50 }, (_, i) => (i % 2 === 0 ? one : two).record(run(`run_${i}`))));
  const [report] = await one.verify({ journals: ["audit"] });
  assert.deepEqual([report?.isIntact, report?.entries, report?.unwritten], [true, 50, 0]);
});

for (
  const [name, key, spoil] of [
    ["the journal is a list", AUDIT, (client: Redis) => client.lpush(AUDIT, "x")],
    ["its head is a hash", journalHeadKey("audit"), (client: Redis) => client.hset(journalHeadKey("audit"), "a", "b")],
  ] as const
) {
  Deno.test(`record: changes nothing and names the key when ${name}`, async () => {
    const { journal, client } = openJournal();
    await spoil(client);
    const before = await dumpKeys(client);
    await assert.rejects(journal.record(run("edit")), { code: "WRONGTYPE", message: new RegExp(key) });
    await assert.rejects(journal.query({ limit: 1 }), { code: "WRONGTYPE" });
    assert.deepEqual(await dumpKeys(client), before);
    await assert.rejects(journalOperation.run(contextOf(journal), {}), { code: "WRONGTYPE" });
  });
}

Deno.test("record: changes nothing when Redis is out of memory, or the user may not call XADD", async () => {
  const { journal, client } = openJournal();
  await journal.record(run("first"));
  const before = await dumpKeys(client);
  await client.config("SET", "maxmemory", "1");
  await assert.rejects(journal.record(run("edit")), { code: "OOM" });
  await client.config("SET", "maxmemory", "0");
  await client.acl("SETUSER", "svc", "reset", "on", "nopass", "+@all", "-xadd", "allkeys");
  const { journal: refused } = openJournal(server().client({ username: "svc", password: "any" }));
  await assert.rejects(refused.record(run("edit")), { code: "NOPERM" });
  assert.deepEqual(await dumpKeys(client), before);
});

/** Entries in the order of their writing. */
const HISTORY: readonly NewEntry[] = [
  { kind: "service", event: "started", version: "1" },
  run("redrive", { source: "alerter", job: "j_1", messages: ["m_0123456789abcdef"] }),
  operationEntry({ name: "bob", role: "admin" }, { operation: "purge", result: "ok", source: "moog" }),
  { kind: "leader", source: "alerter", event: "gained" },
  { kind: "incident", incident: "i_1", event: "began", source: "alerter", reason: "redis", detail: "it is away" },
];

/** Each in a millisecond of its own: in the same one, entries of two journals have no order. */
async function recordHistory(journal: Journal, client: Redis): Promise<void> {
  const readMs = async () => {
    const [seconds, microseconds] = await client.time();
    return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000);
  };
  for (const entry of HISTORY) {
    await journal.record(entry);
    const wroteMs = await readMs();
    await waitUntil(async () => await readMs() > wroteMs, { what: "the next millisecond" });
  }
}

const queries: readonly (readonly [name: string, query: Partial<JournalQuery>, found: readonly string[]])[] = [
  ["all, newest first", {}, ["incident", "leader", "purge", "redrive", "service"]],
  ["all, oldest first", { oldestFirst: true }, ["service", "redrive", "purge", "leader", "incident"]],
  ["no more than the limit", { limit: 2 }, ["incident", "leader"]],
  ["one kind", { kind: "operation" }, ["purge", "redrive"]],
  ["one journal", { journals: ["incidents"] }, ["incident"]],
  ["one source", { source: "alerter" }, ["incident", "leader", "redrive"]],
  ["one actor", { actor: "bob" }, ["purge"]],
  ["one job", { job: "j_1" }, ["redrive"]],
  ["one message", { message: "m_0123456789abcdef" }, ["redrive"]],
  ["nothing before its time", { toMs: 1 }, []],
  ["nothing after its time", { fromMs: 9e12 }, []],
];

for (const [name, query, found] of queries) {
  Deno.test(`query: finds ${name}`, async () => {
    const { journal, client } = openJournal();
    await recordHistory(journal, client);
    const answer = await journal.query({ limit: 100, ...query });
    assert.deepEqual(namesOf(answer.entries), found);
  });
}

for (const oldestFirst of [false, true]) {
  Deno.test(`query: pages give each entry once, ${oldestFirst ? "oldest" : "newest"} first, while others are written`, async () => {
    const { journal } = openJournal();
    for (let i = 0; i < 250; i++) {
      await journal.record(i % 3 === 0 ? HISTORY[4]! : run(`run_${i}`));
    }
    const seen: FoundEntry[] = [];
    let cursor: string | undefined;
    for (let i = 0, isComplete = false; !isComplete; i++) {
      const answer = await journal.query({ limit: 30, oldestFirst, ...(cursor ? { cursor } : {}) });
      seen.push(...answer.entries);
      ({ cursor, isComplete } = answer);
      if (i < 3) await journal.record(run("later"));
    }
    const ids = seen.map(({ id, journal }) => `${journal} ${id}`);
    assert.equal(new Set(ids).size, ids.length);
    assert.equal(seen.filter(({ entry }) => !(entry.kind === "operation" && entry.operation === "later")).length, 250);
    assert.equal(namesOf(seen).includes("later"), oldestFirst);
  });
}

Deno.test("query: shows what another client wrote as invalid, and verify finds it", async () => {
  const { journal, client } = openJournal();
  await journal.record(run("first"));
  await client.xadd(AUDIT, "*", "any", "thing");
  await client.xadd(AUDIT, "*", "number", "2", "previous", "", "entry", "{");
  const { entries } = await journal.query({ limit: 10, kind: "invalid" });
  assert.equal(entries.length, 2);
  const answer = await verify.run(contextOf(journal), { journals: ["audit"] });
  assert.ok(!answer.intact);
  assert.deepEqual(answer.journals[0]!.breaks.map(({ kind }) => kind), ["foreign", "changed", "newest_removed"]);
});

Deno.test("verify: a full journal is trimmed and stays intact; a removed entry is named", async () => {
  const { journal, client } = openJournal();
  const most = ENTRIES_KEPT.incidents;
  for (let i = 0; i < most + 1_000; i += 500) {
    await Promise.all(Array.from({ length: 500 }, () => journal.record(HISTORY[4]!)));
  }
  const [full] = await journal.verify({ journals: ["incidents"] });
  assert.deepEqual([full?.isIntact, full!.entries + full!.trimmed], [true, most + 1_000]);
  assert.ok(full!.trimmed > 0 && full!.entries >= most);
  const [[id]] = await client.xrange(journalKey("incidents"), "-", "+", "COUNT", 1) as [[string, string[]]];
  const [, [gone] = []] = await client.xrange(journalKey("incidents"), id, "+", "COUNT", 2);
  await client.xdel(journalKey("incidents"), gone!);
  const [cut] = await journal.verify({ journals: ["incidents"] });
  assert.deepEqual(cut?.breaks.map(({ kind, after }) => [kind, after]), [["removed", id]]);
});

Deno.test("verify: is intact while commits and records go on", async () => {
  const { journal } = openJournal();
  await server().seedList(DLQ, eventTexts(3_000));
  await using engine = createEngine(server());
  const turning = engine.turn();
  let isOver = false;
  void turning.finally(() => isOver = true);
  while (!isOver) {
    await journal.record(run("while"));
    for (const { breaks } of await journal.verify()) assert.deepEqual(breaks, []);
  }
  await turning;
});

Deno.test("verify: finds it when the state, and with it the head, was deleted", async () => {
  await server().seedList(DLQ, eventTexts(3));
  await using engine = createEngine(server());
  await engine.turn();
  const { journal, client } = openJournal();
  await client.hdel(STATE, "movesHead");
  const [report] = await journal.verify({ journals: ["moves"] });
  assert.deepEqual(report?.breaks.map(({ kind }) => kind), ["head_missing"]);
  assert.equal(await client.exists(MOVES), 1);
});

Deno.test("note: is written when Redis is back, in order, and nothing before the start", async () => {
  const client = server().client({ lazyConnect: true });
  const { journal, lines } = openJournal(client);
  for (const entry of HISTORY) journal.note(entry);
  journal.start();
  await client.connect();
  const reader = openJournal().journal;
  await waitUntil(async () => (await reader.query({ limit: 10 })).entries.length === HISTORY.length, {
    what: "written",
  });
  await journal.stop();
  assert.deepEqual(namesOf((await reader.query({ limit: 10, journals: ["audit"] })).entries), [
    "leader",
    "purge",
    "redrive",
    "service",
  ]);
  assert.deepEqual(lines, []);
  const idle = openJournal().journal;
  idle.note(HISTORY[0]!);
  await idle.stop();
  assert.equal((await reader.query({ limit: 10 })).entries.length, HISTORY.length);
});

Deno.test("note: what does not fit into the queue, or is left at the stop, is counted", async () => {
  const { journal, lines } = openJournal(server().client({ lazyConnect: true }));
  journal.start();
  for (let i = 0; i < 250; i++) journal.note(HISTORY[0]!);
  await journal.stop();
  assert.deepEqual(lines.map(({ event, fields }) => [event, fields?.count]), [["journal_dropped", 250]]);
});

Deno.test("follow: gives what is written from now on, and ends with the signal", async () => {
  const { journal } = openJournal();
  await journal.record(run("before"));
  const stop = new AbortController(), seen: string[] = [];
  const following = (async () => {
    for await (const found of journal.follow({ limit: 1 }, stop.signal)) {
      seen.push(...namesOf([found]));
      if (seen.length === 2) stop.abort();
    }
  })();
  // The first entry is found only if the following has begun, so write until one is.
  for (let i = 0; !stop.signal.aborted; i++) {
    await journal.record(run(`run_${i}`));
    await SYSTEM_CLOCK.sleep(20, stop.signal);
  }
  await following;
  assert.match(seen.join(), /^run_\d+,run_\d+$/);
});

Deno.test("beginIncident: writes its begin, updates and one end under one id", async () => {
  const { journal, client } = openJournal();
  await client.ping();
  journal.start();
  const note = (entry: NewEntry) => journal.note(entry);
  const facts = { source: "alerter", reason: "redis", detail: "Redis does not answer" };
  const incident = beginIncident(facts, { note, clock: SYSTEM_CLOCK });
  incident.update("still not");
  incident.end("it answers");
  incident.end("again");
  incident.update("again");
  await journal.stop();
  const { entries } = await journal.query({ kind: "incident", limit: 10, oldestFirst: true });
  assert.deepEqual(entries.map(({ entry }) => entry.kind === "incident" && [entry.event, entry.incident]), [
    ["began", incident.id],
    ["updated", incident.id],
    ["ended", incident.id],
  ]);
});

Deno.test("operations: name every problem of their input at once", async () => {
  const { journal } = openJournal(), context = contextOf(journal);
  const input = { source: "orders", from: "2026-02-31T99:00:00Z", to: "2026-01-01T00:00:00Z", cursor: "x" };
  const fieldsOf = async (answer: Promise<unknown>) => {
    const error = await answer.then(() => null, (error) => error);
    assert.ok(error instanceof OperationError && error.code === "invalid", String(error));
    return error.problems.map(({ field }) => field);
  };
  assert.deepEqual(await fieldsOf(journalOperation.run(context, input)), ["source", "from", "from", "cursor"]);
  const within = { from: "2026-01-01T00:00:00Z", to: "2026-01-01T00:00:00.5Z" };
  assert.deepEqual((await journalOperation.run(context, within)).entries, []);
  const copies = ["any=1 ", "audit=x"];
  assert.deepEqual(await fieldsOf(verify.run(context, { source: "orders", copies })), ["source", "copies", "copies"]);
  await journal.record(run("first"));
  const [audit] = (await verify.run(context, { journals: ["audit"] })).journals;
  assert.ok((await verify.run(context, { journals: ["audit"], copies: [`audit=${audit!.head}`] })).intact);
});
