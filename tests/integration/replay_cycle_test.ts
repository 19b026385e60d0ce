/** A cycle's bounds and conflicts: one source in process against a real Redis, list by list. */
import { Buffer } from "node:buffer";
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import type { Settings } from "../../src/config/fields.ts";
import {
  createEngine,
  DEAD,
  DLQ,
  type Engine,
  eventText,
  eventTexts,
  idOf,
  ODD_NUMBERS,
  OVERSIZE,
  readLists,
  replayedText,
  STATE,
  TARGET,
} from "../../testkit/engine.ts";
import { pushOf, shareRedis } from "../../testkit/redis.ts";

const server = shareRedis({ push: pushOf(import.meta) });
const HOUR_MS = 3_600_000;
const stamped = (texts: readonly string[]) => texts.map((text) => replayedText(text));

/** What the metrics, the outcomes and the lists say must be one and the same. */
async function checkAccount(engine: Engine): Promise<void> {
  const { target, dead, oversize = [] } = await readLists(server());
  const { replayed, dead: byReason } = await engine.moved();
  deepStrictEqual({ replayed, dead: Object.values(byReason).reduce((a, b) => a + b, 0) }, {
    replayed: target.length,
    dead: dead.length + oversize.length,
  });
}

const chunkings: [name: string, settings: Partial<Settings>][] = [
  ["one message", { chunkMessages: 1 }],
  ["one message by its bytes", { chunkBytes: 10 }],
  ["two messages", { chunkMessages: 2 }],
  ["seven messages", { chunkMessages: 7 }],
  ["a hundred messages", { chunkMessages: 100 }],
  ["more than there are", { chunkMessages: 4_000 }],
];

for (const [name, settings] of chunkings) {
  Deno.test(`runOnce: replays 100 byte-equal messages in one cycle when a chunk is ${name}`, async () => {
    const dlq = Array.from({ length: 100 }, () => eventText("same"));
    await server().seedList(DLQ, dlq);
    await using engine = createEngine(server(), { settings });
    const { stoppedBy, replayed } = await engine.turn();
    deepStrictEqual(await readLists(server()), { dlq: [], target: stamped(dlq), dead: [] });
    deepStrictEqual({ stoppedBy, replayed }, { stoppedBy: "empty", replayed: 100 });
    await checkAccount(engine);
  });

  Deno.test(`runOnce: takes all up to the last of a row of newest ones when a chunk is ${name}`, async () => {
    const dlq = [...eventTexts(5), eventText("same"), eventText("same"), eventText("same")];
    await server().seedList(DLQ, dlq);
    await using engine = createEngine(server(), { settings });
    engine.beforeCommit((number) => number === 1 ? server().seedList(DLQ, eventTexts(3, 100)) : undefined);
    await engine.turn();
    deepStrictEqual(await readLists(server()), { dlq: eventTexts(3, 100), target: stamped(dlq), dead: [] });
  });

  Deno.test(`runOnce: takes all that was there when messages equal to the newest lie between and a chunk is ${name}`, async () => {
    const dlq = eventTexts(10).flatMap((text) => [text, eventText("same")]);
    await server().seedList(DLQ, dlq);
    await using engine = createEngine(server(), { settings });
    engine.beforeCommit((number) => number === 1 ? server().seedList(DLQ, [eventText("same")]) : undefined);
    await engine.turn();
    deepStrictEqual(await readLists(server()), { dlq: [eventText("same")], target: stamped(dlq), dead: [] });
  });

  Deno.test(`runOnce: leaves what came after its start when foreign pops leave room in the bound and a chunk is ${name}`, async () => {
    await server().seedList(DLQ, eventTexts(30));
    await using engine = createEngine(server(), { settings });
    engine.beforeCommit(async (number) => {
      if (number !== 1) return;
      await server().popList(DLQ, 20);
      await server().seedList(DLQ, eventTexts(40, 100));
    });
    const { conflicts } = await engine.turn();
    strictEqual(conflicts, 1);
    deepStrictEqual(await readLists(server()), {
      dlq: eventTexts(40, 100),
      target: stamped(eventTexts(10, 20)),
      dead: [],
    });
    await checkAccount(engine);
  });

  Deno.test(`runOnce: moves two byte-equal oversize messages in one cycle when a chunk is ${name}`, async () => {
    const large = Buffer.alloc(20_000, "x").toString();
    await server().seedList(DLQ, [large, large]);
    await using engine = createEngine(server(), { settings: { ...settings, maxMessageBytes: 1_024 } });
    await engine.turn();
    deepStrictEqual(await readLists(server()), { dlq: [], target: [], dead: [], oversize: [large, large] });
  });
}

