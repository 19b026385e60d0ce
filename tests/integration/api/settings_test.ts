/** What the running service says of its settings, its history and its replicas, under a validator of others. */
import { Ajv2020 } from "ajv/dist/2020.js";
import assert from "node:assert/strict";
import { history } from "../../../src/operations/history.ts";
import { replicas } from "../../../src/operations/replicas.ts";
import { settings, type SettingsReport } from "../../../src/operations/settings.ts";
import type { JsonSchema } from "../../../src/operations/operation.ts";
import { TEST_KEYS } from "../../../testkit/api.ts";
import { DLQ, eventTexts } from "../../../testkit/engine.ts";
import { shareRedis } from "../../../testkit/redis.ts";
import { type Served, startServed } from "../../../testkit/served.ts";
import { waitUntil } from "../../../testkit/wait.ts";

const server = shareRedis();
const ajv = new Ajv2020({ strict: true, allowUnionTypes: true });
const key = TEST_KEYS.viewer;

async function ask<Report>(service: Served, path: string, schema: JsonSchema): Promise<Report> {
  const { status, json, text } = await service.ask("GET", `/api/v1${path}`, { key });
  assert.equal(status, 200, text);
  const fits = ajv.compile(schema);
  assert.ok(fits(json), JSON.stringify({ errors: fits.errors, json }));
  return json as Report;
}

Deno.test("settings: fits its schema, and says what a dynamic key changes, and when it is gone", async () => {
  const client = server().client();
  await client.mset({ "mutt:config:max_poison_retries": "7", "mutt:config:moog_rate_limit": "12" });
  await using service = await startServed(server(), { dynamicConfigEnabled: true, batchSize: 25 });
  const read = () => ask<SettingsReport>(service, "/settings", settings.output);
  const find = async (variable: string) => {
    const { value, origin, default: usual, unit, dynamicKey } = (await read()).settings.find((one) =>
      one.variable === variable
    )!;
    return { value, origin, usual, unit, dynamicKey };
  };
  await waitUntil(async () => (await find("MAX_POISON_RETRIES")).value === "7", { what: "the key is read" });
  const rest = { usual: "3", unit: "failures", dynamicKey: "max_poison_retries" };
  assert.deepEqual(await find("MAX_POISON_RETRIES"), { value: "7", origin: "dynamic key", ...rest });
  assert.equal((await find("REMEDIATION_BATCH_SIZE")).value, "25");
  const { shared, sources: [source] } = await read();
  assert.equal(shared.find(({ key }) => key === "moog_rate_limit")!.value, "12");
  assert.deepEqual([source!.name, source!.dlq, source!.origin, source!.pace.batchSize], [
    "alerter",
    DLQ,
    "built in",
    25,
  ]);
  await waitUntil(async () => (await read()).sources[0]!.brake?.state === "healthy", { what: "the source is read" });
  await client.del("mutt:config:max_poison_retries");
  await client.publish("mutt:config:updates", "max_poison_retries");
  await waitUntil(async () => (await find("MAX_POISON_RETRIES")).origin === "default", { what: "the key is gone" });
  assert.equal((await find("MAX_POISON_RETRIES")).value, "3");
});

Deno.test("history, replicas: fit their schemas while the service works, and what it did is there when it has stopped", async () => {
  await server().client().lpush(DLQ, ...eventTexts(3));
  {
    await using service = await startServed(server(), { intervalMs: 1_000, batchSize: 0 });
    type History = { sources: { steps: { depth: number | null }[]; totals: { replayed: number } }[] };
    await waitUntil(async () => await server().depth(DLQ) === 0, { what: "the DLQ is empty" });
    const seen = async () => {
      const { sources } = await ask<History>(service, "/history?minutes=5&points=10", history.output);
      return sources[0]!.steps.at(-1)!.depth !== null;
    };
    await waitUntil(seen, { what: "a sample is written" });
    const listed = async () => {
      const { replicas: found } = await ask<Awaited<ReturnType<typeof replicas.run>>>(
        service,
        "/replicas",
        replicas.output,
      );
      return found.length === 1 && found[0]!.isThis && found[0]!.leads.join() === "alerter" &&
        found[0]!.version !== null;
    };
    await waitUntil(listed, { what: "it lists itself" });
  }
  await using next = await startServed(server(), { enabled: false });
  const { sources } = await ask<{ sources: { totals: { replayed: number } }[] }>(next, "/history", history.output);
  assert.equal(sources[0]!.totals.replayed, 3);
});
