/** The operations of drills over an engine: plan, start, look, cancel; what they refuse, and what they leave in the audit. */
import { Ajv2020 } from "ajv/dist/2020.js";
import assert from "node:assert/strict";
import type { NewEntry } from "../../src/journal/entries.ts";
import type { OperatorContext } from "../../src/operations/context.ts";
import { drill } from "../../src/operations/drill.ts";
import { drills } from "../../src/operations/drills.ts";
import { drillsCancel } from "../../src/operations/drills_cancel.ts";
import { drillsShow } from "../../src/operations/drills_show.ts";
import { edit } from "../../src/operations/edit.ts";
import { show } from "../../src/operations/show.ts";
import { checkInput } from "../../src/operations/input.ts";
import { type Operation, OperationError } from "../../src/operations/operation.ts";
import { messageId } from "../../src/message/message_id.ts";
import { drillKey } from "../../src/redis/keys.ts";
import { clientOf, drive, endOutage, hasReport } from "../../testkit/drills.ts";
import { createEngine, DLQ, type Engine, eventText } from "../../testkit/engine.ts";
import { operatorContext } from "../../testkit/operator_context.ts";
import { shareRedis } from "../../testkit/redis.ts";
import { PATIENT_MS } from "../../testkit/wait.ts";

const server = shareRedis();
const ajv = new Ajv2020({ strict: true, allowUnionTypes: true });
const source = "alerter", reason = "weekly drill", SOON = { settings: { intervalMs: 1, consumerLagMs: 0 } };

/** Runs an operation as its callers do: its input is checked before, and what it returns after. */
async function run<Input, Output>(
  engine: Engine,
  operation: Operation<OperatorContext, Input, Output>,
  input: Input,
  audit: NewEntry[] = [],
): Promise<Output> {
  await engine.connections.waitUntilReady(PATIENT_MS);
  const checked = checkInput<Input>(operation.input, input), fits = ajv.compile(operation.output);
  const output = await operation.run(operatorContext(engine, { audit }), checked);
  assert.ok(fits(JSON.parse(JSON.stringify(output))), JSON.stringify({ errors: fits.errors, output }, null, 1));
  return output;
}

async function refused(asking: Promise<unknown>): Promise<OperationError> {
  const error: unknown = await asking.then(() => null, (error) => error);
  assert.ok(error instanceof OperationError, String(error));
  return error;
}

Deno.test("drill: without confirm it says what it would do, and changes nothing", async () => {
  await using engine = createEngine(server(), SOON);
  const audit: NewEntry[] = [];
  const { plan, drill: started } = await run(engine, drill, { source, reason, outageSeconds: 90 }, audit);
  assert.equal(started, null);
  assert.deepEqual([plan.messages, plan.outageSeconds, plan.gate, plan.target], [100, 90, "downstream", "mock"]);
  assert.match(plan.does.join("\n"), /held closed for 90 s\. Real messages of alerter wait/);
  assert.match(plan.does.join("\n"), /None reaches mutt:ingest_queue/);
  const real = await run(engine, drill, { source, reason, target: "real" });
  assert.match(real.plan.does.join("\n"), /to the real target mutt:ingest_queue.*the consumer gets them/);
  assert.equal(await clientOf(server()).exists(drillKey(DLQ)), 0);
  assert.deepEqual(audit, []);
});

Deno.test("drill: by default it pushes no more than a batch, and its plan says how many cycles more would take", async () => {
  await server().seedList(DLQ, [1, 2, 3].map((id) => eventText(id)));
  await using engine = createEngine(server(), { settings: { ...SOON.settings, intervalMs: 300_000, batchSize: 10 } });
  await engine.connections.waitUntilReady(PATIENT_MS);
  await engine.source.replay.look();
  const { plan } = await run(engine, drill, { source, reason });
  assert.equal(plan.messages, 10);
  assert.match(plan.does.join("\n"), /3 are in the DLQ now, so it may take 2 cycles, or 10 min/);
  assert.match(plan.does.join("\n"), /The drill gives up 30 min after the outage\.\n/);
  const { plan: long } = await run(engine, drill, { source, reason, messages: 100 });
  assert.match(
    long.does.join("\n"),
    /11 cycles, or 55 min[^]*gives up 30 min after the outage\. That may be too early/,
  );
});

Deno.test("drill: its plan, asked of a standby, does not call the source held because another instance leads", async () => {
  const settings = { ...SOON.settings, leaderElection: true };
  await using leader = createEngine(server(), { settings });
  await using standby = createEngine(server(), { settings });
  for (const engine of [leader, standby]) {
    await engine.connections.waitUntilReady(PATIENT_MS);
    await engine.source.leadership.take();
    await engine.turn();
  }
  assert.deepEqual(standby.source.board.last().closed.map(({ reason }) => reason), ["standby"]);
  assert.deepEqual((await run(standby, drill, { source, reason })).plan.heldBy, []);
});

