/** peek_source.lua and read_chunk.lua by themselves: what they answer, and that they change nothing. */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import type { Chunk, ChunkBounds } from "../../src/cycle/chunk.ts";
import { ChunkReader } from "../../src/redis/chunk_reader.ts";
import { isNewest, sampleDigest } from "../../src/redis/sample.ts";
import type { DeadLetterStore } from "../../src/redis/dead_letter_store.ts";
import { createStore, DLQ, dumpKeys, STATE } from "../../testkit/engine.ts";
import { pushOf, shareRedis } from "../../testkit/redis.ts";

const server = shareRedis({ push: pushOf(import.meta) });

const WIDE: ChunkBounds = { messages: 200, bytes: 1_000_000, messageBytes: 1_000_000 };
const KILO = Buffer.alloc(1_000, "k");

Deno.test("readState: answers as of a source that was never worked on when there is no key", async () => {
  const store = createStore(server());
  const { record, depth, nowMs } = await store.readState();
  deepStrictEqual([record.sequence, record.cycle, record.remaining, record.newestBytes, depth], ["0", 0, 0, -1, 0]);
  ok(Math.abs(nowMs - Date.now()) < 5_000, String(nowMs));
  deepStrictEqual(await dumpKeys(server().client()), {});
});

Deno.test("readState: answers the record, the depth and the server's clock, and changes nothing, when there are any", async () => {
  const client = server().client();
  await server().seedList(DLQ, ["a", "b", "c"]);
  await client.hset(STATE, { seq: "12", cycle: "3", remaining: "2", replayed: "7", dead: "1", boundBy: "batch_size" });
  const before = await dumpKeys(client);
  const { record, depth } = await createStore(server()).readState();
  const { sequence, cycle, remaining, replayed, dead, cycleLimit } = record;
  deepStrictEqual({ sequence, cycle, remaining, replayed, dead, cycleLimit, depth }, {
    ...{ sequence: "12", cycle: 3, remaining: 2, replayed: 7, dead: 1, cycleLimit: "batch_size", depth: 3 },
  });
  deepStrictEqual(await dumpKeys(client), before);
});

Deno.test("ChunkReader: reads behind the messages to skip, by the script and by LRANGE, and up to the end", async () => {
  const texts = Array.from({ length: 100 }, (_, i) => `message ${i}`), client = server().client();
  await server().seedList(DLQ, texts);
  const reader = new ChunkReader(client, { keys: [DLQ, STATE], guard: null, push: server().push });
  const calls = async () => Number(/cmdstat_lrange:calls=(\d+)/.exec(await client.info("commandstats"))?.[1] ?? 0);
  const before = await calls();
  const read = async (skip: number) => {
    const { messages, depth } = await reader.read({ ...WIDE, messages: 10, skip });
    strictEqual(depth, 100);
    return messages.map(String);
  };
  deepStrictEqual(await read(7), texts.slice(7, 17));
  strictEqual(await calls(), before, "the first read is by the script");
  for (const skip of [17, 3, 0, 90, 95]) deepStrictEqual(await read(skip), texts.slice(skip, skip + 10));
  strictEqual(await calls(), before + 5);
  deepStrictEqual(await read(100), []);
});

Deno.test("large messages hold Redis for few of them: of those ahead one is looked at, of the newest one is read", async () => {
  const client = server().client(), large = Buffer.alloc(200_000, "l");
  await server().seedList(DLQ, ["small", ...Array.from({ length: 400 }, () => large)]);
  const calls = async (command: string, work: () => Promise<unknown>) => {
    await client.config("RESETSTAT");
    await work();
    return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(await client.info("commandstats"))?.[1] ?? 0);
  };
  const reader = new ChunkReader(client, { keys: [DLQ, STATE], guard: null, push: server().push });
  const bounds = { ...WIDE, messages: 400, bytes: 200_000 };
  strictEqual(await calls("lindex", () => reader.read({ ...bounds, bytes: 10 })), 3); // it, the next, a sample
  strictEqual(await calls("lrange", () => createStore(server()).browseNewest(bounds)), 1);
});

