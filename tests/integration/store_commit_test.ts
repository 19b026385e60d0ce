/** commit_moves.lua by itself: every answer, and what is in every key afterwards. */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import type { Redis } from "ioredis";
import finishMoves from "../../src/redis/scripts/finish_moves.lua" with { type: "text" };
import commitMovesFile from "../../src/redis/scripts/commit_moves.lua" with { type: "text" };
import { scriptText } from "../../src/redis/scripts.ts";
import type { Chunk, Commit, Move } from "../../src/cycle/chunk.ts";
import { movesKey } from "../../src/redis/keys.ts";
import { endsOf } from "../../src/redis/list_ends.ts";
import type { DeadLetterStore } from "../../src/redis/dead_letter_store.ts";
import { createStore, DEAD, DLQ, dumpKeys, readLists, STATE, TARGET } from "../../testkit/engine.ts";
import { pushOf, shareRedis } from "../../testkit/redis.ts";
import { needs } from "../../testkit/redis_version.ts";

const server = shareRedis({ push: pushOf(import.meta) });
const PUSH = pushOf(import.meta), { push } = endsOf(DLQ, PUSH);
const commitMoves = scriptText(commitMovesFile, PUSH);

const BOUNDS = { messages: 200, bytes: 1_000_000, messageBytes: 1_000_000 };
const RECORD = { seq: "5", remaining: "10", replayed: "1", dead: "2" };
/** What Redis says of a permission that a script lacks: 6 and 7.0, then 7.2, 8 and Valkey. */
const NO_PERMISSION = /user executing the script can't|ACL failure in script/;
/** The receipt of the commits that are made without a store. */
const RECEIPT = "receipt";
/** The journal of the moves, and the entry of the commits that are made without a store. */
const MOVES = movesKey(DLQ), ENTRY = "{}";
const KEEP: Move = { to: "target", payload: null };
const BURY: Move = { to: "dead", payload: null };

/** A commit of what a chunk holds; every message to the target as it is, unless said otherwise. */
function commitOf(chunk: Chunk, given: Partial<Commit> = {}): Commit {
  const { messages, oversize, guard, record: { sequence }, nowMs } = chunk;
  return {
    ...{ id: "this", sequence, messages, oversize, guard, notAfterMs: nowMs + 60_000, targetLimit: null },
    ...{ endsCycle: false, fields: {}, moves: oversize ? [BURY] : messages.map(() => KEEP), ...given },
  };
}

interface Prepared {
  readonly store: DeadLetterStore;
  readonly client: Redis;
  readonly chunk: Chunk;
}

/** By what a commit knows that the tail is what was read. */
const PROOFS = ["WATCH", "digest"] as const;

/** A record, a DLQ, one message in either other list, and the chunk as read. */
async function prepare(
  dlq: readonly (string | Uint8Array)[] = ["a", "b", "c"],
  bounds = BOUNDS,
  proof: typeof PROOFS[number] = "WATCH",
): Promise<Prepared> {
  const client = server().client();
  await client.hset(STATE, RECORD);
  await server().seedList(DLQ, dlq);
  await server().seedList(TARGET, ["before-t"]);
  await server().seedList(DEAD, ["before-d"]);
  const store = createStore(server());
  const chunk = await store.readForCommit(bounds);
  return { store, client, chunk: proof === "WATCH" ? chunk : { ...chunk, guard: null } };
}

/** Runs the script with these arguments, without a store. @returns its answer */
function evalCommit(client: Redis, args: readonly string[]): Promise<unknown> {
  return client.eval(commitMoves, 6, DLQ, TARGET, DEAD, STATE, RECEIPT, MOVES, ...args);
}

/** The arguments of the script for a commit of {@link RECORD}, by position. */
function argsOf(
  { count, toTarget, newestFirst, asTheyAre, places = "" }: {
    count: number;
    toTarget: number;
    /** The messages, of one byte each. */
    newestFirst: string;
    asTheyAre: string;
    places?: string;
  },
): string[] {
  const lengths = Array(count).fill("1").join(), digest = createHash("sha1").update(newestFirst).digest("hex");
  const counts = [String(count), String(toTarget), RECORD.seq, "this", "9999999999999", "-1", "0", ""];
  return [...counts, String(count), "0", "0", ENTRY, lengths, digest, "0", asTheyAre, places];
}

