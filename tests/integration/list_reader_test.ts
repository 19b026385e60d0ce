/** ListReader over a real Redis: pages from both ends and from cursors while the list changes, searches, walks, and its bounds. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { messageId } from "../../src/message/message_id.ts";
import { shelfKey } from "../../src/redis/keys.ts";
import { disconnect } from "../../src/redis/disconnect.ts";
import {
  type Direction,
  formatCursor,
  ListReader,
  type Page,
  parseCursor,
  type WalkOptions,
} from "../../src/redis/list_reader.ts";
import { sha1 } from "../../src/redis/sample.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { DEAD, DLQ, dumpKeys, TARGET } from "../../testkit/engine.ts";
import { pushOf, shareRedis } from "../../testkit/redis.ts";
import { PLAIN_POLICY } from "../../testkit/policy.ts";

const server = shareRedis({ push: pushOf(import.meta) });
const POLICY = { ...PLAIN_POLICY, push: pushOf(import.meta), dlq: DLQ, target: TARGET, dead: DEAD };
const SHELF = shelfKey(DLQ);

function createReader(maxMessageBytes = 1_000_000): ListReader {
  return new ListReader(server().client(), POLICY, { maxMessageBytes });
}

/** Distinct messages `1`, `2`, …, oldest first. */
function numbers(first: number, last: number): string[] {
  return Array.from({ length: last - first + 1 }, (_, i) => String(first + i));
}

function textsOf({ rows }: Pick<Page, "rows">): string[] {
  return rows.map(({ place, bytes, length }) => `${place}:${bytes ?? `(${length})`}`);
}

async function walkTexts(reader: ListReader, options?: WalkOptions): Promise<string[]> {
  const texts: string[] = [];
  for await (const { rows } of reader.walk("dlq", options)) texts.push(...rows.map(({ bytes }) => String(bytes)));
  return texts;
}

/** The DLQ and the shelf (both oldest first), the page, and the rows that it has as `<place>:<text>`. */
const PAGES: readonly {
  name: string;
  dlq: readonly string[];
  shelf?: readonly string[];
  from: "oldest" | "newest" | [place: number, text: string];
  direction: Direction;
  size: number;
  rows: readonly string[];
  newer: string | null;
  older: string | null;
  movedOn?: boolean;
}[] = [
  { name: "empty, oldest", dlq: [], from: "oldest", direction: "newer", size: 3, rows: [], newer: null, older: null },
  { name: "empty, newest", dlq: [], from: "newest", direction: "older", size: 3, rows: [], newer: null, older: null },
  {
    name: "oldest end",
    ...{ dlq: numbers(1, 9), from: "oldest", direction: "newer", size: 3 },
    ...{ rows: ["1:1", "2:2", "3:3"], newer: "3:3", older: null },
  },
  {
    name: "newest end",
    ...{ dlq: numbers(1, 9), from: "newest", direction: "older", size: 3 },
    ...{ rows: ["9:9", "8:8", "7:7"], newer: null, older: "7:7" },
  },
  {
    name: "all of it",
    ...{ dlq: numbers(1, 3), from: "newest", direction: "older", size: 10 },
    ...{ rows: ["3:3", "2:2", "1:1"], newer: null, older: null },
  },
  {
    name: "behind a cursor, newer",
    ...{ dlq: numbers(1, 9), from: [3, "3"], direction: "newer", size: 3 },
    ...{ rows: ["4:4", "5:5", "6:6"], newer: "6:6", older: "4:4" },
  },
  {
    name: "behind a cursor, older",
    ...{ dlq: numbers(1, 9), from: [7, "7"], direction: "older", size: 3 },
    ...{ rows: ["6:6", "5:5", "4:4"], newer: "6:6", older: "4:4" },
  },
  {
    name: "behind a cursor after five pops",
    ...{ dlq: numbers(6, 19), from: [10, "10"], direction: "newer", size: 2 },
    ...{ rows: ["6:11", "7:12"], newer: "7:12", older: "6:11" },
  },
  {
    name: "behind a cursor after messages came back to the oldest end",
    ...{ dlq: ["a", "b", ...numbers(1, 9)], from: [3, "3"], direction: "newer", size: 2 },
    ...{ rows: ["6:4", "7:5"], newer: "7:5", older: "6:4" },
  },
  {
    name: "behind a cursor beyond the newest place",
    ...{ dlq: numbers(50, 52), from: [60, "51"], direction: "older", size: 2 },
    ...{ rows: ["1:50"], newer: "1:50", older: null },
  },
  {
    name: "behind a message that has left",
    ...{ dlq: numbers(6, 19), from: [3, "3"], direction: "newer", size: 2 },
    ...{ rows: [], newer: null, older: null, movedOn: true },
  },
  {
    name: "equal messages: goes on from the place",
    ...{ dlq: ["x", "x", "x", "x", "y"], from: [2, "x"], direction: "newer", size: 2 },
    ...{ rows: ["3:x", "4:x"], newer: "4:x", older: "3:x" },
  },
  {
    name: "over the shelf's border",
    ...{ dlq: numbers(4, 6), shelf: numbers(1, 3), from: "oldest", direction: "newer", size: 5 },
    ...{ rows: ["1:1", "2:2", "3:3", "4:4", "5:5"], newer: "5:5", older: null },
  },
  {
    name: "over the shelf's border, older",
    ...{ dlq: numbers(4, 6), shelf: numbers(1, 3), from: [5, "5"], direction: "older", size: 3 },
    ...{ rows: ["4:4", "3:3", "2:2"], newer: "4:4", older: "2:2" },
  },
  {
    name: "a shelf alone",
    ...{ dlq: [], shelf: numbers(1, 3), from: "newest", direction: "older", size: 2 },
    ...{ rows: ["3:3", "2:2"], newer: null, older: "2:2" },
  },
];

