/** docs/operations.md as somebody on call types it: every command, in an outage of Moogsoft made of the demo's parts. */
import assert from "node:assert/strict";
import { DEMO_API_KEY, generateDeadLetters } from "../../testkit/mutt/dead_letters.ts";
import { type MockMoog, startMockMoog } from "../../testkit/mutt/mock_moog.ts";
import { onPath, ROOT } from "../../scripts/child.ts";
import { decide, type VerdictContext } from "../../src/message/verdict.ts";
import { PLANTED } from "../../testkit/planted_secrets.ts";
import { startRedis, type TestRedis } from "../../testkit/redis.ts";
import { isAsDocumented, parseRunbook, type RunbookBlock } from "../../testkit/runbook.ts";
import { watchOutput } from "../../testkit/secrets_net.ts";
import { whyNoLocalKey } from "../../testkit/cli.ts";
import { howToRun, type Service, startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";

const PAGE = Deno.readTextFileSync(`${ROOT}docs/operations.md`);
const [HELPERS, ...SECTIONS] = parseRunbook(PAGE).filter(({ blocks }) => blocks.length > 0);

const TOOLS = ["redis-cli", "curl", "jq", "tac"];
const missing = TOOLS.filter((tool) => onPath(tool) === undefined);

const DLQ = "mutt:dlq:alerter", MOOG_DLQ = "mutt:dlq:moog", DEAD = "mutt:dlq:dead";
/** Every list that the page names. */
const LISTS = [...new Set(PAGE.match(/\bmutt:(?:dlq:\w+|ingest_queue|alert_queue)\b/g))];
const DYNAMIC_KEYS = ["remediation_enabled", "remediation_batch_size", "remediation_interval", "max_poison_retries"];
/** The gates that an outage of Moogsoft closes. */
const CLOSED = ["alerter: downstream", "moog: downstream", "moog: breaker"];

const LETTERS = generateDeadLetters({ count: 12, mix: { exhausted: 3, shed: 2 } }).map(({ payload }) => payload);
const ALERTS = [6, null].map((retries) =>
  `{"api_key": "${DEMO_API_KEY}", "hostname": "fw-dmz-1", "severity": "Warning", "_correlation_id": "a"` +
  `${retries === null ? "" : `, "_moog_retry_count": ${retries}`}}`
);
const POISON = `{"timestamp": "2026-11-21T02:30:29Z", "hostname": "core-fra-1", "message": "m", "load": 1.0, ` +
  `"_correlation_id": "0f6e9c1e-0000-4000-8000-000000000001", "_retry_count": 4, ` +
  `"_remediation": {"failures": 2.0, "evidence": 10.4, "since": 1764000000, "cycle": 400, "source": "alerter"}}`;
const MALFORMED = `{"api_key": "${DEMO_API_KEY}", "timestamp": "2026-11-21T02:30:29Z", "message": "m", ` +
  `"_correlation_id": "0f6e9c1e-0000-4000-8000-000000000002", "_retry_count": 4}`;
const UNREADABLE = `{'api_key': '${DEMO_API_KEY}'}`;

const VERDICT: VerdictContext = {
  policy: {
    ...{ name: "alerter", dlq: DLQ, target: "mutt:ingest_queue", dead: DEAD, counter: "_moog_retry_count" },
    ...{ cutOnReplay: ["_retry_count", "shedding_reason"], required: ["hostname", "timestamp", "message"] },
  },
  ...{ maxPoisonRetries: 3, cycle: 412, failedAt: "2026-11-21T03:12:44.120Z" },
  ...{ cycleStartedAtMs: 1_764_000_000_000, nowMs: 1_764_000_300_000, tallyOf: () => undefined },
};
const DEAD_MESSAGES = [POISON, MALFORMED, UNREADABLE].map((text) =>
  decide(new TextEncoder().encode(text), VERDICT).payload
);

/** The service amid the outage, and a shell that reaches it and its Redis by the names that the page uses. */
class Scene implements AsyncDisposable {
  readonly #parts: AsyncDisposableStack;
  readonly redis: TestRedis;
  readonly moog: MockMoog;
  readonly service: Service;
  /** The folder in which commands run. */
  readonly dir: string;
  readonly client: ReturnType<TestRedis["client"]>;
  readonly #env: Record<string, string>;
  #ports = { health: 0, metrics: 0 };

  private constructor(parts: AsyncDisposableStack, given: { redis: TestRedis; moog: MockMoog; dir: string }) {
    this.#parts = parts;
    ({ redis: this.redis, moog: this.moog, dir: this.dir } = given);
    this.client = this.redis.client();
    const { program, prefix, needs } = howToRun();
    this.#writeProgram("mutt-remediation", [program, ...prefix]);
    this.#writeProgram("redis-cli", [onPath("redis-cli")!, "-p", String(this.redis.port)]);
    const settings = {
      ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(this.redis.port), REMEDIATION_SOURCES: "alerter,moog" },
      ...{ MOOG_WEBHOOK_URL: this.moog.url, MOOG_API_KEY: PLANTED.moogApiKey, MOOG_HEALTH_CACHE_SECONDS: "1" },
      ...{ DYNAMIC_CONFIG_ENABLED: "true", REMEDIATION_BIND_ADDRESS: "127.0.0.1", REMEDIATION_API_PORT: "0" },
      REMEDIATION_LOCAL_KEY_FILE: `/run/mutt-remediation/${crypto.randomUUID()}.json`,
    };
    this.service = startService({ env: settings });
    this.#env = { ...needs, ...settings, PATH: `${this.dir}/bin:${Deno.env.get("PATH")}` };
    parts.defer(() => this.service[Symbol.asyncDispose]());
  }

  static async open(): Promise<Scene> {
    await using parts = new AsyncDisposableStack();
    const redis = await startRedis();
    parts.defer(() => redis.stop());
    const moog = startMockMoog();
    parts.defer(() => moog.stop());
    const dir = Deno.makeTempDirSync();
    parts.defer(() => Deno.removeSync(dir, { recursive: true }));
    moog.answerWith(503);
    Deno.mkdirSync(`${dir}/bin`);
    const scene = new Scene(parts.move(), { redis, moog, dir });
    scene.#ports = await scene.service.ports();
    return scene;
  }

  #writeProgram(name: string, command: readonly string[]): void {
    const words = command.map((word) => `'${word}'`).join(" ");
    Deno.writeTextFileSync(`${this.dir}/bin/${name}`, `#!/bin/sh\nexec ${words} "$@"\n`, { mode: 0o755 });
  }

  /** Puts everything back to where the page's answers hold, and waits until the service sees it. */
  async reset(): Promise<void> {
    const breaker = (name: string) => `mutt:circuit_breaker:moogsoft:${name}`;
    const openedAt = (Date.now() / 1_000).toFixed(2);
    await this.client.multi().del(...LISTS, ...DYNAMIC_KEYS.map((key) => `mutt:config:${key}`))
      .mset(breaker("state"), "OPEN", breaker("failures"), "10", breaker("open_time"), openedAt)
      .set("mutt:heartbeat:alerter:alerter-0", "alive")
      .lpush("mutt:processing:alerter:alerter-1", "{}").ltrim("mutt:processing:alerter:alerter-1", 0, 0)
      .lpush("mutt:alert_queue", ...Array(7).fill("{}")).exec();
    await this.redis.seedList(DLQ, LETTERS);
    await this.redis.seedList(MOOG_DLQ, ALERTS);
    await this.redis.seedList(DEAD, DEAD_MESSAGES);
    for (const key of DYNAMIC_KEYS) await this.client.publish("mutt:config:updates", key);
    await waitUntil(async () => await this.#isSettled(), { what: "the service sees the outage", timeoutMs: 30_000 });
  }

  async #isSettled(): Promise<boolean> {
    const { replay, sources } = await this.health();
    const metrics = await (await fetch(`http://127.0.0.1:${this.#ports.metrics}/metrics`)).text();
    return replay === "on" && closedGates(sources).join() === CLOSED.join() &&
      metrics.includes(`dlq_depth{dlq_name="${DLQ}"} ${LETTERS.length}\n`) &&
      metrics.includes(`queue="mutt:alert_queue",role="downstream"} 7\n`);
  }

  async health(): Promise<Health> {
    const response = await fetch(`http://127.0.0.1:${this.#ports.health}/health`, {
      headers: { accept: "application/json" },
    });
    return await response.json();
  }

  /** Runs a script as the page has it, its helpers defined, and returns all that it printed. */
  async run(script: string): Promise<string> {
    const log = `${this.dir}/service.log`;
    Deno.writeTextFileSync(log, this.service.stderr.map((line) => `${line}\n`).join(""));
    const local = script.replaceAll("localhost:8086", `127.0.0.1:${this.#ports.metrics}`)
      .replaceAll("localhost:8087", `127.0.0.1:${this.#ports.health}`);
    const output = await new Deno.Command("/bin/sh", {
      args: [
        "-c",
        `${HELPERS!.blocks[0]!.script}\nsudo() { [ "$1" = journalctl ] && cat '${log}'; }\n{\n${local}\n} 2>&1`,
      ],
      env: { ...this.#env, HEALTH_PORT_REMEDIATION: String(this.#ports.health), METRICS_PORT_REMEDIATION: "0" },
      clearEnv: true,
      cwd: this.dir,
      stdin: "null",
    }).output();
    const text = new TextDecoder().decode(output.stdout) + new TextDecoder().decode(output.stderr);
    watchOutput(`output of ${script}`, text);
    return text;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}

interface Health {
  readonly replay: string;
  readonly sources: readonly { name: string; gates: readonly { name: string; open: boolean }[] }[];
}

function closedGates(sources: Health["sources"]): string[] {
  return sources.flatMap(({ name, gates }) => gates.filter(({ open }) => !open).map((gate) => `${name}: ${gate.name}`));
}

async function runBlock(scene: Scene, block: RunbookBlock): Promise<void> {
  const output = await scene.run(block.script);
  if (block.expected.length === 0) return;
  assert.ok(
    isAsDocumented(output, block),
    `${block.script}\n--- printed\n${output}--- and not\n${block.expected.join("\n")}`,
  );
}

/** What a section's commands must have brought about, beside what they print. */
const EFFECTS: Readonly<Record<string, (scene: Scene) => Promise<void>>> = {
  "How do I drain faster?": async ({ service }) => {
    await service.waitForLine(/remediation_batch_size is now 0/);
    await service.waitForLine(/remediation_interval is now 30/);
  },
  "Should `MAX_POISON_RETRIES` go up?": async ({ service }) =>
    void await service.waitForLine(/max_poison_retries is now 6/),
  "How do I correct a message?": async ({ redis }) => {
    const dead = await redis.readTexts(DEAD);
    assert.equal(dead.length, 3);
    assert.equal(dead.filter((text) => text.includes('"hostname": "fw-dmz-1"')).length, 1, dead.join("\n"));
  },
  "How do I purge a list, with a backup?": async (scene) => {
    assert.deepEqual(await scene.redis.readList(DEAD), []);
    assert.equal(Deno.statSync(`${scene.dir}/purged.jsonl`).mode! & 0o077, 0);
  },
};

const whyNot = whyNoLocalKey();
const skipped = whyNot
  ? ` (ignored: ${whyNot})`
  : missing.length > 0
  ? ` (ignored: no ${missing.join(", ")} on PATH)`
  : "";

Deno.test({
  name: `operations page: each command does what the page says, while Moogsoft is down${skipped}`,
  ignore: missing.length > 0 || whyNot !== null,
  fn: async (t) => {
    await using scene = await Scene.open();
    const done = new Set<string>();
    for (const { heading, blocks } of SECTIONS) {
      await t.step(heading, async () => {
        await scene.reset();
        for (const block of blocks) await runBlock(scene, block);
        await EFFECTS[heading]?.(scene);
        done.add(heading);
      });
    }
    assert.deepEqual(Object.keys(EFFECTS).filter((heading) => !done.has(heading)), []);
  },
});

Deno.test({
  name: `operations page: no gate is closed and the key metrics are as they should be once Moogsoft is back${skipped}`,
  ignore: missing.length > 0 || whyNot !== null,
  fn: async () => {
    await using scene = await Scene.open();
    await scene.reset();
    await scene.client.mset("mutt:config:remediation_interval", "1", "mutt:config:remediation_batch_size", "0");
    await scene.client.set("mutt:circuit_breaker:moogsoft:state", "CLOSED");
    scene.moog.answerWith(200);
    const waiting = async () => await scene.client.llen(DLQ) + await scene.client.llen(MOOG_DLQ);
    await waitUntil(async () => await waiting() === 0, { what: "both queues are drained", timeoutMs: 60_000 });
    await waitUntil(async () => !(await scene.run("mutt-remediation status")).includes("closed "), {
      what: "no gate is closed",
      timeoutMs: 20_000,
    });
    const section = SECTIONS.find(({ heading }) => heading === "The four key metrics")!;
    const expected = [`dlq_depth{dlq_name="${DLQ}"} 0`, `dlq_depth{dlq_name="${MOOG_DLQ}"} 0`]
      .concat("replay_success_total 14", "poison_messages_total 0", "moog_health 1")
      .map((line) => `mutt_remediation_${line}`);
    await waitUntil(
      async () => (await scene.run(section.blocks[0]!.script)).trimEnd() === expected.join("\n"),
      { what: expected.join(", "), timeoutMs: 20_000 },
    );
  },
});
