/** search, groups and export over a real Redis. */
import assert from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";
import type { NewEntry } from "../../src/journal/entries.ts";
import { ExportParser } from "../../src/message/export_format.ts";
import { exportMessages } from "../../src/operations/export.ts";
import { groups, type GroupsInput, type GroupsItem } from "../../src/operations/groups.ts";
import { OperationError, type StreamOperation } from "../../src/operations/operation.ts";
import { search, type SearchInput, type SearchItem } from "../../src/operations/search.ts";
import { messageId } from "../../src/message/message_id.ts";
import type { LookContext } from "../../src/operations/context.ts";
import { shelfKey } from "../../src/redis/keys.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { createEngine, DEAD, DLQ, dumpKeys, type Engine } from "../../testkit/engine.ts";
import { HOSTILE_PAYLOADS } from "../../testkit/payloads.ts";
import { MARK, PLANTED } from "../../testkit/planted_secrets.ts";
import { pushOf, shareRedis } from "../../testkit/redis.ts";
import { PATIENT_MS } from "../../testkit/wait.ts";

const server = shareRedis({ push: pushOf(import.meta) });
const ajv = new Ajv2020({ strict: true, allowUnionTypes: true });

type Given = Partial<Pick<LookContext, "actor" | "signal">> & { readonly audit?: NewEntry[] | null };

function contextOf(engine: Engine, { actor, signal, audit = [] }: Given = {}): LookContext {
  return {
    actor: actor ?? { name: "ann", role: "viewer" },
    clock: SYSTEM_CLOCK,
    signal: signal ?? new AbortController().signal,
    sources: () => [{ parts: engine.source }],
    correlationId: null,
    journal: {
      record: (entry) =>
        audit === null ? Promise.reject(new Error("no journal")) : Promise.resolve(void audit.push(entry)),
    },
  };
}

/** Runs an operation to its end, over an engine that moves nothing; checks every item, and that no key changes. */
async function collect<Input, Item>(
  operation: Pick<StreamOperation<LookContext, Input, Item>, "run" | "output">,
  input: Input,
  given: Given = {},
): Promise<Item[]> {
  await using engine = createEngine(server());
  await engine.connections.waitUntilReady(PATIENT_MS);
  const before = await dumpKeys(server().client()), fits = ajv.compile(operation.output), items: Item[] = [];
  for await (const item of operation.run(contextOf(engine, given), input)) {
    assert.ok(fits(item), JSON.stringify({ errors: fits.errors, item }));
    items.push(item);
  }
  assert.deepEqual(await dumpKeys(server().client()), before);
  return items;
}

function event(index: number, more: object = {}): string {
  return JSON.stringify({
    hostname: `web-${index % 3}`,
    severity: "Error",
    message: `Timeout after ${index} s`,
    ...more,
  });
}

/** Puts 1 to `count` into the DLQ, 1 the oldest. */
async function seed(count: number, make = event): Promise<string[]> {
  const messages = Array.from({ length: count }, (_, i) => make(i + 1));
  if (count > 0) await server().seedList(DLQ, messages);
  return messages;
}

const rowsOf = (items: readonly SearchItem[]) => items.filter((item) => item.kind === "row");
const endOf = (items: readonly SearchItem[]) => items.at(-1);

const searches: [name: string, input: Omit<SearchInput, "source">, places: number[], matched: number][] = [
  ["all", {}, [1, 2, 3, 4, 5, 6, 7], 7],
  ["a query", { query: "host:web-1" }, [1, 4, 7], 3],
  ["a query with a limit", { query: "host:web-1", limit: 2 }, [1, 4], 3],
  ["all with a limit", { limit: 1 }, [1], 7],
  ["a count", { query: "-host:web-1", limit: 0 }, [], 4],
  ["no match", { query: "reason:poison" }, [], 0],
  ["another list", { list: "dead" }, [], 0],
];

