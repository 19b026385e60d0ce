/** Who may do what: every route × caller, walked from the list of operations; sessions, proxies and guesses. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { messageId } from "../../../src/message/message_id.ts";
import { parseNetwork } from "../../../src/config/networks.ts";
import { Secret } from "../../../src/runtime/secret.ts";
import { ROLES } from "../../../src/config/api_keys.ts";
import { API_ROOT, createRoutes } from "../../../src/api/routes.ts";
import { OPERATIONS } from "../../../src/operations/registry.ts";
import { createOperations } from "../../../testkit/api_operations.ts";
import { type Ask, entriesOf, startApi, TEST_KEYS, type TestApi } from "../../../testkit/api.ts";
import { DLQ } from "../../../testkit/engine.ts";
import { MARK, PLANTED } from "../../../testkit/planted_secrets.ts";
import { shareRedis } from "../../../testkit/redis.ts";
import { startServed } from "../../../testkit/served.ts";
import { waitUntil } from "../../../testkit/wait.ts";
import { TestClock } from "../../../testkit/test_clock.ts";

const server = shareRedis();
const { viewer, operator, admin } = TEST_KEYS;
const SAME = { "sec-fetch-site": "same-origin" };

function start(options: Partial<Parameters<typeof startApi>[1]> = {}) {
  const { operations, deeds } = createOperations();
  return { api: startApi(server(), { operations, ...options }), deeds };
}

/** Logs in, and returns the header of the session. */
async function logIn(
  api: Pick<TestApi, "ask">,
  key: string,
  headers: Record<string, string> = {},
): Promise<{ cookie: string }> {
  const { status, headers: got, text } = await api.ask("POST", "/login", { body: { key }, headers });
  assert.equal(status, 200, text);
  return { cookie: got.get("set-cookie")!.split(";")[0]! };
}

/** A request that fits the path of any operation. */
const MEMBERS: Readonly<Record<string, string>> = { source: "alerter", list: "dlq", id: `m_${"0".repeat(16)}` };
const SECRET_TEXT = "only for those who may read";
const messageOf = (id: string) => JSON.stringify({ id, hostname: "h", message: SECRET_TEXT });

Deno.test("access: every route of the service × role × way to ask; what is refused changes nothing and shows nothing", async (t) => {
  await server().client().lpush(DLQ, ...["a", "b"].map(messageOf));
  await using service = await startServed(server(), { enabled: false });
  const sessions = {
    viewer: await logIn(service, viewer),
    operator: await logIn(service, operator),
    admin: await logIn(service, admin),
  };
  const operations = async () =>
    (await service.ask("GET", "/api/v1/journal?kind=operation", { key: admin })).json.entries.length;
  for (const { operation: { role: needed }, http, path, isWrite } of createRoutes(OPERATIONS)) {
    await t.step(`${http.method} ${path}`, async () => {
      const place = path.replaceAll(/\{(\w+)\}/g, (_, name) => MEMBERS[name] ?? "x");
      const ask = async (what: string, ask: Ask, wanted: 401 | 403 | "done") => {
        const { status, text } = await service.ask(http.method, place, ask);
        // What comes behind the door may be refused for other reasons.
        if (wanted === "done") return assert.ok(![401, 403, 429].includes(status) && status < 500, `${what}: ${text}`);
        // Many wrong keys are refused with 429.
        assert.equal(wanted === 401 && status === 429 ? 401 : status, wanted, `${what}: ${text}`);
        assert.ok(!text.includes(SECRET_TEXT), what);
      };
      const ways = ROLES.flatMap((role) => {
        const may = ROLES.indexOf(role) >= ROLES.indexOf(needed) ? "done" as const : 403;
        const crossSite = isWrite ? 403 : may, session = sessions[role];
        return [
          ["key", { key: TEST_KEYS[role] }, may],
          ["bearer", { headers: { authorization: `Bearer ${TEST_KEYS[role]}` } }, may],
          ["session", { headers: { ...session, ...SAME } }, may],
          ...["cross-site", "same-site", "none"].map((site) =>
            [site, { headers: { ...session, "sec-fetch-site": site, origin: service.url } }, crossSite] as const
          ),
          ["old browser elsewhere", { headers: { ...session, origin: "http://evil.example" } }, crossSite],
          ["no browser", { headers: session }, crossSite],
          ["old browser here", { headers: { ...session, origin: service.url } }, may],
        ].map(([what, ask, wanted]) => [`${what} of ${role}`, ask, wanted] as [string, Ask, 401 | 403 | "done"]);
      });
      const strangers: readonly [string, Ask, 401][] = [
        ["no key", {}, 401],
        ["an unknown key", { key: `${viewer}x` }, 401],
        ["a bearer that is none", { headers: { authorization: "Bearer x" } }, 401],
        ["a key in the query", { headers: { referer: `http://x/?key=${admin}` } }, 401],
        ["a forged session", {
          headers: { cookie: `session=YQ.0123456789abcdef.9999999999.${"a".repeat(43)}` },
        }, 401],
      ];
      const before = await operations();
      for (const [what, how, wanted] of strangers) await ask(what, how, wanted);
      for (const [what, how, wanted] of ways) if (wanted === 403) await ask(what, how, wanted);
      assert.equal(await operations(), before, "what was refused is in the journal");
      for (const [what, how, wanted] of ways) if (wanted === "done") await ask(what, how, wanted);
    });
  }
  assert.equal(await server().client().llen(DLQ), 2);
});

