/** Sources that record their stamps beside the messages, against a real Redis and a consumer that keeps nothing but the bytes. */
import { Buffer } from "node:buffer";
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import type { SourceEntry } from "../../src/config/source_fields.ts";
import { openEnvelope } from "../../src/message/envelope.ts";
import { StoreError } from "../../src/redis/errors.ts";
import { MAX_RECORDS, RecordStore } from "../../src/redis/record_store.ts";
import { consumeAll, createBeside, ORDER, readCounts, readRecords, RECORDS } from "../../testkit/beside.ts";
import { createEngine, DEAD, DLQ, type Engine, readLists, STATE, TARGET } from "../../testkit/engine.ts";
import { drive, endOutage, hasReport, readReports, startDrill } from "../../testkit/drills.ts";
import { pushOf, shareRedis } from "../../testkit/redis.ts";
import { aclAll } from "../../testkit/redis_version.ts";
import { PATIENT_MS, waitUntil } from "../../testkit/wait.ts";

const server = shareRedis({ push: pushOf(import.meta) });
const WEEK_S = 7 * 24 * 3_600;

type Make = (id: string | number) => Buffer;

const KINDS: readonly (readonly [name: string, make: Make])[] = [
  ["text", (id) => Buffer.from(`order ${id} shipped; not JSON at all`)],
  ["an array", (id) => Buffer.from(`["order", "${id}", {"total": 12.50}]`)],
  [
    "MessagePack",
    (id) => Buffer.concat([Buffer.from([0x81, 0xa2, 0x69, 0x64, 0xa8]), Buffer.from(String(id).padStart(8))]),
  ],
  [
    "protobuf",
    (id) => Buffer.concat([Buffer.from([0x0a, 0x08]), Buffer.from(String(id).padStart(8)), Buffer.from([0, 255])]),
  ],
  ["an object", (id) => Buffer.from(`{"id":"${id}" , "total": 12.50}`)],
  [
    "Celery's",
    (id) =>
      Buffer.from(
        `{"body": "W1tdLCB7fSwge31d", "content-type": "application/json", "headers": {"id": "${id}", "task": "t"}, ` +
          `"properties": {"correlation_id": "${id}", "delivery_tag": "${id}-tag"}}`,
      ),
  ],
  ["a row of bytes that are no UTF-8", (id) => Buffer.concat([Buffer.alloc(40, 0xfe), Buffer.from(String(id))])],
];

const object: Make = (id) => Buffer.from(`{"id": "${id}", "total": 12.50}`);
/** As many others as make a return strong evidence. */
const others = (make: Make, cycle: number) => Array.from({ length: 30 }, (_, i) => make(`${cycle}-${i}`));

/** Cycles with new messages, of which the consumer fails some, until one is dead. @returns how often the consumer took such a one */
async function untilDead(
  engines: Engine | readonly Engine[],
  { make, fails, change = (message) => message }: {
    make: Make;
    fails: (message: Buffer) => boolean;
    change?: (message: Buffer) => Buffer;
  },
): Promise<number> {
  const all = [engines].flat();
  let failed = 0;
  for (let cycle = 1; cycle <= 8; cycle++) {
    await server().seedList(DLQ, others(make, cycle));
    await all[cycle % all.length]!.turn({ begin: "now" });
    if (await server().client().llen(DEAD) > 0) return failed;
    await consumeAll(server(), (message) => {
      if (!fails(message)) return null;
      failed++;
      return change(message);
    });
  }
  throw new Error(`none is dead: ${Deno.inspect(await readRecords(server()))}`);
}

