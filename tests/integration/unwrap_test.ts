/** Sources with paths, and sources whose consumer wraps what it dead-letters: every list before and after, on a real Redis. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { SourceEntry } from "../../src/config/source_fields.ts";
import { editMessage } from "../../src/message/edit.ts";
import { messageId } from "../../src/message/message_id.ts";
import { readMessage } from "../../src/message/read_message.ts";
import { browse } from "../../src/operations/browse.ts";
import { edit } from "../../src/operations/edit.ts";
import { groups } from "../../src/operations/groups.ts";
import { jobsConfirm } from "../../src/operations/jobs_confirm.ts";
import { jobsUndo } from "../../src/operations/jobs_undo.ts";
import { search } from "../../src/operations/search.ts";
import { show } from "../../src/operations/show.ts";
import { OperationError } from "../../src/operations/operation.ts";
import { runCommand } from "../../testkit/cli.ts";
import { drive, endOutage, findMarked, hasReport, readReports, startDrill } from "../../testkit/drills.ts";
import { createEngine, DEAD, DLQ, TARGET, withoutInstants } from "../../testkit/engine.ts";
import { runJob, startJob } from "../../testkit/jobs.ts";
import { withoutPaths } from "../../testkit/model.ts";
import { operatorContext } from "../../testkit/operator_context.ts";
import { bytesOf, textOf } from "../../testkit/payloads.ts";
import { type Consumer, Pipeline } from "../../testkit/pipeline.ts";
import { shareRedis } from "../../testkit/redis.ts";
import { PATIENT_MS } from "../../testkit/wait.ts";

const server = shareRedis();

/** As Resque's workers write it: the job is an object. As Laravel keeps failed jobs: it is text. */
const WRAPS: Readonly<Record<string, (job: string, error?: string) => string>> = {
  "an object": (job, error = "boom") =>
    `{"failed_at":"2026/01/15 14:30:29 UTC","payload":${job},"exception":"RuntimeError","error":${
      JSON.stringify(error)
    },` +
    `"backtrace":["app/job.rb:1:in \`perform'"],"worker":"host:1:mail","queue":"mail"}`,
  "text": (job, error = "boom") =>
    JSON.stringify({
      connection: "redis",
      queue: "mail",
      payload: job,
      exception: error,
      failed_at: "2026-01-15 14:30:29",
    })
      // PHP escapes a slash.
      .replaceAll("/", "\\/"),
};
const ENTRY: SourceEntry = {
  ...{ unwrap: "payload", counter: "payload.meta.tries", cutOnReplay: ["payload.meta.tries"], maxReplays: 3 },
  ...{ required: ["payload.class"], show: ["payload.class", "queue"], groupBy: ["error", "exception"] },
};

/** A job with what a parser would change: spaces, an integer beyond 2^53, `1.0`, escapes, a member twice. */
function job(id: number | string, more = ""): string {
  return `{ "class":"Mail\\u0065r" , "id": "${id}","args":[12345678901234567890, 1.0, "a/b é", {"x":1,"x":2}]${more} }`;
}

function stampedJob(text: string, cycle = 1): string {
  const stamp = `{"failures": 0, "evidence": 0, "since": 0, "cycle": ${cycle}, "source": "alerter"}`;
  return `${text.slice(0, -2)}, "_remediation": ${stamp} }`;
}

function withoutStamp(message: Uint8Array): string {
  const read = readMessage(message);
  assert.ok(read.readable);
  return Buffer.from(editMessage(read, { cut: ["_remediation"], append: [] })).toString();
}

