/** Somebody who has only sources of their own reads nothing of MUTT in what the commands say about them. */
import assert from "node:assert/strict";
import { runCommand, whyNoLocalKey } from "../../testkit/cli.ts";
import { shareRedis } from "../../testkit/redis.ts";
import { startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";

const redis = shareRedis();
const whyNot = whyNoLocalKey();

/** Words of MUTT. The service's own name and keys begin with it. */
const MUTTS = /moog|forwarder|alerter|ingest|mutt(?!-remediation|:remediation)/i;

Deno.test({
  name: `commands: speak of no Moogsoft where no source needs it${whyNot ? ` (ignored: ${whyNot})` : ""}`,
  ignore: whyNot !== null,
  fn: async () => {
    await redis().seedList("orders:dlq", [`{"id": 1}`]);
    const path = `${redis().dir}/sources.yaml`;
    Deno.writeTextFileSync(path, "sources: {orders: {dlq: orders:dlq, target: orders, dead: orders:dead}}\n");
    const settings = {
      ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis().port), REMEDIATION_API_PORT: "0" },
      ...{ REMEDIATION_SOURCES: "none", REMEDIATION_SOURCES_PATH: path },
      REMEDIATION_LOCAL_KEY_FILE: `/run/mutt-remediation/${crypto.randomUUID()}.json`,
    };
    await using service = startService({ env: settings });
    const { health, metrics } = await service.ports();
    await waitUntil(async () => await redis().depth("orders") === 1, { what: "the order is replayed" });
    const env = {
      ...{ ...settings, HEALTH_PORT_REMEDIATION: String(health), METRICS_PORT_REMEDIATION: String(metrics) },
      REMEDIATION_API_PORT: "8088",
    };
    for (
      const args of [["check"], ["status"], ["explain"], ["health"], ["incidents"], ["journal"], ["history"], ["slo"]]
    ) {
      const { code, out, err } = await runCommand(args, env);
      assert.equal(code, 0, err);
      assert.doesNotMatch(out + err, MUTTS, args.join(" "));
      if (args[0] === "explain") assert.match(out, /orders holds 1 messages? of at most/);
      if (args[0] === "check") assert.match(out, /target orders holds 1 message$/m);
    }
    const { out } = await runCommand(["status", "--json"], env);
    assert.match(out, /"moogsoft":"no source needs it"/);
  },
});