for (const [name, make] of KINDS) {
  Deno.test(`record beside: a message that is ${name} goes to the target byte for byte, and is poison after three failures`, async () => {
    await using engine = createBeside(server());
    const poison = make("poison");
    await server().seedList(DLQ, [poison]);
    strictEqual(await untilDead(engine, { make, fails: (message) => message.equals(poison) }), 3);
    const [dead] = await server().readList(DEAD), enclosed = openEnvelope(dead!);
    match(dead!.toString("latin1"), /"failures": 3\.0, .*"source": "alerter", "reason": "poison"/);
    if (enclosed) deepStrictEqual(Buffer.from(enclosed), poison);
    deepStrictEqual((await engine.moved()).dead, { poison: 1 });
    // What the others that went with it count stays; of the dead one, only that it is dead.
    const marked = Object.entries(await readRecords(server())).filter(([, text]) => !text.startsWith(":::"));
    strictEqual(marked.length, 1);
    match(marked[0]![1], /^3:\d+\.\d+::\d+:4x$/);
  });
}

Deno.test("record beside: the target gets every byte as it came, and Redis one record a message, for a week", async () => {
  const messages = [...KINDS.map(([, make]) => make(1)), Buffer.alloc(0)];
  await server().seedList(DLQ, messages);
  await using engine = createBeside(server());
  await engine.turn();
  deepStrictEqual(await server().readList(TARGET), messages);
  deepStrictEqual(await readCounts(server()), messages.map(() => "::"));
  const client = server().client(), left = [await client.pttl(RECORDS), await client.pttl(ORDER)];
  strictEqual(await client.llen(ORDER), 1);
  ok(left.every((ms) => ms > WEEK_S * 1_000 && ms < (WEEK_S + 2 * 86_400) * 1_000), String(left));
});

Deno.test("record beside: with required members what is no object is malformed, and enclosed", async () => {
  await server().seedList(DLQ, [Buffer.from("text"), object(1), Buffer.from('{"id": ""}')]);
  await using engine = createBeside(server(), { entry: { required: ["id"] } });
  await engine.turn();
  const { target, dead } = await readLists(server());
  deepStrictEqual(target, [String(object(1))]);
  match(dead[0]!, /"reason": "malformed"\}, "payload": "text"\}$/);
  match(dead[1]!, /^\{"id": "", "failed_at"/);
  deepStrictEqual((await engine.moved()).dead, { malformed: 2 });
});

const withError = (message: Buffer) => {
  const { attempts = 0, ...rest } = JSON.parse(String(message));
  return Buffer.from(JSON.stringify({ ...rest, attempts: attempts + 1 }));
};
const isPoison = (message: Buffer) => message.includes("poison");

for (
  const [how, entry] of [
    ["a member that names it", { recordId: "id" }],
    ["the digest without the consumer's counter", { counter: "attempts", maxReplays: 900 }],
    ["the digest without what replays cut", { cutOnReplay: ["attempts"] }],
  ] as const satisfies [string, SourceEntry][]
) {
  Deno.test(`record beside: counts a message that the consumer changes, by ${how}`, async () => {
    await using engine = createBeside(server(), { entry, settings: { brakeEnabled: false } });
    const make: Make = (id) => Buffer.from(`{"id":"${id}","total":12.5}`);
    await server().seedList(DLQ, [make("poison")]);
    const limit = "maxReplays" in entry ? null : 3;
    if (limit === null) {
      // The counter counts beside the record: this one only by the record.
      for (let cycle = 1; cycle <= 4; cycle++) {
        await engine.turn({ begin: "now" });
        await consumeAll(server(), withError);
      }
      deepStrictEqual(await readCounts(server()), ["3::"]);
    } else {
      strictEqual(await untilDead(engine, { make, fails: isPoison, change: withError }), limit);
    }
  });
}

const asText = (message: Buffer | string) => JSON.stringify(String(message)), plain = String;
/** What is in an envelope, and how it is written there. */
const INNER:
  readonly (readonly [what: string, make: (id: string) => string, write: (inner: Buffer | string) => string])[] = [
    ["text", (id) => `order "${id}" shipped — not JSON`, asText],
    ["an object", (id) => `{"id":"${id}" , "total": 12.50}`, plain],
    ["text that is an object", (id) => `{"id":"${id}" , "total": 12.50}`, asText],
    ["an array", (id) => `[ "${id}", {"total":12.50}]`, plain],
    ["a JSON string in text", (id) => `"${id}"`, asText],
  ];

