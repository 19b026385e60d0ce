/** The pages of jobs over HTTP: from the selection over the plan and its confirmation to the result, as a person goes. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { Role } from "../../../src/config/api_keys.ts";
import { messageId } from "../../../src/message/message_id.ts";
import { TEST_KEYS } from "../../../testkit/api.ts";
import { DEAD, DLQ, eventTexts } from "../../../testkit/engine.ts";
import { shareRedis } from "../../../testkit/redis.ts";
import { type Served, startServed } from "../../../testkit/served.ts";
import { waitUntil } from "../../../testkit/wait.ts";

const server = shareRedis();

async function get(service: Served, path: string, role: Role = "viewer"): Promise<string> {
  const { status, text } = await service.ask("GET", path, { key: TEST_KEYS[role], headers: { accept: "text/html" } });
  assert.equal(status, 200, text);
  return text;
}

/** Sends a form as htmx does. */
async function post(service: Served, path: string, form: Record<string, string | string[]>, role: Role = "operator") {
  const fields = Object.entries(form).flatMap(([name, value]) => [value].flat().map((one) => [name, one]));
  return await service.ask("POST", path, {
    key: TEST_KEYS[role],
    headers: { accept: "text/html", "hx-request": "true", "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams(fields).toString(),
  });
}

/** Starts the service with the source paused, so that only jobs move messages. */
async function startPaused(): Promise<Served> {
  const service = await startServed(server());
  await service.ask("POST", "/api/v1/sources/alerter/pause", { key: TEST_KEYS.admin, body: { reason: "test" } });
  return service;
}

async function plan(service: Served, verb: string, form: Record<string, string | string[]>, role: Role = "operator") {
  const answer = await post(service, `/act/${verb}`, { source: "alerter", reason: "incident 4711", ...form }, role);
  const path = answer.headers.get("hx-redirect");
  assert.match(path ?? "", /^\/sources\/alerter\/jobs\/[\w-]+$/, answer.text);
  return { path: path!, id: path!.split("/").at(-1)! };
}

Deno.test("ask: names what the job takes, chosen messages or all that match, and what cannot be undone", async () => {
  await server().seedList(DLQ, eventTexts(4));
  await using service = await startPaused();
  const ids = eventTexts(2).map((text) => messageId(Buffer.from(text)));
  const chosen = await post(service, "/messages/ask", { source: "alerter", verb: "redrive", ids });
  assert.match(chosen.text, /<h2>Replay 2 chosen messages<\/h2>/);
  for (const id of ids) assert.ok(chosen.text.includes(`<input type="hidden" name="ids" value="${id}">`), chosen.text);
  assert.match(chosen.text, /cannot be undone/);
  const all = await post(service, "/messages/ask", {
    source: "alerter",
    verb: "bury",
    query: "hostname:h",
    total: "4",
  });
  assert.match(all.text, /<h2>Dead-letter all 4 that match<\/h2>/);
  assert.match(all.text, /name="query" value="hostname:h"/);
  assert.equal((await post(service, "/messages/ask", { source: "alerter", verb: "none" })).status, 400);
});

Deno.test("job: a plan says what would happen, is confirmed on its page, and shows what it did, which is undone from there", async () => {
  await server().seedList(DLQ, eventTexts(4));
  await using service = await startPaused();
  const { path, id } = await plan(service, "bury", {
    query: "id:*",
    ids: eventTexts(3).map((text) => messageId(Buffer.from(text))),
  });
  const planned = await get(service, path, "operator");
  assert.match(planned, /<h2>Dead-letter 3 messages<\/h2>/);
  assert.match(planned, /<b>3 messages<\/b> of 4 in the DLQ/);
  assert.match(planned, /Can be undone for 7 days/);
  assert.match(planned, /incident 4711/);
  assert.ok(!(await get(service, path)).includes("data-confirm"), "a viewer confirms nothing");
  const confirmed = await post(service, "/act/jobs_confirm", { source: "alerter", id, _next: path });
  assert.equal(confirmed.headers.get("hx-redirect"), path, confirmed.text);
  await waitUntil(async () => (await get(service, path)).includes(">done<"), { what: "the job ends" });
  assert.match(await get(service, path, "operator"), /3 dead-lettered/);
  assert.deepEqual([await server().depth(DLQ), await server().depth(DEAD)], [1, 3]);
  const undo = await plan(service, "jobs_undo", { id });
  assert.match(await get(service, undo.path, "operator"), /Brings back/);
  const list = await get(service, "/jobs", "operator");
  assert.match(list, /all <b>2<\/b>/);
  assert.match(await get(service, "/jobs?status=done"), /Dead-letter/);
  assert.match(await get(service, "/jobs?status=failed"), /No job is failed/);
});

Deno.test("job: if the count has changed, the confirmation says so and offers to allow just that change", async () => {
  await server().seedList(DLQ, eventTexts(5));
  await using service = await startPaused();
  const { path, id } = await plan(service, "bury", { query: "hostname:h" });
  await server().popList(DLQ, 2);
  const refused = await post(service, "/act/jobs_confirm", { source: "alerter", id, _next: path });
  assert.equal(refused.status, 412);
  assert.match(refused.text, /the plan took 5 messages, and now it would take 3/);
  assert.match(refused.text, /name="allowChange" value="2"/);
  const allowed = await post(service, "/act/jobs_confirm", { source: "alerter", id, _next: path, allowChange: "2" });
  assert.equal(allowed.headers.get("hx-redirect"), path, allowed.text);
  await waitUntil(async () => (await get(service, path)).includes(">done<"), { what: "the job ends" });
  assert.equal(await server().depth(DEAD), 3);
});

Deno.test("job: an admin overrides a gate in the form, with its reason; an operator may not", async () => {
  await server().seedList(DLQ, eventTexts(2));
  await using service = await startPaused();
  const form = { _override: "downstream" };
  const refused = await post(service, "/act/redrive", { source: "alerter", reason: "test", ...form });
  assert.equal(refused.status, 403, refused.text);
  const { path } = await plan(service, "redrive", form, "admin");
  const { json } = await service.ask("GET", `/api/v1${path}`, { key: TEST_KEYS.viewer });
  assert.deepEqual(json.job.overrides, [{ gate: "downstream", reason: "incident 4711" }]);
});
