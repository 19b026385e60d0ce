/** Drills on a real Redis: where marked and real messages are before, during and after, and what the report says. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Buffer } from "node:buffer";
import { toStoreError } from "../../src/redis/errors.ts";
import { drillKey, drillListKey } from "../../src/redis/keys.ts";
import {
  createEngine,
  DEAD,
  DLQ,
  type Engine,
  eventTexts,
  idOf,
  readLists,
  STATE,
  TARGET,
} from "../../testkit/engine.ts";
import {
  clientOf,
  drillKeysLeft,
  drive,
  endOutage,
  findMarked,
  hasReport,
  readReports,
  startDrill,
} from "../../testkit/drills.ts";
import { planJob, runJob, startJob } from "../../testkit/jobs.ts";
import { pushOf, shareRedis } from "../../testkit/redis.ts";
import { PATIENT_MS } from "../../testkit/wait.ts";

const server = shareRedis({ push: pushOf(import.meta) });

const REAL = eventTexts(30);
const ALL = Array.from({ length: 25 }, (_, i) => i + 1);

/** Cycles follow each other at once. */
const SOON = { settings: { intervalMs: 1, consumerLagMs: 0 } } as const;

/** The drilled messages in the metrics, by result. */
async function drilledOf({ metrics }: Engine): Promise<Record<string, number>> {
  const { values } = await metrics.drillMessages.get();
  return Object.fromEntries(values.map(({ value, labels }) => [String(labels.result), value]));
}

Deno.test("drill: holds the gate, moves its messages to its list and the real ones to the target, and is gone", async () => {
  await server().seedList(DLQ, REAL);
  await using engine = createEngine(server(), SOON);
  const id = await startDrill(engine);
  await drive(engine, async () => (await findMarked(server(), id)).dlq?.length === 25, "all are in the DLQ");
  const held = await engine.turn();
  deepStrictEqual([held.stoppedBy, held.replayed], ["downstream", 0]);
  strictEqual((await readLists(server())).target.length, 0);
  const gate = engine.source.board.last().closed.find(({ name }) => name === "downstream");
  strictEqual(gate?.reason, "drill");

  await engine.source.driller.runOnce();
  await endOutage(server());
  await drive(engine, () => hasReport(server(), id), "the drill is over");

  const { dlq, target, dead } = await readLists(server());
  deepStrictEqual([dlq, dead], [[], []]);
  deepStrictEqual(target.map(idOf), REAL.map(idOf));
  deepStrictEqual(await findMarked(server(), id), {});
  deepStrictEqual(await drillKeysLeft(server()), []);
  const [report] = await readReports(server());
  const { outcome, seeded, arrived, lost, doubled, left, returned, notices, by } = report!;
  deepStrictEqual({ outcome, seeded, arrived, lost, doubled, left, returned, notices, by }, {
    ...{ outcome: "healed", seeded: 25, arrived: 25, lost: 0, doubled: 0, left: 0, returned: 0, notices: null },
    by: "ann",
  });
  ok(typeof report!.noticeMs === "number", "the outage was noticed");
  ok(typeof report!.healMs === "number", "it has healed");
  // Counted apart.
  strictEqual((await engine.moved()).replayed, 30);
  deepStrictEqual(await drilledOf(engine), { kept: 25, sent: 0 });
  deepStrictEqual(await clientOf(server()).hmget(STATE, "replayedTotal", "drill", "job"), ["30", "", null]);
  deepStrictEqual(engine.source.board.outagesSince(0), [], "a drill's outage excuses nothing");
  const note = engine.notes.find(({ kind }) => kind === "drill");
  ok(note?.kind === "drill" && /25 of 25 messages arrived, 0 lost, 0 doubled/.test(note.detail), JSON.stringify(note));
});

