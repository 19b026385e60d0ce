/** Who may see and do what in the console: every address of the site × caller × way to ask, and forms that are sent twice or are none. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { API_ROOT } from "../../../src/api/routes.ts";
import { ROLES } from "../../../src/config/api_keys.ts";
import { createSite } from "../../../src/console/site.tsx";
import { messageId } from "../../../src/message/message_id.ts";
import type { AnyOperation } from "../../../src/operations/operation.ts";
import { OPERATIONS } from "../../../src/operations/registry.ts";
import { SYSTEM_CLOCK } from "../../../src/runtime/clock.ts";
import { type Answer, TEST_KEYS } from "../../../testkit/api.ts";
import { DLQ } from "../../../testkit/engine.ts";
import { recordLog } from "../../../testkit/recorded_log.ts";
import { shareRedis } from "../../../testkit/redis.ts";
import { type Served, startServed } from "../../../testkit/served.ts";

const server = shareRedis();
const { viewer, operator, admin } = TEST_KEYS;
const SECRET_TEXT = "only for those who may read", MESSAGE = JSON.stringify({ hostname: "h", message: SECRET_TEXT });
const FORM = { "content-type": "application/x-www-form-urlencoded" }, HTML = { accept: "text/html" };
const SAME = { "sec-fetch-site": "same-origin" };

/** Every address of the site. */
const ADDRESSES = createSite({
  ...{ pod: "p", version: "v", clock: SYSTEM_CLOCK, log: recordLog().log },
  reader: { read: () => Promise.reject(new Error("reads nothing")), stream: () => emptyStream() },
}).pages;
/** A place that fits the variables of an address, and what makes it show something. */
const VALUES: Readonly<Record<string, string>> = { source: "alerter", id: "nothing", operation: "pause" };
const QUERIES: Readonly<Record<string, string>> = {
  "/live": "?at=/jobs",
  "/messages/rows": "?source=alerter",
  "/messages/found": "?source=alerter&query=read",
  "/messages/groups": "?source=alerter",
};

async function* emptyStream() {}

async function logIn(service: Served, key: string): Promise<{ cookie: string }> {
  const { headers } = await service.ask("POST", "/login", { body: { key } });
  return { cookie: headers.get("set-cookie")!.split(";")[0]! };
}

/** Sends a form as a page of the site does. */
function send(
  service: Served,
  path: string,
  { key = operator, fields, headers = {} }: {
    key?: string;
    fields: Readonly<Record<string, string>>;
    headers?: Readonly<Record<string, string>>;
  },
): Promise<Answer> {
  return service.ask("POST", path, {
    ...{ key, headers: { ...FORM, ...HTML, ...headers }, body: new URLSearchParams(fields).toString() },
  });
}

const entriesOf = async (service: Served): Promise<number> =>
  (await service.ask("GET", `${API_ROOT}/journal?kind=operation&limit=200`, { key: admin })).json.entries.length;

Deno.test("site: every address × caller × way to ask; strangers see the login, and other sites change nothing", async (t) => {
  await server().client().lpush(DLQ, MESSAGE);
  await using service = await startServed(server(), { enabled: false });
  const sessions = await Promise.all(ROLES.map((role) => logIn(service, TEST_KEYS[role])));
  const begun = await entriesOf(service);
  for (const { method, path, isOpen = false } of ADDRESSES) {
    const place = path.replaceAll(/\{(\w+)\}/g, (_, name) => VALUES[name]!) + (QUERIES[path] ?? "");
    const ask = async (what: string, headers: Record<string, string>) => {
      const gone = new AbortController();
      const request = {
        headers: { ...HTML, ...FORM, ...headers },
        signal: gone.signal,
        ...(method === "POST" ? { body: "" } : {}),
      };
      const response = await service.open(method, place, request);
      const type = response.headers.get("content-type") ?? "", isEndless = type === "text/event-stream";
      const text = isEndless ? "" : await response.text();
      if (isEndless) gone.abort();
      assert.match(
        response.headers.get("content-security-policy") ?? "",
        /^default-src 'none'.*frame-ancestors 'none'/,
        what,
      );
      assert.equal(response.headers.get("x-content-type-options"), "nosniff", what);
      if (!isOpen) assert.match(response.headers.get("cache-control") ?? "", /no-store/, what);
      return { status: response.status, location: response.headers.get("location"), text };
    };
    await t.step(`${method} ${path}`, async () => {
      for (
        const [what, headers] of [["nobody", {}], ["forged", {
          cookie: `session=YQ.0123456789abcdef.9999999999.${"a".repeat(43)}`,
        }]] as const
      ) {
        const { status, location, text } = await ask(what, headers);
        if (isOpen) assert.equal(status, 200, what);
        else if (method === "GET") assert.deepEqual([status, location?.split("?")[0]], [303, "/login"], what);
        else assert.equal(status, 401, what);
        assert.ok(!text.includes(SECRET_TEXT), what);
      }
      for (const session of sessions) {
        const { status } = await ask("a session", { ...session, ...SAME });
        assert.ok(![401, 429].includes(status) && status < 500, `${status}`);
        if (method === "GET") continue;
        for (const site of ["cross-site", "same-site", "none"]) {
          assert.equal((await ask(site, { ...session, "sec-fetch-site": site })).status, 403, site);
        }
        assert.equal((await ask("elsewhere", { ...session, origin: "http://evil.example" })).status, 403);
        assert.equal((await ask("no browser", session)).status, 403);
      }
    });
  }
  assert.equal(await entriesOf(service), begun, "nothing was done");
});

