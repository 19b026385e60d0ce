/** peek_source.lua and read_chunk.lua by themselves: what they answer, and that they change nothing. */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import type { ChunkBounds } from "../../src/cycle/chunk.ts";
import { isNewest } from "../../src/redis/sample.ts";
import { createStore, DLQ, dumpKeys, STATE } from "../../testkit/engine.ts";
import { shareRedis } from "../../testkit/redis.ts";

const server = shareRedis();

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

for (const [name, key] of [["DLQ", DLQ], ["record", STATE]] as const) {
  Deno.test(`readState: rejects with WRONGTYPE when the ${name} is a string`, async () => {
    await server().client().set(key, "text");
    await rejects(createStore(server()).readState(), /WRONGTYPE/);
  });
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

for (const { name, dlq, bounds, messages } of reads) {
  Deno.test(`readForCommit: answers ${name}, and changes nothing`, async () => {
    const client = server().client();
    await client.hset(STATE, { seq: "4" });
    await server().seedList(DLQ, dlq);
    const before = await dumpKeys(client);
    const chunk = await createStore(server()).readForCommit({ ...WIDE, ...bounds });
    deepStrictEqual(chunk.messages.map((message) => message.toString("hex")), messages.map(hex));
    deepStrictEqual([chunk.record.sequence, chunk.depth, chunk.oversize], ["4", dlq.length, null]);
    deepStrictEqual(await dumpKeys(client), before);
  });
}

Deno.test("readForCommit: describes the oldest by its length and both its ends when it is oversize", async () => {
  const large = Buffer.concat([Buffer.alloc(6_000, "a"), Buffer.alloc(6_000, "b")]);
  await server().seedList(DLQ, [large, "behind"]);
  const { messages, oversize, depth } = await createStore(server()).readForCommit({ ...WIDE, messageBytes: 11_999 });
  const digest = createHash("sha1").update(large.subarray(0, 4_096)).update(large.subarray(-4_096)).digest("hex");
  deepStrictEqual({ messages, oversize, depth }, { messages: [], oversize: { bytes: 12_000, digest }, depth: 2 });
});

Deno.test("readForCommit: answers 4,000 messages when that is the bound", async () => {
  const dlq = Array.from({ length: 4_100 }, (_, i) => `m${i}`);
  await server().seedList(DLQ, dlq);
  const { messages } = await createStore(server()).readForCommit({ ...WIDE, messages: 4_000 });
  deepStrictEqual(messages.map(String), dlq.slice(0, 4_000));
});

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

for (const [name, dlq, bounds, goesOnEqual] of rows) {
  Deno.test(`readForCommit: says ${goesOnEqual ? "that" : "not that"} the row goes on when ${name}`, async () => {
    await server().seedList(DLQ, dlq);
    // It matters only where what was newest is as long as the last one read, and does not stand where it must.
    const newestBytes = (dlq[(bounds.messages ?? dlq.length) - 1] ?? "").length;
    await server().client().hset(STATE, { newestBytes, newestDigest: "none of these" });
    strictEqual((await createStore(server()).readForCommit({ ...WIDE, ...bounds })).goesOnEqual, goesOnEqual);
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
  const { record } = await store.readState(), chunk = await store.readForCommit(WIDE);
  for (const one of [record, chunk.record]) {
    deepStrictEqual([one.sequence, one.cycle, one.outages, one.tallies, one.newestBytes], ["7", 3, "", [], -1]);
  }
  const sentBytes = Number(/total_net_output_bytes:(\d+)/.exec(await client.info("stats"))![1]);
  ok(sentBytes < 100_000, `${sentBytes} bytes`);
});

Deno.test("browseNewest: reads of a long message what begins with the last of a text, and a short one whole", async () => {
  const long = "x".repeat(2_000);
  const list = ["short text", `text first${long}text last${long}`, long, `${"text".repeat(5_000)}`];
  await server().seedList(DLQ, list);
  const { depth, messages } = await createStore(server()).browseNewest(WIDE, { bytes: 1_000, from: "text" });
  strictEqual(depth, 4);
  const [hostile, none, excerpt, short] = messages.map(String);
  deepStrictEqual([none, short], ["", "short text"]);
  strictEqual(excerpt, `text last${long}`.slice(0, 1_000));
  strictEqual(hostile, "text".repeat(250), "no more than a thousand are looked at");
  deepStrictEqual((await createStore(server()).browseNewest(WIDE)).messages.map(String), list.toReversed());
});
