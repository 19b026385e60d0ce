/** What operations return in earnest, under a validator of others: the schemas and the types say what is there. */
import { Ajv2020 } from "ajv/dist/2020.js";
import assert from "node:assert/strict";
import { createCommandContext } from "../../src/app/command_context.ts";
import type { AppOptions } from "../../src/app/core.ts";
import { runService } from "../../src/app/service.ts";
import { DEFAULT_SETTINGS, type Settings } from "../../src/config/fields.ts";
import { parseSettings } from "../../src/config/load.ts";
import type { SourcesFile } from "../../src/config/sources.ts";
import { check } from "../../src/operations/check.ts";
import { config } from "../../src/operations/config.ts";
import type { JsonSchema } from "../../src/operations/operation.ts";
import { once } from "../../src/operations/once.ts";
import { SLO_SCHEMA } from "../../src/operations/slo.ts";
import { type Status, STATUS_SCHEMA } from "../../src/operations/status.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { SYSTEM_RANDOM } from "../../src/runtime/random.ts";
import type { SloReport } from "../../src/slo/monitor.ts";
import { DLQ, eventTexts, TARGET } from "../../testkit/engine.ts";
import { recordLog } from "../../testkit/recorded_log.ts";
import { shareRedis } from "../../testkit/redis.ts";
import { waitUntil } from "../../testkit/wait.ts";
import { freePort } from "../../scripts/free_port.ts";

const server = shareRedis();
const ajv = new Ajv2020({ strict: true, allowUnionTypes: true });

/** Every kind of source. */
const FILE: SourcesFile = {
  sources: new Map([["own", { dlq: "own:dlq", target: "own", dead: "own:dead" }]]),
  windows: [{ from: "2025-01-01T22:00", to: "2025-01-02T06:00", reason: "maintenance" }],
};

function assertFits(schema: JsonSchema, document: unknown): void {
  const fits = ajv.compile(schema);
  assert.ok(fits(document), JSON.stringify({ errors: fits.errors, document }, null, 1));
}

function optionsFor(settings: Partial<Settings>, signal = new AbortController().signal) {
  const { log, lines } = recordLog();
  const options: AppOptions = {
    settings: {
      ...DEFAULT_SETTINGS,
      ...{ redisHost: "127.0.0.1", redisPort: server().port, bindAddress: "127.0.0.1", metricsPort: 0, healthPort: 0 },
      ...{
        moogHealthCheckEnabled: false,
        consumerGate: "off",
        sources: ["alerter", "moog"],
        batchSize: 0,
        ...settings,
      },
    },
    ...{ sourcesFile: FILE, log, clock: SYSTEM_CLOCK, random: SYSTEM_RANDOM, signal },
  };
  return { options, lines };
}

/** Runs the service, hands a way to ask its health port, and stops it. */
async function withService(
  settings: Partial<Settings>,
  use: (ask: (path: string) => Promise<unknown>) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const { options, lines } = optionsFor(settings, stop.signal);
  const running = runService(options);
  const port = () => lines.find(({ event }) => event === "listening")?.fields?.health_port;
  try {
    await waitUntil(() => port() !== undefined, { what: "the service listens" });
    await use(async (path) => {
      const url = `http://127.0.0.1:${port()}${path}`;
      return await (await fetch(url, { headers: { accept: "application/json", connection: "close" } })).json();
    });
  } finally {
    stop.abort();
    await running;
  }
}

Deno.test("status: fits its schema while the service works and every source has begun a cycle", async () => {
  const client = server().client();
  await client.lpush(DLQ, ...eventTexts(3));
  await client.lpush("own:dlq", "not JSON");
  await withService({ intervalMs: 1_000, consumerLagMs: 0 }, async (ask) => {
    const isSeen = async () => {
      const { sources } = await ask("/health") as Status;
      return sources.length === 3 && sources.every(({ lastCycle, gates }) => lastCycle !== null && gates.length > 0);
    };
    await waitUntil(isSeen, { what: "every source has begun a cycle", timeoutMs: 20_000 });
    const document = await ask("/health") as Status;
    assertFits(STATUS_SCHEMA, document);
    assert.equal(document.status, "healthy");
    assert.deepEqual(document.checks, { live: "ok", ready: "ok" });
  });
});