Deno.test("forms: every operation × role; what is empty, or not for the role, is refused and not a bug", async () => {
  await using service = await startServed(server(), { enabled: false });
  for (const { name, role: needed, http, stream, input } of OPERATIONS as readonly AnyOperation[]) {
    for (const role of ROLES) {
      const { status, text } = await send(service, `/act/${name}`, { key: TEST_KEYS[role], fields: {} });
      const may = ROLES.indexOf(role) >= ROLES.indexOf(needed);
      const required = (input as { required?: readonly string[] }).required ?? [];
      const wanted = stream || !http ? 404 : !may ? 403 : required.length > 0 ? 400 : 303;
      assert.equal(status, wanted, `${name} of ${role}: ${text}`);
    }
  }
  assert.ok(!service.lines.some(({ event }) => event === "api_bug"));
});

Deno.test("forms: raw bytes are for admins, and in the journal before they are shown", async () => {
  await server().client().lpush(DLQ, MESSAGE);
  await using service = await startServed(server(), { enabled: false });
  const fields = { source: "alerter", list: "dlq", id: messageId(Buffer.from(MESSAGE)) };
  for (const key of [viewer, operator]) {
    const { status, text } = await send(service, "/messages/raw", { key, fields });
    assert.deepEqual([status, text.includes(SECRET_TEXT)], [403, false]);
  }
  const before = await entriesOf(service);
  const { status, text } = await send(service, "/messages/raw", { key: admin, fields });
  assert.deepEqual([status, text.includes(SECRET_TEXT)], [200, true]);
  assert.equal(await entriesOf(service), before + 1);
});

Deno.test("forms: with 50,000 names, of another type, or too large: refused at once", async () => {
  await using service = await startServed(server(), { enabled: false });
  const names = Array.from({ length: 50_000 }, (_, i) => [`a${i}`, "1"] as const);
  // Work that grows with the square of the names takes a minute, in which no message is replayed either.
  const many = await send(service, "/act/status", { fields: Object.fromEntries(names) });
  assert.deepEqual([many.status, /more than 100 names/.test(many.text)], [400, true]);
  const fields = { source: "alerter", reason: "no", forSeconds: "900" };
  const other = await send(service, "/act/pause", { fields, headers: { "content-type": "text/plain" } });
  assert.equal(other.status, 415);
  assert.equal(
    (await send(service, "/act/pause", { fields: { ...fields, reason: "x".repeat(1_100_000) } })).status,
    413,
  );
});

Deno.test("forms: one that is sent again runs once; with other values it is refused instead of forgotten", async () => {
  await using service = await startServed(server(), { enabled: false });
  const fields = {
    source: "alerter",
    reason: "network work",
    forSeconds: "900",
    _next: "/jobs",
    _once: "a-form-of-the-test",
  };
  const pauses = async () =>
    (await service.ask("GET", `${API_ROOT}/journal?kind=operation&limit=200`, { key: admin })).json.entries
      .filter(({ members }: { members: { operation?: string } }) => members.operation === "pause").length;
  const before = await pauses();
  for (let n = 0; n < 2; n++) {
    const { status, headers } = await send(service, "/act/pause", { fields });
    assert.deepEqual([status, headers.get("location")], [303, "/jobs"]);
  }
  assert.equal(await pauses(), before + 1);
  const changed = await send(service, "/act/pause", { fields: { ...fields, forSeconds: "3600" } });
  assert.equal(changed.status, 422);
  assert.match(changed.text, /sent before with other values/);
  await send(service, "/act/resume", { fields: { source: "alerter" } });
});

Deno.test("addresses: a next or at of another site leads nowhere, and odd names are pages that say so", async () => {
  await using service = await startServed(server(), { enabled: false });
  for (const next of ["//evil.example", "/\\evil.example", "https://evil.example", "/\tx", "javascript:alert(1)"]) {
    const { headers } = await send(service, "/act/resume", { fields: { source: "alerter", _next: next } });
    assert.equal(headers.get("location"), "/", next);
    const login = (await service.ask("GET", `/login?next=${encodeURIComponent(next)}`, { headers: HTML })).text;
    assert.ok(!login.includes("evil"), next);
  }
  for (const name of ["%E0%A4%A", "a%2Fb", "..%2f..", "%E2%80%AEgnp", "constructor", "%3Cb%3E", "x".repeat(3_000)]) {
    for (
      const path of [`/sources/${name}`, `/jobs?source=${name}`, `/messages?source=${name}`]
    ) {
      const { status, text } = await service.ask("GET", path, { key: viewer, headers: HTML });
      assert.ok(status < 500 && text.startsWith("<!doctype html>"), `${path}: ${status}`);
      assert.ok(!text.includes("\u202e") && !text.includes("<b>gnp") && !text.includes('"<b>"'), path);
    }
  }
});

Deno.test("pages: tell browsers to send their origin with a form; without it an older one cannot log in", async () => {
  await using service = await startServed(server(), { enabled: false });
  const { headers } = await service.ask("GET", "/login", { headers: HTML });
  assert.equal(headers.get("referrer-policy"), "same-origin");
});