Deno.test("drill: with the real target, each message reaches it once, with a stamp", async () => {
  await server().seedList(DLQ, REAL);
  await using engine = createEngine(server(), SOON);
  const id = await startDrill(engine, { target: "real" });
  await drive(engine, async () => (await findMarked(server(), id)).dlq?.length === 25, "all are in the DLQ");
  await endOutage(server());
  await drive(engine, () => hasReport(server(), id), "the drill is over");
  deepStrictEqual(await findMarked(server(), id), { target: ALL });
  const marked = (await server().readTexts(TARGET)).filter((text) => text.includes(id));
  ok(marked.every((text) => text.includes('"_remediation":') && !text.includes("_retry_count")), marked[0]);
  const [{ arrived, lost, doubled, outcome } = {}] = await readReports(server());
  deepStrictEqual({ arrived, lost, doubled, outcome }, { arrived: 25, lost: 0, doubled: 0, outcome: "healed" });
  strictEqual((await engine.moved()).replayed, 30);
  deepStrictEqual(await drilledOf(engine), { kept: 0, sent: 25 });
  // A message that comes back is a leftover now.
  await server().seedList(DLQ, [marked[0]!]);
  await drive(engine, async () => await clientOf(server()).llen(DLQ) === 0, "it has left the DLQ");
  deepStrictEqual((await findMarked(server(), id)).kept?.length, 1);
  strictEqual((await findMarked(server(), id)).target?.length, 25);
});

Deno.test("drill: a message that another client takes is lost, one that it copies is doubled, and the report says so", async () => {
  await using engine = createEngine(server(), SOON);
  const client = clientOf(server()), id = await startDrill(engine, { healMs: 3_600_000 });
  await drive(engine, async () => (await findMarked(server(), id)).dlq?.length === 25, "all are in the DLQ");
  await server().popList(DLQ);
  await server().seedList(DLQ, [(await client.lindex(DLQ, 3))!]);
  await endOutage(server());
  await drive(engine, async () => await client.llen(DLQ) === 0, "all have left the DLQ");
  await client.hset(`${STATE}:drill`, { healUntilMs: 1 });
  await drive(engine, () => hasReport(server(), id), "the drill is over");
  const [{ arrived, lost, doubled, left, outcome } = {}] = await readReports(server());
  deepStrictEqual({ arrived, lost, doubled, left, outcome }, {
    ...{ arrived: 24, lost: 1, doubled: 1, left: 0, outcome: "timed_out" },
  });
  deepStrictEqual(await drillKeysLeft(server()), []);
});

Deno.test("drill: a marked message without a running drill goes to the list of drills, which expires", async () => {
  const id = "d_0123456789abcdef",
    text = (number: number) => `{"message": "m", "_remediation_drill": "${id}/${number}"}`;
  await server().seedList(DLQ, [text(1), ...REAL, text(2)]);
  await using engine = createEngine(server(), SOON);
  await drive(engine, async () => await clientOf(server()).llen(DLQ) === 0, "the DLQ is empty");
  deepStrictEqual(await findMarked(server(), id), { kept: [1, 2] });
  strictEqual((await readLists(server())).target.length, 30);
  await engine.source.driller.runOnce();
  await using next = createEngine(server(), SOON);
  await drive(next, async () => await clientOf(server()).pttl(drillListKey(DLQ)) > 0, "the list expires");
});

/** Two instances, of which the second takes over when the lease of the first is over. */
const LEADING = { settings: { ...SOON.settings, leaderElection: true, leaseMs: 1_000 } } as const;
const BOTH = Array.from({ length: 250 }, (_, i) => i + 1);

interface Kill {
  readonly of: string;
  /** Brings the drill to where the first instance is killed. */
  readonly reach: (first: Engine, id: string) => Promise<void>;
}

const phaseOf = async () => await clientOf(server()).hget(drillKey(DLQ), "phase");
const kept = async () => await clientOf(server()).llen(drillListKey(DLQ)) - 1;

