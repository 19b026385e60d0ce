/** Pages that look, by real HTTP against the real service: what each shows, to whom, and what it does with nasty data. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { TEST_KEYS } from "../../../testkit/api.ts";
import { DLQ } from "../../../testkit/engine.ts";
import { shareRedis, startRedis } from "../../../testkit/redis.ts";
import { type Served, startServed } from "../../../testkit/served.ts";
import { waitUntil } from "../../../testkit/wait.ts";

const server = shareRedis();
const { viewer, operator } = TEST_KEYS;
const AUDIT = "mutt:remediation:{journal}:audit";
const NASTY = "<script>alert(1)</script><img src=x onerror=alert(1)>\u202e\u0000";

const open = (service: Served, path: string, key = viewer) =>
  service.ask("GET", path, { key, headers: { accept: "text/html" } });

/** What every page must show. */
const PAGES: readonly (readonly [string, readonly string[]])[] = [
  ["/", ["Waiting", "Drains in", "Depth, last hour", "What failed", "alerter"]],
  ["/sources/alerter", ["At a glance", "Gates that held it", "Settings in force", "MAX_POISON_RETRIES", "Led by"]],
  ["/sources/alerter?range=24h", ["Depth, last 24 hours"]],
  ["/sources/alerter?range=nonsense", ["Depth, last hour"]],
  ["/journal", ["newest first", "started on"]],
  ["/journal?source=alerter&kind=move", ["No entry fits"]],
  ["/journal/verify", ["Every journal is intact", "moves alerter"]],
  ["/objectives", ["Age of the oldest", "are needed to judge"]],
  ["/settings", ["REMEDIATION_INTERVAL", "Source alerter", "dynamic key"]],
  ["/settings?q=lease", ["REMEDIATION_LEASE_DURATION"]],
  ["/settings?q=nothing-like-this", ["No setting fits"]],
  ["/replicas", ["this one", "no message is lost"]],
];

