/** What somebody meets who puts the service beside MUTT: an address that is missing, limits that MUTT seeds, and what its pages tell to type. */
import assert from "node:assert/strict";
import { parseSettings } from "../../src/config/load.ts";
import { warnOfNoWebhook, whyMoogsoftIsNotAsked } from "../../src/config/rules.ts";
import { onPath, ROOT } from "../../scripts/child.ts";
import { parseRunbook } from "../../testkit/runbook.ts";
import { startRedis, type TestRedis, withRedis } from "../../testkit/redis.ts";
import { startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";
import { parseYaml, readYaml } from "../../testkit/yaml.ts";

const DLQ = "mutt:dlq:alerter";
const WAIT_MS = 20_000;

const envFor = (redis: TestRedis, more: Record<string, string> = {}) => ({
  ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), ...more },
});

interface Gate {
  readonly name: string;
  readonly reason: string;
  readonly detail: string;
}

interface Health {
  readonly moogsoft: string;
  readonly sources: readonly { readonly gates: readonly Gate[] }[];
}

async function healthWith(env: Record<string, string>, gate: (gate: Gate) => boolean) {
  await using service = startService({ env });
  const { health } = await service.ports();
  const found = await waitUntil(async () => {
    const response = await fetch(`http://127.0.0.1:${health}/health`, { headers: { accept: "application/json" } });
    const state: Health = await response.json();
    const one = state.sources[0]?.gates.find(gate);
    return one && { moogsoft: state.moogsoft, gate: one };
  }, { what: "the gate has answered", timeoutMs: WAIT_MS });
  return { ...found, told: service.events("moogsoft_not_asked").map(({ message }) => message) };
}

const EMPTY = "MOOG_WEBHOOK_URL is empty: Moogsoft is not probed and counts as healthy";

withRedis("run: tells an empty webhook at the start, in health and in the gate's detail", async (redis) => {
  const { moogsoft, gate, told } = await healthWith(envFor(redis), ({ name }) => name === "downstream");
  assert.equal(moogsoft, EMPTY);
  assert.deepEqual([gate.reason, gate.detail], ["no_url", EMPTY]);
  assert.deepEqual(told, [
    `Remediation: ${EMPTY}, so dead letters are replayed even during an outage. Set it, or set MOOG_HEALTH_CHECK_ENABLED=false if that is intended`,
  ]);
});

withRedis(
  "run: says nothing at the start where the check is switched off on purpose, but health does",
  async (redis) => {
    const env = envFor(redis, { MOOG_HEALTH_CHECK_ENABLED: "false" });
    const { moogsoft, told } = await healthWith(env, ({ name }) => name === "downstream");
    assert.match(moogsoft, /^MOOG_HEALTH_CHECK_ENABLED is false: Moogsoft is not probed/);
    assert.deepEqual(told, []);
  },
);

withRedis("check: warns of an empty webhook, with and without --probe", async (redis) => {
  for (const args of [["check"], ["check", "--probe"]]) {
    await using service = startService({ args, env: envFor(redis) });
    assert.equal((await service.exit).code, 0);
    const warned = service.stdout.filter((line) => line.startsWith("warning") && line.includes("MOOG_WEBHOOK_URL"));
    assert.equal(warned.length, 1, service.stdout.join("\n"));
    assert.ok(warned[0]!.includes(EMPTY));
  }
});

const WEBHOOKS: readonly (readonly [environment: Record<string, string>, asked: boolean, warned: boolean])[] = [
  [{ MOOG_WEBHOOK_URL: "http://m/hook" }, true, false],
  [{}, false, true],
  [{ MOOG_HEALTH_CHECK_ENABLED: "false" }, false, false],
  [{ MOOG_HEALTH_CHECK_ENABLED: "false", MOOG_WEBHOOK_URL: "http://m/hook" }, false, false],
];

Deno.test("whyMoogsoftIsNotAsked, warnOfNoWebhook: only what is missing is warned of, not what was switched off", () => {
  for (const [environment, asked, warned] of WEBHOOKS) {
    const loaded = parseSettings({ environment, dotEnv: {}, readFile: () => "" });
    assert.ok(loaded.ok);
    assert.equal(whyMoogsoftIsNotAsked(loaded.settings) === null, asked, JSON.stringify(environment));
    assert.equal(warnOfNoWebhook(loaded.settings) !== null, warned, JSON.stringify(environment));
  }
});

for (const [enabled, takes] of [["false", "50 alerts per 1 s"], ["true", "100 alerts per 60 s"]] as const) {
  withRedis(
    `run: goes by the limit that MUTT's forwarder goes by, with DYNAMIC_CONFIG_ENABLED=${enabled}`,
    async (redis) => {
      // What MUTT's `scripts/init_default_configs.py` seeds.
      await redis.client().mset("mutt:config:moog_rate_limit", "100", "mutt:config:moog_rate_period", "60");
      await redis.seedList(DLQ, ['{"hostname": "h", "timestamp": "2026-11-20T10:00:00Z", "message": "m"}']);
      const env = envFor(redis, { DYNAMIC_CONFIG_ENABLED: enabled, REMEDIATION_INTERVAL: "1" });
      const { gate } = await healthWith(env, ({ name, detail }) => name === "pace" && detail.includes("alerts per"));
      assert.ok(gate.detail.includes(`the forwarder accepts ${takes}`), gate.detail);
    },
  );
}

const redisCli = onPath("redis-cli");

Deno.test({
  name: `operations page: CLIENT LIST tells who else pops, one line a client${
    redisCli ? "" : " (ignored: no redis-cli)"
  }`,
  ignore: redisCli === undefined,
  fn: async () => {
    const page = Deno.readTextFileSync(`${ROOT}docs/operations.md`);
    const section = parseRunbook(page).find(({ heading }) => heading === "Only Redis knows")!;
    const redis = await startRedis();
    const dir = await Deno.makeTempDir();
    try {
      await redis.client({ connectionName: "python" }).rpop(DLQ);
      await redis.client({ connectionName: "mutt-remediation:reader" }).llen(DLQ);
      await Deno.writeTextFile(`${dir}/redis-cli`, `#!/bin/sh\nexec ${redisCli} -p ${redis.port} "$@"\n`, {
        mode: 0o755,
      });
      const { stdout } = await new Deno.Command("sh", {
        args: ["-c", section.blocks[0]!.script],
        env: { PATH: `${dir}:${Deno.env.get("PATH")}` },
      }).output();
      const lines = new TextDecoder().decode(stdout).trimEnd().split("\n");
      const popping = lines.filter((line) => / cmd=rpop /.test(line));
      assert.ok(popping.length > 0 && popping.every((line) => / name=python /.test(line)), lines.join("\n"));
      assert.ok(lines.some((line) => / name=mutt-remediation:reader /.test(line)), lines.join("\n"));
    } finally {
      await redis.stop();
      await Deno.remove(dir, { recursive: true });
    }
  },
});

Deno.test("migration page: the file for MUTT's compose has our image's name and health check", () => {
  const page = Deno.readTextFileSync(`${ROOT}docs/migration.md`);
  const [, block = ""] = /^```yaml\n(.*?)^```/ms.exec(page) ?? [];
  interface Compose {
    readonly services: {
      readonly remediation: { readonly image: string; readonly healthcheck: { readonly test: string[] } };
    };
  }
  const [ours] = readYaml<Compose>("compose.yaml");
  const [theirs] = parseYaml<Compose>(block);
  const { image, healthcheck } = theirs!.services.remediation;
  assert.equal(image, ours!.services.remediation.image);
  assert.deepEqual(healthcheck.test, ours!.services.remediation.healthcheck.test);
});
