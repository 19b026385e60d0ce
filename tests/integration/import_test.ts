/** The operation `import`, its job and its undo on a real Redis: every list before and after, byte for byte. */
import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";
import { Buffer } from "node:buffer";
import type { NewEntry } from "../../src/journal/entries.ts";
import { formatEnd, formatHeader, formatMasked, formatRaw, formatSkipped } from "../../src/message/export_format.ts";
import { messageId } from "../../src/message/message_id.ts";
import { type ImportInput, importMessages } from "../../src/operations/import.ts";
import { checkInput } from "../../src/operations/input.ts";
import { jobsConfirm } from "../../src/operations/jobs_confirm.ts";
import { jobsUndo } from "../../src/operations/jobs_undo.ts";
import { OperationError } from "../../src/operations/operation.ts";
import { UNDO_IMPORT } from "../../src/operations/undo_import.ts";
import { StoreError } from "../../src/redis/errors.ts";
import { jobListKey, jobsKey } from "../../src/redis/keys.ts";
import {
  createEngine,
  DLQ,
  type Engine,
  eventText,
  eventTexts,
  replayedText,
  STATE,
  TARGET,
  withoutInstants,
} from "../../testkit/engine.ts";
import { readJobLists, runJob } from "../../testkit/jobs.ts";
import { operatorContext, type OperatorOptions } from "../../testkit/operator_context.ts";
import { HOSTILE_PAYLOADS } from "../../testkit/payloads.ts";
import { pushOf, shareRedis } from "../../testkit/redis.ts";
import { startTcpProxy } from "../../testkit/tcp_proxy.ts";
import { PATIENT_MS } from "../../testkit/wait.ts";

const server = shareRedis({ push: pushOf(import.meta) });
const fits = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(importMessages.output);

const OLD = eventTexts(3), TEXTS = eventTexts(450, 100);
const HEADER = { source: "alerter", list: "dlq", query: "", masked: false, depth: 3, at: "2026-01-02T03:04:05.678Z" };
const toId = (message: string | Uint8Array) => messageId(Buffer.from(message as Uint8Array));

/** The lines of a raw export. */
function exported(messages: readonly (string | Uint8Array)[]): string[] {
  return [
    formatHeader(HEADER),
    ...messages.map((one, i) => formatRaw({ id: toId(one), place: i + 1, bytes: Buffer.from(one as Uint8Array) })),
    formatEnd({ messages: messages.length, skipped: 0 }),
  ];
}

/** Sends lines in pieces that do not end where lines end. `between` is called before each piece. */
async function* send(
  lines: readonly string[],
  { piece = 7_000, between = () => {} }: { piece?: number; between?: (at: number) => void | Promise<void> } = {},
): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""));
  for (let at = 0; at < bytes.length; at += piece) {
    await between(at);
    yield bytes.subarray(at, at + piece);
  }
}

async function plan(engine: Engine, file: AsyncIterable<Uint8Array>, options: OperatorOptions = {}) {
  await engine.connections.waitUntilReady(PATIENT_MS);
  const planned = await importMessages.run(operatorContext(engine, options), {
    source: "alerter",
    file,
    reason: "again",
  });
  ok(fits(planned), JSON.stringify({ errors: fits.errors, planned }));
  const { job: { id: job }, plan: { count, bytes, groups, samples, undo }, file: facts } = planned;
  return { job, count, bytes, groups, samples, undo, ...facts };
}

async function startImport(engine: Engine, messages: readonly (string | Uint8Array)[]): Promise<string> {
  const { job } = await plan(engine, send(exported(messages)));
  strictEqual(await engine.source.jobs.start(job, { by: "bob" }), "ok");
  return job;
}

const stagedKeys = () => server().client().keys(`${jobsKey(DLQ)}:*:list`);