Deno.test("unwrap: replays the inner messages byte for byte, and keeps whole envelopes in the dead list", async () => {
  const [wrap, quote] = [WRAPS["an object"]!, WRAPS["text"]!];
  const meta = (tries: number) => `,"meta":{"tries": ${tries},"b":1}`;
  const rest = ',"meta":{"b":1}';
  await server().seedList(DLQ, [
    ...[wrap(job(1)), quote(job(2)), wrap(job(3, meta(2))), quote(job(4, meta(2)))],
    ...[wrap(job(5, meta(3))), wrap("[1]"), quote("no JSON"), '{"queue":"mail"}', wrap('{"args":[]}'), "no JSON"],
  ]);
  await using engine = createEngine(server(), { entry: ENTRY });
  const { replayed, dead } = await engine.turn();
  assert.deepEqual([replayed, dead], [4, { poison: 1, malformed: 4, unreadable: 1 }]);
  assert.deepEqual((await server().readTexts(TARGET)).map(withoutInstants), [
    ...[job(1), job(2), job(3, rest), job(4, rest)].map((text) => stampedJob(text)),
  ]);
  const texts = await server().readTexts(DEAD), died = texts.map((text) => JSON.parse(text));
  assert.ok(texts[0]!.includes(`"payload":${job(5, meta(3))},`), "the envelope holds the job's own bytes");
  assert.deepEqual(died.map(({ _remediation: { reason } }) => reason), [
    ...["poison", "malformed", "malformed", "malformed", "malformed", "unreadable"],
  ]);
  assert.equal(died[0]._remediation.failed_at, "2026/01/15 14:30:29 UTC");
  const details = engine.lines.filter(({ event }) => event === "dead").map(({ message }) =>
    message.split(": ").slice(1).join(": ")
  );
  assert.deepEqual(details.slice(0, 5), [
    "payload.meta.tries is 3, limit 3",
    'member "payload" to unwrap is an array: only an object, or text that is one, can carry the stamp',
    'member "payload" to unwrap is text that is not a JSON object: only an object, or text that is one, can carry the stamp',
    'member "payload" to unwrap is missing',
    'required member "payload.class" is missing',
  ]);
});

