/** Jobs on a real Redis: every list before and after, byte for byte. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { MAX_JOBS } from "../../src/jobs/job_store.ts";
import { claimKey, jobKey, jobsKey, movesKey, trashKey } from "../../src/redis/keys.ts";
import {
  createEngine,
  DEAD,
  DLQ,
  eventText,
  eventTexts,
  idOf,
  replayedText,
  STATE,
  withoutInstants,
} from "../../testkit/engine.ts";
import { planJob, readJobLists, runJob, startJob } from "../../testkit/jobs.ts";
import { pushOf, shareRedis } from "../../testkit/redis.ts";

const server = shareRedis({ push: pushOf(import.meta) });

const TEXTS = eventTexts(250);
const PICKED = [0, 1, 57, 99, 100, 101, 248, 249].map((i) => TEXTS[i]!);
const REST = TEXTS.filter((text) => !PICKED.includes(text));

/** Ids in each list, oldest first. */
async function readIds(job: string): Promise<Record<string, string[]>> {
  const lists = await readJobLists(server(), job);
  return Object.fromEntries(Object.entries(lists).map(([name, found]) => [name, found.map(idOf)]));
}

for (
  const { verb, after, result } of [
    { verb: "purge", after: { trash: PICKED }, result: { trashed: 8 } },
    { verb: "redrive", after: { target: PICKED.map((text) => replayedText(text)) }, result: { replayed: 8 } },
    { verb: "bury", after: { dead: PICKED }, result: { dead: 8 } },
  ] as const
) {
  Deno.test(`job ${verb}: moves the picked messages in order, and leaves the others where they were`, async () => {
    await server().seedList(DLQ, TEXTS);
    await using engine = createEngine(server());
    const id = await startJob(engine, { verb, texts: PICKED });
    // Byte-equal to a picked message, but it has arrived after the plan.
    await server().seedList(DLQ, [PICKED[0]!]);
    await runJob(engine);
    const lists = await readJobLists(server(), id);
    deepStrictEqual(lists.dlq, [...REST, PICKED[0]!]);
    const [name, expected] = Object.entries(after)[0]!;
    deepStrictEqual(Object.keys(lists), ["dlq", name]);
    if (verb === "bury") deepStrictEqual(lists.dead!.map(idOf), expected.map(idOf));
    else deepStrictEqual(lists[name]!.map(withoutInstants), expected);
    if (verb === "bury") {
      const entries = await server().client().xrange(movesKey(DLQ), "-", "+");
      deepStrictEqual(JSON.parse(entries.at(-1)![1].at(-1)!).dead, { buried: 8 });
    }
    if (verb === "bury") ok(lists.dead!.every((text) => text.includes(`"reason": "buried"`)));
    const job = await engine.source.jobs.get(id), none = { replayed: 0, dead: 0, trashed: 0, returned: 0 };
    deepStrictEqual([job?.status, job?.startedBy], ["done", "bob"]);
    deepStrictEqual(job?.result, { swept: 250, picked: 8, ...none, ...result });
    ok(await server().client().pttl(trashKey(DLQ, id)) > 0 === (verb === "purge"));
    deepStrictEqual(await server().client().hmget(STATE, "job", "remaining"), ["", "0"]);
    strictEqual(await server().client().exists(claimKey(DLQ)), 0);
  });
}

Deno.test("job purge: takes messages out of a list that is long enough to be read ahead, beside what others pop and push", async () => {
  // Small ones are read by LRANGE; now and then there is a large one, and one that is too large to read.
  const texts = Array.from({ length: 7_000 }, (_, i) => {
    const size = i % 1_500 === 700 ? 2_000_000 : i % 400 === 390 ? 30_000 : i % 90;
    return eventText(i, `, "filler": "${"x".repeat(size)}"`);
  });
  const isPicked = (i: number) => i % 100 === 3 || i === 6_999, picked = texts.filter((_, i) => isPicked(i));
  await server().seedList(DLQ, texts);
  await using engine = createEngine(server(), { settings: { maxMessageBytes: 1_000_000 }, commandTimeoutMs: 10_000 });
  const id = await startJob(engine, { verb: "purge", texts: picked }),
    popped: string[] = [];
  await runJob(engine, async () => {
    // They pop from whatever the sweep has not passed yet.
    const { phase } = (await engine.source.replay.look()).record.job ?? {};
    if (phase === "sweep" && popped.length < 3) popped.push(...(await server().popList(DLQ)).map(String));
    await server().seedList(DLQ, ["later"]);
    return false;
  });
  const lists = await readJobLists(server(), id), gone = new Set(popped);
  deepStrictEqual(lists.trash?.map(idOf), picked.filter((text) => !gone.has(text)).map(idOf));
  const stays = texts.filter((text, i) => !isPicked(i) && !gone.has(text));
  deepStrictEqual(lists.dlq?.filter((text) => text !== "later").map(idOf), stays.map(idOf));
  strictEqual((await engine.source.jobs.get(id))?.status, "done");
});

