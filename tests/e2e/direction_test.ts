/** A pipeline in which producers RPUSH and consumers BLPOP, around the service as a process; and a source that is turned while it runs. */
import assert from "node:assert/strict";
import { runCommand } from "../../testkit/cli.ts";
import { startHttpStub } from "../../testkit/http_stub.ts";
import { type TestRedis, withRedis } from "../../testkit/redis.ts";
import { type Service, startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";

const ORDERS = { dlq: "orders:dlq", target: "orders", dead: "orders:dead" };
const LISTS = Object.values(ORDERS);
const order = (id: number) => `{"id": ${id}}`;
const idOf = (text: string): number => JSON.parse(text).id;
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

/** Takes orders from the left, and pushes what fails to the right of the DLQ, as it came. */
class Worker implements AsyncDisposable {
  readonly done: number[] = [];
  isDown = true;
  readonly #client: ReturnType<TestRedis["client"]>;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(redis: TestRedis) {
    this.#client = redis.client();
    this.#running = this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const [, text] = await this.#client.blpop(ORDERS.target, 0.1) ?? [];
      if (text === undefined) continue;
      if (this.isDown) await this.#client.rpush(ORDERS.dlq, text);
      else this.done.push(idOf(text));
    }
  }
}

function startFor(redis: TestRedis, { path, ...more }: Record<string, string>): Service {
  return startService({
    env: {
      ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), REMEDIATION_SOURCES: "none" },
      ...{ REMEDIATION_SOURCES_PATH: path!, REMEDIATION_INTERVAL: "1", REMEDIATION_CHUNK_MESSAGES: "7" },
      ...{ REMEDIATION_BATCH_SIZE: "0", REMEDIATION_BRAKE_ENABLED: "false", LOG_LEVEL: "DEBUG" },
      ...more,
    },
  });
}

withRedis("run: after an outage, a pipeline of RPUSH and BLPOP gets its messages back, the oldest first", {
  push: "RPUSH",
}, async (redis) => {
  const health = await startHttpStub(), path = `${redis.dir}/sources.json`;
  try {
    health.answer({ status: 503 });
    const source = { ...ORDERS, push: "RPUSH", healthUrl: `${health.url}/health` };
    Deno.writeTextFileSync(path, JSON.stringify({ sources: { orders: source } }));
    const producer = redis.client();
    await using worker = new Worker(redis);
    await producer.rpush(ORDERS.target, ...numbers(0, 50).map(order));
    await waitUntil(async () => await redis.depth(ORDERS.dlq) === 50, { what: "all orders have failed" });
    await producer.rpush(ORDERS.dlq, "not an order");
    await using service = startFor(redis, { path });
    await waitUntil(() => health.requests.length > 1, { what: "the gate has asked" });
    assert.deepEqual(worker.done, []);
    worker.isDown = false;
    health.answer({ status: 200 });
    await waitUntil(() => worker.done.length === 50, { what: "all orders are done", timeoutMs: 20_000 });
    assert.deepEqual(worker.done, numbers(0, 50));
    assert.equal(service.events("commit").length > 5, true, "in several chunks");
    await waitUntil(async () => await redis.depth(ORDERS.dlq) === 0, { what: "the DLQ is empty" });
    assert.match((await redis.readTexts(ORDERS.dead)).join(), /"reason": "unreadable".*"payload": "not an order"/);
  } finally {
    await health.stop();
  }
});

withRedis("run: loses, doubles and changes nothing when its source is turned while it drains", async (redis) => {
  const path = `${redis.dir}/sources.json`, count = 2_000;
  const write = (push: string) => {
    Deno.writeTextFileSync(
      `${path}.new`,
      JSON.stringify({ sources: { orders: { ...ORDERS, push, targetMaxDepth: 0 } } }),
    );
    Deno.renameSync(`${path}.new`, path);
  };
  write("LPUSH");
  await redis.seedList(ORDERS.dlq, numbers(0, count).map(order));
  await using service = startFor(redis, { path, REMEDIATION_BATCH_SIZE: "50" });
  for (const [turn, push] of ["RPUSH", "LPUSH", "RPUSH"].entries()) {
    const before = await redis.depth(ORDERS.target);
    await waitUntil(async () => await redis.depth(ORDERS.target) > before, { what: "it drains", timeoutMs: 20_000 });
    write(push);
    service.signal("SIGHUP");
    await waitUntil(() => service.events("sources_applied").length > turn, { what: "it is turned", timeoutMs: 20_000 });
  }
  const before = await redis.depth(ORDERS.target);
  await waitUntil(async () => await redis.depth(ORDERS.target) > before, { what: "it goes on", timeoutMs: 20_000 });
  service.signal("SIGTERM");
  assert.equal((await service.exit).code, 0);
  const texts = (await Promise.all(LISTS.map((list) => redis.readTexts(list)))).flat();
  assert.deepEqual(texts.map(idOf).sort((a, b) => a - b), numbers(0, count));
  // From both ends by turns, so what is left is what was in a row.
  const left = (await redis.readTexts(ORDERS.dlq)).map(idOf);
  assert.deepEqual(left, numbers(left[0]!, left[0]! + left.length));
  assert.ok(left.at(-1)! < count - 1 && left[0]! > 0, `${left[0]} to ${left.at(-1)}`);
});

withRedis("watch --push RPUSH: takes from the left, and says so", { push: "RPUSH" }, async (redis) => {
  const env = { REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port) };
  const flags = ["watch", "--dlq", ORDERS.dlq, "--target", ORDERS.target, "--push", "RPUSH"];
  await redis.seedList(ORDERS.dlq, numbers(0, 30).map(order));
  const dry = await runCommand([...flags, "--dry-run", "--json"], env);
  assert.deepEqual([dry.code, JSON.parse(dry.out).sources[0].replayed], [0, 10]);
  await using service = startService({ args: flags, env });
  await waitUntil(async () => await redis.depth(ORDERS.target) === 10, { what: "a batch is replayed" });
  assert.deepEqual((await redis.readTexts(ORDERS.target)).map(idOf), numbers(0, 10));
  assert.deepEqual((await redis.readTexts(ORDERS.dlq)).map(idOf), numbers(10, 30));
  const told = service.stderr.join("\n");
  for (
    const part of [
      "the oldest first, pushed to the right.",
      "Your consumer must take from the left (LPOP, BLPOP) and accept",
      "    push: RPUSH",
    ]
  ) assert.ok(told.includes(part), told);
});
