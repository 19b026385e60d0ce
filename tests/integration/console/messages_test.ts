/** The pages about messages over HTTP: what they show to each role, that nothing of a message becomes markup, and their parts. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { Role } from "../../../src/config/api_keys.ts";
import { messageId } from "../../../src/message/message_id.ts";
import { TEST_KEYS } from "../../../testkit/api.ts";
import { DEAD, DLQ, eventTexts, TARGET } from "../../../testkit/engine.ts";
import { shareRedis } from "../../../testkit/redis.ts";
import { type Served, startServed } from "../../../testkit/served.ts";
import { waitUntil } from "../../../testkit/wait.ts";

const server = shareRedis();
const SECRET = "S3CRET-api-key";
const NASTY =
  `{"hostname": "<img src=x onerror=alert(1)>", "severity": 1, "timestamp": "2025-01-15T14:30:29Z", "message": "<script>alert(1)</script> \u202egnp",` +
  ` "api_key": "${SECRET}"}`;

/** Asks for a page as a browser; `part`: as htmx does. */
async function ask(
  service: Served,
  path: string,
  { role = "viewer", part = false, form }: { role?: Role; part?: boolean; form?: Record<string, string | string[]> } =
    {},
) {
  const headers = { accept: "text/html", ...(part ? { "hx-request": "true" } : {}) };
  if (form === undefined) return await service.ask("GET", path, { key: TEST_KEYS[role], headers });
  const body = new URLSearchParams(
    Object.entries(form).flatMap(([name, value]) => [value].flat().map((one): [string, string] => [name, one])),
  );
  return await service.ask("POST", path, {
    key: TEST_KEYS[role],
    headers: { ...headers, "content-type": "application/x-www-form-urlencoded" },
    body: body.toString(),
  });
}

async function page(service: Served, path: string, options: Parameters<typeof ask>[2] = {}): Promise<string> {
  const { status, text } = await ask(service, path, options);
  assert.equal(status, 200, text);
  assert.ok(!text.includes(SECRET), "no page without raw shows a secret");
  return text;
}

function idOf(text: string): string {
  return messageId(Buffer.from(text));
}

Deno.test("messages: shows rows, groups and depths; nothing of a message becomes markup or turns the text around", async () => {
  await server().seedList(DLQ, [...eventTexts(3), NASTY]);
  await server().seedList(DEAD, eventTexts(2, 10));
  await using service = await startServed(server(), { enabled: false });
  const text = await page(service, "/messages");
  assert.match(text, /DLQ <b>4<\/b>/);
  assert.match(text, /dead list <b>2<\/b>/);
  assert.ok(text.includes("&lt;script&gt;alert(1)&lt;/script&gt; \\u202egnp"), text);
  assert.ok(!text.includes("<script>alert") && !text.includes("<img src=x") && !text.includes("\u202e"));
  assert.ok(text.includes(`/messages?source=alerter&amp;message=${idOf(NASTY)}&amp;near=4`));
  const [group] = /group%3Ag_[0-9a-f]{12}/.exec(text) ?? [];
  assert.match(
    await page(service, `/messages?source=alerter&query=${group}`),
    /<span id="found">[\s\S]*match; looked at 4/,
  );
});

Deno.test("messages: offers each role what it may do; the target offers nothing", async () => {
  await server().seedList(DLQ, eventTexts(3));
  await server().seedList(TARGET, eventTexts(1, 10));
  await using service = await startServed(server(), { enabled: false });
  const verbs = async (role: Role, path = "/messages") => {
    const text = await page(service, path, { role });
    return [...text.matchAll(/name="verb" value="(\w+)"/g)].map(([, verb]) => verb);
  };
  assert.deepEqual(await verbs("viewer"), []);
  assert.deepEqual(await verbs("operator"), ["redrive", "bury"]);
  assert.deepEqual(await verbs("admin"), ["redrive", "bury", "purge"]);
  assert.deepEqual(await verbs("admin", "/messages?list=target"), []);
  assert.match(await page(service, "/messages?list=target", { role: "admin" }), /The target is for looking/);
  assert.match(await page(service, "/messages", { role: "operator" }), /<span data-if-none[^>]*> all 3<\/span>/);
  assert.ok(!(await page(service, "/messages")).includes('name="ids"'), "a viewer selects nothing");
  const refused = await ask(service, "/act/redrive", { form: { source: "alerter", reason: "test" } });
  assert.equal(refused.status, 403, refused.text);
});

Deno.test("messages: goes through a list by pages from either end, a place or a cursor, in the order that was asked for", async () => {
  await server().seedList(DLQ, eventTexts(250));
  await using service = await startServed(server(), { enabled: false });
  const places = (text: string) => [...text.matchAll(/near=(\d+)"[^>]*hx-get/g)].map(([, place]) => Number(place));
  const down = (from: number, to: number) => Array.from({ length: from - to + 1 }, (_, i) => from - i);
  const first = await page(service, "/messages");
  assert.deepEqual(places(first), down(250, 151));
  const next = /hx-get="(\/messages\/rows\?[^"]*)"/.exec(first)![1]!.replaceAll("&amp;", "&");
  const rows = await page(service, next, { part: true });
  assert.deepEqual(places(rows), down(150, 51));
  assert.ok(!rows.includes("<html"));
  assert.deepEqual(places(await page(service, "/messages?order=oldest")), down(100, 1).toReversed());
  const jumped = await page(service, "/messages?from=200");
  assert.deepEqual(places(jumped), down(200, 101));
  const back = /<a href="([^"]*direction=newer)">100 newer/.exec(jumped)![1]!.replaceAll("&amp;", "&");
  assert.deepEqual(places(await page(service, back)), down(250, 201));
  assert.deepEqual(
    places(await page(service, "/messages?from=9000")),
    down(250, 151),
    "beyond the newest is the newest",
  );
});