Deno.test("job revive: cuts what the burial added, and replays the message as a new one", async () => {
  const texts = [eventText(1), eventText(2, `, "failed_at": "then"`), "not JSON", eventText(3)];
  await server().seedList(DLQ, texts);
  await using engine = createEngine(server());
  await startJob(engine, { verb: "bury", texts });
  await runJob(engine);
  const dead = await server().readTexts(DEAD);
  strictEqual(dead.length, 4);
  await server().client().hset(STATE, "scannedDepth", 0);
  const id = await startJob(engine, { verb: "revive", list: "dead", texts: dead.slice(0, 2) });
  await runJob(engine);
  const lists = await readJobLists(server(), id);
  deepStrictEqual(lists.target!.map(withoutInstants), texts.slice(0, 2).map((text) => replayedText(text)));
  deepStrictEqual(lists.dead, dead.slice(2));
  deepStrictEqual(Object.keys(lists), ["target", "dead"]);
});

for (const when of ["sweep", "restore", "act"] as const) {
  Deno.test(`job: puts everything back in order when it is cancelled during ${when}`, async () => {
    // At most one message a turn leaves the job's own list.
    await server().seedList(DLQ, TEXTS);
    await using engine = createEngine(server(), { settings: { chunkMessages: 1, maxPerSecond: 2 } });
    const id = await startJob(engine, { verb: "redrive", texts: PICKED });
    const { jobs, replay } = engine.source;
    const isThere = async () => (await replay.look()).record.job?.phase === when;
    // Each turn finishes its phase, as these are short.
    await runJob(engine, isThere);
    if (when === "act") await runJob(engine, async () => (await replay.look()).record.job!.replayed > 0);
    ok(await jobs.request(id, "pause"));
    strictEqual((await jobs.get(id))?.status, "paused");
    const before = await readJobLists(server(), id);
    const { signal } = new AbortController();
    for (let i = 0; i < 3; i++) await engine.source.turns.runOnce({ begin: "now", signal });
    deepStrictEqual(await readJobLists(server(), id), before);
    ok(await jobs.request(id, "cancel"));
    strictEqual(await jobs.request(id, "cancel"), false);
    await runJob(engine);
    const lists = await readIds(id), replayed = lists.target ?? [];
    strictEqual((await jobs.get(id))?.status, "cancelled");
    ok(when === "act" ? replayed.length > 0 && replayed.length < 8 : replayed.length === 0);
    const isSwept = when !== "sweep";
    deepStrictEqual(
      await server().readTexts(DLQ),
      isSwept ? [...PICKED.slice(replayed.length), ...REST] : TEXTS,
    );
  });
}

Deno.test("job: goes on where it was when it is resumed", async () => {
  await server().seedList(DLQ, TEXTS);
  await using engine = createEngine(server());
  const id = await startJob(engine, { verb: "purge", texts: PICKED });
  ok(await engine.source.jobs.request(id, "pause"));
  ok(await engine.source.jobs.request(id, "resume"));
  await runJob(engine);
  deepStrictEqual(await readJobLists(server(), id), { dlq: REST, trash: PICKED });
});

Deno.test("job: holds automatic replay, which goes on when it has ended", async () => {
  await server().seedList(DLQ, TEXTS);
  await using engine = createEngine(server());
  const id = await startJob(engine, { verb: "purge", texts: PICKED });
  strictEqual((await engine.turn({ begin: "now" })).stoppedBy, "job");
  const { closed } = await engine.source.board.ask();
  deepStrictEqual(closed.map(({ name, detail }) => [name, detail]), [
    ["job", "a job of bob (purge, 8 messages) is running"],
  ]);
  deepStrictEqual(await readIds(id), { dlq: TEXTS.map(idOf) });
  await runJob(engine);
  strictEqual((await engine.turn({ begin: "now" })).replayed, 242);
});

Deno.test("job: starts once, alone, and before its plan expires", async () => {
  await server().seedList(DLQ, TEXTS);
  await using engine = createEngine(server());
  const [first, second] = [
    await planJob(engine, { verb: "purge", texts: PICKED }),
    await planJob(engine, { verb: "bury", texts: PICKED }),
  ];
  const { jobs } = engine.source;
  // Both may have been planned in one millisecond.
  const planned = (await jobs.list()).map(({ id, status }) => `${id} ${status}`);
  deepStrictEqual(planned.toSorted(), [first, second].map((id) => `${id} planned`).toSorted());
  deepStrictEqual(
    (await Promise.all([first, first, second].map((id) => jobs.start(id, { by: "bob" })))).toSorted(),
    ["busy", "ok", "started"],
  );
  strictEqual(await jobs.start("none", { by: "bob" }), "missing");
  const [expires, running] = await Promise.all(
    [second, first].map((id) => server().client().pttl(`${STATE}:jobs:${id}`)),
  );
  ok(expires! > 0 && expires! <= 3_600_000);
  strictEqual(running, -1);
});