for (const { name, dlq, shelf = [], from, direction, size, movedOn = false, ...expected } of PAGES) {
  Deno.test(`ListReader.page: ${name}`, async () => {
    await server().seedList(DLQ, dlq);
    await server().seedList(SHELF, shelf);
    const before = await dumpKeys(server().client());
    const cursor = typeof from === "string" ? from : { place: from[0], id: messageId(Buffer.from(from[1])) };
    const page = await createReader().page("dlq", { from: cursor, direction, size });
    const around = ({ newer, older }: Page) =>
      [newer, older].map((cursor) => {
        const row = page.rows.find(({ id, place }) => cursor?.id === id && cursor.place === place);
        return row ? `${row.place}:${row.bytes}` : null;
      });
    assert.deepEqual(textsOf(page), expected.rows);
    assert.deepEqual(around(page), [expected.newer, expected.older]);
    assert.deepEqual([page.depth, page.movedOn], [dlq.length + shelf.length, movedOn]);
    assert.deepEqual(await dumpKeys(server().client()), before);
  });
}

Deno.test("ListReader.page: reads the dead list and the target without the shelf", async () => {
  await server().seedList(SHELF, ["shelved"]);
  await server().seedList(DEAD, ["dead"]);
  await server().seedList(TARGET, ["waiting"]);
  const reader = createReader(), request = { from: "oldest", direction: "newer", size: 5 } as const;
  assert.deepEqual(textsOf(await reader.page("dead", request)), ["1:dead"]);
  assert.deepEqual(textsOf(await reader.page("target", request)), ["1:waiting"]);
  assert.deepEqual([await reader.depth("dlq"), await reader.depth("dead")], [1, 1]);
});

Deno.test("ListReader.page: describes a message of 100 MiB among small ones, and sends none of it", async () => {
  const large = Buffer.alloc(104_857_600, "x");
  await server().seedList(DLQ, numbers(1, 20));
  await server().seedList(DLQ, [large]);
  await server().seedList(DLQ, numbers(22, 40));
  const reader = createReader(4_194_304);
  const sentBefore = await outputBytes();
  const page = await reader.page("dlq", { from: "oldest", direction: "newer", size: 40 });
  assert.deepEqual(
    textsOf(page),
    [...numbers(1, 20), "", ...numbers(22, 40)].map((text, i) => `${i + 1}:${text || "(104857600)"}`),
  );
  const back = await reader.page("dlq", { from: { place: 21, id: page.rows[20]!.id }, direction: "older", size: 1 });
  assert.deepEqual(textsOf(back), ["20:20"]);
  assert.equal((await walkTexts(reader)).length, 40);
  const sent = await outputBytes() - sentBefore;
  assert.ok(sent < 1_000_000, `${sent} bytes`);
});