Deno.test("import: plans, stages nothing in the DLQ, then adds the messages in order at its newest end", async () => {
  await server().seedList(DLQ, OLD);
  const client = server().client(), audit: NewEntry[] = [];
  await client.hset(STATE, "scannedDepth", 3);
  await using engine = createEngine(server());
  const planned = await plan(engine, send(exported([...TEXTS, OLD[0]!])), { audit });
  deepStrictEqual([planned.count, planned.skipped, planned.present, planned.dead], [451, 0, 1, {}]);
  strictEqual(planned.bytes, [...TEXTS, OLD[0]!].join("").length);
  deepStrictEqual(planned.groups.map(({ count }) => count), [451]);
  deepStrictEqual(planned.samples.map(({ id }) => id), [toId(TEXTS[0]!)]);
  ok(!JSON.stringify([planned, audit]).includes("api_key") && /1 of them/.test(planned.undo));
  deepStrictEqual(await readJobLists(server(), planned.job), { dlq: OLD, own: [...TEXTS, OLD[0]!] });
  const expiresIn = await client.pttl(jobListKey(DLQ, planned.job));
  ok(expiresIn > 0 && expiresIn <= 3_600_000);

  strictEqual(await engine.source.jobs.start(planned.job, { by: "bob" }), "ok");
  strictEqual(await client.pttl(jobListKey(DLQ, planned.job)), -1);
  await runJob(engine);
  deepStrictEqual(await readJobLists(server(), planned.job), { dlq: [...OLD, ...TEXTS, OLD[0]!] });
  const job = await engine.source.jobs.get(planned.job);
  deepStrictEqual([job?.status, job?.result?.imported, job?.reason], ["done", 451, "again"]);
  strictEqual(await client.hget(STATE, "scannedDepth"), "454");
  deepStrictEqual(audit.map((entry) => "job" in entry && entry.job), [planned.job]);
});

Deno.test("import: keeps every byte of hostile messages, and tells which the service would bury", async () => {
  const messages = HOSTILE_PAYLOADS.map((payload) => Buffer.from(payload)).filter(({ length }) => length < 1_000_000);
  await using engine = createEngine(server());
  const planned = await plan(engine, send(exported(messages)));
  ok((planned.dead.unreadable ?? 0) + (planned.dead.malformed ?? 0) > 0, JSON.stringify(planned.dead));
  await engine.source.jobs.start(planned.job, { by: "bob" });
  await runJob(engine);
  deepStrictEqual(
    (await server().readList(DLQ)).map((one) => one.toString("hex")),
    messages.map((one) => one.toString("hex")),
  );
});

Deno.test("import: automatic replay goes on with what was added", async () => {
  await using engine = createEngine(server());
  await startImport(engine, TEXTS.slice(0, 20));
  await runJob(engine);
  await engine.turn({ begin: "now" });
  deepStrictEqual(
    (await server().readTexts(TARGET)).map(withoutInstants),
    TEXTS.slice(0, 20).map((text) => replayedText(text)),
  );
});

const [header, first, second, end] = exported(TEXTS.slice(0, 2)) as [string, string, string, string];
const SECRET = "S3CRET-value";
const refusals: [name: string, lines: string[], problems: RegExp[]][] = [
  ["nothing", [], [/line 1.*no header/]],
  ["an export without messages", exported([]), [/at least 1 message/]],
  ["a masked export", [
    formatHeader({ ...HEADER, masked: true }),
    formatMasked({ id: toId("x"), place: 1, text: SECRET }),
    formatEnd({ messages: 1, skipped: 0 }),
  ], [/line 1.*masked/]],
  ["a file that was cut off", [header, first, second], [/the end is missing/]],
  ["a message too few", [header, first, end], [/2 messages.*has 1/]],
  ["a changed line", [header, first.replace("2025-01-15", "2025-01-16"), second, end], [/line 2.*id does not fit/]],
  ["two faults", [header, `{${SECRET}`, first, '{"kind":"other"}', second, end], [/line 2.*JSON/, /line 4.*kind/]],
  ["a late fault", [...exported(TEXTS).slice(0, -1), SECRET, formatEnd({ messages: 450, skipped: 0 })], [/line 452/]],
  ["a message that is too large", [
    header,
    formatRaw({ id: toId("x".repeat(5_000)), place: 1, bytes: Buffer.from("x".repeat(5_000)) }),
    end,
  ], [
    /line 2.*5000 bytes; the limit is 4096/,
  ]],
];