Deno.test("job: gives up and puts everything back when its selection cannot be read", async () => {
  await server().seedList(DLQ, TEXTS);
  await using engine = createEngine(server());
  const id = await startJob(engine, { verb: "purge", texts: PICKED });
  await server().client().del(`${STATE}:jobs:${id}`);
  await runJob(engine);
  deepStrictEqual(await readJobLists(server(), id), { dlq: TEXTS });
  const [status, result] = await server().client().hmget(`${STATE}:jobs:${id}`, "status", "result");
  strictEqual(status, "failed");
  strictEqual(JSON.parse(result!).returned, JSON.parse(result!).picked);
});

Deno.test("job: shelves what is too large to read, and never picks it", async () => {
  const large = eventText("large", `, "padding": "${"x".repeat(20_000)}"`);
  const texts = [TEXTS[0]!, large, TEXTS[1]!, large, large];
  await server().seedList(DLQ, texts);
  await using engine = createEngine(server(), { settings: { maxMessageBytes: 4_096 } });
  const id = await startJob(engine, { verb: "purge", texts });
  await runJob(engine);
  deepStrictEqual(await readJobLists(server(), id), { dlq: [large, large, large], trash: TEXTS.slice(0, 2) });
});

Deno.test("job bury: puts everything back when a picked message is larger than a limit that was lowered since", async () => {
  const large = eventText("large", `, "padding": "${"x".repeat(20_000)}"`), texts = [TEXTS[0]!, large, TEXTS[1]!];
  await server().seedList(DLQ, texts);
  let id: string;
  {
    await using engine = createEngine(server());
    id = await startJob(engine, { verb: "bury", texts: [large] });
    await runJob(engine, async () => (await engine.source.replay.look()).record.job?.phase === "act");
  }
  await using engine = createEngine(server(), { settings: { maxMessageBytes: 4_096 } });
  await runJob(engine);
  deepStrictEqual(await readJobLists(server(), id), { dlq: [large, TEXTS[0], TEXTS[1]] });
  strictEqual((await engine.source.jobs.get(id))?.status, "cancelled");
});

Deno.test("job: ends at the plan's newest message when others pop and push meanwhile", async () => {
  await server().seedList(DLQ, TEXTS);
  await using engine = createEngine(server());
  const id = await planJob(engine, { verb: "purge", texts: PICKED });
  // Before the start and after it; what is pushed is equal to what the job picks.
  await server().popList(DLQ, 5);
  await server().seedList(DLQ, PICKED);
  strictEqual(await engine.source.jobs.start(id, { by: "bob" }), "ok");
  await server().popList(DLQ, 5);
  await server().seedList(DLQ, PICKED);
  await runJob(engine);
  const taken = TEXTS.slice(0, 10);
  deepStrictEqual(await readJobLists(server(), id), {
    dlq: [...REST.filter((text) => !taken.includes(text)), ...PICKED, ...PICKED],
    trash: PICKED.filter((text) => !taken.includes(text)),
  });
});

Deno.test("job: what it leaves behind can be put back with the commands of docs/redis.md", async () => {
  // Few, because the commands start two processes for each message.
  const texts = TEXTS.slice(0, 12), picked = [texts[0]!, texts[5]!, texts[11]!];
  const rest = texts.filter((text) => !picked.includes(text));
  await server().seedList(DLQ, texts);
  await using engine = createEngine(server());
  const id = await startJob(engine, { verb: "purge", texts: picked });
  await runJob(engine, async () => (await engine.source.replay.look()).record.job?.phase === "restore");
  const page = await Deno.readTextFile(new URL("../../docs/redis.md", import.meta.url));
  const [, script] = /### Put back what a job has left.*?```sh\n(.*?)```/s.exec(page)!;
  const back = server().push === "LPUSH" ? "RPUSH" : "LPUSH";
  const shell = `D=${DLQ} PUSH=${back}; redis-cli() { command redis-cli -p ${server().port} "$@"; }; ${script}`;
  const { code } = await new Deno.Command("bash", { args: ["-ec", shell], stdout: "null" }).output();
  strictEqual(code, 0);
  deepStrictEqual(await readJobLists(server(), id), { dlq: [...picked, ...rest] });
  // Another job may start at once.
  await startJob(engine, { verb: "purge", texts: [] });
  await runJob(engine);
  strictEqual((await engine.turn({ begin: "now" })).replayed, 12);
});