Deno.test("access: raw bytes need role admin, and are in the journal before they are shown", async () => {
  const text = messageOf("a");
  await server().client().lpush(DLQ, text);
  await using service = await startServed(server(), { enabled: false });
  const paths = [
    `/api/v1/sources/alerter/dlq/${messageId(Buffer.from(text))}?raw=true`,
    "/api/v1/sources/alerter/dlq/export?raw=true",
  ];
  for (const path of paths) {
    for (const key of [viewer, operator]) {
      const { status, text } = await service.ask("GET", path, { key });
      assert.deepEqual([status, text.includes(SECRET_TEXT)], [403, false], path);
    }
    const id = `raw-${paths.indexOf(path)}`, headers = { "x-correlation-id": id };
    assert.equal((await service.ask("GET", path, { key: admin, headers })).status, 200);
    const { json } = await service.ask("GET", "/api/v1/journal?actor=admin-name", { key: viewer });
    assert.equal(json.entries[0].members.correlationId, id);
  }
});

Deno.test("access: strangers get the description, and nothing else says what exists", async () => {
  await using api = start().api;
  for (
    const path of ["/", "/api", API_ROOT, "/api/v1/nowhere", "/api/v1/thing", "/api/v1/events", "/health", "/metrics"]
  ) {
    for (const method of ["GET", "POST", "PURGE"]) {
      assert.equal((await api.ask(method, path)).status, 401, `${method} ${path}`);
    }
  }
  assert.equal((await api.ask("GET", "/api/v1/openapi.json")).status, 200);
  assert.equal((await api.ask("POST", "/api/v1/openapi.json")).status, 401);
});

Deno.test("keys: a changed file counts at once; an unusable one keeps the keys; an empty one revokes them all", async () => {
  await using api = start().api;
  const status = async (key: string) => (await api.ask("GET", "/api/v1/thing", { key })).status;
  const session = await logIn(api, operator);
  const bySession = async () => (await api.ask("GET", "/api/v1/thing", { headers: session })).status;
  assert.deepEqual([await status(viewer), await status(operator), await bySession()], [200, 200, 200]);
  api.keys = { ok: true, keys: entriesOf({ viewer, operator: "another-key-0123456789-0123456789-abcd" }) };
  assert.deepEqual([await status(viewer), await status(operator), await bySession()], [200, 401, 401]);
  api.keys = { ok: false, problems: ["line 1: is not name:role:digest"] };
  assert.deepEqual([await status(viewer), await status(viewer)], [200, 200]);
  assert.equal(api.lines.filter(({ event }) => event === "api_keys_not_read").length, 1);
  api.keys = { ok: true, keys: [] };
  assert.equal(await status(viewer), 401);
  // A key too short to be random is none, even if its digest is configured.
  api.keys = { ok: true, keys: entriesOf({ admin: "short" }) };
  assert.equal(await status("short"), 401);
});