for (const [what, make, write] of INNER) {
  Deno.test(`record beside: with unwrap, knows ${what} again in a new envelope, and sends its bytes alone`, async () => {
    await using engine = createBeside(server(), { entry: { unwrap: "job.payload" } });
    let at = 0;
    const wrap = (inner: Buffer | string) =>
      Buffer.from(`{"failed_at": ${++at}, "error": "E${at}", "job": {"queue": "q", "payload":${write(inner)}}}`);
    await server().seedList(DLQ, [wrap(make("poison"))]);
    const sent = new Set<string>();
    const fails = (message: Buffer) => sent.add(String(message)) && isPoison(message);
    strictEqual(await untilDead(engine, { make: (id) => wrap(make(String(id))), fails, change: wrap }), 3);
    ok(sent.has(make("poison")) && sent.has(make("1-0")) && ![...sent].some((one) => /_remediation|error/.test(one)));
    const [dead] = (await readLists(server())).dead;
    match(
      dead!,
      /^\{"error": "E\d+", "job": .*"_remediation": \{"failures": 3\.0, .*"reason": "poison", "failed_at": \d+\}\}$/,
    );
  });
}

for (
  const [where, recordId, wrap] of [
    ["in the message", "payload.id", (id: string, at: number) => `{"payload": {"id": "${id}", "seen": ${at}}}`],
    ["in text", "payload.id", (id: string, at: number) => `{"payload": "{\\"id\\": \\"${id}\\", \\"seen\\": ${at}}"}`],
    [
      "in the envelope",
      "headers.id",
      (id: string, at: number) => `{"headers": {"id": "${id}"}, "payload": "${id} ${at}"}`,
    ],
  ] as const
) {
  Deno.test(`record beside: with unwrap, knows a message that changes by its name ${where}`, async () => {
    await using engine = createBeside(server(), { entry: { unwrap: "payload", recordId } });
    let at = 0;
    const make: Make = (id) => Buffer.from(wrap(String(id), ++at));
    await server().seedList(DLQ, [make("poison")]);
    strictEqual(await untilDead(engine, { make, fails: isPoison, change: () => make("poison") }), 3);
  });
}

Deno.test("record beside: says so when the consumer changes what it dead-letters, so that no record is found", async () => {
  await using engine = createBeside(server());
  for (let cycle = 1; cycle <= 2; cycle++) {
    await server().seedList(DLQ, others(object, cycle));
    await engine.turn({ begin: "now" });
    await consumeAll(server(), withError);
  }
  await engine.turn({ begin: "now" });
  const told = engine.lines.find(({ event }) => event === "stamps_dropped");
  match(told!.message, /changes the messages that it dead-letters.*Set recordId/);
});

Deno.test("record beside: a message that a consumer encodes anew is counted from its second return on", async () => {
  await using engine = createBeside(server());
  await server().seedList(DLQ, [Buffer.from('{ "id": "poison", "total": 12.50 }')]);
  const encode = (message: Buffer) => Buffer.from(JSON.stringify(JSON.parse(String(message))));
  strictEqual(await untilDead(engine, { make: object, fails: isPoison, change: encode }), 4);
});

Deno.test("record beside: of equal messages in a long DLQ, none is blamed while its equals get through", async () => {
  const same = Buffer.from("the same"), mixed = Array.from({ length: 60 }, (_, i) => i % 3 === 0 ? object(i) : same);
  await server().seedList(DLQ, mixed);
  await using engine = createBeside(server(), { settings: { batchSize: 10 } });
  for (let cycle = 1; cycle <= 6; cycle++) {
    await engine.turn({ begin: "now" });
    strictEqual((await consumeAll(server(), () => null)).length, 10);
  }
  deepStrictEqual((await readLists(server())).dead, []);
  deepStrictEqual(new Set(await readCounts(server())), new Set(["::"]));
});