function withEachProof<Row>(rows: readonly Row[]) {
  return rows.flatMap((row) => PROOFS.map((proof) => ({ ...row, proof })));
}

const bytes = (...values: number[]) => Uint8Array.from(values);
const text = (values: readonly (string | Uint8Array)[]) => values.map((value) => Buffer.from(value).toString("latin1"));

const moved: {
  name: string;
  dlq: readonly (string | Uint8Array)[];
  count?: number;
  moves: readonly Move[];
  after: { dlq: readonly (string | Uint8Array)[]; target: string[]; dead: string[] };
}[] = [
  {
    name: "all of a list shorter than the chunk",
    dlq: ["a", "b", "c"],
    moves: [KEEP, KEEP, KEEP],
    after: { dlq: [], target: ["a", "b", "c"], dead: [] },
  },
  {
    name: "the oldest of a longer list",
    dlq: ["a", "b", "c", "d"],
    count: 2,
    moves: [KEEP, KEEP],
    after: { dlq: ["c", "d"], target: ["a", "b"], dead: [] },
  },
  {
    name: "each to its list, oldest first in both",
    dlq: ["a", "b", "c", "d", "e"],
    moves: [BURY, KEEP, BURY, KEEP, BURY],
    after: { dlq: [], target: ["b", "d"], dead: ["a", "c", "e"] },
  },
  {
    name: "edited and unedited messages in turn",
    dlq: ["a", "b", "c", "d"],
    moves: [
      { to: "target", payload: Buffer.from("A") },
      KEEP,
      { to: "dead", payload: Buffer.from("C") },
      { to: "target", payload: Buffer.from("D") },
    ],
    after: { dlq: [], target: ["A", "b", "D"], dead: ["C"] },
  },
  {
    name: "empty strings",
    dlq: ["", "", "x", ""],
    count: 3,
    moves: [KEEP, BURY, { to: "target", payload: new Uint8Array() }],
    after: { dlq: [""], target: ["", ""], dead: [""] },
  },
  {
    name: "NUL and invalid UTF-8",
    dlq: [bytes(0), bytes(0xff, 0, 0xfe), "a\u0000b", bytes(0xc3)],
    moves: [KEEP, BURY, KEEP, { to: "dead", payload: bytes(0x80, 0) }],
    after: { dlq: [], target: ["\0", "a\0b"], dead: ["\xff\0\xfe", "\x80\0"] },
  },
  {
    name: "byte-equal neighbours, no more than were read",
    dlq: ["x", "x", "x", "x", "x"],
    count: 3,
    moves: [KEEP, BURY, KEEP],
    after: { dlq: ["x", "x"], target: ["x", "x"], dead: ["x"] },
  },
  {
    name: "messages that look like the script's own letters and lengths",
    dlq: ["1,2", "ok", "R", "-1"],
    moves: [KEEP, { to: "dead", payload: Buffer.from("d") }, KEEP, BURY],
    after: { dlq: [], target: ["1,2", "R"], dead: ["d", "-1"] },
  },
];

/** Two dead ones, the oldest and the newest, each once. */
function samplesOf(messages: readonly Uint8Array[], moves: readonly Move[]): string[] {
  const deaths = messages.filter((_, i) => moves[i]!.to === "dead").slice(0, 2);
  return [...new Set([...deaths, messages[0]!, messages.at(-1)!])].map((message) =>
    `m_${createHash("sha1").update(message).digest("hex").slice(0, 16)}`
  );
}