for (const [name, lines, problems] of refusals) {
  Deno.test(`import: refuses ${name}, names every line, and leaves nothing behind`, async () => {
    await server().seedList(DLQ, OLD);
    await using engine = createEngine(server(), { settings: { maxMessageBytes: 4_096 } });
    const audit: NewEntry[] = [];
    const error = await plan(engine, send(lines), { audit, maxMessageBytes: 4_096 }).catch((error) => error);
    ok(error instanceof OperationError && error.code === "invalid", String(error));
    const told = error.problems.map((one) => JSON.stringify(one));
    strictEqual(told.length, problems.length, told.join());
    for (const [i, pattern] of problems.entries()) ok(pattern.test(told[i]!), told.join());
    ok(!JSON.stringify([error.message, told]).includes(SECRET));
    deepStrictEqual([await stagedKeys(), await server().readTexts(DLQ), audit], [[], OLD, []]);
    deepStrictEqual(await engine.source.jobs.list(), []);
  });
}

Deno.test("import: describes at most 100 problems, and counts the others", async () => {
  await using engine = createEngine(server());
  const error = await plan(engine, send([header, ...Array.from({ length: 250 }, () => "x")])).catch((error) => error);
  strictEqual(error.problems.length, 100);
  ok(/251 problems/.test(error.message), error.message);
});

Deno.test("import: says how many messages the file lacks, because they were too large to be exported", async () => {
  await using engine = createEngine(server());
  const lines = [
    header,
    first,
    formatSkipped({ id: toId("x"), place: 2, sizeBytes: 9 }),
    formatEnd({ messages: 1, skipped: 1 }),
  ];
  const planned = await plan(engine, send(lines));
  deepStrictEqual([planned.count, planned.skipped], [1, 1]);
});

Deno.test("import: a plan whose messages have expired does not start", async () => {
  await using engine = createEngine(server());
  const { job } = await plan(engine, send(exported(TEXTS)));
  await server().client().del(jobListKey(DLQ, job));
  strictEqual(await engine.source.jobs.start(job, { by: "bob" }), "missing");
  strictEqual(await server().client().hget(STATE, "job"), null);
});

Deno.test("import: an upload that is stopped, or breaks off, leaves nothing in the DLQ and no plan", async () => {
  await server().seedList(DLQ, OLD);
  await using engine = createEngine(server());
  const stop = new AbortController();
  const between = (at: number) => {
    if (at > 50_000) stop.abort();
  };
  await rejects(plan(engine, send(exported(TEXTS), { between }), { signal: stop.signal }), /stopped/);
  const breaks = (at: number) => {
    if (at > 50_000) throw new OperationError("unavailable", "the client is gone");
  };
  await rejects(plan(engine, send(exported(TEXTS), { between: breaks })), /client is gone/);
  deepStrictEqual([await stagedKeys(), await server().readTexts(DLQ)], [[], OLD]);
  deepStrictEqual(await engine.source.jobs.list(), []);
});

Deno.test("import: leaves no plan and nothing staged when the journal could not be written", async () => {
  await server().seedList(DLQ, OLD);
  await using engine = createEngine(server());
  await engine.connections.waitUntilReady(PATIENT_MS);
  const context = operatorContext(engine);
  const record = () => Promise.reject(new StoreError("is away", { code: "CONNECTION", isCertain: false }));
  const failing = { ...context, journal: { ...context.journal, record } };
  const input = { source: "alerter", file: send(exported(TEXTS)), reason: "again" };
  await rejects(importMessages.run(failing, input), { code: "unavailable", message: /^nothing was planned/ });
  deepStrictEqual([await stagedKeys(), await engine.source.jobs.list(), await server().readTexts(DLQ)], [[], [], OLD]);
});