Deno.test("runOnce: takes no more than its bound when the newest message is popped by somebody else", async () => {
  await server().seedList(DLQ, eventTexts(30));
  await using engine = createEngine(server());
  engine.beforeCommit(async (number) => {
    if (number !== 1) return;
    await server().popList(DLQ, 10, { newest: true });
    await server().seedList(DLQ, eventTexts(40, 100));
  });
  await engine.turn();
  // Nothing marks the end any more, so the bound of 30 does: 20 old ones and 10 that came later.
  deepStrictEqual((await readLists(server())).target.map(idOf), [...eventTexts(20), ...eventTexts(10, 100)].map(idOf));
});

Deno.test("runOnce: never eats its own failures when the consumer gives everything back at once", async () => {
  await server().seedList(DLQ, eventTexts(50));
  await using engine = createEngine(server());
  engine.beforeCommit(async () => {
    await server().seedList(DLQ, await server().popList(TARGET, 1_000));
  });
  const { replayed } = await engine.turn();
  const { dlq, target } = await readLists(server());
  // What came back since the read breaks the guard, and the chunks behind that one are smaller.
  deepStrictEqual([replayed, dlq.length, target.length], [50, 49, 1]);
  deepStrictEqual([...dlq, ...target], stamped(eventTexts(50)));
});

Deno.test("runOnce: moves an oversize message whole and those behind it when it is in the middle", async () => {
  const large = Buffer.alloc(3_000_000, "0123456789").toString();
  await server().seedList(DLQ, [...eventTexts(15), large, ...eventTexts(15, 20)]);
  await using engine = createEngine(server(), { settings: { maxMessageBytes: 100_000 } });
  const { dead } = await engine.turn();
  deepStrictEqual(dead, { oversize: 1 });
  deepStrictEqual(await readLists(server()), {
    ...{ dlq: [], target: stamped([...eventTexts(15), ...eventTexts(15, 20)]), dead: [], oversize: [large] },
  });
  const messageOf = (event: string) => engine.lines.find((line) => line.event === event)!.message;
  match(messageOf("dead"), new RegExp(`^Moved a message \\(oversize, not poison\\) to ${OVERSIZE}: 3000000 bytes`));
  strictEqual(messageOf("replayed"), `Replaying from ${DLQ}: 30 to ${TARGET}, 1 oversize to ${OVERSIZE}`);
  await checkAccount(engine);
});

/** MUTT's retention reads the oldest dead message, and stops for good at one that has no readable time. */
Deno.test("runOnce: leaves in the dead list only what has a readable failed_at, whatever dies", async () => {
  const large = (text: string) => text + "x".repeat(2_000);
  const dying = [
    ...[
      "[1]",
      "7",
      "",
      "\u0000",
      '{"a": ',
      '{"failed_at": 7}',
      '{"timestamp": "soon"}',
      '{"failed_at": "soon", "a": [[]]}',
    ],
    ...['{"a": "', "[", "", "\u0000"].map(large),
    ...[`{"a": "${"x".repeat(2_000)}"}`, `{"failed_at": ${"[".repeat(499)}${"]".repeat(499)}}`],
  ];
  await server().seedList(DLQ, dying);
  await using engine = createEngine(server(), { settings: { maxMessageBytes: 1_024 } });
  await engine.turn();
  const { dlq, dead, oversize } = await readLists(server());
  deepStrictEqual([dlq.length, dead.length, oversize?.length], [0, 9, 5]);
  const times = (await server().readList(DEAD)).map((bytes) => JSON.parse(bytes.toString()).failed_at);
  for (const time of times) match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  await checkAccount(engine);
});