Deno.test("record beside: equal poison dies together, each replayed as often as the limit says", async () => {
  const same = Buffer.from("poison"), { client } = { client: server().client() };
  await server().seedList(DLQ, Array.from({ length: 8 }, () => same));
  await using engine = createBeside(server(), { settings: { chunkMessages: 3 } });
  const make: Make = (id) => Buffer.from(`other ${id}`);
  strictEqual(await untilDead(engine, { make, fails: isPoison }), 8 * 4 - 8);
  strictEqual(await client.llen(DEAD), 8);
  // One that arrives later is a new one.
  await server().seedList(DLQ, [same]);
  await engine.turn({ begin: "now" });
  deepStrictEqual((await consumeAll(server(), () => null)).filter(isPoison), [same]);
});

Deno.test("record beside: two instances count one failure a return", async () => {
  await using one = createBeside(server()), other = createBeside(server());
  const poison = object("poison");
  await server().seedList(DLQ, [poison]);
  strictEqual(await untilDead([one, other], { make: object, fails: (message) => message.equals(poison) }), 3);
});

Deno.test("record beside: what was decided on records that another instance has changed moves nothing", async () => {
  const settings = { brakeEnabled: false };
  await using one = createBeside(server(), { settings }), other = createBeside(server(), { settings });
  await server().seedList(DLQ, [object(1), object(2)]);
  await one.turn({ begin: "now" });
  await consumeAll(server(), (message) => message);
  one.beforeCommit(async (number) => {
    if (number !== 1) return;
    await other.turn({ begin: "now" });
    await consumeAll(server(), (message) => message);
  });
  await one.turn({ begin: "now" });
  ok(((await one.commits()).stale ?? 0) > 0);
  // Each has come back twice, and was replayed each time by one of them only.
  deepStrictEqual(await readCounts(server()), ["1::", "1::"]);
  deepStrictEqual((await readLists(server())).target.length + (await readLists(server())).dlq.length, 2);
});

Deno.test("record beside: an outage of the consumer blames nobody, and the brake sees it", async () => {
  await server().seedList(DLQ, Array.from({ length: 40 }, (_, i) => Buffer.from(`text ${i}`)));
  await using engine = createBeside(server());
  for (let cycle = 1; cycle <= 3; cycle++) {
    await engine.turn({ begin: "now" });
    await consumeAll(server(), (message) => message);
  }
  strictEqual(engine.source.replay.lastSnapshot()!.record.brake.suspect, true);
  ok(engine.lines.some(({ event }) => event === "common_failure"));
  ok((await readCounts(server())).every((counts) => /^1?::$/.test(counts)), "a failure of all is no evidence");
  deepStrictEqual((await readLists(server())).dead, []);
});

Deno.test("record beside: goes on where the stamps inside the messages have left off, and without them again", async () => {
  const poison = object("poison");
  await server().seedList(DLQ, [poison]);
  const fails = { make: object, fails: isPoison };
  {
    await using inside = createEngine(server(), { entry: { counter: null, cutOnReplay: [], required: [] } });
    for (let cycle = 1; cycle <= 2; cycle++) {
      await server().seedList(DLQ, others(object, cycle));
      await inside.turn({ begin: "now" });
      await consumeAll(server(), (message) => isPoison(message) ? message : null);
    }
  }
  await using beside = createBeside(server());
  strictEqual(await untilDead(beside, fails), 1);
  deepStrictEqual((await consumeAll(server(), () => null)).filter((message) => message.includes("_remediation")), []);
});

Deno.test("record beside: trusts no mark of the DLQ that an instance with stamps inside has not written", async () => {
  const settings = { batchSize: 2 },
    marks = async (engine: Engine) => (await engine.source.replay.look()).record.standing;
  await server().seedList(DLQ, Array.from({ length: 9 }, () => object("same")));
  await using beside = createBeside(server(), { settings });
  await using inside = createEngine(server(), {
    entry: { counter: null, cutOnReplay: [], required: [] },
    settings: { batchSize: 1 },
  });
  await beside.turn({ begin: "now" });
  deepStrictEqual(await marks(beside), [{ cycle: 1, messages: 7 }]);
  await inside.turn({ begin: "now" });
  deepStrictEqual(await marks(beside), []);
  await beside.turn({ begin: "now" });
  deepStrictEqual(await marks(beside), [{ cycle: 3, messages: 4 }]);
});

