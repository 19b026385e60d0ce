/** docs/start.md as a newcomer types it: every block, in order, in one shell's folder. */
import assert from "node:assert/strict";
import flags from "../../src/cli/source_flags.json" with { type: "json" };
import { onPath, ROOT } from "../../scripts/child.ts";
import { type Printed, whyNoLocalKey } from "../../testkit/cli.ts";
import { startRedis } from "../../testkit/redis.ts";
import { isAsDocumented, parseRunbook, type RunbookBlock } from "../../testkit/runbook.ts";
import { watchOutput } from "../../testkit/secrets_net.ts";
import { howToRun } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";

const PAGE = Deno.readTextFileSync(`${ROOT}docs/start.md`), BLOCKS = parseRunbook(PAGE).flatMap(({ blocks }) => blocks);
const whyNot = onPath("redis-cli") === undefined ? "no redis-cli on PATH" : whyNoLocalKey();

/** What runs until Ctrl-C. */
const STAYS = /^mutt-remediation (?:watch(?!.*--dry-run)|run)/m;

/** A shell in a folder of its own, in which both programs find the test's Redis. */
class Newcomer {
  readonly #folder: string;
  readonly #env: Record<string, string>;

  constructor(folder: string, port: number) {
    const { program, prefix, needs } = howToRun();
    this.#folder = folder;
    this.#env = {
      ...needs,
      ...{ PATH: `${folder}/bin:${Deno.env.get("PATH")}`, REDIS_URL: `redis://127.0.0.1:${port}` },
      ...{ HEALTH_PORT_REMEDIATION: "0", METRICS_PORT_REMEDIATION: "0", REMEDIATION_API_PORT: "0" },
      ...{
        REMEDIATION_BIND_ADDRESS: "127.0.0.1",
        REMEDIATION_LOCAL_KEY_FILE: `/run/mutt-remediation/${crypto.randomUUID()}.json`,
      },
    };
    Deno.mkdirSync(`${folder}/bin`);
    const write = (name: string, words: readonly string[]) => {
      const quoted = words.map((word) => `'${word}'`).join(" ");
      Deno.writeTextFileSync(`${folder}/bin/${name}`, `#!/bin/sh\nexec ${quoted} "$@"\n`, { mode: 0o755 });
    };
    write("mutt-remediation", [program, ...prefix]);
    write("redis-cli", [onPath("redis-cli")!, "-p", String(port)]);
  }

  /** Runs a block and waits for its end. */
  async run({ script }: RunbookBlock): Promise<Printed> {
    const { code, stdout, stderr } = await this.#start(script).output();
    return { code, ...printed(script, new TextDecoder().decode(stdout), new TextDecoder().decode(stderr)) };
  }

  /** Runs a block until a condition holds, then presses Ctrl-C. */
  async runUntil({ script }: RunbookBlock, isDone: () => Promise<boolean>): Promise<Printed> {
    // The last command takes the shell's place, so that the signal reaches it.
    const child = this.#start(script.replace(/[^\n]*$/, (last) => `exec ${last}`)).spawn();
    let err = "";
    const reading = (async () => {
      for await (const part of child.stderr.pipeThrough(new TextDecoderStream())) err += part;
    })();
    const stdout = new Response(child.stdout).text();
    try {
      await waitUntil(async () => err.includes(" listens on ") && await isDone(), { what: script, timeoutMs: 30_000 });
    } finally {
      child.kill("SIGINT");
    }
    const { code } = await child.status;
    await reading;
    return { code, ...printed(script, await stdout, err) };
  }

  #start(script: string): Deno.Command {
    return new Deno.Command("/bin/sh", {
      args: ["-c", script],
      ...{ env: this.#env, clearEnv: true, cwd: this.#folder, stdin: "null", stdout: "piped", stderr: "piped" },
    });
  }
}

function printed(script: string, out: string, err: string): Omit<Printed, "code"> {
  watchOutput(script, out + err);
  return { out, err };
}

Deno.test({
  name: `start page: heals a queue as it says${whyNot ? ` (ignored: ${whyNot})` : ""}`,
  ignore: whyNot !== null,
  fn: async (t) => {
    const redis = await startRedis(), folder = Deno.makeTempDirSync();
    try {
      const newcomer = new Newcomer(folder, redis.port);
      for (const block of BLOCKS) {
        await t.step(block.script, async () => {
          const stays = STAYS.test(block.script);
          const done = async () => await redis.depth("orders:dlq") === 0 && await redis.depth("orders:dead") === 1;
          const { code, out, err } = stays ? await newcomer.runUntil(block, done) : await newcomer.run(block);
          assert.equal(code, 0, out + err);
          // The log, and what discover and watch say, is on standard error.
          const isShown = [out, err].some((text) => isAsDocumented(text, block));
          if (block.expected.length > 0) assert.ok(isShown, `${block.script}\n${out}${err}`);
        });
      }
    } finally {
      await redis.stop();
      Deno.removeSync(folder, { recursive: true });
    }
  },
});

Deno.test("start page: names only flags that watch has", () => {
  const named = PAGE.match(/(?<=[` ])--[a-z][a-z-]*/g)!;
  const known = new Set(["--dry-run", ...flags.map(({ flag }) => flag.split(" ")[0]!)]);
  assert.ok(named.length >= 9);
  for (const flag of named) assert.ok(known.has(flag), flag);
});

Deno.test("start page: has the blocks that this test walks through", () => {
  const scripts = BLOCKS.map(({ script }) => script).join("\n");
  for (
    const command of ["discover > sources.yaml", "watch --dlq orders:dlq --target orders --dry-run", "check", "run"]
  ) {
    assert.ok(scripts.includes(`mutt-remediation ${command}`), command);
  }
  assert.equal(BLOCKS.filter(({ script }) => STAYS.test(script)).length, 2);
});
