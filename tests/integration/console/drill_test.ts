/** Drills in the console: a source's page starts one, shows how far it is, and ends it. */
import assert from "node:assert/strict";
import type { Role } from "../../../src/config/api_keys.ts";
import { TEST_KEYS } from "../../../testkit/api.ts";
import { readReports } from "../../../testkit/drills.ts";
import { shareRedis } from "../../../testkit/redis.ts";
import { type Served, startServed } from "../../../testkit/served.ts";
import { waitUntil } from "../../../testkit/wait.ts";

const server = shareRedis();

async function get(service: Served, role: Role): Promise<string> {
  const asked = { key: TEST_KEYS[role], headers: { accept: "text/html" } };
  const { status, text } = await service.ask("GET", "/sources/alerter", asked);
  assert.equal(status, 200, text);
  return text;
}

async function post(service: Served, operation: string, form: Record<string, string>, role: Role) {
  return await service.ask("POST", `/act/${operation}`, {
    key: TEST_KEYS[role],
    headers: { accept: "text/html", "hx-request": "true", "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({ source: "alerter", _next: "/sources/alerter", ...form }).toString(),
  });
}

Deno.test("drill: an admin starts one on the source's page; a viewer sees it; an operator cancels it", async () => {
  await using service = await startServed(server(), { intervalMs: 1_000, consumerLagMs: 0 });
  assert.doesNotMatch(await get(service, "operator"), /Start a drill…/);
  const page = await get(service, "admin");
  assert.match(page, /Start a drill…/);
  assert.match(page, /<option value="downstream">downstream<\/option>[^]*<option value="depth">/);
  assert.match(page, /name="confirm"[^>]*required/);
  const form = { reason: "weekly drill", messages: "7", outageSeconds: "900", gate: "depth", target: "mock" };
  assert.equal((await post(service, "drill", { ...form, confirm: "true" }, "operator")).status, 403);
  const planned = await post(service, "drill", form, "admin");
  assert.equal(planned.status, 200, planned.text);
  assert.match(await get(service, "viewer"), /No drill in the last 7 days/, "it was not confirmed");
  const started = await post(service, "drill", { ...form, confirm: "true" }, "admin");
  assert.equal(started.status, 200, started.text);
  const running = await waitUntil(async () => {
    const text = await get(service, "viewer");
    return text.includes("7 of 7 messages are in the DLQ") ? text : null;
  }, { what: "the page shows it" });
  assert.match(running, /holding/);
  assert.doesNotMatch(running, /act\/drills_cancel/, "a viewer cannot cancel it");
  const [, id] = /name="id" value="(d_[0-9a-f]{16})"/.exec(await get(service, "operator"))!;
  const cancelled = await post(service, "drills_cancel", { id: id! }, "operator");
  assert.equal(cancelled.status, 200, cancelled.text);
  await waitUntil(async () => (await readReports(server())).length === 1, { what: "it is over", timeoutMs: 20_000 });
  assert.match(
    await get(service, "viewer"),
    /cancelled[^]*7 arrived, 0 lost, 0 doubled|cancelled[^]*0 lost, 0 doubled/,
  );
});