Deno.test("record beside: deletes records whose time is over, a few at a time, also while nothing moves", async () => {
  const client = server().client(), now = Math.floor(Date.now() / 1_000), old = now - WEEK_S - 10;
  const key = (i: number) => String(i).padStart(16, "0");
  const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
  const write = async (second: number, few: readonly number[], earlier: number) => {
    for (const i of few) await client.hset(RECORDS, key(i), `:::1:1:${second}`);
    await client.lpush(ORDER, `${earlier}:${second}:${few.map(key).join("")}`);
  };
  for (let i = 0; i < 1_000; i += 100) await write(old, numbers(i, i + 100), i);
  for (const i of numbers(1_000, 1_100)) await write(old, [i], i);
  await write(now, numbers(1_100, 1_200), 1_100);
  // Written again since: its key in an old entry is left over.
  await write(now, [0], 1_200);
  const store = new RecordStore(client, { policy: { dlq: DLQ }, keepMs: WEEK_S * 1_000 });
  deepStrictEqual([await store.trim(), await store.trim(), await store.trim()], [
    { kept: 701, evicted: 0, hasMore: true },
    { kept: 201, evicted: 0, hasMore: true },
    { kept: 101, evicted: 0, hasMore: false },
  ]);
  deepStrictEqual([await client.hlen(RECORDS), await client.llen(ORDER)], [101, 2]);
  strictEqual(await client.hget(RECORDS, key(0)), `:::1:1:${now}`);
  deepStrictEqual(await store.trim(), { kept: 101, evicted: 0, hasMore: false });
  ok(MAX_RECORDS >= 1_000_000);
});

Deno.test("record beside: counts and tells of records that it evicts, and moves on", async () => {
  await server().seedList(DLQ, others(object, 1));
  await using engine = createBeside(server());
  // As many as a million at once would take too long here, so one commit says that it has evicted some.
  engine.store.hooks.commitAndRead = async (commit, bounds, store) => {
    const done = await store.commitAndRead(commit, bounds);
    return { ...done, records: { kept: 1_000_000, evicted: 7 } };
  };
  await engine.turn();
  strictEqual((await engine.metrics.recordEvictions.get()).values[0]!.value, 21);
  deepStrictEqual(engine.lines.filter(({ event }) => event === "records_evicted").length, 1);
  strictEqual((await engine.metrics.records.get()).values[0]!.value, 1_000_000);
});

for (const [key, what] of [[RECORDS, "the records"], [ORDER, "their order"]] as const) {
  Deno.test(`record beside: moves nothing, and says why, when the key of ${what} has another type`, async () => {
    await server().seedList(DLQ, others(object, 1));
    await server().client().set(key, "text");
    await using engine = createBeside(server());
    strictEqual((await engine.turn()).stoppedBy, "error");
    strictEqual((await readLists(server())).dlq.length, 30);
    deepStrictEqual(await engine.errors(), { WRONGTYPE: 1 });
  });
}

for (const guard of ["WATCH", "a digest"]) {
  for (const command of ["hdel", "hlen", "lindex", "lpush", "pexpire"]) {
    Deno.test(`record beside: a commit that ${guard} guards moves nothing and records nothing once ${command} is forbidden`, async () => {
      const client = server().client(), allowed = [...aclAll(), ...(guard === "WATCH" ? [] : ["-watch"])];
      const setUser = (...rules: string[]) => client.call("ACL", "SETUSER", "u", "reset", "on", ">secret", ...rules);
      await setUser(...allowed);
      const settings = { redisUsername: "u", chunkMessages: 10, brakeEnabled: false };
      await using engine = createBeside(server(), { settings, password: "secret" });
      await server().seedList(DLQ, others(object, 1));
      const dump = () => Promise.all([DLQ, TARGET, STATE, RECORDS, ORDER].map((key) => client.dumpBuffer(key)));
      let before: (Buffer | null)[] = [];
      engine.beforeCommit(async (number) => {
        if (number !== 2) return;
        await setUser(...allowed, `-${command}`);
        before = await dump();
      });
      ok((await engine.turn()).replayed > 0);
      ok(before.length > 0, "a commit was tried");
      deepStrictEqual(await dump(), before);
      await setUser(...allowed);
    });
  }
}

