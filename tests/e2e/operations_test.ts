/** docs/operations.md as somebody on call types it: every command, in an outage of Moogsoft. */
import assert from "node:assert/strict";
import { onPath } from "../../scripts/child.ts";
import { TEST_KEYS } from "../../testkit/api.ts";
import { type Printed, runCommand, whyNoLocalKey } from "../../testkit/cli.ts";
import {
  DLQ,
  MOOG_DLQ,
  OperationsScene,
  OTHER_TOOLS,
  type SceneService,
  SECTIONS,
  walkPage,
} from "../../testkit/operations_scene.ts";
import { isAsDocumented, splitWords } from "../../testkit/runbook.ts";
import { watchOutput } from "../../testkit/secrets_net.ts";
import { keysSetting } from "../../testkit/served.ts";
import { startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";

/** Starts the service on this machine. Its commands find it by the local key. `more`: further settings. */
async function startHere(
  given: Readonly<Record<string, string>>,
  more: Readonly<Record<string, string>> = {},
): Promise<SceneService & { readonly apiUrl: string }> {
  const local = { REMEDIATION_LOCAL_KEY_FILE: `/run/mutt-remediation/${crypto.randomUUID()}.json` };
  const settings = { ...given, ...local, REMEDIATION_API_PORT: "0", ...more };
  const service = startService({ env: settings });
  const { health: healthPort, metrics: metricsPort } = await service.ports();
  const env = {
    ...{ ...settings, HEALTH_PORT_REMEDIATION: String(healthPort), METRICS_PORT_REMEDIATION: String(metricsPort) },
    // `once` and `check` open no port; the API's own is in the file of the local key.
    REMEDIATION_API_PORT: "8088",
  };
  return {
    ...{ healthPort, metricsPort, apiUrl: `http://127.0.0.1:${service.events("listening")[0]!.api_port}` },
    run: (args, added) => runCommand(args, { ...env, ...added }),
    [Symbol.asyncDispose]: () => service[Symbol.asyncDispose](),
  };
}

const whyNot = whyNoLocalKey(), skipped = whyNot ? ` (ignored: ${whyNot})` : "";

Deno.test({
  name: `operations page: each command does what the page says, while Moogsoft is down${skipped}`,
  ignore: whyNot !== null,
  fn: async (t) => {
    await using scene = await OperationsScene.open(startHere);
    await walkPage(t, scene);
  },
});

Deno.test("operations page: only what says so needs another tool, and only one that it names", () => {
  for (const { heading, blocks } of SECTIONS) {
    for (const { script } of blocks) {
      const isOwn = /^([A-Z_]+=\S+ )*mutt-remediation [^|><;&$`]*$/.test(script.replaceAll(/'[^']*'/g, ""));
      assert.equal(isOwn, !OTHER_TOOLS.includes(heading), script);
    }
  }
});

const missing = ["curl", "redis-cli"].filter((tool) => onPath(tool) === undefined);

Deno.test({
  name: `operations page: a viewer reads the same with curl${
    missing.length > 0 ? ` (ignored: no ${missing.join(", ")})` : ""
  }`,
  ignore: missing.length > 0,
  fn: async () => {
    let url = "";
    await using scene = await OperationsScene.open(async (settings) => {
      const service = await startHere(settings, {
        REMEDIATION_API_KEYS: keysSetting().reveal(),
        REMEDIATION_LOCAL_KEY_FILE: "none",
      });
      url = service.apiUrl;
      return service;
    });
    await scene.reset();
    for (const { heading, blocks } of SECTIONS.filter((section) => OTHER_TOOLS.includes(section.heading))) {
      for (const block of blocks) {
        const script = block.script.replaceAll("$KEY", TEST_KEYS.viewer).replaceAll("$URL", url);
        const [program, ...args] = splitWords(script);
        const given = program === "redis-cli" ? ["-p", String(scene.redis.port), ...args] : args;
        const printed = await runOther(program!, given);
        assert.equal(printed.code, 0, printed.err);
        assert.ok(isAsDocumented(printed.out, block), `${heading}: ${block.script}\n${printed.out}`);
      }
    }
  },
});

async function runOther(program: string, args: readonly string[]): Promise<Printed> {
  const { code, stdout, stderr } = await new Deno.Command(program, { args: [...args], stdin: "null" }).output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)) as [string, string];
  watchOutput(`output of ${program}`, out + err);
  return { code, out, err };
}

Deno.test({
  name: `operations page: no gate is closed and the key metrics are as they should be once Moogsoft is back${skipped}`,
  ignore: whyNot !== null,
  fn: async () => {
    await using scene = await OperationsScene.open((settings) =>
      startHere(settings, { REMEDIATION_INTERVAL: "1", REMEDIATION_BATCH_SIZE: "0" })
    );
    await scene.reset();
    await scene.client.set("mutt:circuit_breaker:moogsoft:state", "CLOSED");
    scene.moog.answerWith(200);
    const waiting = async () => await scene.client.llen(DLQ) + await scene.client.llen(MOOG_DLQ);
    await waitUntil(async () => await waiting() === 0, { what: "both queues are drained", timeoutMs: 60_000 });
    await waitUntil(async () => !(await scene.service.run(["status"], {})).out.includes("closed "), {
      what: "no gate is closed",
      timeoutMs: 20_000,
    });
    const section = SECTIONS.find(({ heading }) => heading === "The four key metrics")!;
    const [, ...args] = splitWords(section.blocks[0]!.script);
    const expected = [`dlq_depth{dlq_name="${DLQ}"} 0`, `dlq_depth{dlq_name="${MOOG_DLQ}"} 0`]
      .concat("replay_success_total 14", "poison_messages_total 0", "moog_health 1")
      .map((line) => `mutt_remediation_${line}`);
    await waitUntil(
      async () => (await scene.service.run(args, {})).out.trimEnd() === expected.join("\n"),
      { what: expected.join(", "), timeoutMs: 20_000 },
    );
  },
});
