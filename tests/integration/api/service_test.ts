/** The API of the whole service: opened with keys only, loaded with the first request, the same as its health document. */
import assert from "node:assert/strict";
import { runService } from "../../../src/app/service.ts";
import { DEFAULT_SETTINGS, type Settings } from "../../../src/config/fields.ts";
import { digestOf } from "../../../src/api/key_ring.ts";
import { SYSTEM_CLOCK } from "../../../src/runtime/clock.ts";
import { SYSTEM_RANDOM } from "../../../src/runtime/random.ts";
import { Secret } from "../../../src/runtime/secret.ts";
import { DLQ, eventTexts } from "../../../testkit/engine.ts";
import { recordLog } from "../../../testkit/recorded_log.ts";
import { shareRedis } from "../../../testkit/redis.ts";
import { waitUntil } from "../../../testkit/wait.ts";

const server = shareRedis();
const KEY = "a-key-of-the-service-0123456789-0123456789";

async function withService(
  settings: Partial<Settings>,
  use: (running: { port: (name: string) => unknown; lines: ReturnType<typeof recordLog>["lines"] }) => Promise<void>,
): Promise<void> {
  const stop = new AbortController(), { log, lines } = recordLog();
  const running = runService({
    settings: {
      ...DEFAULT_SETTINGS,
      ...{ redisHost: "127.0.0.1", redisPort: server().port, bindAddress: "127.0.0.1", sources: ["alerter"] },
      ...{ metricsPort: 0, healthPort: 0, apiPort: 0, moogHealthCheckEnabled: false, consumerGate: "off", ...settings },
    },
    ...{ log, clock: SYSTEM_CLOCK, random: SYSTEM_RANDOM, signal: stop.signal },
  });
  const listening = () => lines.find(({ event }) => event === "listening");
  try {
    await waitUntil(() => listening() !== undefined, { what: "the service listens" });
    await use({ port: (name) => listening()!.fields![`${name}_port`], lines });
  } finally {
    stop.abort();
    await running;
  }
}

Deno.test("run: without keys the API's port is not open, and the log says how to open it", async () => {
  await withService({}, async ({ port, lines }) => {
    assert.equal(port("api"), undefined);
    const [line] = await waitUntil(() => {
      const found = lines.filter(({ event }) => event === "api_closed");
      return found.length > 0 ? found : undefined;
    }, { what: "the log says so" });
    assert.match(line!.message, /mutt-remediation key new .*/);
  });
});

Deno.test("run: with a key the API shows what the health port shows, and follows it", async () => {
  await server().client().lpush(DLQ, ...eventTexts(3));
  const keys = new Secret(`grafana:viewer:${digestOf(KEY)}`);
  let events: Promise<string> | undefined;
  await withService({ apiKeys: keys, enabled: false }, async ({ port, lines }) => {
    const ask = async (name: string, path: string) =>
      await (await fetch(`http://127.0.0.1:${port(name)}${path}`, {
        headers: { "x-api-key": KEY, accept: "application/json" },
      })).json();
    const isSeen = async () => (await ask("health", "/health")).sources[0]?.depth === 3;
    await waitUntil(isSeen, { what: "the depth is known", timeoutMs: 20_000 });
    const [health, api] = [await ask("health", "/health"), await ask("api", "/api/v1/status")];
    assert.deepEqual(Object.keys(api), Object.keys(health));
    assert.equal(api.sources[0].depth, 3);
    assert.deepEqual(Object.keys(await ask("api", "/api/v1/slo")), Object.keys(await ask("health", "/api/v1/slo")));
    const followed = await fetch(`http://127.0.0.1:${port("api")}/api/v1/events`, { headers: { "x-api-key": KEY } });
    events = followed.text();
    assert.equal(lines.filter(({ level }) => level === "ERROR").length, 0);
  });
  // The stop ended the stream.
  const text = await events!;
  assert.match(text, /event: source\ndata: \{"key":"alerter","value":\{"name":"alerter","dlq":"mutt:dlq:alerter"/);
  assert.match(text, /event: service\n/);
});