Deno.test("drills_show: says what has arrived at the real target, also while the drill is cleaned up", async () => {
  await using engine = createEngine(server(), SOON);
  const wanted = { source, reason, messages: 5, target: "real", confirm: true } as const;
  const { id } = (await run(engine, drill, wanted)).drill!, client = clientOf(server());
  await drive(engine, async () => await client.llen(DLQ) === 5, "all are in the DLQ");
  await endOutage(server());
  await drive(engine, async () => await client.hget(drillKey(DLQ), "phase") === "cleaning", "it is cleaned up");
  const { drill: shown } = await run(engine, drillsShow, { source, id });
  assert.deepEqual([shown.status, shown.arrived], ["cleaning", 5]);
});

Deno.test("drill: names every problem of its input at once", async () => {
  await using engine = createEngine(server(), { settings: { ...SOON.settings, consumerGate: "off" } });
  for (const input of [{ messages: 0 }, { messages: 10_001 }, { outageSeconds: 9 }, { outageSeconds: 3_601 }]) {
    const [[field]] = Object.entries(input) as [[string, number]];
    const { code, problems } = await refused(run(engine, drill, { source, reason, ...input }));
    assert.deepEqual([code, problems.map((one) => one.field)], ["invalid", [field]]);
  }
  const { message } = await refused(run(engine, drill, { source, reason, target: "real", messages: 1_001 }));
  assert.equal(message, "messages 1001 is not at most 1000 with the real target");
  assert.equal((await refused(run(engine, drill, { source: "other", reason }))).code, "not_found");
});

Deno.test("drill: started, shown while it runs, cancelled by a second operator, and in the audit", async () => {
  await using engine = createEngine(server(), SOON);
  const audit: NewEntry[] = [];
  const { drill: started } = await run(engine, drill, { source, reason, messages: 20, confirm: true }, audit);
  const { id, status, by, seeded } = started!;
  assert.deepEqual([status, by, seeded], ["holding", "ann", 0]);
  assert.match((await refused(run(engine, drill, { source, reason, confirm: true }))).message, /another drill/);
  await drive(engine, async () => await clientOf(server()).llen(DLQ) === 20, "all are in the DLQ");

  const [text] = await server().readTexts(DLQ), message = messageId(new TextEncoder().encode(text));
  const shown = await run(engine, show, { source, list: "dlq", id: message, near: 1 });
  assert.deepEqual([shown.verdict?.action, shown.verdict?.reason], ["drill", null]);
  assert.match(shown.verdict!.text, new RegExp(id));
  const edited = refused(run(engine, edit, { source, list: "dlq", id: message, payload: eventText(1), reason }));
  assert.match((await edited).message, /is synthetic, of the drill d_/);

  assert.equal((await run(engine, drillsShow, { source, id })).drill.seeded, 20);
  const { drill: cancelled } = await run(engine, drillsCancel, { source, id }, audit);
  assert.equal(cancelled.status, "cleaning");
  assert.match((await refused(run(engine, drillsCancel, { source, id }))).message, /has ended: cleaning/);
  await drive(engine, () => hasReport(server(), id), "the drill is over");
  const { drills: [ended, ...others] } = await run(engine, drills, { source });
  assert.deepEqual([ended!.id, ended!.status, others.length], [id, "cancelled", 0]);
  assert.match(ended!.report!.words, /0 lost, 0 doubled/);
  const told = audit.map((entry) => entry.kind === "operation" ? [entry.operation, entry.input] : []);
  assert.deepEqual(told, [
    ["drill", {
      ...{ drill: id, reason, messages: 20, outageSeconds: 60, healSeconds: 1_800, gate: "downstream", target: "mock" },
    }],
    ["drills_cancel", { drill: id }],
  ]);
  const { code } = await refused(run(engine, drillsShow, { source, id: "d_0000000000000000" }));
  assert.equal(code, "not_found");
});

Deno.test("drills: shows the running drill first, then the reports of the last ten, and nothing that is no report", async () => {
  await using engine = createEngine(server(), SOON);
  const client = clientOf(server()), ids: string[] = [];
  for (let i = 0; i < 12; i++) {
    const { drill: started } = await run(engine, drill, { source, reason, messages: 1, gate: "depth", confirm: true });
    ids.unshift(started!.id);
    await drive(engine, async () => await client.llen(DLQ) === 1, "it is in the DLQ");
    if (i === 11) break;
    await endOutage(server());
    await drive(engine, () => hasReport(server(), started!.id), "the drill is over");
  }
  await client.lpush(`${drillKey(DLQ)}s`, "{", "7", '{"id": "d_1"}');
  const { drills: shown } = await run(engine, drills, {});
  assert.deepEqual(shown.map(({ id }) => id), ids.slice(0, 8));
  assert.deepEqual(shown.map(({ report }) => report === null), [true, ...Array(7).fill(false)]);
});