Deno.test("pages: each answers with what it must show, without inline scripts and styles, and a viewer sees no action", async (t) => {
  await server().client().lpush(
    DLQ,
    JSON.stringify({ hostname: "h", timestamp: "2026-11-29T10:00:00Z", message: "m" }),
  );
  await using service = await startServed(server(), { enabled: false });
  for (const [path, texts] of PAGES) {
    await t.step(path, async () => {
      const { status, text, headers } = await open(service, path);
      assert.equal(status, 200, text);
      for (const wanted of texts) assert.ok(text.includes(wanted), `${path} does not show ${wanted}`);
      assert.match(headers.get("content-security-policy") ?? "", /default-src 'none'/);
      assert.doesNotMatch(text, / style=|<style|<script(?! src="\/assets\/)/);
      assert.doesNotMatch(text, /action="\/act\/|popovertarget="(pause|freeze|release|replay)-/);
    });
  }
});

Deno.test("source page: an operator may pause, resume and begin a cycle", async () => {
  await using service = await startServed(server());
  const shown = (await open(service, "/sources/alerter", operator)).text;
  for (const id of ["pause-alerter", "replay-alerter"]) {
    assert.ok(shown.includes(`popovertarget="${id}"`) && shown.includes(`id="${id}"`), id);
  }
  const body = { reason: "<b>network work</b>", forSeconds: 900 };
  const { status, text } = await service.ask("POST", "/api/v1/sources/alerter/pause", { key: operator, body });
  assert.equal(status, 200, text);
  const isPaused = async () =>
    (await open(service, "/sources/alerter", operator)).text.includes('action="/act/resume"');
  await waitUntil(isPaused, { what: "the page offers to resume" });
  assert.doesNotMatch((await open(service, "/sources/alerter", operator)).text, /<b>network work/);
  await service.ask("POST", "/api/v1/sources/alerter/resume", { key: operator, body: {} });
});

Deno.test("pages: an operator may freeze and unfreeze a source, and all of them if there are several", async () => {
  await using service = await startServed(server(), { sources: ["alerter", "moog"] });
  const overview = async (key: string) => (await open(service, "/", key)).text;
  const isReady = async () => (await overview(operator)).includes('id="freeze-alerter"');
  await waitUntil(isReady, { what: "the sources are shown" });
  for (const id of ["freeze-alerter", "freeze-moog", "freeze-all"]) {
    const shown = await overview(operator);
    assert.ok(shown.includes(`popovertarget="${id}"`) && shown.includes(`id="${id}"`), id);
    assert.ok(!(await overview(viewer)).includes(id), id);
  }
  const freeze = { reason: "<b>change 4711</b>", forSeconds: 900 };
  const { status, text } = await service.ask("POST", "/api/v1/freeze", { key: operator, body: freeze });
  assert.equal(status, 200, text);
  const page = async () => (await open(service, "/sources/moog", operator)).text;
  const isFrozen = async () => (await page()).includes("Frozen by operator-name until ");
  await waitUntil(isFrozen, { what: "the page says who has frozen it" });
  const shown = await page();
  assert.match(shown, /action="\/act\/unfreeze"/);
  assert.doesNotMatch(shown, /<b>change 4711|popovertarget="freeze-moog"/);
  const unfrozen = await service.ask("POST", "/api/v1/unfreeze", { key: operator, body: { source: "moog" } });
  assert.match(unfrozen.json.sources[0].result, /^was frozen by operator-name until /);
  await waitUntil(async () => (await page()).includes('popovertarget="freeze-moog"'), {
    what: "it may be frozen again",
  });
  assert.match(await overview(operator), /Frozen by operator-name/, "the other one is");
});

Deno.test("pages: text of messages and of foreign journal entries is text", async () => {
  const client = server().client();
  const message = { hostname: NASTY, timestamp: "2026-11-29T10:00:00Z", message: NASTY };
  await client.lpush(DLQ, JSON.stringify(message), Buffer.from([0xff, 0x00, 0x3c, 0x62, 0x3e]));
  await client.xadd(AUDIT, "*", "entry", NASTY);
  await using service = await startServed(server(), { enabled: false });
  const isCounted = async () => (await open(service, "/")).text.includes("Counted over");
  await waitUntil(isCounted, { what: "the failures are counted" });
  for (
    const path of ["/", "/sources/alerter", "/journal", "/journal/verify", "/settings?q=%3Cscript%3E"]
  ) {
    const { status, text } = await open(service, path);
    assert.equal(status, 200, path);
    for (const never of ["<script>", "<img ", "\u202e", "\u0000"]) {
      assert.ok(!text.includes(never), `${path}: ${never}`);
    }
  }
  const { text } = await open(service, "/journal/verify");
  assert.ok(text.includes("A journal was changed") && text.includes("foreign"), "the foreign entry shows");
  await client.del(AUDIT, `${AUDIT.replace(":audit", "")}:head`);
});

Deno.test("journal: older entries follow by a cursor, and only the newest ones are live", async () => {
  await using service = await startServed(server(), { enabled: false });
  for (let i = 0; i < 60; i++) {
    await service.ask("POST", "/api/v1/sources/alerter/resume", { key: operator, body: {} });
  }
  const filter = "kind=operation&actor=operator-name", first = (await open(service, `/journal?${filter}`)).text;
  assert.match(first, /<body data-live="\/live/);
  const next = /href="(\/journal\?[^"]*cursor=[^"]+)"/.exec(first)?.[1]?.replaceAll("&amp;", "&");
  assert.ok(next?.includes("kind=operation") && next.includes("actor=operator-name"), `the filter stays: ${next}`);
  const older = (await open(service, next!)).text;
  const ids = (text: string): readonly string[] => text.match(/id="e-[^"]+"/g) ?? [];
  assert.doesNotMatch(older, /data-live=/);
  assert.equal(ids(first).length, 50);
  assert.ok(ids(older).length >= 10 && ids(older).every((id) => !ids(first).includes(id)), "no entry is shown twice");
});

Deno.test("pages: what cannot be shown is said where it would be, and an unknown source is a page too", async () => {
  await using service = await startServed(server(), { enabled: false });
  const wrong = await open(service, "/journal?message=nonsense");
  assert.equal(wrong.status, 200);
  assert.match(wrong.text, /role="alert">[^<]*message/);
  const { status, text } = await open(service, "/sources/nothing");
  assert.equal(status, 404);
  assert.match(text, /is not one of alerter/);
  const copies = await open(service, "/journal/verify?copies=nonsense");
  assert.match(copies.text, /The journals could not be verified/);
});

Deno.test("live parts: the stream begins with every live part of the page, rendered for a viewer", async () => {
  await using service = await startServed(server(), { enabled: false });
  for (
    const [path, ids] of [
      ["/", ["incidents", "figures", "tracks", "depth", "failures", "jobs", "journal"]],
      ["/sources/alerter", ["track", "depth", "facts", "gates", "failures", "jobs", "journal", "drills"]],
      ["/incidents", ["incidents", "receivers"]],
      ["/journal", ["entries"]],
      ["/objectives", ["objectives"]],
      ["/replicas", ["replicas"]],
    ] as const
  ) {
    const gone = new AbortController();
    const { body, status } = await service.open("GET", `/live?at=${encodeURIComponent(path)}`, {
      ...{ key: viewer, headers: { accept: "text/event-stream" }, signal: gone.signal },
    });
    assert.equal(status, 200, path);
    let text = "";
    for await (const part of body!.pipeThrough(new TextDecoderStream())) {
      text += part;
      if (text.includes("\n\n")) break;
    }
    gone.abort();
    const sections = JSON.parse(/data: (.*)\n/.exec(text)![1]!);
    assert.deepEqual(Object.keys(sections), [...ids], path);
  }
});

Deno.test("pages: while Redis is away, each says so in words of ours, and offers to try again", async () => {
  const redis = await startRedis();
  await redis.client().lpush(DLQ, JSON.stringify({ hostname: "h", message: "m" }));
  await using service = await startServed(redis, { enabled: false });
  await redis.stop();
  await waitUntil(async () => (await open(service, "/jobs")).status === 503, { what: "the service notices" });
  for (const [path] of [...PAGES, ["/jobs"], ["/messages"], ["/messages?query=m"]] as const) {
    const { status, text } = await open(service, path);
    assert.ok([200, 503].includes(status), `${path}: ${status}`);
    // The gate names the system's error, once the client has met it, behind words of ours.
    const said = text.replaceAll(/(Redis cannot be used at the address in [^"(]*) \(CONNECTION: [^")]*\)/g, "$1");
    const bad = /.{0,80}(?:enableOfflineQueue|writeable|ECONNREFUSED|That is a bug).{0,80}/i.exec(said);
    assert.equal(bad, null, `${path}: ${bad}`);
    if (status === 503) assert.match(text, /Redis[^<]*<[^]*Try again<\/a>/, path);
  }
});