Deno.test("record beside: what others have written into a record counts as none", async () => {
  await using engine = createBeside(server());
  await server().seedList(DLQ, [object(1), object(2)]);
  await engine.turn();
  const client = server().client();
  for (const [i, key] of Object.keys(await readRecords(server())).entries()) {
    await client.hset(RECORDS, key, ["garbage", "9999:::1:1"][i]!);
  }
  await consumeAll(server(), (message) => message);
  await engine.turn({ begin: "now" });
  deepStrictEqual(await readCounts(server()), ["::", "::"]);
});

Deno.test("record beside: what others have written into the order goes with the oldest, and breaks nothing", async () => {
  await using engine = createBeside(server());
  const client = server().client(), garbage = ["garbage", "", `0:1:${"a".repeat(16 * 5_000)}`, "0:1:abc"];
  for (const entry of garbage) await client.rpush(ORDER, entry);
  await client.lpush(ORDER, "9:garbage");
  await server().seedList(DLQ, Array.from({ length: 25 }, (_, i) => object(i)));

  strictEqual((await engine.turn()).replayed, 25);
  strictEqual(Object.keys(await readRecords(server())).length, 25);
  // What was counted before such an entry is not known, so the count begins anew.
  deepStrictEqual((await client.lrange(ORDER, 0, -1)).map((entry) => entry.split(":")[0]), ["20", "10", "0"]);
});

Deno.test("record beside: a source that stamps inside sends no command more", async () => {
  const monitor = await server().monitor(), sent: string[] = [];
  monitor.on("monitor", (_time: string, args: string[]) => sent.push(args.map((arg) => arg.slice(0, 200)).join(" ")));
  await server().seedList(DLQ, others(object, 1));
  await using engine = createEngine(server(), { entry: { counter: null, cutOnReplay: [], required: [] } });
  await engine.turn();
  await server().client().echo("the end");
  await waitUntil(() => sent.includes("echo the end"), { what: "all commands were seen" });
  monitor.disconnect();
  ok(sent.some((command) => command.startsWith("eval")), "commits were seen");
  deepStrictEqual(sent.filter((command) => /:records|^hdel| standing\b/.test(command)), []);
});

Deno.test("record beside: a drill with the real target sends each message once, and its records know", async () => {
  await using engine = createBeside(server(), { settings: { intervalMs: 1 } });
  await server().seedList(DLQ, [Buffer.from("text")]);
  const id = await startDrill(engine, { messages: 5, target: "real" });
  await engine.connections.waitUntilReady(PATIENT_MS);
  await drive(engine, async () => await server().client().llen(DLQ) >= 5, "the messages are there");
  await endOutage(server());
  await drive(engine, () => hasReport(server(), id), "its report");
  const [report] = await readReports(server());
  deepStrictEqual([report!.outcome ?? report!.result, (await server().readTexts(TARGET)).length], ["healed", 6]);
});

Deno.test("record beside: a lost reply to a commit counts nothing twice", async () => {
  await server().seedList(DLQ, [object(1), object(2)]);
  await using engine = createBeside(server(), { settings: { brakeEnabled: false } });
  await engine.turn({ begin: "now" });
  await consumeAll(server(), (message) => message);
  engine.store.hooks.commitAndRead = async (commit, bounds, store) => {
    delete engine.store.hooks.commitAndRead;
    await store.commitAndRead(commit, bounds);
    throw new StoreError("lost", { code: "TIMEOUT", isCertain: false });
  };
  strictEqual((await engine.turn({ begin: "now" })).stoppedBy, "error");
  await engine.turn({ begin: "never" });
  ok(engine.lines.some(({ event }) => event === "commit_settled"));
  deepStrictEqual(await readCounts(server()), ["1::", "1::"]);
  strictEqual(await server().client().hget(STATE, "replayed"), "2");
});