Deno.test("messages: says what is wrong with a query or a place, and how to go on", async () => {
  await server().seedList(DLQ, eventTexts(1));
  await using service = await startServed(server(), { enabled: false });
  const wrong = await page(service, "/messages?query=severity%3A");
  assert.match(wrong, /role="alert">The query cannot be used: at character 1/);
  assert.match(wrong, /value="severity:"/, "what was typed stays");
  assert.match(await page(service, "/messages?from=x"), /from is not oldest, newest, a place/);
  assert.match(await page(service, "/messages?query=nothing-like-it"), /No message matches/);
  assert.match(await page(service, "/messages?list=dead"), /The dead list is empty/);
  assert.equal((await ask(service, "/messages?source=none")).status, 404);
});

Deno.test("messages: a search of a long list is sent in steps, with its rows, how far it is, and the count", async () => {
  await server().seedList(DLQ, eventTexts(45_000));
  await using service = await startServed(server(), { enabled: false });
  const text = await page(service, "/messages?query=hostname:h&limit=200");
  const path = /data-stream="(\/messages\/found\?[^"]*)"/.exec(text)![1]!.replaceAll("&amp;", "&");
  assert.match(text, /match so far; looked at 2\d,\d{3} of 45,000/);
  const stream = await page(service, path);
  const events = [...stream.matchAll(/event: (\w+)\ndata: (.*)\n\n/g)];
  assert.deepEqual(events.map(([, name]) => name).slice(-2), ["steps", "end"]);
  const steps = events.flatMap(([, name, data]) => name === "steps" ? JSON.parse(data!) : []);
  assert.deepEqual([steps[0].id, steps[0].how], ["rows", "set"]);
  assert.equal(steps.filter(({ id }) => id === "rows").map(({ html }) => html).join("").match(/<tr>/g)?.length, 200);
  const last = steps.findLast(({ id }) => id === "found");
  assert.match(last.html, /^[\d,]+ match; looked at 45,000$/);
  assert.match(await page(service, "/messages?query=hostname:h&wait=1"), /match; looked at 45,000/, "without scripts");
});

Deno.test("message: shows the text without secrets, what would happen to it, and where it is when it has gone", async () => {
  const [text] = eventTexts(1), id = idOf(text!);
  await using service = await startServed(server());
  await service.ask("POST", "/api/v1/sources/alerter/pause", { key: TEST_KEYS.admin, body: { reason: "test" } });
  await server().seedList(DLQ, [text!, NASTY]);
  const open = () => page(service, `/messages/panel?source=alerter&message=${id}&near=1`, { part: true });
  await waitUntil(async () => (await open()).includes("Would be replayed"), { what: "the source has been read" });
  const panel = await open();
  assert.match(panel, /Would be replayed to mutt:ingest_queue[\s\S]*It waits for 1 gate:[\s\S]*pause/);
  assert.match(panel, /<span class="key">&quot;message&quot;<\/span>/);
  assert.ok(!panel.includes("<html") && !panel.includes("Show raw"));
  const nasty = await page(service, `/messages?source=alerter&message=${idOf(NASTY)}&near=2`);
  assert.match(nasty, /<span class="hidden">&quot;•••&quot;<\/span>/);
  assert.ok(!nasty.includes("<script>alert") && !nasty.includes("\u202e"));
  const gone = await page(service, "/messages/panel?source=alerter&message=m_0123456789abcdef&near=1", { part: true });
  assert.match(gone, /Not here any more/);
});

Deno.test("message: raw bytes need an admin and are in the journal; an edit is compared, checked and made", async () => {
  await server().seedList(DLQ, [NASTY]);
  await using service = await startServed(server(), { enabled: false });
  const form = { source: "alerter", list: "dlq", id: idOf(NASTY), near: "1" };
  assert.equal((await ask(service, "/messages/raw", { role: "operator", part: true, form })).status, 403);
  const raw = await ask(service, "/messages/raw", { role: "admin", part: true, form });
  assert.ok(raw.text.includes(SECRET) && raw.text.includes('name="payload"'), raw.text);
  const { json } = await service.ask("GET", "/api/v1/journal?kind=operation&actor=admin-name", {
    key: TEST_KEYS.viewer,
  });
  assert.equal(json.entries[0].members.result, "raw bytes shown");
  const payload = NASTY.replace('"severity": 1', '"severity": 2');
  const compared = await ask(service, "/messages/compare", {
    role: "admin",
    part: true,
    form: { _before: NASTY, payload },
  });
  assert.match(compared.text, /<span class="gone">− {3}&quot;severity&quot;: 1,\n<\/span>/);
  assert.match(compared.text, /<span class="new">\+ {3}&quot;severity&quot;: 2,\n<\/span>/);
  const edit = { ...form, _before: NASTY, reason: "test" };
  const wrong = await ask(service, "/act/edit", { role: "admin", part: true, form: { ...edit, payload: "{" } });
  assert.equal(wrong.status, 400);
  assert.match(wrong.text, /a JSON object that the consumer can read/);
  const done = await ask(service, "/act/edit", { role: "admin", part: true, form: { ...edit, payload } });
  assert.match(done.headers.get("hx-redirect") ?? "", /^\/sources\/alerter\/jobs\//, done.text);
  assert.deepEqual((await server().readList(DLQ)).map(String), [payload]);
  const job = await page(service, done.headers.get("hx-redirect")!, { role: "admin" });
  assert.ok(job.includes(`<code>${idOf(NASTY)}</code> is now`) && job.includes(idOf(payload)), job);
});