const BY_PROXY = { "x-proxy-secret": "proxy-secret-0123456789", "x-user": "ann", "x-groups": "noc" };

Deno.test("sessions: end after eight hours with their streams, at the logout, and with a changed role of the key", async () => {
  const clock = new TestClock();
  await using api = start({ clock, proxy: PROXY }).api;
  const session = await logIn(api, operator);
  const ask = () => api.ask("PUT", "/api/v1/thing", { headers: { ...session, ...SAME } });
  assert.equal((await ask()).status, 200);
  api.keys = { ok: true, keys: entriesOf({ viewer: operator }).map((key) => ({ ...key, name: "operator-name" })) };
  assert.equal((await ask()).status, 403);
  api.keys = { ok: true, keys: entriesOf() };
  const out = await api.ask("POST", "/logout", { headers: { ...session, ...SAME } });
  assert.equal(out.status, 204);
  assert.match(out.headers.get("set-cookie")!, /Max-Age=0/);
  assert.equal((await api.ask("POST", "/logout", { headers: session })).status, 403);
  const isOver = { session: false, proxy: false }, leaving = new AbortController(), { signal } = leaving;
  for (const [by, headers] of [["session", session], ["proxy", BY_PROXY]] as const) {
    const { body, status } = await api.open("GET", "/api/v1/events", { headers, signal });
    assert.equal(status, 200, by);
    void body!.pipeTo(new WritableStream()).then(() => isOver[by] = true, () => {});
  }
  await clock.advance(8 * 3_600_000);
  await waitUntil(() => isOver.session && isOver.proxy, { what: "the streams end too" });
  leaving.abort();
  const late = await ask();
  assert.deepEqual([late.status, late.json.detail], [401, "The session has ended: log in again"]);
});

Deno.test("sessions: __Host- and Secure behind TLS, plain on loopback, none elsewhere; every instance knows them", async () => {
  await using one = start().api;
  await using two = start().api;
  const plain = await one.ask("POST", "/login", { body: { key: viewer } });
  assert.match(plain.headers.get("set-cookie")!, /^session=[^;]+; HttpOnly; SameSite=Lax; Path=\/; Max-Age=28800$/);
  const tls = { "x-forwarded-proto": "https" };
  const secure = await one.ask("POST", "/login", { body: { key: viewer }, headers: tls });
  assert.match(secure.headers.get("set-cookie")!, /^__Host-session=[^;]+; Secure; HttpOnly; SameSite=Lax; Path=\/; /);
  const cookie = secure.headers.get("set-cookie")!.split(";")[0]!;
  assert.equal((await two.ask("GET", "/api/v1/thing", { headers: { cookie, ...tls } })).status, 200);
  const unsafe = { cookie: cookie.replace("__Host-", ""), ...tls };
  assert.equal((await two.ask("GET", "/api/v1/thing", { headers: unsafe })).status, 401);
});

Deno.test("login: from this site's page or a program, with a key; anything else begins no session", async () => {
  await using api = start().api;
  const post = (ask: Ask) => api.ask("POST", "/login", ask);
  assert.equal((await post({ body: { key: viewer }, headers: { "sec-fetch-site": "cross-site" } })).status, 403);
  assert.equal((await post({ body: { key: viewer }, headers: { origin: "http://evil.example" } })).status, 403);
  assert.equal((await post({ body: {} })).status, 400);
  const wrong = await post({ body: { key: PLANTED.misplaced } });
  assert.deepEqual([wrong.status, wrong.headers.get("set-cookie")], [401, null]);
  const type = { "content-type": "application/x-www-form-urlencoded" };
  const form = await post({ body: `key=${viewer}`, headers: { ...type, ...SAME } });
  assert.deepEqual([form.status, form.headers.get("location")], [303, "/"]);
  assert.ok(!JSON.stringify(api.lines).includes(MARK));
});