for (const [name, key] of [["DLQ", DLQ], ["record", STATE]] as const) {
  Deno.test(`readState: rejects with WRONGTYPE when the ${name} is a string`, async () => {
    await server().client().set(key, "text");
    await rejects(createStore(server()).readState(), /WRONGTYPE/);
  });
}

/** How messages are read: by the script at first, and by LRANGE once their sizes can be foreseen. */
const WAYS = ["script", "LRANGE"] as const;

/** A store whose next read goes that way. The DLQ is empty. */
async function openFor(way: typeof WAYS[number]): Promise<DeadLetterStore> {
  const store = createStore(server()), client = server().client();
  if (way === "script") return store;
  await server().seedList(DLQ, ["a", "b"]);
  await store.readForCommit(WIDE);
  await client.del(DLQ);
  return store;
}

/** Reads, and makes sure that it went that way. An oversize message is met by LRANGE, but told by the script. */
async function readBy(way: typeof WAYS[number], store: DeadLetterStore, bounds: Partial<ChunkBounds>): Promise<Chunk> {
  const client = server().client();
  await client.config("RESETSTAT");
  const chunk = await store.readForCommit({ ...WIDE, ...bounds });
  const calls = Number(/cmdstat_lrange:calls=(\d+)/.exec(await client.info("commandstats"))?.[1] ?? 0);
  strictEqual(calls, way === "LRANGE" ? 1 : 0);
  return chunk;
}

const reads: {
  name: string;
  dlq: (string | Uint8Array)[];
  bounds?: Partial<ChunkBounds>;
  messages: (string | Uint8Array)[];
}[] = [
  { name: "nothing when the list is not there", dlq: [], messages: [] },
  {
    name: "all, oldest first, when the list is shorter than the bound",
    dlq: ["a", "b", "c"],
    messages: ["a", "b", "c"],
  },
  {
    name: "the oldest when the list is longer than the bound",
    dlq: ["a", "b", "c"],
    bounds: { messages: 2 },
    messages: ["a", "b"],
  },
  {
    name: "what fits when the bytes are bounded",
    dlq: ["aaaa", "bbbb", "cccc"],
    bounds: { bytes: 8 },
    messages: ["aaaa", "bbbb"],
  },
  {
    name: "what fits when the bytes are bounded one lower",
    dlq: ["aaaa", "bbbb", "cccc"],
    bounds: { bytes: 7 },
    messages: ["aaaa"],
  },
  { name: "at least one message when it is over the bytes", dlq: [KILO, "b"], bounds: { bytes: 1 }, messages: [KILO] },
  { name: "none behind one that is over the bytes", dlq: [KILO, "b"], bounds: { bytes: 999 }, messages: [KILO] },
  { name: "a message of just the largest size", dlq: [KILO], bounds: { messageBytes: 1_000 }, messages: [KILO] },
  {
    name: "up to an oversize message",
    dlq: ["a", "b", KILO, "c"],
    bounds: { messageBytes: 999 },
    messages: ["a", "b"],
  },
  { name: "empty strings", dlq: ["", "", "a", ""], messages: ["", "", "a", ""] },
  {
    name: "NUL and invalid UTF-8 as they are",
    dlq: [Uint8Array.of(0), Uint8Array.of(0xff, 0xfe, 0, 0xc3), "\u0000a"],
    messages: [Uint8Array.of(0), Uint8Array.of(0xff, 0xfe, 0, 0xc3), "\u0000a"],
  },
  { name: "byte-equal neighbours, each of them", dlq: ["x", "x", "x"], bounds: { messages: 2 }, messages: ["x", "x"] },
  {
    name: "behind those that are skipped",
    dlq: ["a", "b", "c", "d"],
    bounds: { skip: 1, messages: 2 },
    messages: ["b", "c"],
  },
  { name: "nothing when all are skipped", dlq: ["a", "b"], bounds: { skip: 2 }, messages: [] },
];

const eachWay = <Row>(rows: readonly Row[]) => rows.flatMap((row) => WAYS.map((way) => ({ row, way })));

