/** The operations `browse` and `show` over a real Redis: what a viewer sees, what needs an admin, and that no secret is shown. */
import type { NewEntry } from "../../src/journal/entries.ts";
import { Ajv2020 } from "ajv/dist/2020.js";
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { messageId } from "../../src/message/message_id.ts";
import { browse, type BrowseInput } from "../../src/operations/browse.ts";
import type { LookContext } from "../../src/operations/context.ts";
import type { OperationRole } from "../../src/operations/operation.ts";
import { show, type ShowInput } from "../../src/operations/show.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { createEngine, DEAD, DLQ, dumpKeys, type Engine } from "../../testkit/engine.ts";
import { pushOf, shareRedis } from "../../testkit/redis.ts";
import { PATIENT_MS } from "../../testkit/wait.ts";

const server = shareRedis({ push: pushOf(import.meta) });
const ajv = new Ajv2020({ strict: true, allowUnionTypes: true });
const SECRET = "S3CRET-api-key";

/** An event as the alerter dead-letters it. */
function event(text: string, more = ""): string {
  return `{"hostname": "web-1", "severity": 3, "timestamp": "2025-01-15T14:30:29Z", "message": "${text}", ` +
    `"api_key": "${SECRET}"${more}}`;
}

function contextOf(engine: Engine, { role = "viewer", journal }: {
  role?: OperationRole;
  journal?: LookContext["journal"];
} = {}): LookContext {
  return {
    ...{ clock: SYSTEM_CLOCK, signal: new AbortController().signal, actor: { name: "ann", role } },
    sources: () => [{ parts: engine.source }],
    ...{ correlationId: null, journal: journal ?? { record: () => assert.fail("nothing is recorded") } },
  };
}

/** Runs both operations as they are offered, and holds that no secret is in what they return. */
async function look(engine: Engine, input: Partial<BrowseInput>) {
  const page = await browse.run(contextOf(engine), { source: "alerter", ...input });
  assert.ok(ajv.compile(browse.output)(page), JSON.stringify(page));
  assert.ok(!JSON.stringify(page).includes(SECRET));
  return page;
}

async function showOne(engine: Engine, input: Partial<ShowInput> & { id: string }, context = contextOf(engine)) {
  const shown = await show.run(context, { source: "alerter", ...input });
  assert.ok(ajv.compile(show.output)(shown), JSON.stringify(shown));
  if (!input.raw) assert.ok(!JSON.stringify(shown).includes(SECRET));
  return shown;
}

function idOf(text: string): string {
  return messageId(Buffer.from(text));
}

Deno.test("browse: shows id, place, size, age, reason, failures, group and the members of the source", async () => {
  await using engine = createEngine(server());
  const texts = [event("link 1 down"), event("link 2 down", ', "shedding_reason": "x"'), "{", event("link 3 down")];
  await server().seedList(DLQ, texts);
  await engine.connections.waitUntilReady(PATIENT_MS);
  const before = await dumpKeys(server().client());
  const page = await look(engine, { from: "oldest", size: 3 });
  const shown = (text: string) => ({ hostname: "web-1", severity: 3, message: text });
  assert.deepEqual(
    page.rows.map(({ id, place, sizeBytes, reason, failures, shown }) => ({
      id,
      place,
      sizeBytes,
      reason,
      failures,
      shown,
    })),
    [
      {
        id: idOf(texts[0]!),
        place: 1,
        sizeBytes: texts[0]!.length,
        reason: null,
        failures: 0,
        shown: shown("link 1 down"),
      },
      {
        id: idOf(texts[1]!),
        place: 2,
        sizeBytes: texts[1]!.length,
        reason: "shed",
        failures: 0,
        shown: shown("link 2 down"),
      },
      { id: idOf("{"), place: 3, sizeBytes: 1, reason: "unreadable", failures: 0, shown: {} },
    ],
  );
  assert.ok(page.rows[0]!.ageMs! > 0);
  const last = await look(engine, { from: page.newer!, direction: "newer" });
  assert.deepEqual([page.depth, page.older, last.rows.length, last.newer], [4, null, 1, null]);
  assert.equal(last.rows[0]!.group, page.rows[0]!.group, "they differ in a number only");
  assert.notEqual(page.rows[1]!.group, page.rows[0]!.group);
  assert.deepEqual(await dumpKeys(server().client()), before);
});