for (const [name, input, places, matched] of searches) {
  Deno.test(`search: finds ${name}`, async () => {
    const messages = await seed(7), items = await collect(search, { source: "alerter", ...input });
    assert.deepEqual(rowsOf(items).map(({ place }) => place), places);
    for (const { id, place } of rowsOf(items)) {
      assert.equal(id, messageId(new TextEncoder().encode(messages[place - 1])));
    }
    const end = endOf(items);
    assert.ok(end?.kind === "end");
    assert.deepEqual([end.matched, end.rows, end.isComplete], [matched, places.length, true]);
  });
}

Deno.test("search: finds in the shelf and the DLQ as in one list", async () => {
  await seed(4);
  await server().seedList(shelfKey(DLQ), await server().popList(DLQ, 2));
  const rows = rowsOf(await collect(search, { source: "alerter" }));
  assert.deepEqual(
    rows.map(({ place, shown }) => [place, shown.message]),
    [1, 2, 3, 4].map((i) => [
      ...[i, `Timeout after ${i} s`],
    ]),
  );
});

Deno.test("search: reports progress, and ends when it is cancelled", async () => {
  await seed(50_000);
  const stop = new AbortController(), seen: SearchItem[] = [];
  await using engine = createEngine(server());
  await engine.connections.waitUntilReady(PATIENT_MS);
  const input = { source: "alerter", query: "host:web-1", limit: 1 };
  for await (const item of search.run(contextOf(engine, { signal: stop.signal }), input)) {
    seen.push(item);
    if (item.kind === "progress") stop.abort();
  }
  const [row, progress, end, ...others] = seen;
  assert.deepEqual([row?.kind, progress?.kind, end?.kind, others.length], ["row", "progress", "end", 0]);
  assert.ok(end?.kind === "end" && !end.isComplete && end.scanned < 50_000 && end.matched > 1, JSON.stringify(end));
});

const refusals: [name: string, input: Record<string, unknown>, code: string, pattern: RegExp][] = [
  ["an unknown source", { source: "nope" }, "not_found", /one of alerter/],
  ["a bad query", { source: "alerter", query: "age:x (" }, "invalid", /duration.*parenthesis/s],
];

for (const [name, input, code, pattern] of refusals) {
  for (const operation of [search, groups, exportMessages]) {
    Deno.test(`${operation.name}: refuses ${name}`, async () => {
      const error = await collect(operation as StreamOperation<LookContext, unknown, unknown>, input).catch((error) =>
        error
      );
      assert.ok(error instanceof OperationError, String(error));
      assert.equal(error.code, code);
      assert.match(JSON.stringify([error.message, error.problems]), pattern);
    });
  }
}

Deno.test("groups: counts alike messages, with their times, trend and oldest sample", async () => {
  const at = (index: number) => new Date(Date.UTC(2026, 0, 1) + index * 60_000).toISOString();
  await seed(
    80,
    (i) => event(i, { timestamp: at(i), ...i > 60 && i % 2 === 0 ? { message: `Refused by 10.0.0.${i}` } : {} }),
  );
  const items = await collect(groups, { source: "alerter" }), found = items.filter((item) => item.kind === "group");
  assert.deepEqual(
    found.map(({ text, reason, count, share, firstSeen, lastSeen, trend, sample }) => [
      ...[text, reason, count, share, firstSeen, lastSeen, trend, sample.place, sample.shown.message],
    ]),
    [
      ["Timeout after • s", null, 70, 0.875, at(1), at(79), [20, 20, 20, 10], 1, "Timeout after 1 s"],
      ["Refused by •", null, 10, 0.125, at(62), at(80), [0, 0, 0, 10], 62, "Refused by 10.0.0.62"],
    ],
  );
  const end = items.at(-1);
  assert.ok(end?.kind === "end");
  assert.deepEqual(end, {
    countedAt: end.countedAt,
    ...{ kind: "end", scanned: 80, matched: 80, groups: 2, ungrouped: 0, sampled: false },
    ...{ isComplete: true, movedOn: false },
  });
  const inGroup = await collect(search, { source: "alerter", query: `group:${found[1]!.group}`, limit: 0 });
  assert.deepEqual(inGroup.map((item) => item.kind === "end" && item.matched), [10]);
});