Deno.test("status: fits its schema while replay is switched off and messages wait", async () => {
  await server().client().lpush(DLQ, ...eventTexts(3));
  await withService({ enabled: false, leaderElection: false }, async (ask) => {
    const isSeen = async () => ((await ask("/health")) as Status).sources[0]?.oldest !== null;
    await waitUntil(isSeen, { what: "the oldest message is seen", timeoutMs: 20_000 });
    const document = await ask("/health") as Status;
    assertFits(STATUS_SCHEMA, document);
    assert.equal(document.replay, "off");
    assert.deepEqual(document.sources[0]!.gates.filter(({ open }) => !open).map(({ name }) => name), ["enabled"]);
  });
});

Deno.test("status: fits its schema and says what is wrong while Redis is away", async () => {
  await withService({ redisPort: freePort() }, async (ask) => {
    const document = await ask("/health") as Status;
    assertFits(STATUS_SCHEMA, document);
    assert.equal(document.status, "unhealthy");
    assert.equal(document.redis, "disconnected");
    assert.equal(document.errors?.length, 1);
  });
});

Deno.test("STATUS_SCHEMA: refuses a document that lacks a member, or has one too many", async () => {
  await withService({ redisPort: freePort() }, async (ask) => {
    const document = await ask("/health") as Status, fits = ajv.compile(STATUS_SCHEMA);
    assert.ok(!fits({ ...document, more: 1 }));
    assert.ok(!fits({ ...document, sources: undefined, redis: undefined }));
    const [first, ...others] = document.sources;
    assert.ok(!fits({ ...document, sources: [{ ...first, depht: 1 }, ...others] }));
  });
});

Deno.test("slo: fits its schema", async () => {
  await withService({}, async (ask) => {
    const report = await ask("/api/v1/slo") as SloReport;
    assertFits(SLO_SCHEMA, report);
    assert.equal(Object.keys(report.components).length, 11); // three sources, one of which asks no Moogsoft
  });
});

Deno.test("check: fits its schema, and tells of gates that the running service has found closed for hours", async () => {
  const gate = { name: "depth", open: false, since: "2020-01-01T00:00:00.000Z", detail: "full" };
  const report = await check.run(
    createCommandContext({
      ...optionsFor({}).options,
      warnings: ["doubtful"],
      askHealth: () => Promise.resolve(JSON.stringify({ sources: [{ name: "own", gates: [gate] }] })),
    }),
    { probe: false },
  );
  assertFits(check.output, JSON.parse(JSON.stringify(report)));
  assert.equal(report.exitCode, 0);
  assert.deepEqual(report.findings.filter(({ level }) => level === "warning").map(({ subject }) => subject), [
    "configuration",
    "source own",
  ]);
});

Deno.test("once: fits its schema whether it moves, refuses or only says what it would do", async () => {
  const client = server().client();
  await client.del(DLQ, TARGET);
  await client.lpush(DLQ, ...eventTexts(2), "not JSON");
  const context = createCommandContext(optionsFor({}).options);
  const run = (input: Partial<Parameters<typeof once.run>[1]>) =>
    once.run(context, { dryRun: false, force: false, source: null, ...input });
  const dry = await run({ dryRun: true }), moved = await run({}), refused = await run({ source: "nobody" });
  for (const report of [dry, moved, refused]) assertFits(once.output, JSON.parse(JSON.stringify(report)));
  assert.ok(dry.ok && moved.ok && !refused.ok);
  assert.equal(await client.llen(TARGET), 2);
});

Deno.test("config: fits its schema, with declared and built-in sources", () => {
  const loaded = parseSettings({
    ...{ environment: { REMEDIATION_SOURCES: "alerter,moog" }, dotEnv: {}, dotEnvPath: "" },
    ...{ readFile: () => "", fileMode: () => 0 },
    readSourcesFile: () => "",
  });
  assert.ok(loaded.ok);
  const report = config.run({ ...loaded, sourcesFile: FILE });
  assertFits(config.output, JSON.parse(JSON.stringify(report)));
  assert.deepEqual(report.sources.map(({ name, origin }) => `${name}: ${origin}`), [
    ...["alerter: built in", "moog: built in"],
    "own: sources file",
  ]);
});