for (const { name, dlq, count, moves, after, proof } of withEachProof(moved)) {
  Deno.test(`commit: moves ${name} when the tail is what was read (${proof})`, async () => {
    const { store, client, chunk } = await prepare(dlq, { ...BOUNDS, messages: count ?? BOUNDS.messages }, proof);
    strictEqual(await store.commit(commitOf(chunk, { moves })), "ok");
    deepStrictEqual(await readLists(server()), {
      dlq: text(after.dlq),
      target: ["before-t", ...after.target],
      dead: ["before-d", ...after.dead],
    });
    const { movedAtMs, movesHead, ...record } = await client.hgetall(STATE);
    ok(Number(movedAtMs) >= chunk.nowMs, movedAtMs);
    const [[id, entry]] = await client.xrange(MOVES, "-", "+") as [[string, string[]]];
    const told = JSON.stringify({
      ...{ kind: "move", sequence: "5", cycle: 0, replayed: after.target.length, dead: {} },
      bytes: chunk.messages.reduce((sum, { length }) => sum + length, 0),
      ...{ samples: samplesOf(chunk.messages, moves), job: null, instance: "" },
    });
    deepStrictEqual(entry, ["number", "1", "previous", "", "entry", told]);
    strictEqual(movesHead, `1 ${createHash("sha1").update(`${id} 1  ${told}`).digest("hex")}`);
    strictEqual(await client.xlen(MOVES), 1);
    deepStrictEqual(record, {
      seq: "6",
      firsts: "0",
      replayedTotal: String(after.target.length),
      pickedTotal: "0",
      // Never more than there is: others may have popped what the cycle was to take.
      remaining: String(Math.min(10 - moves.length, after.dlq.length)),
      replayed: String(1 + after.target.length),
      dead: String(2 + after.dead.length),
    });
  });
}

Deno.test("commit: moves 4,000 messages at once when the chunk is at its maximum", async () => {
  const dlq = Array.from({ length: 4_005 }, (_, i) => `message ${i}`);
  const { store, client, chunk } = await prepare(dlq, { ...BOUNDS, messages: 4_000 });
  await client.hset(STATE, "remaining", 4_000);
  const moves = chunk.messages.map((message, i): Move => {
    return {
      to: i % 3 === 0 ? "dead" : "target",
      payload: i % 2 === 0 ? Buffer.concat([message, Buffer.from("!")]) : null,
    };
  });
  strictEqual(await store.commit(commitOf(chunk, { moves })), "ok");
  const shown = dlq.slice(0, 4_000).map((message, i) => i % 2 === 0 ? `${message}!` : message);
  deepStrictEqual(await readLists(server()), {
    dlq: dlq.slice(4_000),
    target: ["before-t", ...shown.filter((_, i) => i % 3 !== 0)],
    dead: ["before-d", ...shown.filter((_, i) => i % 3 === 0)],
  });
});

/** Messages picked by their places from both ends of a DLQ; those at `dead` are buried. */
const picked: readonly {
  name: string;
  dlq: readonly (string | Uint8Array)[];
  places: readonly number[];
  dead?: readonly number[];
  after: { dlq: readonly (string | Uint8Array)[]; target: readonly string[]; dead: readonly string[] };
}[] = [
  { name: "the newest", dlq: ["a", "b", "c"], places: [3], after: { dlq: ["a", "b"], target: ["c!"], dead: [] } },
  { name: "the oldest", dlq: ["a", "b", "c"], places: [1], after: { dlq: ["b", "c"], target: ["a!"], dead: [] } },
  {
    name: "some of both ends",
    dlq: ["a", "b", "c", "d", "e", "f", "g"],
    places: [2, 4, 7],
    dead: [4],
    after: { dlq: ["a", "c", "e", "f"], target: ["b!", "g!"], dead: ["d!"] },
  },
  { name: "all", dlq: ["a", "b"], places: [1, 2], dead: [1], after: { dlq: [], target: ["b!"], dead: ["a!"] } },
  {
    name: "one of byte-equal ones",
    dlq: ["same", "b", "same", "c", "same"],
    places: [5],
    after: { dlq: ["same", "b", "same", "c"], target: ["same!"], dead: [] },
  },
  {
    name: "byte-equal ones at both ends",
    dlq: ["same", "b", "same", "c", "same"],
    places: [1, 5],
    after: { dlq: ["b", "same", "c"], target: ["same!", "same!"], dead: [] },
  },
  {
    name: "numbers, empty strings and bytes that are no UTF-8",
    dlq: ["7", "", bytes(0, 255), "x", "7"],
    places: [1, 2, 3],
    after: { dlq: ["x", "7"], target: ["7!", "!", "\u0000\u00ff!"], dead: [] },
  },
];

