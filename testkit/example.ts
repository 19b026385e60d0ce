/**
 * Runs an example of `docs/examples/` as its page says: the page's own commands, its sources file, the real programs. While nothing
 * listens where they deliver, everything fails; afterwards every order is accounted for.
 */
import assert from "node:assert/strict";
import { parse } from "yaml";
import { filesIn, ROOT } from "../scripts/child.ts";
import { freePort } from "../scripts/free_port.ts";
import { findDifferences } from "./oracle.ts";
import { type PageProgram, runOnPage, startOnPage } from "./page_program.ts";
import { startRedis, type TestRedis } from "./redis.ts";
import { parseRunbook, splitWords } from "./runbook.ts";
import { type Service, startService } from "./service.ts";
import { waitUntil } from "./wait.ts";

/** A program that knows nothing of this service. */
export interface Example {
  /** Its page is `docs/examples/<name>.md`; its files are in the folder of that name. */
  readonly name: string;
  /** What it needs, and a command that succeeds if that is there. */
  readonly needs: Readonly<Record<string, string>>;
  /** The port on the page at which one of its programs listens before it can be used. */
  readonly listensAt?: keyof Ports;
  /** Returns the payload that a dead letter is replayed as, without the service's stamp. Default: the dead letter. */
  readonly asReplayed?: (deadLetter: string) => string;
}

/** The source of the page's sources file: the members that the test depends on. */
interface Source {
  readonly dlq: string;
  readonly target: string;
  readonly dead: string;
  readonly push?: "LPUSH" | "RPUSH";
  readonly healthUrl?: string;
}

/** What the pages order. The test orders more in its place. */
const PAGE_ORDERS = "order-1 order-2 poison-1";
/** Ports in use, by those on the pages: of Redis, of what the workers call, of rsyslog. */
interface Ports {
  readonly 6379: number;
  readonly 9000: number;
  readonly 5514: number;
}
const ORDERS = numbered("order", 20), POISON = numbered("poison", 2);
/** Size and maximum number of the waves of good orders: a message counts as poison only while most others get through. */
const WAVE = 10, MOST_WAVES = 40;
/** Time limit of a step on an idle machine. */
const STEP_MS = 60_000;
/** Cycles follow one another quickly. The batch size is that of the deployments in this repository. */
const QUICK = { REMEDIATION_INTERVAL: "1", REMEDIATION_BATCH_SIZE: "0" };
const STAMP = /, "_remediation": \{[^{}]*\}/;

/** Registers the test of an example. Without what it needs, the test is ignored, and its name says why. */
export function testExample(example: Example): void {
  const missing = Object.entries(example.needs).flatMap(([what, command]) => succeeds(command) ? [] : `no ${what}`);
  const whyNot = missing.length === 0 ? "" : ` (ignored: ${missing.join(", ")})`;
  Deno.test({
    name: `example ${example.name}: heals through an outage${whyNot}`,
    ignore: missing.length > 0,
    fn: () => heal(example),
  });
}

async function heal({ name, listensAt, asReplayed = (deadLetter) => deadLetter }: Example): Promise<void> {
  await using scene = await Scene.open(name);
  const { source, redis } = scene, orders = [...ORDERS, ...POISON];

  // The outage: nothing listens where the workers deliver.
  scene.startWorkers();
  if (listensAt !== undefined) await scene.until("it listens", () => scene.hasListener(listensAt));
  await scene.order(orders);
  await scene.until("all orders have failed", async () => await redis.depth(source.dlq) === orders.length);
  const deadLetters = await redis.readTexts(source.dlq);
  const service = scene.startService();
  if (source.healthUrl === undefined) {
    await scene.until("replayed orders fail", async () => await scene.readMetric("returned_total") >= 3);
  } else {
    await scene.until("the gate is closed", async () => await scene.readMetric("gate_open", "consumer") === 0);
    assert.deepEqual(await redis.readTexts(source.dlq), deadLetters);
  }
  assert.equal(await redis.depth(source.dead), 0);

  // It ends.
  const downstream = scene.startDownstream(), isDelivered = (order: string) => downstream.lines.includes(order);
  await scene.until("what has failed is delivered", () => ORDERS.every(isDelivered));
  for (let wave = 1; await redis.depth(source.dead) < POISON.length; wave++) {
    assert.ok(wave <= MOST_WAVES, scene.describe("There is poison left"));
    const live = numbered(`flaky-${wave}`, WAVE);
    orders.push(...live);
    await scene.order(live);
    await scene.until(`wave ${wave} is delivered`, () => live.every(isDelivered));
  }
  await scene.until(
    "nothing waits",
    async () => await redis.depth(source.dlq) + await redis.depth(source.target) === 0,
  );
  const delivered = downstream.lines.map((key) => ({ key, place: "delivered" }));
  const dead = (await redis.readTexts(source.dead)).map((letter) => ({ key: orderIn(letter), place: "dead" }));
  assert.deepEqual(
    findDifferences(orders.map((key) => ({ key, ends: [POISON.includes(key) ? "dead" : "delivered"] })), [
      ...delivered,
      ...dead,
    ]),
    { lost: [], doubled: [], strangers: [], misplaced: [] },
  );
  assert.deepEqual(new Set(service.events("dead").map(({ reason }) => reason)), new Set(["poison"]));

  const payloads = await scene.replayElsewhere(deadLetters);
  assert.deepEqual(payloads.map((payload) => payload.replace(STAMP, "")), deadLetters.map(asReplayed));
}