const KILLS: readonly Kill[] = [
  { of: "it has started", reach: () => Promise.resolve() },
  {
    of: "a part of its messages is pushed",
    reach: async (first, id) => {
      const messages = BOTH.slice(0, 200).map((number) => Buffer.from(`{"_remediation_drill": "${id}/${number}"}`));
      strictEqual(await first.source.drills.seed({ id, offset: 0, messages }), "ok");
      strictEqual(await first.source.drills.seed({ id, offset: 0, messages }), "stale", "pushed once");
    },
  },
  {
    of: "the gate is held",
    reach: (first, id) =>
      drive(first, async () => (await findMarked(server(), id)).dlq?.length === 250, "all are pushed"),
  },
  {
    of: "some have arrived",
    reach: async (first, id) => {
      await drive(first, async () => (await findMarked(server(), id)).dlq?.length === 250, "all are pushed");
      await endOutage(server());
      first.beforeCommit((number) => {
        if (number > 7) throw new Error("killed");
      });
      await drive(first, async () => await kept() >= 20, "some have arrived");
    },
  },
  {
    of: "a commit of its messages has run, and no reply has come",
    reach: async (first, id) => {
      await drive(first, async () => (await findMarked(server(), id)).dlq?.length === 250, "all are pushed");
      await endOutage(server());
      first.store.hooks.commitAndRead = async (commit, _bounds, store) => {
        await store.commitAndRead(commit, null);
        if (commit.drill) throw toStoreError(new Error("Connection is closed."));
        return { result: "ok", next: Promise.resolve(null) };
      };
      await drive(first, async () => await kept() >= 10, "a commit has run");
    },
  },
  {
    of: "its outcome is decided",
    reach: async (first, id) => {
      await drive(first, async () => (await findMarked(server(), id)).dlq?.length === 250, "all are pushed");
      await endOutage(server());
      await drive(first, async () => await phaseOf() === "cleaning", "it is cleaned up");
    },
  },
];

for (const { of, reach } of KILLS) {
  Deno.test(`drill: the next leader ends it, and it is gone, when its leader is killed after ${of}`, async () => {
    await server().seedList(DLQ, REAL);
    const first = createEngine(server(), { ...LEADING, name: "first" });
    await first.connections.waitUntilReady(PATIENT_MS);
    await first.source.leadership.take();
    const id = await startDrill(first, { messages: 250 });
    await reach(first, id);
    await first.kill();
    await using second = createEngine(server(), { ...LEADING, name: "second" });
    if (await phaseOf() === "holding") {
      await drive(
        second,
        async () => await clientOf(server()).hget(drillKey(DLQ), "seeded") === "250",
        "all are pushed",
      );
      await endOutage(server());
    }
    await drive(second, () => hasReport(server(), id), "the drill is over");
    deepStrictEqual(await findMarked(server(), id), {});
    deepStrictEqual(await drillKeysLeft(server()), []);
    const [{ outcome, arrived, lost, doubled, left } = {}] = await readReports(server());
    deepStrictEqual({ outcome, arrived, lost, doubled, left }, {
      ...{ outcome: "healed", arrived: 250, lost: 0, doubled: 0, left: 0 },
    });
    await drive(second, async () => await clientOf(server()).llen(DLQ) === 0, "the DLQ is empty");
    deepStrictEqual((await readLists(server())).target.map(idOf).toSorted(), REAL.map(idOf).toSorted());
    strictEqual(await clientOf(server()).hget(STATE, "replayedTotal"), "30");
  });
}

Deno.test("drill: a commit for the real target that was decided on before the drill was cancelled moves nothing", async () => {
  await using engine = createEngine(server(), SOON);
  const id = await startDrill(engine, { target: "real" });
  await drive(engine, async () => (await findMarked(server(), id)).dlq?.length === 25, "all are in the DLQ");
  await endOutage(server());
  let isCancelled = false;
  engine.beforeCommit(async (_, { drill }) => {
    if (isCancelled || drill !== "target") return;
    isCancelled = true;
    const fields = { outcome: "cancelled", decidedAtMs: 2 };
    strictEqual(await engine.source.drills.advance({ id, from: ["healing", "holding"], to: "cleaning", fields }), "ok");
  });
  await drive(engine, () => hasReport(server(), id), "the drill is over");
  ok(isCancelled, "a commit for the target was decided on");
  strictEqual((await readLists(server())).target.length, 0);
  const [{ outcome, arrived, lost, doubled } = {}] = await readReports(server());
  deepStrictEqual({ outcome, arrived, lost, doubled }, { outcome: "cancelled", arrived: 0, lost: 0, doubled: 0 });
});