for (const { name, dlq, places, dead = [], after } of picked) {
  Deno.test(`commit: picks ${name}, and leaves the rest in its order`, async () => {
    const { store, client, chunk } = await prepare(dlq);
    // Places are counted from the oldest, so that a push does not shift them.
    await server().seedList(DLQ, ["pushed"]);
    const moves = places.map((place): Move => ({
      to: dead.includes(place) ? "dead" : "target",
      payload: Buffer.concat([chunk.messages[place - 1]!, Buffer.from("!")]),
    }));
    const messages = places.map((place) => chunk.messages[place - 1]!);
    const commit = commitOf(chunk, { messages, moves, places, spent: moves.length - dead.length, firsts: 1 });
    strictEqual(await store.commit(commit), "ok");
    deepStrictEqual(await readLists(server()), {
      dlq: text([...after.dlq, "pushed"]),
      target: ["before-t", ...after.target],
      dead: ["before-d", ...after.dead],
    });
    const { remaining, firsts } = await client.hgetall(STATE);
    const left = Math.min(10 - moves.length + dead.length, after.dlq.length + 1);
    deepStrictEqual({ remaining, firsts }, { remaining: String(left), firsts: "1" });
    strictEqual(await store.commit(commit), "duplicate");
  });
}

Deno.test("commit: answers conflict and changes nothing when another message stands in a picked one's place", async () => {
  for (const change of ["pop", "replace"] as const) {
    await server().client().flushall();
    const { store, client, chunk } = await prepare(["a", "b", "c", "d"]);
    if (change === "pop") await server().popList(DLQ);
    else await server().setPlace(DLQ, 4, "x");
    const before = await dumpKeys(client);
    const commit = commitOf(chunk, {
      messages: [chunk.messages[3]!],
      moves: [{ to: "target", payload: bytes(1) }],
      places: [4],
    });
    strictEqual(await store.commit(commit), "conflict", change);
    deepStrictEqual(await dumpKeys(client), before);
  }
});

Deno.test("commit: takes back what it has pushed when the user may not take picked messages out", async () => {
  const { client } = await prepare(["a", "b", "c"]);
  await client.acl("SETUSER", "svc", "reset", "on", "nopass", "+@all", "-lrem", "allkeys");
  await client.set(RECEIPT, "");
  const before = await dumpKeys(client);
  const args = [...argsOf({ count: 2, toTarget: 1, newestFirst: "ca", asTheyAre: "", places: "3,1" }), "A", "C"];
  const user = server().client({ username: "svc", password: "any" });
  await rejects(evalCommit(user, args), NO_PERMISSION);
  deepStrictEqual(await dumpKeys(client), before);
});

Deno.test("commit: moves a message that was only described, whole, to a list of its own when it is oversize", async () => {
  const large = Buffer.alloc(100_000, "0123456789");
  const { store, chunk } = await prepare([large, "next"], { ...BOUNDS, messageBytes: 50_000 });
  deepStrictEqual([chunk.messages.length, chunk.oversize?.bytes], [0, 100_000]);
  strictEqual(await store.commit(commitOf(chunk)), "ok");
  deepStrictEqual(await readLists(server()), {
    dlq: ["next"],
    target: ["before-t"],
    dead: ["before-d"],
    oversize: [large.toString("latin1")],
  });
});

Deno.test("commit: writes its fields and ends the cycle when told to", async () => {
  const { store, client, chunk } = await prepare(["a", "b"], { ...BOUNDS, messages: 1 });
  strictEqual(await store.commit(commitOf(chunk, { endsCycle: true, fields: { recent: "1:2", odd: "" } })), "ok");
  const { remaining, recent, odd } = await client.hgetall(STATE);
  deepStrictEqual({ remaining, recent, odd }, { remaining: "0", recent: "1:2", odd: "" });
});

Deno.test("commit: makes both other lists when neither is there", async () => {
  const { store, client, chunk } = await prepare(["a", "b"]);
  await client.del(TARGET, DEAD);
  strictEqual(await store.commit(commitOf(chunk, { moves: [KEEP, BURY] })), "ok");
  deepStrictEqual(await readLists(server()), { dlq: [], target: ["a"], dead: ["b"] });
});

Deno.test("commit: takes what was read and no more when producers push at the head meanwhile", async () => {
  const { store, chunk } = await prepare(["a", "b"]);
  await server().seedList(DLQ, ["c", "b"]);
  strictEqual(await store.commit(commitOf(chunk)), "ok");
  deepStrictEqual(await readLists(server()), { dlq: ["c", "b"], target: ["before-t", "a", "b"], dead: ["before-d"] });
});

type Meanwhile = (prepared: Prepared) => Promise<unknown>;