for (const { row: { name, dlq, bounds, messages }, way } of eachWay(reads)) {
  Deno.test(`readForCommit: answers ${name}, and changes nothing (${way})`, async () => {
    const client = server().client(), store = await openFor(way);
    await client.hset(STATE, { seq: "4" });
    await server().seedList(DLQ, dlq);
    const before = await dumpKeys(client);
    const chunk = await readBy(way, store, bounds ?? {});
    deepStrictEqual(chunk.messages.map((message) => message.toString("hex")), messages.map(hex));
    deepStrictEqual([chunk.record.sequence, chunk.depth, chunk.oversize], ["4", dlq.length, null]);
    deepStrictEqual(await dumpKeys(client), before);
  });
}

for (const way of WAYS) {
  Deno.test(`readForCommit: describes the oldest by its length and both its ends when it is oversize (${way})`, async () => {
    const large = Buffer.concat([Buffer.alloc(6_000, "a"), Buffer.alloc(6_000, "b")]), store = await openFor(way);
    await server().seedList(DLQ, [large, "behind"]);
    const { messages, oversize, depth } = await readBy(way, store, { messageBytes: 11_999 });
    const digest = createHash("sha1").update(large.subarray(0, 4_096)).update(large.subarray(-4_096)).digest("hex");
    deepStrictEqual({ messages, oversize, depth }, { messages: [], oversize: { bytes: 12_000, digest }, depth: 2 });
  });

  Deno.test(`readForCommit: answers 4,000 messages when that is the bound (${way})`, async () => {
    const dlq = Array.from({ length: 4_100 }, (_, i) => `m${i}`), store = await openFor(way);
    await server().seedList(DLQ, dlq);
    const { messages } = await readBy(way, store, { messages: 4_000 });
    deepStrictEqual(messages.map(String), dlq.slice(0, 4_000));
  });
}

Deno.test("readForCommit: rejects with WRONGTYPE when the DLQ is a hash", async () => {
  await server().client().hset(DLQ, "a", "b");
  await rejects(createStore(server()).readForCommit(WIDE), /WRONGTYPE/);
});

const rows: [name: string, dlq: string[], bounds: Partial<ChunkBounds>, goesOnEqual: boolean][] = [
  ["the next message is the same", ["a", "x", "x"], { messages: 2 }, true],
  ["the next message is another of the same length", ["a", "x", "y"], { messages: 2 }, false],
  ["there is no next message", ["x", "x"], { messages: 2 }, false],
  ["the list is shorter than the chunk", ["x", "x"], {}, false],
  ["the list is empty", [], {}, false],
  ["the same message does not fit any more", ["xxxx", "xxxx"], { bytes: 4 }, true],
  ["an empty string follows an empty string", ["", ""], { messages: 1 }, true],
  ["the same oversize message follows", [KILO.toString(), KILO.toString()], { messageBytes: 999 }, true],
  ["another follows an oversize message", [KILO.toString(), "x"], { messageBytes: 999 }, false],
  ["an oversize message follows", ["x", KILO.toString()], { messageBytes: 999 }, false],
];

for (const { row: [name, dlq, bounds, goesOnEqual], way } of eachWay(rows)) {
  Deno.test(`readForCommit: says ${goesOnEqual ? "that" : "not that"} the row goes on when ${name} (${way})`, async () => {
    const store = await openFor(way);
    await server().seedList(DLQ, dlq);
    // It matters only where the last one read looks like what was newest, which does not stand where it must.
    const newest = Buffer.from(dlq[(bounds.messages ?? (bounds.bytes ? 1 : dlq.length)) - 1] ?? "");
    const newestDigest = sampleDigest(newest);
    await server().client().hset(STATE, { newestBytes: newest.length, newestDigest });
    strictEqual((await readBy(way, store, bounds)).goesOnEqual, goesOnEqual);
  });
}