Deno.test("browse: begins at a place with what is there now, in either direction; beyond the newest message, with that", async () => {
  await using engine = createEngine(server());
  await server().seedList(DLQ, Array.from({ length: 9 }, (_, i) => event(`link ${i + 1} down`)));
  await engine.connections.waitUntilReady(PATIENT_MS);
  const places = async (input: Partial<BrowseInput>) => (await look(engine, input)).rows.map(({ place }) => place);
  assert.deepEqual(await places({ from: "4", size: 3 }), [4, 3, 2]);
  assert.deepEqual(await places({ from: "4", size: 3, direction: "newer" }), [4, 5, 6]);
  assert.deepEqual(await places({ from: "500", size: 2 }), [9, 8]);
  assert.deepEqual(await places({ from: "500", size: 2, direction: "newer" }), [9]);
  const page = await look(engine, { from: "4", size: 3 });
  assert.deepEqual([page.newer?.split(".")[0], page.older?.split(".")[0]], ["4", "2"]);
  assert.deepEqual(page.members, ["hostname", "severity", "message"]);
  assert.deepEqual((await look(engine, { list: "dead", from: "3" })).rows, []);
});

Deno.test("browse: names the field, the value and what is wanted when the input cannot be used", async () => {
  await using engine = createEngine(server());
  await engine.connections.waitUntilReady(PATIENT_MS);
  const problem = (field: string, value: string) => ({
    problems: [{ field, value, wanted: /./ }].map(({ field, value }) => ({ field, value })),
  });
  for (
    const [input, code, { problems }] of [
      [{ source: "none" }, "not_found", problem("source", "none")],
      [{ from: "0.m_x" }, "invalid", problem("from", "0.m_x")],
    ] as const
  ) {
    await assert.rejects(
      look(engine, input),
      (error: Error & { code: string; problems: { field: string; value: unknown }[] }) => {
        assert.deepEqual([error.name, error.code], ["OperationError", code]);
        assert.deepEqual(error.problems.map(({ field, value }) => ({ field, value })), problems);
        return true;
      },
    );
  }
});

Deno.test("show: lays out the message without its secrets, and finds all its places", async () => {
  await using engine = createEngine(server());
  await engine.connections.waitUntilReady(PATIENT_MS);
  const text = event("down");
  await server().seedList(DLQ, [text, event("other"), text]);
  const shown = await showOne(engine, { id: idOf(text) });
  assert.deepEqual(shown.places, [1, 3]);
  assert.ok(shown.text.includes('\n  "message": "down",\n  "api_key": "•••"'), shown.text);
  assert.equal(shown.stamp, "Has no stamp: this service has never replayed it.");
  assert.deepEqual([shown.raw, shown.isCut, shown.enclosed, shown.verdict], [null, false, null, null]);
});

Deno.test("show: says what the service would do with it, once it has looked at the source", async () => {
  await using engine = createEngine(server());
  await engine.turn();
  const returned = event(
    "back",
    ', "_remediation": {"failures": 1.0, "evidence": 2, "sheds": 1, "since": 1700000000, "cycle": 1, "source": "alerter"}',
  );
  const bad = '{"hostname": ""}', dead = event("counted", ', "_moog_retry_count": 99');
  await server().seedList(DLQ, [returned, bad, dead]);
  const shown = await showOne(engine, { id: idOf(returned), near: 1 });
  assert.equal(shown.failures, 2);
  assert.match(shown.stamp, /^Failed 2 times, shed once; replayed in cycle 1; .*would be poison at 3 failures/);
  assert.deepEqual([shown.verdict?.action, shown.verdict?.reason], ["replay", null]);
  const malformed = await showOne(engine, { id: idOf(bad) });
  assert.deepEqual([malformed.verdict?.action, malformed.verdict?.reason], ["dead", "malformed"]);
  const poison = await showOne(engine, { id: idOf(dead) });
  assert.deepEqual(poison.verdict, {
    ...{ action: "dead", reason: "poison" },
    text: `Would be moved to ${DEAD} as poison: _moog_retry_count is 99, limit 3.`,
  });
});