/** What must change nothing: done between read and commit, what the commit says, and the answer. */
const refused: { name: string; answer: string; meanwhile?: Meanwhile; commit?: (chunk: Chunk) => Partial<Commit> }[] = [
  {
    name: "a foreign pop took the oldest",
    answer: "conflict",
    meanwhile: () => server().popList(DLQ),
  },
  {
    name: "a foreign LREM took one from the middle",
    answer: "conflict",
    meanwhile: ({ client }) => client.lrem(DLQ, 1, "b"),
  },
  { name: "a foreign DEL took the list", answer: "conflict", meanwhile: ({ client }) => client.del(DLQ) },
  {
    name: "the list is shorter than the chunk",
    answer: "conflict",
    meanwhile: ({ client }) => client.ltrim(DLQ, -2, -1),
  },
  {
    name: "an old message of the same length came at the tail",
    answer: "conflict",
    meanwhile: async () => {
      await server().popList(DLQ);
      await server().unpopList(DLQ, ["z"]);
    },
  },
  {
    name: "one in the middle is another of the same length",
    answer: "conflict",
    meanwhile: ({ client }) => client.lset(DLQ, 1, "z"),
  },
  {
    name: "the same bytes are split into other messages",
    answer: "conflict",
    meanwhile: async ({ client }) => {
      await client.del(DLQ);
      await server().seedList(DLQ, ["ab", "", "c"]);
    },
  },
  {
    name: "another instance has changed the record",
    answer: "stale",
    meanwhile: ({ client }) => client.hincrby(STATE, "seq", 1),
  },
  { name: "the record is gone", answer: "stale", meanwhile: ({ client }) => client.del(STATE) },
  {
    name: "this very commit has run",
    answer: "duplicate",
    meanwhile: ({ store, chunk }) => store.commit(commitOf(chunk)),
  },
  {
    name: "this very commit has run and other instances have gone on",
    answer: "duplicate",
    async meanwhile({ store, chunk }) {
      await store.commit(commitOf(chunk));
      const other = createStore(server());
      await server().seedList(DLQ, ["d"]);
      await other.commit(commitOf(await other.readForCommit(BOUNDS)));
    },
  },
  { name: "its deadline has passed", answer: "expired", commit: ({ nowMs }) => ({ notAfterMs: nowMs - 1 }) },
  {
    name: "the cycle may take fewer",
    answer: "bound",
    meanwhile: ({ client }) => client.hset(STATE, "remaining", 2),
  },
  {
    name: "the cycle has ended",
    answer: "bound",
    meanwhile: ({ client }) => client.hset(STATE, "remaining", 0),
  },
  {
    name: "the record's bound is no number",
    answer: "bound",
    meanwhile: ({ client }) => client.hset(STATE, "remaining", "many"),
  },
  { name: "the target has no room", answer: "room", commit: () => ({ targetLimit: 3 }) },
  { name: "the target may hold nothing", answer: "room", commit: () => ({ targetLimit: 0 }) },
  ...[["DLQ", DLQ], ["target", TARGET], ["dead list", DEAD]].map(([name, key]) => ({
    name: `the ${name} is a string`,
    answer: "wrong_type",
    meanwhile: ({ client }: Prepared) => client.set(key!, "text"),
  })),
  {
    name: "the journal of the moves is a string",
    answer: "wrong_type",
    meanwhile: ({ client }) => client.set(MOVES, "text"),
  },
  {
    name: "the record is a list",
    answer: "wrong_type",
    meanwhile: async ({ client }) => {
      await client.del(STATE);
      await client.lpush(STATE, "x");
    },
  },
];

for (const { name, answer, meanwhile, commit, proof } of withEachProof(refused)) {
  Deno.test(`commit: answers ${answer} and changes nothing when ${name} (${proof})`, async () => {
    const prepared = await prepare(undefined, BOUNDS, proof);
    await meanwhile?.(prepared);
    const before = await dumpKeys(prepared.client);
    strictEqual(await prepared.store.commit(commitOf(prepared.chunk, commit?.(prepared.chunk))), answer);
    deepStrictEqual(await dumpKeys(prepared.client), before);
  });
}