Deno.test("drill: beside a job it does not start, nor a job beside it; after its end, a redrive and a bury divert leftovers", async () => {
  await using engine = createEngine(server(), SOON);
  const client = clientOf(server()), texts = eventTexts(4);
  await server().seedList(DLQ, texts);
  const job = await startJob(engine, { verb: "bury", texts: texts.slice(0, 1) });
  const wanted = { id: "d_00000000000000aa", target: "mock", gate: "depth", holdMs: 1, healMs: 1, fields: {} } as const;
  strictEqual(await engine.source.drills.start(wanted), "job");
  await runJob(engine);
  const id = await startDrill(engine);
  strictEqual(await engine.source.drills.start(wanted), "busy");
  const planned = await planJob(engine, { verb: "redrive", texts: texts.slice(1, 2) });
  strictEqual(await engine.source.jobs.start(planned, { by: "bob" }), "drill");
  strictEqual(await engine.source.drills.advance({ id, from: ["holding"], to: "cleaning", fields: {} }), "ok");
  await drive(engine, () => hasReport(server(), id), "the drill is over");
  ok(job !== planned);
  await drive(engine, async () => await client.llen(DLQ) === 0, "the DLQ is empty");

  const marked = [1, 2].map((number) => `{"message": "m", "_remediation_drill": "${id}/${number}"}`);
  await server().seedList(DLQ, [...texts.slice(2), ...marked]);
  await client.del(TARGET, DEAD);
  await startJob(engine, { verb: "redrive", texts: [texts[2]!, marked[0]!] });
  await runJob(engine);
  await startJob(engine, { verb: "bury", texts: [texts[3]!, marked[1]!] });
  await runJob(engine);
  deepStrictEqual(await findMarked(server(), id), { kept: [1, 2] });
  const { target, dead, dlq } = await readLists(server());
  deepStrictEqual([target.map(idOf), dead.map(idOf), dlq], [[idOf(texts[2]!)], [idOf(texts[3]!)], []]);
});

Deno.test("drill: what replay has not come to within an hour is named in the report, and never reaches the target", async () => {
  await using engine = createEngine(server(), SOON);
  const id = await startDrill(engine, { target: "real" });
  await drive(engine, async () => (await findMarked(server(), id)).dlq?.length === 25, "all are in the DLQ");
  await engine.source.control.pause({ forMs: 60_000, by: "ann", reason: "test" });
  // Decided long ago by the server's clock.
  const cancelled = {
    id,
    from: ["holding"],
    to: "cleaning",
    fields: { outcome: "cancelled", decidedAtMs: 1 },
  } as const;
  strictEqual(await engine.source.drills.advance(cancelled), "ok");
  await drive(engine, () => hasReport(server(), id), "the drill is over");
  const [{ outcome, arrived, lost, doubled, left } = {}] = await readReports(server());
  deepStrictEqual({ outcome, arrived, lost, doubled, left }, {
    ...{ outcome: "cancelled", arrived: 0, lost: 0, doubled: 0, left: 25 },
  });
  deepStrictEqual(await findMarked(server(), id), { dlq: ALL });
  await engine.source.control.resume();
  await drive(engine, async () => await clientOf(server()).llen(DLQ) === 0, "the DLQ is empty");
  deepStrictEqual(await findMarked(server(), id), { kept: ALL });
});