Deno.test("runOnce: begins no cycle before the interval has passed, and one then, when more is there", async () => {
  await server().seedList(DLQ, eventTexts(3));
  await using engine = createEngine(server(), { settings: { batchSize: 2, intervalMs: 24 * HOUR_MS } });
  deepStrictEqual(await turnOf(engine), { began: true, replayed: 2, stoppedBy: "batch_size" });
  await server().seedList(DLQ, eventTexts(1, 3));
  deepStrictEqual(await turnOf(engine), { began: false, replayed: 0, stoppedBy: "batch_size" });
  const passes = (hours: number) => server().client().hincrby(STATE, "startedAtMs", -hours * HOUR_MS);
  await passes(23);
  deepStrictEqual(await turnOf(engine), { began: false, replayed: 0, stoppedBy: "batch_size" });
  await passes(1);
  deepStrictEqual(await turnOf(engine), { began: true, replayed: 2, stoppedBy: "empty" });
});

async function turnOf(engine: Engine) {
  const { began, replayed, stoppedBy } = await engine.turn();
  return { began, replayed, stoppedBy };
}

Deno.test("runOnce: shares the bound and the interval when another instance goes on with the cycle", async () => {
  await server().seedList(DLQ, eventTexts(40));
  const settings = { batchSize: 25, chunkMessages: 10 };
  await using first = createEngine(server(), { settings });
  await using second = createEngine(server(), { settings });
  const stop = new AbortController();
  first.beforeCommit((number) => number === 1 ? stop.abort() : undefined);
  deepStrictEqual((await first.turn({ signal: stop.signal })).stoppedBy, "shutdown");
  deepStrictEqual(await turnOf(second), { began: false, replayed: 15, stoppedBy: "batch_size" });
  deepStrictEqual(await turnOf(first), { began: false, replayed: 0, stoppedBy: "batch_size" });
  deepStrictEqual((await readLists(server())).target, stamped(eventTexts(25)));
});

Deno.test("runOnce: tries a chunk six times, each time half of it, and is contended when every try conflicts", async () => {
  await server().seedList(DLQ, eventTexts(300));
  await using engine = createEngine(server(), { settings: { chunkMessages: 100 } });
  const sizes: number[] = [];
  engine.beforeCommit(async (_, { moves }) => {
    sizes.push(moves.length);
    await server().popList(DLQ);
  });
  const { stoppedBy, conflicts, replayed, nextInMs } = await engine.turn();
  deepStrictEqual({ stoppedBy, conflicts, replayed }, { stoppedBy: "contended", conflicts: 6, replayed: 0 });
  // A quarter of 50, and more of that kind: after a broken guard a read goes without one.
  deepStrictEqual(sizes, [100, 13, 25, 3, 2, 3]);
  ok(nextInMs >= 1_000, `again in ${nextInMs} ms`);
  deepStrictEqual(await engine.commits(), { conflict: 6 });
  deepStrictEqual(await readLists(server()), { dlq: eventTexts(294, 6), target: [], dead: [] });
});

for (const [name, odd] of ODD_NUMBERS) {
  Deno.test(`runOnce: replays all when the record's sequence number is ${name}`, async () => {
    await server().seedList(DLQ, eventTexts(15));
    await server().client().hset(STATE, new Map(Object.entries({ seq: odd, cycle: odd })));
    await using engine = createEngine(server());
    deepStrictEqual(await turnOf(engine), { began: true, replayed: 15, stoppedBy: "empty" });
    deepStrictEqual((await readLists(server())).target, stamped(eventTexts(15)));
  });
}

for (const answer of ["stale", "not_due"] as const) {
  Deno.test(`runOnce: leaves the cycle to the next turn, with pauses, when its beginning is ${answer} again and again`, async () => {
    await server().seedList(DLQ, eventTexts(3));
    await using engine = createEngine(server());
    const { hooks } = engine.store;
    let asked = 0;
    hooks.begin = () => Promise.resolve((asked++, answer));
    const startedMs = performance.now();
    const { stoppedBy, nextInMs } = await engine.turn();
    const tookMs = performance.now() - startedMs;
    deepStrictEqual([stoppedBy, asked], ["contended", 101]);
    ok(nextInMs >= 1_000 && tookMs >= 100 * 5, `again in ${nextInMs} ms, after ${tookMs} ms`);
    hooks.begin = (beginning, store) => asked++ < 104 ? Promise.resolve(answer) : store.begin(beginning);
    deepStrictEqual(await turnOf(engine), { began: true, replayed: 3, stoppedBy: "empty" });
  });
}