Deno.test("commit: answers conflict when another oversize message of other ends has come in its place", async () => {
  const { store, client, chunk } = await prepare([Buffer.alloc(9_000, "a")], { ...BOUNDS, messageBytes: 5_000 });
  await client.lset(DLQ, 0, Buffer.concat([Buffer.alloc(8_999, "a"), Buffer.from("b")]));
  const before = await dumpKeys(client);
  strictEqual(await store.commit(commitOf(chunk)), "conflict");
  deepStrictEqual(await dumpKeys(client), before);
});

for (
  const [name, limit, moves] of [
    ["just fit into the target", 4, [KEEP, KEEP, KEEP]],
    ["all go to the dead list of a full target", 0, [BURY, BURY, BURY]],
    ["fit because one of them is dead", 3, [KEEP, BURY, KEEP]],
  ] as const
) {
  Deno.test(`commit: answers ok when the messages ${name}`, async () => {
    const { store, chunk } = await prepare();
    strictEqual(await store.commit(commitOf(chunk, { targetLimit: limit, moves })), "ok");
  });
}

/** The arguments of a good commit of a, b and c. */
const GOOD = argsOf({ count: 3, toTarget: 3, newestFirst: "cba", asTheyAre: "1:1,2:2,3:3" });

for (const [token, answer] of [["me", "ok"], ["other", "not_leader"], ["", "ok"]] as const) {
  Deno.test(`commit: answers ${answer} to ${token === "" ? "one without a token" : `the token "${token}"`} when "me" leads`, async () => {
    const { client } = await prepare();
    await client.hset(STATE, "leader", "me");
    const before = await dumpKeys(client);
    const args = GOOD.with(7, token);
    strictEqual(await evalCommit(client, args), answer);
    if (answer !== "ok") deepStrictEqual(await dumpKeys(client), before);
  });
}

const invalid: [name: string, at: Record<number, string>, ...payloads: string[]][] = [
  ["the count is 0", { 0: "0", 1: "0", 15: "" }],
  ["the count is no number", { 0: "x" }],
  ["the count is over 4,000", { 0: "4001", 15: Array.from({ length: 4_001 }, (_, i) => `${i + 1}:1`).join() }],
  ["more go to the target than there are", { 1: "4" }],
  ["fewer than none go to the target", { 1: "-1" }],
  ["the number that goes to the target is none", { 1: "x" }],
  ["fewer go as they are than there are, and there is no payload", { 15: "1:1,2:2" }],
  ["more go as they are than there are", { 15: "1:1,2:2,3:3,3:3" }],
  ["one that is to go as it is is not there", { 15: "1:1,2:2,3:4" }],
  ["there is a payload too many", {}, "payload"],
  ["there is a payload too few", { 15: "1:1" }, "payload"],
  ["what it uses up is no number", { 8: "x" }],
  ["it uses up less than nothing", { 8: "-1" }],
  ["the number of first ones is none", { 9: "x" }],
  ["there are fewer places than messages", { 16: "3,1" }],
  ["picked messages are to go as they are", { 16: "3,2,1" }],
  ["picked messages are proven by nothing", { 13: "", 15: "", 16: "3,2,1" }, "a", "b", "c"],
  ["the number of fields is no number", { 10: "x" }],
  ["there are fewer fields than it says", { 10: "1" }],
];

/** Whoever may not call XADD moves messages as before the journal. */
for (const proof of PROOFS) {
  Deno.test(`commit: moves, and counts the entry that is missing, when the user may not write the journal (${proof})`, async () => {
    const { client } = await prepare(["a", "b", "c"]);
    await client.acl("SETUSER", "svc", "reset", "on", "nopass", "+@all", "-xadd", "allkeys");
    const store = createStore({ client: () => server().client({ username: "svc", password: "any" }), push: PUSH });
    const commitOne = async (by: DeadLetterStore) => {
      const chunk = await by.readForCommit({ ...BOUNDS, messages: 1 });
      const given = proof === "WATCH" ? chunk : { ...chunk, guard: null };
      strictEqual(await by.commit(commitOf(given, { id: String(chunk.depth) })), "ok");
      return await client.hget(STATE, "movesHead");
    };
    strictEqual(await commitOne(store), "1 ");
    strictEqual(await client.exists(MOVES), 0);
    const allowed = createStore(server()), head = await commitOne(allowed);
    match(head ?? "", /^2 [0-9a-f]{40}$/);
    strictEqual(await commitOne(store), head!.replace("2", "3"));
    deepStrictEqual(await readLists(server()), { dlq: [], target: ["before-t", "a", "b", "c"], dead: ["before-d"] });
    const [[, entry]] = await client.xrange(MOVES, "-", "+") as [[string, string[]]];
    deepStrictEqual(entry.slice(0, 4), ["number", "2", "previous", ""]);
  });
}