async function outputBytes(): Promise<number> {
  const info = await server().client().info("stats");
  return Number(/total_net_output_bytes:(\d+)/.exec(info)![1]);
}

Deno.test("ListReader.page: ends at the limit of its bytes, with at least one message, and goes on behind it", async () => {
  const messages = numbers(1, 6).map((text) => text.repeat(300_000));
  await server().seedList(DLQ, messages);
  const reader = createReader(), places: number[] = [];
  let from: "oldest" | NonNullable<Page["newer"]> | null = "oldest";
  while (from !== null) {
    const page: Page = await reader.page("dlq", { from, direction: "newer", size: 10, bytes: 500_000 });
    assert.ok(page.rows.length >= 1 && page.rows.length <= 2, String(page.rows.length));
    places.push(...page.rows.map(({ place }) => place));
    from = page.newer;
  }
  assert.deepEqual(places, [1, 2, 3, 4, 5, 6]);
});

Deno.test("ListReader: rejects with WRONGTYPE when the list is a string", async () => {
  await server().client().set(DLQ, "text");
  const reader = createReader();
  const isWrongType = { name: "StoreError", code: "WRONGTYPE" };
  await assert.rejects(reader.depth("dlq"), isWrongType);
  await assert.rejects(reader.page("dlq", { from: "oldest", direction: "newer", size: 1 }), isWrongType);
  await assert.rejects(walkTexts(reader), isWrongType);
});

Deno.test("ListReader.find: finds a message near a place, or anywhere", async () => {
  await server().seedList(DLQ, numbers(1, 1_000));
  const reader = createReader(), id = messageId(Buffer.from("700"));
  assert.equal((await reader.find("dlq", id))?.place, 700);
  assert.equal((await reader.find("dlq", id, { near: 900 }))?.place, 700);
  assert.equal((await reader.find("dlq", id, { near: 400 }))?.place, 700);
  assert.equal(await reader.find("dlq", messageId(Buffer.from("none"))), null);
  assert.equal(await reader.find("dlq", messageId(Buffer.from("none")), { near: 5 }), null);
});

Deno.test("ListReader.walk: ends at the newest message at its beginning, or at the watermark", async () => {
  const reader = createReader();
  await server().seedList(DLQ, numbers(1, 500));
  const seen: string[] = [];
  for await (const { rows } of reader.walk("dlq")) {
    seen.push(...rows.map(({ bytes }) => String(bytes)));
    await server().seedList(DLQ, [`new ${seen.length}`]);
  }
  assert.deepEqual(seen, numbers(1, 500));
  const watermark = { depth: 300, newestBytes: 3, newestDigest: sha1([Buffer.from("300")]) };
  assert.deepEqual(await walkTexts(reader, { watermark }), numbers(1, 300));
  await server().popList(DLQ, 50);
  assert.deepEqual(await walkTexts(reader, { watermark }), numbers(51, 300), "after pops between plan and walk");
});

Deno.test("ListReader.walk: ends when it is aborted, and when the list is emptied", async () => {
  const client = server().client(), reader = createReader();
  await server().seedList(DLQ, numbers(1, 2_000));
  const stop = new AbortController();
  let count = 0;
  for await (const { rows } of reader.walk("dlq", { signal: stop.signal })) {
    count += rows.length;
    stop.abort();
  }
  assert.equal(count, 200);
  for await (const { rows } of reader.walk("dlq", { bounds: { messages: 100, bytes: 100_000 } })) {
    count -= rows.length;
    await client.del(DLQ);
  }
  // The second chunk was under way when the list was deleted, or not.
  assert.ok(count === 100 || count === 0, String(count));
});