Deno.test("show: opens an envelope of the dead list, and hides the secrets in it", async () => {
  await using engine = createEngine(server());
  const broken = `{"message": "x", "api_key": "${SECRET}`;
  await server().seedList(DLQ, [broken, Buffer.from(`\xff token=${SECRET}`, "latin1")]);
  await engine.turn();
  const { rows } = await look(engine, { list: "dead", from: "oldest" });
  assert.deepEqual(rows.map(({ reason }) => reason), ["unreadable", "unreadable"]);
  const [first, second] = await Promise.all(
    rows.map(({ id, place }) => showOne(engine, { list: "dead", id, near: place })),
  );
  assert.equal(first!.enclosed, '{"message": "x", "api_key":•••');
  assert.equal(second!.enclosed, "\\xff token=•••");
  assert.equal(first!.verdict, null);
});

Deno.test("show: returns raw bytes to an admin only, and only after the journal has recorded it", async () => {
  await using engine = createEngine(server());
  await engine.connections.waitUntilReady(PATIENT_MS);
  const bytes = Buffer.concat([Buffer.from(event("raw")), Buffer.from([0xff])]), id = messageId(bytes);
  await server().seedList(DLQ, [bytes]);
  const entries: NewEntry[] = [];
  const journal = { record: (entry: NewEntry) => Promise.resolve(void entries.push(entry)) };
  const input = { id, raw: true };
  await assert.rejects(showOne(engine, input, contextOf(engine, { role: "operator", journal })), { code: "forbidden" });
  const failing = { record: () => Promise.reject(new Error("journal")) };
  await assert.rejects(showOne(engine, input, contextOf(engine, { role: "admin", journal: failing })), /journal/);
  assert.deepEqual(entries, []);
  const shown = await showOne(engine, input, contextOf(engine, { role: "admin", journal }));
  assert.ok(Buffer.from(shown.raw!, "base64").equals(bytes));
  assert.deepEqual(entries, [{
    ...{ kind: "operation", actor: "ann", role: "admin", operation: "show", source: "alerter", messages: [id] },
    ...{ input: { list: "dlq", id, raw: true }, result: "raw bytes shown", correlationId: null, job: null },
  }]);
  assert.ok(!JSON.stringify(entries).includes(SECRET));
});

Deno.test("show: describes a message that is too large, cuts a long one, and says when one is not there", async () => {
  await using engine = createEngine(server(), { settings: { maxMessageBytes: 200_000 } });
  await engine.connections.waitUntilReady(PATIENT_MS);
  const long = event("x".repeat(100_000));
  await server().seedList(DLQ, [Buffer.alloc(300_000, "x"), long]);
  const { rows } = await look(engine, { from: "oldest" });
  assert.deepEqual(rows.map(({ reason, sizeBytes }) => [reason, sizeBytes]), [["oversize", 300_000], [
    null,
    long.length,
  ]]);
  const large = await showOne(engine, { id: rows[0]!.id, near: 1 });
  assert.match(large.text, /^300000 bytes: more than REMEDIATION_MAX_MESSAGE_BYTES/);
  assert.deepEqual([large.verdict?.action, large.verdict?.reason], ["dead", "oversize"]);
  const shown = await showOne(engine, { id: idOf(long), near: 2 });
  assert.deepEqual([shown.isCut, shown.text.length], [true, 65_536]);
  await assert.rejects(showOne(engine, { id: idOf("none"), near: 2 }), { code: "not_found", message: /moved on/ });
  await assert.rejects(showOne(engine, { id: idOf("none") }), { code: "not_found" });
});