for (
  const [name, head] of [
    ["words", "any words"],
    ["bytes that are no UTF-8", Buffer.from([0x31, 0xff])],
    ["a number of sixteen digits", `1234567890123456 ${"a".repeat(40)}`],
    ["a long hash", `7 ${"a".repeat(1_000)}`],
  ] as const
) {
  Deno.test(`commit: begins the journal anew when its head is ${name}`, async () => {
    const { store, client, chunk } = await prepare();
    await client.hset(STATE, "movesHead", head);
    strictEqual(await store.commit(commitOf(chunk)), "ok");
    match(await client.hget(STATE, "movesHead") ?? "", /^1 [0-9a-f]{40}$/);
  });
}

Deno.test("commit: answers ok when the arguments are those that the invalid ones are made of", async () => {
  const { client } = await prepare();
  strictEqual(await evalCommit(client, GOOD), "ok");
});

for (const [name, at, ...payloads] of invalid) {
  Deno.test(`commit: answers invalid and changes nothing when ${name}`, async () => {
    const { client } = await prepare();
    const before = await dumpKeys(client);
    const args = GOOD.map((good, i) => at[i] ?? good);
    strictEqual(
      await evalCommit(client, [...args, ...payloads]),
      "invalid",
    );
    deepStrictEqual(await dumpKeys(client), before);
  });
}

Deno.test("commit: throws when the script calls its arguments invalid", async () => {
  const { store, chunk } = await prepare();
  await rejects(store.commit(commitOf(chunk, { moves: [] })), /invalid/);
});

Deno.test("commit: moves each message once when two instances commit the same chunk at the same time", async () => {
  const { store, chunk } = await prepare();
  const other = createStore(server());
  const answers = await Promise.all([
    store.commit(commitOf(chunk, { id: "one" })),
    other.commit(commitOf(chunk, { id: "two" })),
  ]);
  deepStrictEqual(answers.sort(), ["ok", "stale"]);
  deepStrictEqual((await readLists(server())).target, ["before-t", "a", "b", "c"]);
});

for (const [name, forbidden, others] of [["target", TARGET, DEAD], ["dead list", DEAD, TARGET]] as const) {
  Deno.test(needs("7.0", `commit: changes nothing when the user may push to any list but the ${name}`), async () => {
    const { client } = await prepare(["a", "b"]);
    // A second set of rights (Redis 7): anything but the push goes everywhere, the push only elsewhere.
    const elsewhere = `(+${push} ~${DLQ} ~${STATE} ~${RECEIPT} ~${others})`;
    await client.acl("SETUSER", "svc", "reset", "on", "nopass", "+@all", `-${push}`, "allkeys", elsewhere);
    await client.set(RECEIPT, ""); // a try that fails leaves it empty
    const before = await dumpKeys(client);
    const args = argsOf({ count: 2, toTarget: 1, newestFirst: "ba", asTheyAre: "1:1,2:2" });
    const user = server().client({ username: "svc", password: "any" });
    await rejects(
      evalCommit(user, args),
      NO_PERMISSION,
    );
    deepStrictEqual(await dumpKeys(client), before);
    await client.acl("SETUSER", "svc", `(+${push} ~${forbidden})`);
    strictEqual(await evalCommit(user, args), "ok");
  });
}

const finish = scriptText(finishMoves, PUSH);
/** The arguments of the script behind the pushes of a and b to the target and of c to the dead list, by position. */
const FINISH = ["3", "2", "5", "this", "9999999999999", "-1", "0", "", "3", "0", "0", ENTRY];

/** Runs pushes and the script in one transaction. @returns the script's answer */
async function finishBehind(
  client: Redis,
  { target = TARGET, args = FINISH }: { target?: string; args?: readonly string[] } = {},
): Promise<unknown> {
  const keys = [DLQ, target, DEAD, STATE, RECEIPT, MOVES];
  const replies = await client.multi()[push](target, "a", "b")[push](DEAD, "c").eval(finish, 6, ...keys, ...args)
    .exec();
  const [error, answer] = replies!.at(-1)!;
  if (error) throw error;
  return answer;
}