Deno.test("groups: looks at a sample above the limit, and says so", async () => {
  await seed(20_000, (i) => event(i, i % 4 === 0 ? { message: `Refused by 10.0.0.${i}` } : {}));
  const items = await collect(groups, { source: "alerter", limit: 2_000 }), end = items.at(-1);
  assert.ok(end?.kind === "end");
  assert.deepEqual([end.sampled, end.scanned, end.matched, end.groups], [true, 2_000, 20_000, 2]);
  const counts = items.filter((item): item is GroupsItem & { kind: "group" } => item.kind === "group");
  assert.deepEqual(counts.map(({ text, count }) => [text, count]), [["Timeout after • s", 15_000], [
    "Refused by •",
    5_000,
  ]]);
  for (const { trend, count } of counts) for (const part of trend) assert.ok(Math.abs(part - count / 4) < count / 20);
});

Deno.test("groups: counts once for all who take a count of that age, and says when it began", async () => {
  await seed(300, (i) => event(i));
  await using engine = createEngine(server());
  await engine.connections.waitUntilReady(PATIENT_MS);
  const { lists } = engine.source, walked: string[] = [], walk = lists.walk.bind(lists);
  lists.walk = (list, options) => {
    walked.push(list);
    return walk(list, options);
  };
  const ask = async (input: Partial<GroupsInput> = {}, given: Given = {}) => {
    const items = await Array.fromAsync(groups.run(contextOf(engine, given), { source: "alerter", ...input }));
    const end = items.at(-1);
    assert.ok(end?.kind === "end");
    return { ...end, counts: items.flatMap((item) => item.kind === "group" ? [item.count] : []) };
  };
  const gone = new AbortController();
  gone.abort();
  assert.equal((await ask({ maxAge: 60 }, { signal: gone.signal })).isComplete, false);
  const all = await Promise.all(Array.from({ length: 5 }, () => ask({ maxAge: 60 })));
  assert.deepEqual(walked, ["dlq"]);
  assert.deepEqual(all.map(({ counts, countedAt }) => [...counts, countedAt]), all.map(() => [300, all[0]!.countedAt]));
  await seed(1, (i) => event(i));
  assert.deepEqual((await ask({ maxAge: 60 })).counts, [300]);
  assert.equal(walked.length, 1);
  assert.deepEqual((await ask()).counts, [301]);
  const others: Partial<GroupsInput>[] = [{ query: "hostname:*" }, { limit: 5_000 }, { top: 101 }];
  for (const input of others) assert.deepEqual((await ask({ maxAge: 60, ...input })).counts, [301]);
  assert.deepEqual((await ask({ maxAge: 60, list: "dead" })).counts, []);
  assert.deepEqual(walked, ["dlq", ...Array.from({ length: 4 }, () => "dlq"), "dead"]);
});

Deno.test("groups: shows an empty list as no groups", async () => {
  assert.deepEqual((await collect(groups, { source: "alerter" })).map(({ kind }) => kind), ["end"]);
});

Deno.test("search and groups: count hostile messages as any other", async () => {
  await server().seedList(DLQ, HOSTILE_PAYLOADS.map((bytes) => Uint8Array.from(bytes)));
  const ends = [
    ...await collect(search, { source: "alerter", query: "x OR NOT x" }),
    ...await collect(groups, { source: "alerter" }),
  ].filter((item) => item.kind === "end");
  assert.deepEqual(ends.map(({ matched }) => matched), [HOSTILE_PAYLOADS.length, HOSTILE_PAYLOADS.length]);
});

const ADMIN = { name: "root", role: "admin" } as const;

function parseLines(lines: readonly string[]) {
  const parser = new ExportParser({ maxMessageBytes: 4_194_304 });
  const messages = parser.push(new TextEncoder().encode(lines.map((line) => `${line}\n`).join("")));
  return { ...parser.finish(), messages };
}