Deno.test("import: what a killed instance has staged expires, and the upload that is sent again is whole", async () => {
  await server().seedList(DLQ, OLD);
  const first = createEngine(server());
  const killed = (at: number) => at > 90_000 ? first.kill() : undefined;
  await plan(first, send(exported(TEXTS), { between: killed })).then(() => ok(false), () => {});
  const [left, ...others] = await stagedKeys();
  deepStrictEqual(others, []);
  if (left) ok(await server().client().pttl(left) > 0);
  await using second = createEngine(server());
  await startImport(second, TEXTS);
  await runJob(second);
  deepStrictEqual(await server().readTexts(DLQ), [...OLD, ...TEXTS]);
});

for (const point of ["before_request", "before_reply"] as const) {
  Deno.test(`import: stages each message once when the connection breaks ${point} of any chunk`, async () => {
    for (let occurrence = 1; occurrence <= 3; occurrence++) {
      const proxy = startTcpProxy({ port: server().port });
      try {
        await using engine = createEngine({ port: proxy.port, push: server().push });
        await engine.connections.waitUntilReady(PATIENT_MS);
        let isCut = false;
        // The second and later chunks; each holds one of these.
        void proxy.cut(point, { texts: [`"id": "${[100, 350, 549][occurrence - 1]}"`], occurrence: 1 }).then(() =>
          isCut = true
        );
        const { job } = await plan(engine, send(exported(TEXTS)));
        ok(isCut, "it was cut");
        deepStrictEqual(await server().readTexts(jobListKey(DLQ, job)), TEXTS);
      } finally {
        await proxy.stop();
      }
    }
  });
}

Deno.test("import: is paused, goes on, and when it is cancelled drops only what is not in the DLQ yet", async () => {
  const texts = eventTexts(2_000, 1_000);
  await server().seedList(DLQ, OLD);
  await using engine = createEngine(server());
  const id = await startImport(engine, texts), { jobs, replay } = engine.source;
  const swept = async () => (await replay.look()).record.job?.swept ?? 0;
  ok(await jobs.request(id, "pause"));
  const before = await readJobLists(server(), id), { signal } = new AbortController();
  await engine.source.leadership.take();
  for (let i = 0; i < 3; i++) await engine.source.turns.runOnce({ begin: "now", signal });
  deepStrictEqual(await readJobLists(server(), id), before);
  ok(await jobs.request(id, "resume"));
  // Another client that holds up the job after some chunks: a turn ends when its signal is aborted.
  const stop = new AbortController();
  stop.abort();
  while (await swept() < 500) await engine.source.turns.runOnce({ begin: "never", signal: stop.signal });
  ok(await jobs.request(id, "cancel"));
  await runJob(engine);
  const dlq = await server().readTexts(DLQ), added = dlq.length - OLD.length;
  ok(added >= 500 && added < 2_000);
  deepStrictEqual(dlq, [...OLD, ...texts.slice(0, added)]);
  const job = await jobs.get(id);
  deepStrictEqual([job?.status, job?.result?.imported, job?.result?.trashed], ["cancelled", added, 2_000 - added]);
  const left = await server().client().pttl(jobListKey(DLQ, id));
  ok(left > 0 && left <= 3_600_000);
});

Deno.test("import: a job that is killed is finished by the next instance", async () => {
  const texts = eventTexts(2_000, 1_000);
  const first = createEngine(server());
  const id = await startImport(first, texts), stop = new AbortController();
  stop.abort();
  await first.source.leadership.take();
  // The first turn, which must not be cut short, notices the job.
  await first.source.turns.runOnce({ begin: "never", signal: new AbortController().signal });
  while (await server().depth(DLQ) === 0) await first.source.turns.runOnce({ begin: "never", signal: stop.signal });
  ok(await server().depth(DLQ) < 2_000);
  await first.kill();
  await using second = createEngine(server());
  await runJob(second);
  deepStrictEqual(await readJobLists(server(), id), { dlq: texts });
});