Deno.test("finish_moves: moves what was pushed, and answers ok", async () => {
  const { client } = await prepare();
  strictEqual(await finishBehind(client), "ok");
  deepStrictEqual(await readLists(server()), { dlq: [], target: ["before-t", "a", "b"], dead: ["before-d", "c"] });
});

const spoiltFinish: [name: string, at: Record<number, string>, answer: string][] = [
  ["the count is no number", { 0: "x" }, "invalid"],
  ["more went to the target than there are", { 1: "4" }, "invalid"],
  ["it uses up less than nothing", { 8: "-1" }, "invalid"],
  ["there are fewer fields than it says", { 10: "1" }, "invalid"],
  ["there are fewer messages than it says", { 0: "4", 8: "4" }, "conflict"],
  ["another commit was faster", { 2: "4" }, "stale"],
  ["the deadline has passed", { 4: "1" }, "expired"],
  ["the target would hold more than it may", { 5: "2" }, "room"],
];

for (const [name, at, answer] of spoiltFinish) {
  Deno.test(`finish_moves: answers ${answer} and takes back what was pushed when ${name}`, async () => {
    const { client } = await prepare();
    const before = await dumpKeys(client);
    // With a wrong count it cannot know what was pushed: only a bug of ours could do that.
    const isKnown = at[0] === undefined && at[1] === undefined;
    strictEqual(await finishBehind(client, { args: FINISH.map((good, i) => at[i] ?? good) }), answer);
    if (isKnown) deepStrictEqual(await dumpKeys(client), before);
    deepStrictEqual((await readLists(server())).dlq, ["a", "b", "c"]);
  });
}

Deno.test("finish_moves: takes back only what could be pushed when the target is no list", async () => {
  const { client } = await prepare();
  await client.set("text", "any");
  const before = await dumpKeys(client);
  strictEqual(await finishBehind(client, { target: "text" }), "wrong_type");
  deepStrictEqual(await dumpKeys(client), before);
});

for (const [name, forbidden] of [["target", TARGET], ["dead list", DEAD]] as const) {
  const test = `finish_moves: cuts nothing that it did not push when the user may not push to the ${name} any more`;
  Deno.test(needs("7.0", test), async () => {
    const { client } = await prepare();
    const elsewhere = [DLQ, STATE, RECEIPT, TARGET, DEAD].filter((key) => key !== forbidden).map((key) => `~${key}`);
    await client.acl(
      "SETUSER",
      "svc",
      "reset",
      "on",
      "nopass",
      "+@all",
      `-${push}`,
      "allkeys",
      `(+${push} ${elsewhere.join(" ")})`,
    );
    const before = await dumpKeys(client);
    const user = server().client({ username: "svc", password: "any" });
    // What the transaction's own push to the other list has done.
    if (forbidden === TARGET) await server().seedList(DEAD, ["c"]);
    else await server().seedList(TARGET, ["a", "b"]);
    await rejects(
      user.eval(finish, 6, DLQ, TARGET, DEAD, STATE, RECEIPT, MOVES, ...FINISH),
      NO_PERMISSION,
    );
    deepStrictEqual(await dumpKeys(client), before);
  });
}

const anyWay = "commit: changes nothing and rejects when the user may not push to the target, guarded by WATCH or not";
Deno.test(needs("7.0", anyWay), async () => {
  const { client } = await prepare();
  const elsewhere = [DLQ, STATE, DEAD].map((key) => `~${key}*`).join(" ");
  await client.acl(
    "SETUSER",
    "svc",
    "reset",
    "on",
    "nopass",
    "+@all",
    `-${push}`,
    "allkeys",
    `(+${push} ${elsewhere})`,
  );
  const before = await readLists(server());
  const store = createStore({ client: () => server().client({ username: "svc", password: "any" }), push: PUSH });
  for (let i = 0; i < 2; i++) {
    const chunk = await store.readForCommit(BOUNDS);
    await rejects(store.commit(commitOf(chunk, { id: `try ${i}` })), { code: "NOPERM" });
    deepStrictEqual(await readLists(server()), before);
  }
});