for (const size of [0, 1, 4_096, 8_191, 8_192, 8_193, 20_000]) {
  Deno.test(`isNewest: knows the message that begin saw when it has ${size} bytes`, async () => {
    const message = Buffer.from(Array.from({ length: size }, (_, i) => i * 7 % 256));
    const other = Buffer.from(message);
    if (size > 0) other[size - 1]! ^= 1;
    await server().seedList(DLQ, ["older", message]);
    const store = createStore(server());
    strictEqual(await store.begin({ sequence: "0", intervalMs: 0, budget: 2, fields: {} }), "ok");
    const { record } = await store.readState();
    deepStrictEqual([message, other, Buffer.from("older")].map((one) => isNewest(one, record)), [
      true,
      size === 0,
      false,
    ]);
  });
}

function hex(message: string | Uint8Array): string {
  return Buffer.from(message as Uint8Array).toString("hex");
}

Deno.test("readForCommit: leaves out fields of the record that no setting of ours could have written, whatever their size", async () => {
  await server().seedList(DLQ, ["a"]);
  const client = server().client(), store = createStore(server());
  const large = "9".repeat(1_048_576);
  await client.hset(STATE, {
    seq: "7",
    cycle: "3",
    outages: large,
    tallies: large,
    unknown: large,
    newestBytes: large,
  });
  await client.config("RESETSTAT");
  const { record } = await store.readState(), byScript = await store.readForCommit(WIDE);
  const byRange = await store.readForCommit(WIDE);
  for (const one of [record, byScript.record, byRange.record]) {
    deepStrictEqual([one.sequence, one.cycle, one.outages, one.tallies, one.newestBytes], ["7", 3, "", [], -1]);
  }
  const sentBytes = Number(/total_net_output_bytes:(\d+)/.exec(await client.info("stats"))![1]);
  ok(sentBytes < 100_000, `${sentBytes} bytes`);
});

Deno.test("browseNewest: reads of a long message what begins with the last of a text, and a short one whole", async () => {
  const long = "x".repeat(2_000);
  const list = ["short text", `text first${long}text last${long}ext`, long, `ext${long}`, `${"text".repeat(5_000)}`];
  await server().seedList(DLQ, list);
  const { depth, messages } = await createStore(server()).browseNewest(WIDE, { bytes: 1_000, from: "text" });
  strictEqual(depth, 5);
  const [hostile, cut, none, excerpt, short] = messages.map(String);
  deepStrictEqual([cut, none, short], ["", "", "short text"]);
  strictEqual(excerpt, `text last${long}`.slice(0, 1_000));
  strictEqual(hostile, "text".repeat(250), "no more than a thousand are looked at");
  deepStrictEqual((await createStore(server()).browseNewest(WIDE)).messages.map(String), list.toReversed());
});

const places: [name: string, change: () => Promise<unknown>, messages: number, newestAt: number][] = [
  ["where the cycle says, in the chunk", () => Promise.resolve(), 4, 3],
  ["where the cycle says, behind the chunk", () => Promise.resolve(), 2, 3],
  ["not where the cycle says, because the oldest was taken", () => server().popList(DLQ), 4, 0],
  ["not there any more", () => server().setPlace(DLQ, 3, "x"), 4, 0],
];

for (const size of [300, 20_000]) {
  for (const { row: [name, change, messages, newestAt], way } of eachWay(places)) {
    Deno.test(`readForCommit: finds the newest message of the cycle, of ${size} bytes, ${name} (${way})`, async () => {
      const store = await openFor(way);
      const [first, second, newest, later] = ["a", "b", "c", "d"].map((letter) => letter.repeat(size));
      await server().seedList(DLQ, [first!, second!, newest!]);
      strictEqual(await store.begin({ sequence: "0", intervalMs: 0, budget: 3, fields: {} }), "ok");
      await server().seedList(DLQ, [later!]);
      await change();
      const chunk = await store.readForCommit({ ...WIDE, messages });
      // Where no message that was read is like it, nobody needs its place.
      const isNeeded = chunk.messages.some((message) => isNewest(message, chunk.record)) || newestAt === 0;
      if (isNeeded || way === "LRANGE" && size === 300) strictEqual(chunk.newestAt, newestAt);
    });
  }
}