Deno.test("drill: one whose hash is lost ends, and holds neither a gate nor a job", async () => {
  await using engine = createEngine(server(), SOON);
  const lost = await startDrill(engine), client = clientOf(server());
  await drive(engine, async () => (await findMarked(server(), lost)).dlq?.length === 25, "all are in the DLQ");
  await client.del(drillKey(DLQ));
  await drive(engine, async () => await client.hget(STATE, "drill") === "", "the drill is forgotten");
  const note = engine.notes.find(({ kind }) => kind === "drill");
  ok(note?.kind === "drill" && note.drill === lost && note.state === "lost", JSON.stringify(note));
  await drive(engine, async () => await client.llen(DLQ) === 0, "the DLQ is empty");
  deepStrictEqual(await findMarked(server(), lost), { kept: ALL });
  ok(await client.pttl(drillListKey(DLQ)) > 0);

  // Nor does what another client has written there, and the next drill need not wait for the leader.
  await client.hset(STATE, { drill: "nonsense" });
  const id = await startDrill(engine);
  await endOutage(server());
  await drive(engine, () => hasReport(server(), id), "the next drill is over");
  await client.hset(STATE, { drill: "nonsense" });
  const texts = eventTexts(1);
  await server().seedList(DLQ, texts);
  const planned = await planJob(engine, { verb: "redrive", texts });
  await using next = createEngine(server(), SOON);
  await drive(next, async () => await client.hget(STATE, "drill") === "", "the nonsense is gone");
  strictEqual(await next.source.jobs.start(planned, { by: "bob" }), "ok");
});

Deno.test("drill: is not noticed while its gate is closed for a reason of its own", async () => {
  await server().seedList(TARGET, eventTexts(3));
  await using engine = createEngine(server(), { settings: { ...SOON.settings, targetMaxDepth: 1 } });
  await engine.connections.waitUntilReady(PATIENT_MS);
  await engine.turn();
  const id = await startDrill(engine, { gate: "depth" }), client = clientOf(server());
  await drive(engine, async () => (await findMarked(server(), id)).dlq?.length === 25, "all are in the DLQ");
  strictEqual(engine.source.board.last().closed.find(({ name }) => name === "depth")?.reason, "over_limit");
  await engine.source.driller.runOnce();
  strictEqual(await client.hget(drillKey(DLQ), "noticedAtMs"), null);

  const beforeMs = Date.now();
  await client.del(TARGET);
  await drive(engine, async () => await client.hexists(drillKey(DLQ), "noticedAtMs") === 1, "it is noticed");
  const noticedAtMs = Number(await client.hget(drillKey(DLQ), "noticedAtMs"));
  ok(noticedAtMs >= beforeMs, `${noticedAtMs} is not before ${beforeMs}`);
});

Deno.test("drill: a source in trouble picks its messages apart from real ones, and its brake stays as it is", async () => {
  await clientOf(server()).hset(STATE, { suspect: "1", allowance: "2", brakeReason: "returns" });
  await server().seedList(DLQ, REAL);
  await using engine = createEngine(server(), SOON);
  const id = await startDrill(engine);
  await drive(engine, async () => (await findMarked(server(), id)).dlq?.length === 25, "all are in the DLQ");
  await endOutage(server());
  await drive(engine, () => hasReport(server(), id), "the drill is over");
  const [{ outcome, arrived, lost, doubled } = {}] = await readReports(server());
  deepStrictEqual({ outcome, arrived, lost, doubled }, { outcome: "healed", arrived: 25, lost: 0, doubled: 0 });
  deepStrictEqual(await findMarked(server(), id), {});
  const targets = (await readLists(server())).target.map(idOf);
  strictEqual(new Set(targets).size, targets.length);
  ok(targets.every((one) => REAL.map(idOf).includes(one)));
  const tallies = (await clientOf(server()).hget(STATE, "tallies"))!.split(",").filter(Boolean);
  const replayed = tallies.reduce((sum, tally) => sum + Number(tally.split(":")[1]), 0);
  ok(replayed <= targets.length, `only real messages are evidence: ${replayed} of ${targets.length}`);
});