/** A page's commands and files in a folder of their own, with ports of their own, and what was started there. */
class Scene implements AsyncDisposable {
  readonly redis: TestRedis;
  readonly source: Source;
  readonly #folder: string;
  readonly #ports: Ports;
  /** The page's blocks of commands. */
  readonly #scripts: readonly string[];
  readonly #started = new AsyncDisposableStack();
  readonly #programs: PageProgram[] = [];
  #service: Service | undefined;

  static async open(name: string): Promise<Scene> {
    const page = Deno.readTextFileSync(`${ROOT}docs/examples/${name}.md`);
    const [, sources] = /^```yaml\n(.*?)^```$/ms.exec(page)!;
    assert.equal(sources, Deno.readTextFileSync(`${ROOT}docs/examples/${name}/sources.yaml`), "page and file differ");
    const [source] = Object.values<Source>(parse(sources!).sources);
    const redis = await startRedis({ push: source!.push ?? "LPUSH" });
    return new Scene(page, { redis, source: source! });
  }

  private constructor(page: string, { redis, source }: { redis: TestRedis; source: Source }) {
    this.redis = redis;
    this.source = source;
    this.#folder = Deno.makeTempDirSync();
    this.#ports = { 6379: redis.port, 9000: freePort(), 5514: freePort() };
    const withPorts = (text: string) =>
      text.replace(/\b(?:6379|9000|5514)\b/g, (port) => String(this.#ports[Number(port) as keyof Ports]));
    for (const path of filesIn("docs/examples", "")) {
      const copy = `${this.#folder}/${path}`;
      Deno.mkdirSync(copy.slice(0, copy.lastIndexOf("/")), { recursive: true });
      Deno.writeTextFileSync(copy, withPorts(Deno.readTextFileSync(ROOT + path)));
    }
    Deno.symlinkSync(`${ROOT}node_modules`, `${this.#folder}/node_modules`);
    this.#scripts = parseRunbook(withPorts(page)).flatMap(({ blocks }) => blocks).map(({ script }) => script);
  }

  /** Starts the page's first block: each line is a program that stays. */
  startWorkers(): void {
    for (const command of this.#scripts[0]!.split("\n")) this.#start(command);
  }

  /** Runs the page's command that orders. */
  async order(orders: readonly string[]): Promise<void> {
    const script = this.#find(PAGE_ORDERS).replace(PAGE_ORDERS, orders.join(" "));
    await runOnPage(script, this.#folder);
  }

  startDownstream(): PageProgram {
    return this.#start(this.#find("docs/examples/downstream.py"));
  }

  startService(): Service {
    return this.#service = this.#run(this.redis, QUICK);
  }

  /** Replays messages once in another Redis, from which nothing takes. @returns the target, oldest first */
  async replayElsewhere(messages: readonly string[]): Promise<string[]> {
    const redis = await startRedis({ push: this.redis.push }), { dlq, target } = this.source;
    try {
      await redis.seedList(dlq, messages);
      const { exit, stdout, stderr } = this.#run(redis, { ...QUICK, command: "once" });
      assert.equal((await exit).code, 0, [...stdout, ...stderr].join("\n"));
      return await redis.readTexts(target);
    } finally {
      await redis.stop();
    }
  }

  /** Whether a program listens at this port of the page. */
  async hasListener(port: keyof Ports): Promise<boolean> {
    try {
      (await Deno.connect({ hostname: "localhost", port: this.#ports[port] })).close();
      return true;
    } catch {
      return false;
    }
  }

  /** Reads a metric of the source; NaN: it has no value yet. */
  async readMetric(name: string, gate?: string): Promise<number> {
    const { metrics } = await this.#service!.ports({ timeoutMs: STEP_MS });
    const page = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
    const labels = `source="[^"]*"${gate === undefined ? "" : `,gate="${gate}"`}`;
    return Number(new RegExp(`^mutt_remediation_${name}\\{${labels}\\} (.*)$`, "m").exec(page)?.[1]);
  }

  async until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    await waitUntil(condition, { what, timeoutMs: STEP_MS }).catch((error: Error) => {
      throw new Error(this.describe(error.message));
    });
  }

  /** Adds the end of what everything has written. */
  describe(problem: string): string {
    const outputs = this.#programs.map(({ command, output }) => `${command}\n${output.slice(-2_000)}`);
    return [problem, ...outputs, ...this.#service?.stderr.slice(-20) ?? []].join("\n\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#started.disposeAsync();
    await this.redis.stop();
    Deno.removeSync(this.#folder, { recursive: true });
  }

  #find(text: string): string {
    return this.#scripts.find((script) => script.includes(text))!;
  }

  #start(command: string): PageProgram {
    const program = this.#started.use(startOnPage(command, this.#folder));
    this.#programs.push(program);
    return program;
  }

  /** Runs `mutt-remediation` with the page's variables. */
  #run(redis: TestRedis, { command = "run", ...env }: { command?: string } & Record<string, string>): Service {
    const words = splitWords(this.#find(" mutt-remediation run"));
    const variables = words.slice(0, words.indexOf("mutt-remediation")).map((word) => word.split("="));
    return this.#started.use(startService({
      args: [command],
      env: { REDIS_URL: redis.url, LOG_JSON_ENABLED: "true", ...Object.fromEntries(variables), ...env },
      cwd: this.#folder,
    }));
  }
}

/** The order that a message is about. Every format of the examples shows it in clear text. */
function orderIn(message: string): string {
  return /(?:order|poison|flaky)[-\d]+/.exec(message)?.[0] ?? message;
}

function numbered(word: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${word}-${i + 1}`);
}

function succeeds(command: string): boolean {
  return new Deno.Command("/bin/sh", { args: ["-c", command], cwd: ROOT, stdout: "null", stderr: "null" }).outputSync()
    .success;
}
