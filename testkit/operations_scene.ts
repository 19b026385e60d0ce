/** An outage of Moogsoft made of the demo's parts, amid which the commands of docs/operations.md say what that page says. */
import assert from "node:assert/strict";
import { ROOT } from "../scripts/child.ts";
import { decide, type VerdictContext } from "../src/message/verdict.ts";
import type { Printed } from "./cli.ts";
import { DEMO_API_KEY, generateDeadLetters } from "./mutt/dead_letters.ts";
import { type MockMoog, startMockMoog } from "./mutt/mock_moog.ts";
import { PLANTED } from "./planted_secrets.ts";
import { startRedis, type TestRedis } from "./redis.ts";
import { isAsDocumented, parseRunbook, type RunbookBlock, splitWords } from "./runbook.ts";
import { waitUntil } from "./wait.ts";

const PAGE = Deno.readTextFileSync(`${ROOT}docs/operations.md`);
/** The page's sections with commands. */
export const SECTIONS = parseRunbook(PAGE).filter(({ blocks }) => blocks.length > 0);
/** Lists with messages in the scene. */
export const DLQ = "mutt:dlq:alerter", MOOG_DLQ = "mutt:dlq:moog", DEAD = "mutt:dlq:dead";
/** Every list that the page names. */
const LISTS = [...new Set([...PAGE.match(/\bmutt:(?:dlq:\w+|ingest_queue|alert_queue)\b/g) ?? [], MOOG_DLQ, DEAD])];
/** Lists of another pipeline, which `discover` finds. */
const FOUND = {
  "orders:dlq": [`{"id": 1, "total": 12.50}`, `{"id": 2, "total": 7.00}`],
  orders: [`{"id": 3, "total": 3.20}`],
};
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
    push: "LPUSH" as const,
    ...{ cutOnReplay: ["_retry_count", "shedding_reason"], required: ["hostname", "timestamp", "message"] },
  },
  ...{ maxPoisonRetries: 3, cycle: 412, failedAt: "2026-11-21T03:12:44.120Z" },
  ...{ cycleStartedAtMs: 1_764_000_000_000, nowMs: 1_764_000_300_000, tallyOf: () => undefined },
};
const DEAD_MESSAGES = [POISON, MALFORMED, UNREADABLE].map((text) =>
  decide(new TextEncoder().encode(text), VERDICT).payload
);

/** The service in its own process or container. */
export interface SceneService extends AsyncDisposable {
  readonly healthPort: number;
  readonly metricsPort: number;
  /** Runs the program beside the service: its arguments, and variables to add. */
  run(args: readonly string[], env: Readonly<Record<string, string>>): Promise<Printed>;
}

/** Exit codes of commands that find something wrong in an outage; others exit with 0. */
const EXIT_CODES: Readonly<Record<string, readonly number[]>> = {
  "mutt-remediation check --probe": [1],
  "mutt-remediation once --force": [3],
  // An objective is critical once the outage has lasted for 100 samples, 8 minutes.
  "mutt-remediation slo": [0, 1],
  "REMEDIATION_INTERVAL=never mutt-remediation check": [78],
};

/** The service amid the outage. Use it with `await using`. */
export class OperationsScene implements AsyncDisposable {
  readonly redis: TestRedis;
  readonly moog: MockMoog;
  readonly service: SceneService;
  readonly client: ReturnType<TestRedis["client"]>;
  readonly #parts: AsyncDisposableStack;

  private constructor(
    parts: AsyncDisposableStack,
    { redis, moog, service }: { redis: TestRedis; moog: MockMoog; service: SceneService },
  ) {
    this.#parts = parts;
    [this.redis, this.moog, this.service] = [redis, moog, service];
    this.client = redis.client();
  }