Deno.test("import: no message is lost when Redis is out of memory while it stages, and while it adds", async () => {
  const client = server().client();
  await using engine = createEngine(server());
  await engine.connections.waitUntilReady(PATIENT_MS);
  const limit = (bytes: number) => client.config("SET", "maxmemory", String(bytes));
  try {
    const full = (at: number) => at > 100_000 && at < 108_000 ? void limit(1) : undefined;
    await rejects(plan(engine, send(exported(TEXTS), { between: full })), /OOM/);
    deepStrictEqual([await stagedKeys(), await engine.source.jobs.list()], [[], []]);
    await limit(0);
    const id = await startImport(engine, TEXTS);
    await limit(1);
    await engine.source.leadership.take().catch(() => {});
    const { signal } = new AbortController();
    for (let i = 0; i < 3; i++) await engine.source.turns.runOnce({ begin: "never", signal });
    deepStrictEqual(await readJobLists(server(), id), { own: TEXTS });
    await limit(0);
    await runJob(engine);
    deepStrictEqual(await readJobLists(server(), id), { dlq: TEXTS });
  } finally {
    await limit(0);
  }
});

Deno.test("import: confirmed by jobs_confirm, and undone by jobs_undo, which says what is gone", async () => {
  await server().seedList(DLQ, OLD);
  await using engine = createEngine(server());
  const context = operatorContext(engine), { job } = await plan(engine, send(exported(TEXTS)));
  const confirm = (id: string) => jobsConfirm.run(context, { source: "alerter", id });
  const begun = await confirm(job);
  deepStrictEqual([begun.job.status, begun.plan?.count], ["running", 450]);
  await rejects(confirm(job), /running already/);
  await runJob(engine);
  await server().popList(DLQ, 13);
  const undo = await jobsUndo.run(context, { source: "alerter", id: job, reason: "wrong file" });
  deepStrictEqual([undo.job.verb, undo.plan.count], ["undo", 440]);
  deepStrictEqual(undo.plan.cannot, ["10 of the 450 imported messages have left the DLQ"]);
  await server().seedList(DLQ, OLD);
  await confirm(undo.job.id);
  await runJob(engine);
  deepStrictEqual(await readJobLists(server(), undo.job.id), { dlq: OLD, own: TEXTS.slice(10) });
  ok(await server().client().pttl(jobListKey(DLQ, undo.job.id)) > 7 * 86_400_000);
  await rejects(
    jobsUndo.run(context, { source: "alerter", id: job, reason: "again" }),
    /nothing of import/,
  );
});

for (
  const [name, given, code, pattern] of [
    ["with an empty reason", { reason: "" }, "invalid", /reason "" is not .*one line/i],
    ["of an unknown source", { source: "none" }, "not_found", /one of alerter/],
    ["by an operator", { role: "operator" }, "forbidden", /needs role admin/],
  ] as const
) {
  Deno.test(`import: refuses a file ${name}, and reads nothing of it`, async () => {
    await using engine = createEngine(server());
    await engine.connections.waitUntilReady(PATIENT_MS);
    const { role = "admin", ...more } = given as { role?: "operator" };
    const file = send(exported(TEXTS), { between: () => ok(false, "it was read") });
    const context = operatorContext(engine, { actor: { name: "ann", role } });
    const error = await Promise.try(() => {
      const input = checkInput<ImportInput>(importMessages.input, {
        source: "alerter",
        file: null,
        reason: "again",
        ...more,
      });
      return importMessages.run(context, { ...input, file });
    }).catch((error) => error);
    ok(error instanceof OperationError && error.code === code && pattern.test(error.message), String(error));
  });
}

Deno.test("import: more messages than ids are kept of cannot be undone, and the plan says so", async () => {
  await using engine = createEngine(server());
  const texts = Array.from({ length: 10_001 }, (_, i) => eventText(i));
  const planned = await plan(engine, send(exported(texts), { piece: 1_000_000 }));
  deepStrictEqual([planned.count, planned.present], [10_001, null]);
  ok(/^Cannot be undone/.test(planned.undo));
  await engine.source.jobs.start(planned.job, { by: "bob" });
  await runJob(engine);
  strictEqual(await server().depth(DLQ), 10_001);
  const job = (await engine.source.jobs.get(planned.job))!;
  await rejects(UNDO_IMPORT.plan({ context: operatorContext(engine), source: engine.source, job }), /cannot be undone/);
});