for (const [what, wrap] of Object.entries(WRAPS)) {
  Deno.test(`unwrap: of ${what}, what comes back in new envelopes is counted, until one that always fails is poison`, async () => {
    await using pipeline = new Pipeline(server(), { entry: ENTRY });
    const client = server().client(), taken: string[] = [];
    let sent = 0;
    const seed = async () => {
      const jobs = Array.from({ length: 40 }, () => wrap(job(sent++)));
      await client.lpush(DLQ, ...jobs);
    };
    const consumer: Consumer = (message) => {
      taken.push(withoutStamp(message));
      return message.includes('"bad"') ? Buffer.from(wrap(message.toString(), `failed: ${message}`)) : null;
    };
    await client.lpush(DLQ, wrap(job("bad")));
    for (let tick = 0; tick < 10 && await pipeline.depth(DEAD) === 0; tick++) {
      await seed();
      await pipeline.tick(consumer);
    }
    const [dead, ...more] = (await server().readTexts(DEAD)).map((text) => JSON.parse(text));
    assert.deepEqual(more, []);
    const inner = typeof dead.payload === "string" ? JSON.parse(dead.payload) : dead.payload;
    assert.deepEqual([inner.id, inner._remediation.failures], ["bad", 2], "the envelope as it came back last");
    assert.deepEqual([dead._remediation.reason, dead._remediation.failures], ["poison", 3]);
    assert.deepEqual(
      taken.toSorted(),
      [
        ...Array.from({ length: sent }, (_, id) => job(id)),
        ...Array(3).fill(job("bad")),
      ].toSorted(),
    );
    assert.equal(await pipeline.depth(DLQ), 0);
  });

  Deno.test(`unwrap: of ${what}, an outage is seen by what comes back, in large envelopes too`, async () => {
    await using pipeline = new Pipeline(server(), { entry: ENTRY });
    await server().seedList(DLQ, Array.from({ length: 60 }, (_, id) => wrap(job(id))));
    const error = '{"_remediation": 1} '.repeat(1_000);
    const outage: Consumer = (message) => Buffer.from(wrap(message.toString(), error));
    await pipeline.tick(outage);
    await pipeline.tick(outage);
    const { record } = pipeline.engines[0]!.source.replay.lastSnapshot()!;
    assert.ok(record.brake.allowance !== null && record.brake.allowance < 60, JSON.stringify(record.brake));
    await pipeline.untilEmpty(() => null, { most: 60 });
    assert.equal(await pipeline.depth(DEAD), 0, "an outage kills nothing");
  });

  Deno.test(`unwrap: of ${what}, a burial keeps the envelope, its undo brings that back, and a revival begins anew`, async () => {
    const letter = wrap(job(1)), other = wrap(job(2)), source = "alerter", reason = "test";
    await server().seedList(DLQ, [letter, other]);
    await using engine = createEngine(server(), { entry: ENTRY });
    const context = operatorContext(engine);
    const carryOut = async (verb: "bury" | "revive", list: "dlq" | "dead", text: string) => {
      const id = await startJob(engine, { verb, list, texts: [text] });
      await runJob(engine);
      return id;
    };
    const buried = await carryOut("bury", "dlq", letter);
    assert.deepEqual(await server().readTexts(DLQ), [other]);
    const { job: undo } = await jobsUndo.run(context, { source, id: buried, reason });
    await jobsConfirm.run(context, { source, id: undo.id });
    await runJob(engine);
    const undone = (await server().readTexts(DLQ)).find((text) => text !== other)!;
    // Its own `failed_at` is the last member now.
    assert.equal(
      textOf(withoutPaths(bytesOf(undone), [["failed_at"]])),
      textOf(withoutPaths(bytesOf(letter), [["failed_at"]])),
    );
    assert.deepEqual(JSON.parse(undone), JSON.parse(letter));

    // It is replayed, fails, and is buried with a stamp inside of it. A revival cuts that.
    await engine.turn();
    const replayed = (await server().readTexts(TARGET)).find((text) => text.includes('"id": "1"'))!;
    assert.equal(withoutStamp(bytesOf(replayed)), job(1));
    const back = wrap(replayed);
    await server().client().lpush(DLQ, back);
    await carryOut("bury", "dlq", back);
    const [dead] = await server().readTexts(DEAD);
    assert.equal(JSON.parse(dead!)._remediation.failures, 1);
    await carryOut("revive", "dead", dead!);
    const revived = (await server().readTexts(TARGET)).at(-1)!;
    assert.equal(withoutStamp(bytesOf(revived)), job(1));
    assert.equal(JSON.parse(revived)._remediation.failures, 0);
  });

  Deno.test(`unwrap: of ${what}, people see the same members by the same paths in every list`, async () => {
    await server().seedList(DLQ, [wrap(job(1)), wrap(job(2)), wrap("[]")]);
    await using engine = createEngine(server(), { entry: ENTRY });
    await engine.turn();
    const [replayed] = await server().readTexts(TARGET), back = wrap(replayed!, "disk 7 is full");
    await server().client().lpush(DLQ, back);
    const context = operatorContext(engine), source = "alerter";
    const rows = async (list: "dlq" | "dead" | "target") =>
      (await browse.run(context, { source, list })).rows.map((
        { shown, failures, reason },
      ) => [shown, failures, reason]);
    const mailer = { "payload.class": "Mailer" }, queue = { queue: "mail" };
    assert.deepEqual(await rows("dlq"), [[{ ...mailer, ...queue }, 1, null]]);
    assert.deepEqual(await rows("target"), [[mailer, 0, null], [mailer, 0, null]]);
    assert.deepEqual(await rows("dead"), [[queue, 0, "malformed"]]);
    const query = "payload.id:1 payload.class:mailer payload._remediation.failures:0";
    const found = await Array.fromAsync(search.run(context, { source, query }));
    assert.deepEqual(found.flatMap((line) => line.kind === "row" ? [line.id] : []), [messageId(Buffer.from(back))]);
    const { verdict, stamp } = await show.run(context, { source, id: messageId(Buffer.from(back)) });
    assert.match(stamp, /^Failed once; replayed in cycle 1/);
    assert.match(verdict!.text, /^The value of payload would be replayed to mutt:ingest_queue/);
    const grouped = await Array.fromAsync(groups.run(context, { source }));
    assert.match(grouped.flatMap((line) => line.kind === "group" ? [line.text] : []).join(), /disk • is full/);
  });
}