  /** Starts Redis, Moogsoft and, with these settings, the service. */
  static async open(
    start: (settings: Readonly<Record<string, string>>) => Promise<SceneService>,
  ): Promise<OperationsScene> {
    await using parts = new AsyncDisposableStack();
    const redis = await startRedis();
    parts.defer(() => redis.stop());
    const moog = startMockMoog();
    parts.defer(() => moog.stop());
    moog.answerWith(503);
    const service = await start({
      ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), REMEDIATION_SOURCES: "alerter,moog" },
      ...{ MOOG_WEBHOOK_URL: moog.url, MOOG_API_KEY: PLANTED.moogApiKey, MOOG_HEALTH_CACHE_SECONDS: "1" },
      ...{ DYNAMIC_CONFIG_ENABLED: "true", REMEDIATION_BIND_ADDRESS: "127.0.0.1" },
    });
    parts.use(service);
    return new OperationsScene(parts.move(), { redis, moog, service });
  }

  /** Puts everything back to where the page's answers hold, and waits until the service sees it. */
  async reset(): Promise<void> {
    const breaker = (name: string) => `mutt:circuit_breaker:moogsoft:${name}`;
    const openedAt = (Date.now() / 1_000).toFixed(2);
    await this.client.multi().del(...LISTS, ...Object.keys(FOUND))
      .mset(breaker("state"), "OPEN", breaker("failures"), "10", breaker("open_time"), openedAt)
      .set("mutt:heartbeat:alerter:alerter-0", "alive")
      .del("mutt:processing:alerter:alerter-1").lpush("mutt:processing:alerter:alerter-1", "{}")
      .lpush("mutt:alert_queue", ...Array(7).fill("{}")).exec();
    await this.redis.seedList(DLQ, LETTERS);
    await this.redis.seedList(MOOG_DLQ, ALERTS);
    await this.redis.seedList(DEAD, DEAD_MESSAGES);
    for (const [list, messages] of Object.entries(FOUND)) await this.redis.seedList(list, messages);
    await waitUntil(async () => await this.#isSettled(), { what: "the service sees the outage", timeoutMs: 30_000 });
  }

  async #isSettled(): Promise<boolean> {
    const { replay, sources } = await this.#health();
    const metrics = await (await fetch(`http://127.0.0.1:${this.service.metricsPort}/metrics`)).text();
    return replay === "on" && closedGates(sources).join() === CLOSED.join() &&
      metrics.includes(`dlq_depth{dlq_name="${DLQ}"} ${LETTERS.length}\n`) &&
      metrics.includes(`queue="mutt:alert_queue",role="downstream"} 7\n`);
  }

  async #health(): Promise<Health> {
    const url = `http://127.0.0.1:${this.service.healthPort}/health`;
    return await (await fetch(url, { headers: { accept: "application/json" } })).json();
  }

  /** Runs a block's command, and checks exit code and output. `ID` stands for the poison message of the dead list. */
  async runBlock(block: RunbookBlock, { run }: Pick<SceneService, "run"> = this.service): Promise<void> {
    const words = splitWords(block.script), at = words.indexOf("mutt-remediation");
    const env = Object.fromEntries(words.slice(0, at).map((word) => word.split(/=(.*)/s, 2) as [string, string]));
    const args = await Promise.all(words.slice(at + 1).map((word) => word === "ID" ? this.#poisonId() : word));
    const { code, out, err } = await run.call(this.service, args, env);
    const about = `${block.script}\n--- exit ${code}, printed\n${out}${err}--- and not\n${block.expected.join("\n")}`;
    assert.ok((EXIT_CODES[block.script] ?? [0]).includes(code), about);
    if (block.expected.length > 0) assert.ok(isAsDocumented(err + out, block), about);
  }

  async #poisonId(): Promise<string> {
    const args = ["dead", "search", "--source", "alerter", "reason:poison", "--ndjson"];
    const { out, err } = await this.service.run(args, {});
    const [, id] = /"id":"(m_[0-9a-f]{16})"/.exec(out) ?? assert.fail(out + err);
    return id!;
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

/** Sections whose commands are not the program's: the only ones. */
export const OTHER_TOOLS: readonly string[] = ["By HTTP", "Only Redis knows"];

/** What a section's commands must have brought about, beside what they print. */
const EFFECTS: Readonly<Record<string, (scene: OperationsScene) => Promise<void>>> = {
  "How do I correct a message?": async ({ redis }) => {
    const dead = await redis.readTexts(DEAD);
    assert.equal(dead.length, 3);
    assert.equal(dead.filter((text) => text.includes('"hostname": "fw-dmz-1"')).length, 1, dead.join("\n"));
  },
  "How do I purge a list, with a backup?": async ({ redis }) => assert.deepEqual(await redis.readList(DEAD), []),
};

/** Does every task of the page, in a step for each section, with the program alone. */
export async function walkPage(t: Deno.TestContext, scene: OperationsScene): Promise<void> {
  const done = new Set<string>();
  for (const { heading, blocks } of SECTIONS.filter((section) => !OTHER_TOOLS.includes(section.heading))) {
    await t.step(heading, async () => {
      await scene.reset();
      for (const block of blocks) await scene.runBlock(block);
      await EFFECTS[heading]?.(scene);
      done.add(heading);
    });
  }
  assert.deepEqual(Object.keys(EFFECTS).filter((heading) => !done.has(heading)), []);
}