Deno.test("guesses: from the fifth wrong key on an address must wait; a right one is never refused", async () => {
  await using api = start({ clock: new TestClock() }).api;
  const wrong = async () => (await api.ask("GET", "/api/v1/thing", { key: `${viewer}x` }));
  for (let n = 0; n < 5; n++) assert.equal((await wrong()).status, 401, `guess ${n}`);
  const limited = await wrong();
  assert.deepEqual([limited.status, limited.headers.get("retry-after")], [429, "1"]);
  assert.equal((await api.ask("GET", "/api/v1/thing", { key: viewer })).status, 200);
  assert.match(await api.metrics.render(), /api_auth_failures_total\{reason="rate_limited"\} 1\n/);
});

const PROXY = {
  ...{ secret: new Secret("proxy-secret-0123456789"), addresses: [] },
  ...{ secretHeader: "x-proxy-secret", userHeader: "x-user", groupsHeader: "x-groups" },
  roles: new Map([["noc", "viewer"], ["sre", "operator"]] as const),
};

Deno.test("proxy: is believed from its addresses only, whatever the secret, and keys from anywhere", async () => {
  const headers = BY_PROXY;
  const cases: readonly (readonly [addresses: readonly string[], status: number])[] = [
    [["127.0.0.1"], 200],
    [["10.0.0.0/8", "127.0.0.0/8"], 200],
    [["10.0.0.0/8", "fd00::/8"], 401],
    [["127.0.0.2", "::1"], 401],
  ];
  for (const [addresses, status] of cases) {
    const { api } = start({ proxy: { ...PROXY, addresses: addresses.map((text) => parseNetwork(text)!) } });
    await using _ = api;
    assert.equal((await api.ask("GET", "/api/v1/thing", { headers })).status, status, addresses.join());
    assert.equal((await api.ask("GET", "/api/v1/thing", { key: viewer })).status, 200);
  }
});

Deno.test("proxy: its user is believed only with the secret, has the highest role of its groups, and needs this origin", async () => {
  const { api, deeds } = start({ proxy: PROXY });
  await using _ = api;
  const put = (headers: Record<string, string>) =>
    api.ask("PUT", "/api/v1/thing", { headers: { ...SAME, ...headers } });
  const known = { "x-proxy-secret": "proxy-secret-0123456789", "x-user": "ann", "x-groups": "noc, sre" };
  assert.equal((await put(known)).status, 200);
  assert.equal(deeds.done[0]!.actor, "ann");
  assert.equal((await put({ ...known, "x-groups": "noc" })).status, 403);
  assert.equal((await put({ ...known, "x-groups": "others" })).status, 403);
  assert.equal((await put({ ...known, "x-proxy-secret": "wrong" })).status, 401);
  assert.equal((await put({ "x-user": "ann", "x-groups": "sre" })).status, 401);
  assert.equal((await put({ ...known, "x-user": "" })).status, 401);
  assert.equal((await put({ ...known, "sec-fetch-site": "cross-site" })).status, 403);
  assert.equal(deeds.done.length, 1);
});

Deno.test("Redis is away: keys work, a first session does not, and the answer says why", async () => {
  const { operations } = createOperations();
  await using api = startApi({
    client: (options) => server().client({ ...options, port: 1, enableOfflineQueue: false, retryStrategy: () => null }),
  }, {
    operations,
  });
  assert.equal((await api.ask("GET", "/api/v1/thing", { key: viewer })).status, 200);
  assert.equal((await api.ask("POST", "/login", { body: { key: viewer } })).status, 503);
  const write = await api.ask("PUT", "/api/v1/thing", { key: operator, headers: { "idempotency-key": "k" } });
  assert.equal(write.status, 503);
});