Deno.test("ListReader.walk: says that it has moved on when all messages seen have left", async () => {
  const reader = createReader();
  await server().seedList(DLQ, numbers(1, 100));
  const seen: string[] = [], moves: boolean[] = [];
  for await (const { rows, movedOn } of reader.walk("dlq", { bounds: { messages: 10, bytes: 100_000 } })) {
    seen.push(...rows.map(({ bytes }) => String(bytes)));
    moves.push(movedOn);
    // Two chunks: the next one may be under way.
    if (moves.length === 1) await server().popList(DLQ, 45);
  }
  assert.deepEqual(new Set(seen).size, seen.length);
  assert.deepEqual(numbers(46, 100).filter((text) => !seen.includes(text)), []);
  assert.ok(moves.includes(true));
});

/** A reader whose walks have connections of their own, and how many of these are open. */
function createRangingReader(maxMessageBytes = 1_000_000) {
  const redis = server().client();
  let open = 0;
  const reader = new ListReader(server().client(), POLICY, {
    ...{ maxMessageBytes, rangesFrom: 100 },
    openForWalk: () => {
      open++;
      return { redis, release: () => open-- };
    },
  });
  return { reader, redis, open: () => open };
}

async function callsOf(command: string): Promise<number> {
  const info = await server().client().info("commandstats");
  return Number(new RegExp(`^cmdstat_${command}:calls=(\\d+)`, "m").exec(info)?.[1] ?? 0);
}

Deno.test("ListReader.walk: reads a long list of small messages by LRANGE, and releases its connection", async () => {
  await server().seedList(DLQ, numbers(1, 5_000));
  await server().seedList(SHELF, numbers(1, 2_000).map((text) => `shelved ${text}`));
  const { reader, redis, open } = createRangingReader();
  await redis.ping();
  await server().client().config("RESETSTAT");
  const all = [...numbers(1, 2_000).map((text) => `shelved ${text}`), ...numbers(1, 5_000)];
  assert.deepEqual(await walkTexts(reader), all);
  // Each script that reads takes at most 200 messages, in LRANGEs of at most 32.
  const scripts = await callsOf("evalsha") + await callsOf("eval");
  assert.ok(scripts < 30, `${scripts} scripts`);
  assert.equal(open(), 0);
  for await (const { rows } of reader.walk("dlq")) if (rows.length > 0) break;
  assert.equal(open(), 0, "after the caller ended the walk");
});

Deno.test("ListReader.walk: leaves large messages among small ones to the script, and sends none of them", async () => {
  const client = server().client(), { reader, redis } = createRangingReader(100_000);
  await redis.ping();
  const large = Buffer.alloc(1_048_576, "x"), wanted: string[] = [];
  await client.del(DLQ);
  for (let part = 0; part < 4; part++) {
    const small = numbers(part * 1_000 + 1, part * 1_000 + 1_000);
    await server().seedList(DLQ, small);
    for (let i = 0; i < 64; i++) await server().seedList(DLQ, [large]);
    wanted.push(...small, ...Array.from({ length: 64 }, () => "(1048576)"));
  }
  const seen: string[] = [];
  for await (const { rows } of reader.walk("dlq")) {
    seen.push(...rows.map(({ bytes, length }) => `${bytes ?? `(${length})`}`));
  }
  assert.deepEqual(seen, wanted);
});

Deno.test("ListReader.walk: goes on by the script when its connection is lost", async () => {
  await server().seedList(DLQ, numbers(1, 3_000));
  const { reader, redis } = createRangingReader();
  await redis.ping();
  const seen: string[] = [];
  for await (const { rows } of reader.walk("dlq")) {
    seen.push(...rows.map(({ bytes }) => String(bytes)));
    if (seen.length > 1_000) await disconnect(redis, SYSTEM_CLOCK);
  }
  assert.deepEqual(seen, numbers(1, 3_000));
});

Deno.test("parseCursor: reads what formatCursor wrote, and nothing else", () => {
  const cursor = { place: 123, id: "m_0123456789abcdef" };
  assert.deepEqual(parseCursor(formatCursor(cursor)), cursor);
  for (const text of ["", "1", "0.m_0123456789abcdef", "-1.m_0123456789abcdef", "1.m_xyz", "1.m_0123456789abcdef0"]) {
    assert.equal(parseCursor(text), null, text);
  }
});