Deno.test("unwrap: an edit needs what can be replayed", async () => {
  const wrap = WRAPS["an object"]!, letter = wrap(job(1));
  await server().seedList(DLQ, [letter]);
  await using engine = createEngine(server(), { entry: ENTRY });
  await engine.connections.waitUntilReady(PATIENT_MS);
  const context = operatorContext(engine), id = messageId(Buffer.from(letter));
  const change = (payload: string) => edit.run(context, { source: "alerter", id, payload, reason: "test" });
  await assert.rejects(change('{"payload":[1]}'), (error: OperationError) => {
    assert.deepEqual(error.problems?.map(({ value, wanted }) => [String(value).slice(0, 40), wanted]), [
      ['member "payload" to unwrap is an array: ', "a message with a JSON object to replay in payload"],
      ['required member "payload.class" is missi', "a message with every required member: payload.class"],
    ]);
    return true;
  });
  await change(wrap(job("changed")));
  assert.deepEqual(await server().readTexts(DLQ), [wrap(job("changed"))]);
});

for (const unwrap of ["payload", "job.data"]) {
  Deno.test(`unwrap: a drill over ${unwrap} loses nothing, and what comes back from the real target is known`, async () => {
    await using engine = createEngine(server(), {
      ...{
        settings: { intervalMs: 1, consumerLagMs: 0 },
        entry: { unwrap, required: [`${unwrap}.class`, "queue"], cutOnReplay: [] },
      },
    });
    const path = unwrap.split("."), marked = (id: string) => findMarked(server(), id, path);
    for (const target of ["mock", "real"] as const) {
      const id = await startDrill(engine, { target, messages: 5 });
      await drive(engine, async () => (await marked(id)).dlq?.length === 5, "all are in the DLQ");
      await endOutage(server());
      await drive(engine, () => hasReport(server(), id), "the drill is over");
      const [{ outcome, arrived, lost } = {}] = await readReports(server());
      assert.deepEqual({ outcome, arrived, lost }, { outcome: "healed", arrived: 5, lost: 0 });
      if (target === "mock") continue;
      const [first] = await server().readTexts(TARGET);
      assert.match(first!, /"class":"drill".*"_remediation": \{/);
      const back = unwrap === "payload" ? `{"payload": ${first}}` : `{"job": {"data": ${JSON.stringify(first)}}}`;
      await server().client().lpush(DLQ, back);
      await drive(engine, async () => await server().client().llen(DLQ) === 0, "it has left the DLQ");
      assert.equal((await marked(id)).kept?.length, 1, "it is not taken for a real message");
    }
    assert.equal(await server().client().llen(DEAD), 0);
  });
}

Deno.test("paths: what is counted, cut and required at paths is replayed byte for byte but for that", async () => {
  const letter = (id: number, headers: string) => `{ "id":${id} , "headers" : ${headers},"big":12345678901234567890}`;
  const entry: SourceEntry = {
    ...{ counter: "headers.retries", cutOnReplay: ["headers.retries", "headers.x\\.y"], required: ["headers.tenant"] },
    ...{ maxReplays: 5 },
  };
  await server().seedList(DLQ, [
    letter(1, '{ "retries": 4 , "tenant": "a","x.y":{} , "x": {"y": 1.0} }'),
    letter(2, '{"tenant": "a", "retries": 5}'),
    letter(3, '[{"tenant": "a"}]'),
  ]);
  await using engine = createEngine(server(), { entry });
  const { dead } = await engine.turn();
  const stamp = '"_remediation": {"failures": 0, "evidence": 0, "since": 0, "cycle": 1, "source": "alerter"}';
  assert.deepEqual((await server().readTexts(TARGET)).map(withoutInstants), [
    `${letter(1, '{ "tenant": "a" , "x": {"y": 1.0} }').slice(0, -1)}, ${stamp}}`,
  ]);
  assert.deepEqual(dead, { poison: 1, malformed: 1 });
});

Deno.test("watch --dry-run: judges by flags with paths as the service would", async () => {
  await server().seedList("mail:failed", [WRAPS["an object"]!(job(1)), WRAPS["text"]!(job(2)), '{"payload": 5}']);
  const flags = ["--dlq", "mail:failed", "--target", "mail", "--unwrap", "payload", "--required", "payload.class"];
  const { code, out, err } = await runCommand(["watch", "--dry-run", "--json", ...flags], {
    ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(server().port) },
  });
  assert.equal(code, 0, err);
  const [{ replayed, dead }] = JSON.parse(out).sources;
  assert.deepEqual([replayed, dead], [2, { malformed: 1 }]);
  assert.equal((await server().readTexts("mail:failed")).length, 3);
});