Deno.test("runOnce: counts a message that always fails when the record calls all cycles to come uncounted", async () => {
  await server().seedList(DLQ, eventTexts(1));
  const client = server().client();
  const uncounted = Array.from({ length: 60 }, (_, i) => `${i}:1:1:0:0:0:0:0:1:u`).join();
  await client.hset(STATE, { seq: 1, cycle: 1, uncounted: "0-999999999999999", tallies: uncounted });
  await using engine = createEngine(server());
  for (let turns = 0; turns < 20; turns++) {
    await engine.turn({ begin: "now" });
    await server().seedList(DLQ, await server().popList(TARGET, 1_000));
  }
  const [message] = await server().readTexts(DLQ);
  ok(JSON.parse(message!)._remediation.failures >= 5, message);
});

Deno.test("runOnce: goes on with whole chunks when a half that was tried again got through", async () => {
  await server().seedList(DLQ, eventTexts(60));
  await using engine = createEngine(server(), { settings: { chunkMessages: 20 } });
  const sizes: number[] = [];
  engine.beforeCommit(async (number, { moves }) => {
    sizes.push(moves.length);
    if (number <= 2) await server().popList(DLQ);
  });
  const { conflicts, replayed, stoppedBy } = await engine.turn();
  deepStrictEqual({ conflicts, replayed, stoppedBy }, { conflicts: 2, replayed: 58, stoppedBy: "empty" });
  deepStrictEqual(sizes, [20, 3, 5, 20, 20, 13]);
  deepStrictEqual(await readLists(server()), { dlq: [], target: stamped(eventTexts(58, 2)), dead: [] });
});

Deno.test("runOnce: loses and doubles nothing when somebody pops, removes and pushes all the while", async () => {
  await server().seedList(DLQ, eventTexts(400));
  await using engine = createEngine(server(), { settings: { chunkMessages: 16 } });
  const client = server().client();
  const taken: string[] = [];
  engine.beforeCommit(async (number) => {
    if (number % 3 === 0) taken.push(...(await server().popList(DLQ, 2)).map(String));
    if (number % 5 === 0) {
      await client.lrem(DLQ, 0, taken[0] ?? "");
      await server().seedList(DLQ, [taken.shift() ?? ""]);
    }
    await server().seedList(DLQ, [eventText(`new-${number}`)]);
  });
  while ((await engine.turn()).stoppedBy === "contended");
  const { dlq, target, dead } = await readLists(server());
  const news = dlq.filter((text) => idOf(text).startsWith("new-")).length;
  const ids = [...dlq, ...target, ...dead, ...taken].map(idOf).filter((id) => !id.startsWith("new-"));
  deepStrictEqual(ids.map(Number).sort((a, b) => a - b), Array.from({ length: 400 }, (_, i) => i));
  ok(news > 0);
  await checkAccount(engine);
  strictEqual(DEAD.length > 0 && dead.length, 0);
});

Deno.test("runOnce: changes nothing and says why when the dead list is a string", async () => {
  await server().seedList(DLQ, eventTexts(3));
  await server().client().set(DEAD, "text");
  await using engine = createEngine(server());
  const { stoppedBy, replayed } = await engine.turn();
  deepStrictEqual({ stoppedBy, replayed }, { stoppedBy: "error", replayed: 0 });
  await engine.turn();
  deepStrictEqual([await engine.commits(), await engine.errors()], [{ wrong_type: 2 }, { WRONGTYPE: 2 }]);
  deepStrictEqual(await server().readTexts(DLQ), eventTexts(3));
  const told = engine.lines.filter(({ level }) => level === "ERROR").map(({ fields }) => String(fields.reason));
  ok(told.length === 1 && told[0]!.includes(DEAD), `told once, and which keys: ${told}`);
  await server().client().del(DEAD);
  deepStrictEqual((await engine.turn()).replayed, 3);
});

Deno.test("runOnce: changes nothing and says why when the target is a string", async () => {
  await server().seedList(DLQ, eventTexts(3));
  await server().client().set(TARGET, "text");
  await using engine = createEngine(server());
  const { stoppedBy, replayed, began } = await engine.turn();
  deepStrictEqual({ stoppedBy, replayed, began }, { stoppedBy: "depth", replayed: 0, began: true });
  const [gate] = engine.source.board.last().closed;
  ok(gate!.detail.includes(TARGET) && gate!.detail.includes("WRONGTYPE"), gate!.detail);
  deepStrictEqual(await server().readTexts(DLQ), eventTexts(3));
  await server().client().del(TARGET);
  deepStrictEqual((await engine.turn()).replayed, 3);
});