Deno.test("export: a raw export holds every byte of hostile messages, and is in the journal", async () => {
  const oldestFirst = [...HOSTILE_PAYLOADS.map((bytes) => Uint8Array.from(bytes)), new Uint8Array(0)];
  await server().seedList(DLQ, oldestFirst);
  const audit: NewEntry[] = [];
  const lines = await collect(exportMessages, { source: "alerter", raw: true }, { actor: ADMIN, audit });
  const { header, messages, problems } = parseLines(lines);
  assert.deepEqual(problems, []);
  assert.deepEqual([header?.source, header?.list, header?.masked, header?.depth], [
    ...["alerter", "dlq", false, oldestFirst.length],
  ]);
  assert.deepEqual(messages.map(({ bytes }) => bytes.toBase64()), oldestFirst.map((bytes) => bytes.toBase64()));
  assert.deepEqual(messages.map(({ place }) => place), oldestFirst.map((_, i) => i + 1));
  assert.deepEqual(audit.map((entry) => entry.kind === "operation" && [entry.actor, entry.operation, entry.source]), [[
    "root",
    "export",
    "alerter",
  ]]);
});

Deno.test("export: takes what a query matches; a masked one is refused by the parser", async () => {
  await seed(9);
  const lines = await collect(exportMessages, { source: "alerter", query: "host:web-0" });
  assert.deepEqual(lines.map((line) => JSON.parse(line).place), [undefined, 3, 6, 9, undefined]);
  assert.deepEqual(parseLines(lines).problems.map(({ line }) => line), [1]);
});

const notAllowed: [name: string, given: Given, why: RegExp][] = [
  ["a viewer", {}, /raw needs role admin/],
  ["an operator", { actor: { name: "op", role: "operator" } }, /raw needs role admin/],
  ["an admin if the journal cannot be written", { actor: ADMIN, audit: null }, /no journal/],
];
for (const [name, given, why] of notAllowed) {
  Deno.test(`export: refuses raw bytes to ${name}, before any line`, async () => {
    await seed(1);
    await assert.rejects(collect(exportMessages, { source: "alerter", raw: true }, given), why);
  });
}

Deno.test("export: says that it is not whole when it is cancelled", async () => {
  await seed(5_000);
  const stop = new AbortController(), lines: string[] = [];
  await using engine = createEngine(server());
  await engine.connections.waitUntilReady(PATIENT_MS);
  const context = contextOf(engine, { signal: stop.signal, actor: ADMIN });
  for await (const line of exportMessages.run(context, { source: "alerter", raw: true })) {
    lines.push(line);
    stop.abort();
  }
  assert.match(parseLines(lines).problems[0]!.problem, /end is missing/);
});

/** Secrets where a message may have them. */
async function seedSecrets(): Promise<void> {
  const secret = PLANTED.messageApiKey;
  const messages = [
    event(1, { api_key: secret, nested: { Password: secret } }),
    event(2, { message: `login failed: token=${secret}`, hostname: `password: ${secret}` }),
    `not json api_key=${secret}`,
    event(3, { message: JSON.stringify({ authorization: secret }) }),
  ];
  for (const key of [DLQ, DEAD]) await server().seedList(key, messages);
}

Deno.test("search, groups and export: show no secret, and a search finds none", async () => {
  await seedSecrets();
  for (const list of ["dlq", "dead"] as const) {
    const shown = [
      ...await collect(search, { source: "alerter", list }),
      ...await collect(groups, { source: "alerter", list }),
      ...await collect(exportMessages, { source: "alerter", list }),
    ];
    assert.ok(shown.length > 10);
    assert.ok(!JSON.stringify(shown).includes(MARK.slice(0, 8)), JSON.stringify(shown));
    for (const query of [`"${MARK}"`, `api_key:*${MARK}*`, `message:*${MARK}*`, `host:*${MARK}*`]) {
      const end = endOf(await collect(search, { source: "alerter", list, query }));
      assert.ok(end?.kind === "end" && end.matched === 0, query);
    }
  }
});
