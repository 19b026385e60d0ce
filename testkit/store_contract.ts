/** The contract of every store (`src/replay/store.ts`) as the engine relies on it: cases for Redis and for the fake. */
import type { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import assert from "node:assert/strict";
import type { Chunk, ChunkBounds, Commit, CommitResult, Move } from "../src/cycle/chunk.ts";
import type { RecordChange } from "../src/message/stamp_record.ts";
import { StoreError } from "../src/redis/errors.ts";
import type { ReplayStore } from "../src/replay/store.ts";
import type { Lists } from "./engine.ts";

/** A fresh source for one case. */
export interface StoreWorld {
  /**
   * Creates another store of it, as for another instance. `token`: refuses writes unless that token leads. `mostRecords`: it keeps at most so
   * many records beside the messages; absent: stamps are inside.
   */
  open(options?: { token?: string; mostRecords?: number }): ReplayStore;
  /** Appends newer messages to a list. */
  seed(list: "dlq" | "target" | "dead", messages: readonly string[]): Promise<void>;
  /** Takes the oldest message of the DLQ, as another program may. */
  takeOldest(): Promise<void>;
  /** Writes fields of the state. */
  write(fields: Readonly<Record<string, string>>): Promise<void>;
  lists(): Promise<Lists>;
  /** The records by key, without their instants. */
  records(): Promise<Readonly<Record<string, string>>>;
}

const WIDE: ChunkBounds = { messages: 200, bytes: 1_000_000, messageBytes: 1_000_000 };
const BEGINNING = { sequence: "0", intervalMs: 60_000, budget: 100, fields: {} };
const KEEP: Move = { to: "target", payload: null };
const BURY: Move = { to: "dead", payload: null };
const edited = (to: Move["to"], text: string): Move => ({ to, payload: new TextEncoder().encode(text) });
const EMPTY: Lists = { dlq: [], target: [], dead: [] };

/** Commits a chunk. Default: moves every message unchanged to the target. */
function commitOf(chunk: Chunk, given: Partial<Commit> = {}): Commit {
  const { messages, oversize, guard, record: { sequence }, nowMs } = chunk;
  return {
    ...{ id: "this", sequence, messages, oversize, guard, notAfterMs: nowMs + 60_000, targetLimit: null },
    ...{ endsCycle: false, fields: {}, moves: oversize ? [BURY] : messages.map(() => KEEP), ...given },
  };
}

async function commit(store: ReplayStore, details: Commit): Promise<CommitResult> {
  return (await store.commitAndRead(details, null)).result;
}

/** Begins a cycle over all messages and reads its first chunk. */
async function beginAndRead(store: ReplayStore, bounds: Partial<ChunkBounds> = {}): Promise<Chunk> {
  const { record } = await store.readState();
  assert.equal(await store.begin({ ...BEGINNING, sequence: record.sequence, intervalMs: 0 }), "ok");
  return await store.readForCommit({ ...WIDE, ...bounds });
}

const texts = (messages: readonly (Buffer | null)[]) => messages.map((message) => message && String(message));

const reads: [name: string, bounds: Partial<ChunkBounds>, messages: readonly string[], oversizeBytes?: number][] = [
  ["all, oldest first", {}, ["aaa", "bb", "c", "dddd"]],
  ["no more than its messages", { messages: 2 }, ["aaa", "bb"]],
  ["no more than its bytes", { bytes: 5 }, ["aaa", "bb"]],
  ["at least one, whatever its bytes", { bytes: 1 }, ["aaa"]],
  ["none behind one that is too large", { messageBytes: 3, skip: 1 }, ["bb", "c"]],
  ["the length of the oldest where it is too large", { messageBytes: 2 }, [], 3],
  ["those behind the skipped ones", { skip: 2 }, ["c", "dddd"]],
];

const browses: [name: string, bounds: Partial<ChunkBounds>, messages: readonly (string | null)[]][] = [
  ["all, newest first", {}, ["dddd", "c", "bb", "aaa"]],
  ["no more than its messages", { messages: 2 }, ["dddd", "c"]],
  ["no more than its bytes", { bytes: 5 }, ["dddd", "c"]],
  ["null in place of one that is too large", { messageBytes: 3 }, [null, "c", "bb", "aaa"]],
  ["those behind the skipped ones", { skip: 3 }, ["aaa"]],
];

/** A DLQ, the fate of its messages, and the expected lists. */
const moves: { name: string; dlq: readonly string[]; moves: readonly Move[]; after: Partial<Lists> }[] = [
  { name: "all to the target", dlq: ["a", "b"], moves: [KEEP, KEEP], after: { target: ["a", "b"] } },
  {
    name: "each to its list, oldest first in both",
    dlq: ["a", "b", "c", "d"],
    moves: [BURY, KEEP, BURY, KEEP],
    after: { target: ["b", "d"], dead: ["a", "c"] },
  },
  {
    name: "edited and unedited ones in turn",
    dlq: ["a", "b", "c"],
    moves: [edited("target", "A"), KEEP, edited("dead", "C")],
    after: { target: ["A", "b"], dead: ["C"] },
  },
  {
    name: "the oldest of a longer list",
    dlq: ["a", "b", "c"],
    moves: [KEEP],
    after: { dlq: ["b", "c"], target: ["a"] },
  },
  {
    name: "byte-equal ones, no more than were read",
    dlq: ["x", "x", "x"],
    moves: [KEEP, BURY],
    after: { dlq: ["x"], target: ["x"], dead: ["x"] },
  },
];

/** A change between the read of a, b and c and their commit, and the expected result. */
const refusals: {
  name: string;
  answer: CommitResult;
  token?: string;
  meanwhile?: (world: StoreWorld, chunk: Chunk) => Promise<unknown>;
  given?: (chunk: Chunk) => Partial<Commit>;
}[] = [
  { name: "somebody has taken the oldest", answer: "conflict", meanwhile: (world) => world.takeOldest() },
  {
    name: "another instance has begun a cycle",
    answer: "stale",
    meanwhile: (world, { record: { sequence } }) => world.open().begin({ ...BEGINNING, sequence, intervalMs: 0 }),
  },
  { name: "its deadline has passed", answer: "expired", given: ({ nowMs }) => ({ notAfterMs: nowMs - 1 }) },
  { name: "the cycle may take fewer", answer: "bound", meanwhile: (world) => world.write({ remaining: "2" }) },
  { name: "the target has no room", answer: "room", given: () => ({ targetLimit: 2 }) },
  { name: "another leads", answer: "not_leader", token: "us", meanwhile: (world) => world.write({ leader: "them" }) },
];

/** The key of a message's record, and a record of a first replay in a cycle. */
const keyOf = (text: string) => createHash("sha1").update(text).digest("hex").slice(0, 16);
const record = (cycle: number, counts = "::") => `${counts}:1700000000:${cycle}`;
const write = (text: string, cycle: number): RecordChange => ({ key: keyOf(text), text: record(cycle) });

/** Registers the cases for one kind of store. `createWorld` is called inside a test. */
export function testStoreContract(kind: string, createWorld: () => StoreWorld): void {
  const test = (name: string, body: (world: StoreWorld) => Promise<void>) =>
    Deno.test(`${kind}: ${name}`, () => body(createWorld()));

  test("readState answers as of a source that was never worked on when there is none", async (world) => {
    const { record, depth } = await world.open().readState();
    assert.deepEqual([record.sequence, record.cycle, record.remaining, record.newestBytes, depth], ["0", 0, 0, -1, 0]);
  });

  for (const [name, bounds, messages, oversizeBytes] of reads) {
    test(`browseOldest and readForCommit answer ${name}, and change nothing`, async (world) => {
      await world.seed("dlq", ["aaa", "bb", "c", "dddd"]);
      const store = world.open();
      for (
        const chunk of [
          await store.browseOldest({ ...WIDE, ...bounds }),
          await store.readForCommit({ ...WIDE, ...bounds }),
        ]
      ) {
        assert.deepEqual([texts(chunk.messages), chunk.oversize?.bytes, chunk.depth], [messages, oversizeBytes, 4]);
      }
      assert.deepEqual(await world.lists(), { ...EMPTY, dlq: ["aaa", "bb", "c", "dddd"] });
    });
  }

  for (const [name, bounds, messages] of browses) {
    test(`browseNewest answers ${name}`, async (world) => {
      await world.seed("dlq", ["aaa", "bb", "c", "dddd"]);
      const newest = await world.open().browseNewest({ ...WIDE, ...bounds });
      assert.deepEqual([texts(newest.messages), newest.depth], [messages, 4]);
    });
  }

  test("browseTarget answers like browseNewest, of the target", async (world) => {
    await world.seed("dlq", ["a"]);
    await world.seed("target", ["bb", "c", `from ${"x".repeat(100)}`]);
    const store = world.open(), cut = await store.browseTarget(WIDE, { bytes: 6, from: "from" });
    assert.deepEqual([texts(cut.messages), cut.depth], [["from x", "c", "bb"], 3]);
    const second = await store.browseTarget({ ...WIDE, messages: 1, skip: 1 });
    assert.deepEqual([texts(second.messages), second.depth], [["c"], 3]);
    assert.deepEqual((await store.browseTarget({ ...WIDE, skip: 3 })).messages, []);
  });

  test("browseNewest answers of a long message what begins with the last of a text", async (world) => {
    const long = `from first from last ${"x".repeat(100)}`;
    await world.seed("dlq", ["short from", "x".repeat(100), long]);
    const { messages } = await world.open().browseNewest(WIDE, { bytes: 20, from: "from" });
    assert.deepEqual(texts(messages), ["from last xxxxxxxxxx", "", "short from"]);
  });

  test("begin records the bound, the start and the newest message, and read tells its place", async (world) => {
    await world.seed("dlq", ["a", "b", "c"]);
    const store = world.open();
    assert.equal(await store.begin({ ...BEGINNING, budget: 2, fields: { boundBy: "batch_size" } }), "ok");
    await world.seed("dlq", ["c"]);
    const { record, newestAt } = await store.readForCommit(WIDE), { nowMs } = await store.readState();
    const { sequence, cycle, depthAtStart, remaining, cycleLimit, newestBytes } = record;
    assert.deepEqual(
      { sequence, cycle, depthAtStart, remaining, cycleLimit, newestBytes, newestAt },
      { sequence: "1", cycle: 1, depthAtStart: 3, remaining: 2, cycleLimit: "batch_size", newestBytes: 1, newestAt: 3 },
    );
    assert.ok(record.startedAtMs <= nowMs && record.startedAtMs > nowMs - 60_000);
  });

  test("read says that a row of equal messages goes on when the newest does not stand where it must", async (world) => {
    await world.seed("dlq", ["a", "x", "x"]);
    const store = world.open();
    await store.begin(BEGINNING);
    await world.takeOldest();
    const { newestAt, goesOnEqual } = await store.browseOldest({ ...WIDE, messages: 1 });
    assert.deepEqual({ newestAt, goesOnEqual }, { newestAt: 0, goesOnEqual: true });
  });

  test("begin answers not_due, stale or not_leader and changes nothing", async (world) => {
    await world.seed("dlq", ["a"]);
    const store = world.open();
    assert.equal(await store.begin(BEGINNING), "ok");
    assert.equal(await store.begin({ ...BEGINNING, intervalMs: 0 }), "stale");
    assert.equal(await store.begin({ ...BEGINNING, sequence: "1" }), "not_due");
    assert.equal(await world.open({ token: "us" }).begin({ ...BEGINNING, sequence: "1", intervalMs: 0 }), "not_leader");
    assert.equal((await store.readState()).record.cycle, 1);
  });

  for (const { name, dlq, moves: given, after } of moves) {
    test(`commit moves ${name}`, async (world) => {
      await world.seed("dlq", dlq);
      const store = world.open(), chunk = await beginAndRead(store, { messages: given.length });
      assert.equal(
        await commit(store, commitOf(chunk, { moves: given, firsts: 1, fields: { boundBy: "depth" } })),
        "ok",
      );
      assert.deepEqual(await world.lists(), { ...EMPTY, ...after });
      const { sequence, replayed, dead, firsts, remaining, cycleLimit } = (await store.readState()).record;
      assert.deepEqual({ sequence, replayed, dead, firsts, remaining, cycleLimit }, {
        ...{ sequence: "2", replayed: after.target?.length ?? 0, dead: after.dead?.length ?? 0, firsts: 1 },
        ...{ remaining: dlq.length - given.length, cycleLimit: "depth" },
      });
    });
  }

  for (
    const [drill, target] of [["list", []], ["target", ["a", "B"]]] as const
  ) {
    for (const places of [null, [1, 2]]) {
      test(`commit moves messages of a drill to its ${drill}${places ? ", picked ones" : ""}, not as replays`, async (world) => {
        await world.seed("dlq", ["a", "b", "c"]);
        const store = world.open(), chunk = await beginAndRead(store, { messages: 2 });
        const given = places ? [edited("dead", "a"), edited("dead", "B")] : [BURY, edited("dead", "B")];
        assert.equal(await commit(store, commitOf(chunk, { drill, places, moves: given, targetLimit: 0 })), "ok");
        assert.deepEqual(await world.lists(), { ...EMPTY, dlq: ["c"], target });
        const { replayed, firsts, dead } = (await store.readState()).record;
        // What has left the DLQ, for the place of the newest message of the cycle.
        assert.deepEqual({ replayed, firsts, dead }, { replayed: 0, firsts: 0, dead: 2 });
      });
    }
  }

  test("commit moves an oversize message to a list of its own", async (world) => {
    await world.seed("dlq", ["x".repeat(10_000), "next"]);
    const store = world.open(), chunk = await beginAndRead(store, { messageBytes: 5_000 });
    assert.equal(await commit(store, commitOf(chunk)), "ok");
    assert.deepEqual(await world.lists(), { ...EMPTY, dlq: ["next"], oversize: ["x".repeat(10_000)] });
  });

  test("commit picks messages by their places, and leaves the rest in its order", async (world) => {
    await world.seed("dlq", ["a", "b", "c", "d", "e"]);
    const store = world.open(), { messages, ...chunk } = await beginAndRead(store);
    await world.seed("dlq", ["pushed"]);
    const places = [2, 5], picked = places.map((place) => messages[place - 1]!);
    const given = { places, moves: [edited("target", "B"), edited("dead", "E")], spent: 1 };
    assert.equal(await commit(store, commitOf({ ...chunk, messages: picked }, given)), "ok");
    assert.deepEqual(await world.lists(), { dlq: ["a", "c", "d", "pushed"], target: ["B"], dead: ["E"] });
    assert.equal((await store.readState()).record.remaining, 4);
  });

  test("commit takes what was read and no more when somebody pushes meanwhile", async (world) => {
    await world.seed("dlq", ["a", "b"]);
    const store = world.open(), chunk = await beginAndRead(store);
    await world.seed("dlq", ["c", "b"]);
    assert.equal(await commit(store, commitOf(chunk)), "ok");
    assert.deepEqual(await world.lists(), { ...EMPTY, dlq: ["c", "b"], target: ["a", "b"] });
  });

  test("commit ends the cycle when it is told to", async (world) => {
    await world.seed("dlq", ["a", "b"]);
    const store = world.open(), chunk = await beginAndRead(store, { messages: 1 });
    assert.equal(await commit(store, commitOf(chunk, { endsCycle: true })), "ok");
    assert.equal((await store.readState()).record.remaining, 0);
  });

  for (const { name, answer, token = "", meanwhile, given } of refusals) {
    test(`commit answers ${answer} and changes nothing when ${name}`, async (world) => {
      await world.seed("dlq", ["a", "b", "c"]);
      const chunk = await beginAndRead(world.open()), store = world.open({ token });
      const read = token === "" ? chunk : { ...chunk, guard: null };
      await meanwhile?.(world, chunk);
      const before = [await world.lists(), (await store.readState()).record];
      assert.equal(await commit(store, commitOf(read, given?.(chunk))), answer);
      assert.deepEqual([await world.lists(), (await store.readState()).record], before);
    });
  }

  test("commit answers duplicate when this very commit has run, though others have gone on", async (world) => {
    await world.seed("dlq", ["a", "b"]);
    const store = world.open(), chunk = await beginAndRead(store, { messages: 1 }), details = commitOf(chunk);
    assert.equal(await commit(store, details), "ok");
    const other = world.open();
    assert.equal(await commit(other, commitOf(await other.readForCommit(WIDE), { id: "theirs" })), "ok");
    assert.equal(await commit(store, details), "duplicate");
    assert.deepEqual(await world.lists(), { ...EMPTY, target: ["a", "b"] });
  });

  for (
    const [name, given] of [["nothing moves", { moves: [] }], ["less than nothing is used up", { spent: -1 }]] as const
  ) {
    test(`commit rejects with a bug, and changes nothing, when ${name}`, async (world) => {
      await world.seed("dlq", ["a"]);
      const store = world.open(), chunk = await beginAndRead(store);
      const isBug = (error: Error) => !(error instanceof StoreError) && /bug of mutt-remediation/.test(error.message);
      await assert.rejects(commit(store, commitOf(chunk, given)), isBug);
      assert.deepEqual(await world.lists(), { ...EMPTY, dlq: ["a"] });
      assert.equal((await store.readState()).record.sequence, "1");
    });
  }

  test("commitAndRead reads what comes next behind a commit that ran", async (world) => {
    await world.seed("dlq", ["a", "b", "c"]);
    const store = world.open(), chunk = await beginAndRead(store, { messages: 1 });
    const { result, next } = await store.commitAndRead(commitOf(chunk), { ...WIDE, messages: 1 });
    const behind = await next;
    assert.deepEqual([result, texts(behind!.messages), behind!.record.sequence], ["ok", ["b"], "2"]);
    assert.equal(await commit(store, commitOf(behind!, { id: "next" })), "ok");
    assert.deepEqual(await world.lists(), { ...EMPTY, dlq: ["c"], target: ["a", "b"] });
  });

  test("commitAndRead reads nothing when the commit is refused, or nothing is to be read", async (world) => {
    await world.seed("dlq", ["a", "b"]);
    const store = world.open(), chunk = await beginAndRead(store, { messages: 1 });
    const refused = await store.commitAndRead(commitOf(chunk, { sequence: "9" }), WIDE);
    assert.deepEqual([refused.result, await refused.next], ["stale", null]);
    const { next } = await store.commitAndRead(commitOf(chunk), null);
    assert.equal(await next, null);
  });

  test("resolveLostCommit answers true of a commit that has run, and changes nothing", async (world) => {
    await world.seed("dlq", ["a"]);
    const store = world.open(), chunk = await beginAndRead(store);
    await commit(store, commitOf(chunk, { id: "mine" }));
    assert.equal(await store.resolveLostCommit("mine"), true);
    assert.equal((await store.readState()).record.sequence, "2");
  });

  test("resolveLostCommit answers false of a commit that has not run, which then never can", async (world) => {
    await world.seed("dlq", ["a"]);
    const store = world.open(), chunk = await beginAndRead(store);
    assert.equal(await store.resolveLostCommit("mine"), false);
    assert.equal(await commit(store, commitOf(chunk, { id: "mine" })), "stale");
    assert.deepEqual(await world.lists(), { ...EMPTY, dlq: ["a"] });
  });

  test("commit writes and deletes records in the step that moves, and every read finds them", async (world) => {
    await world.seed("dlq", ["a", "b", "c", "a"]);
    const store = world.open({ mostRecords: 100 }), chunk = await beginAndRead(store, { messages: 2 });
    assert.deepEqual(chunk.records, new Map());
    const first = await store.commitAndRead(commitOf(chunk, { recordChanges: [write("a", 1), write("b", 1)] }), WIDE);
    assert.deepEqual([first.result, first.records], ["ok", { kept: 2, evicted: 0 }]);
    assert.deepEqual(await world.records(), { [keyOf("a")]: record(1), [keyOf("b")]: record(1) });
    const behind = await first.next;
    const found = { failures: 0, evidence: 0, sheds: 0, since: 1_700_000_000, cycle: 1, firstCycle: 1, isDead: false };
    for (const { records } of [behind!, await store.browseOldest(WIDE), await store.browseNewest(WIDE)]) {
      assert.deepEqual(records, new Map([[keyOf("a"), { ...found, source: "alerter" }]]));
    }
    const gone = commitOf(behind!, {
      id: "next",
      recordChanges: [{ key: keyOf("a"), text: null }],
      moves: [BURY, KEEP],
    });
    assert.equal(await commit(store, gone), "ok");
    assert.deepEqual(await world.records(), { [keyOf("b")]: record(1) });
  });

  test("commit keeps no more records than it may, those of the last commits, and counts what it evicts", async (world) => {
    const letters = [..."abcdefgh"];
    await world.seed("dlq", letters);
    const store = world.open({ mostRecords: 5 });
    let chunk: Chunk | null = await beginAndRead(store, { messages: 2 });
    const counts = [];
    for (let at = 0; chunk; at += 2) {
      const recordChanges = [write(letters[at]!, 1), write(letters[at + 1]!, 1)];
      const { records, next } = await store.commitAndRead(commitOf(chunk, { id: `no. ${at}`, recordChanges }), {
        ...{ ...WIDE, messages: 2 },
      });
      counts.push(records);
      chunk = at < 6 ? await next : null;
    }
    assert.deepEqual(counts, [0, 0, 2, 2].map((evicted, i) => ({ kept: i === 0 ? 2 : 4, evicted })));
    assert.deepEqual(Object.keys(await world.records()).sort(), [..."efgh"].map(keyOf).sort());
  });

  test("commit that is refused changes no record", async (world) => {
    await world.seed("dlq", ["a", "b"]);
    const store = world.open({ mostRecords: 9 }), chunk = await beginAndRead(store);
    const recordChanges = [write("a", 1)];
    for (const given of [{ sequence: "9" }, { targetLimit: 0 }, { notAfterMs: chunk.nowMs - 1 }]) {
      assert.notEqual(await commit(store, commitOf(chunk, { ...given, recordChanges })), "ok");
    }
    await world.takeOldest();
    assert.equal(await commit(store, commitOf(chunk, { recordChanges })), "conflict");
    assert.deepEqual(await world.records(), {});
  });

  test("commit of picked messages writes records", async (world) => {
    await world.seed("dlq", ["a", "b", "c"]);
    const store = world.open({ mostRecords: 9 }), { messages, ...chunk } = await beginAndRead(store);
    const given = { places: [2], moves: [edited("target", "b")], recordChanges: [write("b", 1)] };
    assert.equal(await commit(store, commitOf({ ...chunk, messages: [messages[1]!] }, given)), "ok");
    assert.deepEqual(await world.records(), { [keyOf("b")]: record(1) });
  });

  test("begin marks what stands there, and carries marks on while the newest message is at its place", async (world) => {
    await world.seed("dlq", ["a", "b", "c"]);
    const store = world.open({ mostRecords: 9 }), standing = async () => (await store.readState()).record.standing;
    const begin = async (carried: string) => {
      const { record: { sequence } } = await store.readState();
      assert.equal(await store.begin({ ...BEGINNING, sequence, intervalMs: 0, fields: { standing: carried } }), "ok");
    };
    await begin("");
    assert.deepEqual(await standing(), [{ cycle: 1, messages: 3 }]);
    await world.seed("dlq", ["d"]);
    await begin("1:3");
    assert.deepEqual(await standing(), [{ cycle: 1, messages: 3 }, { cycle: 2, messages: 4 }]);
    assert.equal((await store.browseOldest({ ...WIDE, messages: 1 })).newestAt, 4);
    await world.takeOldest();
    await begin("1:2,2:3");
    assert.deepEqual(await standing(), [{ cycle: 3, messages: 3 }]);
  });
}