const edits: [what: string, phase: "sweep" | "act", fields: Record<string, string>, status: string][] = [
  ["an unknown phase while it sweeps", "sweep", { jobPhase: "?" }, "cancelled"],
  ["an unknown phase of a job that is cancelled", "sweep", { jobPhase: "?", jobCancelled: "1" }, "cancelled"],
  ["an unknown phase while it acts", "act", { jobPhase: "" }, "cancelled"],
  ["an unknown verb", "sweep", { jobVerb: "?" }, "cancelled"],
  ["nothing left to sweep", "sweep", { jobLeft: "x" }, "done"],
  ["no picked messages although there are some", "sweep", { jobPicked: "-1", jobCancelled: "yes" }, "done"],
  ["a cancellation without its phase", "act", { jobVerb: "undo", jobCancelled: "1" }, "cancelled"],
];

for (const [what, phase, fields, status] of edits) {
  Deno.test(`job: ends, and keeps every message, when another client has written ${what}`, async () => {
    await server().seedList(DLQ, TEXTS);
    await using engine = createEngine(server());
    const id = await startJob(engine, { verb: "redrive", texts: PICKED });
    if (phase === "act") {
      await runJob(engine, async () => (await engine.source.replay.look()).record.job?.phase === phase);
    }
    await server().client().hset(STATE, fields);
    await runJob(engine);
    strictEqual((await engine.source.jobs.get(id))?.status, status);
    const found = Object.values(await readIds(id)).flat();
    deepStrictEqual(found.toSorted(), TEXTS.map(idOf).toSorted());
  });
}

Deno.test("job: one that cannot move waits longer and longer, and says so", async () => {
  await server().seedList(DLQ, TEXTS);
  await using engine = createEngine(server());
  const id = await startJob(engine, { verb: "redrive", texts: PICKED });
  await runJob(engine, async () => (await engine.source.replay.look()).record.job?.phase === "act");
  await server().client().hset(STATE, { jobPicked: "0" });
  const { signal } = new AbortController(), pauses: number[] = [];
  for (let i = 0; i < 12; i++) pauses.push((await engine.source.turns.runOnce({ begin: "never", signal })).nextInMs);
  deepStrictEqual(pauses, [20, 40, 80, 160, 320, 640, 1_280, 2_560, 5_120, 10_240, 20_480, 30_000]);
  strictEqual(engine.lines.filter(({ event }) => event === "job_stuck").length, 1);
  ok(await engine.source.jobs.request(id, "cancel"));
  await runJob(engine);
  deepStrictEqual((await readIds(id)).dlq!.length, TEXTS.length);
});

Deno.test("jobs: a claim of a job that the source has lost does not hold the next one; that of another source does", async () => {
  await server().seedList(DLQ, TEXTS);
  await using engine = createEngine(server());
  await startJob(engine, { verb: "purge", texts: PICKED });
  await server().client().del(STATE);
  const id = await startJob(engine, { verb: "purge", texts: PICKED });
  await runJob(engine);
  deepStrictEqual(Object.keys(await readIds(id)), ["dlq", "trash"]);
  await server().client().set(claimKey(DLQ), `${id} mutt:remediation:{another}:state`);
  const next = await planJob(engine, { verb: "purge", texts: REST.slice(0, 1) });
  strictEqual(await engine.source.jobs.start(next, { by: "bob" }), "busy");
});

Deno.test("JobStore.prune: removes the oldest ended jobs, and none whose state another version has written", async () => {
  await using engine = createEngine(server());
  const client = server().client(), { jobs } = engine.source;
  const ids = Array.from({ length: MAX_JOBS }, (_, i) => `old-${i}`);
  const newer = {
    "newer-verb": { status: "done", verb: "teleport" },
    "newer-state": { status: "dreaming", verb: "bury" },
  };
  for (const [i, id] of [...Object.keys(newer), ...ids].entries()) await client.zadd(jobsKey(DLQ), i, id);
  for (const [id, fields] of Object.entries(newer)) await client.hset(jobKey(DLQ, id), fields);
  for (const id of ids) await client.hset(jobKey(DLQ, id), { status: "done", verb: "bury" });
  await client.hset(jobKey(DLQ, "old-0"), { status: "running" });
  await client.zadd(jobsKey(DLQ), 1_000, "expired");
  const id = await planJob(engine, { verb: "purge", texts: [] });
  const kept = ["newer-state", "old-0", ...ids.slice(2), id];
  deepStrictEqual(await client.zrange(jobsKey(DLQ), 0, "-1"), kept);
  deepStrictEqual((await client.keys(`${jobsKey(DLQ)}:*`)).toSorted(), kept.map((one) => jobKey(DLQ, one)).toSorted());
  await jobs.prune();
  deepStrictEqual(await client.zrange(jobsKey(DLQ), 0, "-1"), kept);
});
