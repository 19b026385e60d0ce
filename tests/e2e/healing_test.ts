/** Healing in ordinary days: the program, a real Redis, and a consumer that accepts, fails and forgets as it is told. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { DEAD, DLQ, eventText, eventTexts, idOf, STATE, TARGET } from "../../testkit/engine.ts";
import { type TestRedis, withRedis } from "../../testkit/redis.ts";
import { type Service, startService } from "../../testkit/service.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { waitUntil } from "../../testkit/wait.ts";

const HEAL_MS = 60_000;
/** Cycles follow one another quickly, and each takes all that is there. */
const QUICK = { REMEDIATION_INTERVAL: "1", REMEDIATION_BATCH_SIZE: "0", REMEDIATION_MAX_PER_SECOND: "0" };

function start(redis: TestRedis, env: Record<string, string> = {}): Service {
  return startService({ env: { REDIS_URL: redis.url, LOG_JSON_ENABLED: "true", ...QUICK, ...env } });
}

/** What a message comes back as; `null`: it does not. */
type Consumer = (message: Buffer) => Buffer | null;

/** Takes what is in the target, for as long as it lives. */
class ConsumerLoop implements AsyncDisposable {
  readonly delivered = new Set<string>();
  consumer: Consumer;
  readonly #redis: TestRedis;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(redis: TestRedis, consumer: Consumer) {
    this.#redis = redis;
    this.consumer = consumer;
    this.#running = this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const client = this.#redis.client();
    while (!this.#stop.signal.aborted) {
      for (const message of await this.#redis.popList(TARGET, 100)) {
        const back = this.consumer(message);
        if (back === null) this.delivered.add(idOf(message));
        else await client.lpush(DLQ, back);
      }
      await SYSTEM_CLOCK.sleep(20);
    }
  }
}

const accept: Consumer = () => null;
const isPoison = (message: Buffer) => idOf(message).startsWith("poison");
const failPoison: Consumer = (message) => isPoison(message) ? message : null;
const poison = (count: number) => Array.from({ length: count }, (_, i) => eventText(`poison${i}`));

async function isDelivered(loop: ConsumerLoop, count: number): Promise<void> {
  await waitUntil(() => loop.delivered.size >= count, { what: `${count} are delivered`, timeoutMs: HEAL_MS });
}

withRedis(
  "healing: a steady inflow is no return: all of it goes, and nobody says that anything came back",
  async (redis) => {
    await using service = start(redis);
    await using loop = new ConsumerLoop(redis, accept);
    await service.ports();
    let left = 0;
    for (let second = 0; second < 12; second++) {
      await redis.seedList(DLQ, eventTexts(20, 20 * second));
      await SYSTEM_CLOCK.sleep(1_000);
      left = 20 * (second + 1) - loop.delivered.size;
    }
    // Two intervals' worth, and as much again for a machine that is busy.
    assert.ok(left <= 80, `${left} are left`);
    await isDelivered(loop, 240);
    for (const event of ["common_failure", "messages_fail", "brake"]) assert.deepEqual(service.events(event), []);
    const { metrics } = await service.ports();
    const page = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
    assert.match(page, /^mutt_remediation_returned_total\{source="alerter"\} 0$/m);
  },
);

withRedis("healing: two thirds of whatever goes fail for a while, and no healthy message dies", async (redis) => {
  await redis.seedList(DLQ, eventTexts(300));
  await using service = start(redis);
  let given = 0;
  await using loop = new ConsumerLoop(redis, (message) => given++ % 20 < 13 ? message : null);
  await waitUntil(() => given > 600, { what: "many were tried again", timeoutMs: HEAL_MS });
  await redis.seedList(DLQ, eventTexts(50, 300));
  await waitUntil(() => given > 700, { what: "and fresh ones beside them", timeoutMs: HEAL_MS });
  loop.consumer = accept;
  await isDelivered(loop, 350);
  assert.equal(await redis.depth(DEAD), 0);
  assert.equal(service.events("dead").length, 0);
});

withRedis(
  "healing: healthy messages go past 40 poison in front of them, and past 40 that came before",
  async (redis) => {
    await redis.seedList(DLQ, [...poison(40), ...eventTexts(20)]);
    await using service = start(redis, { REMEDIATION_BATCH_SIZE: "10", REMEDIATION_INTERVAL: "2" });
    await using loop = new ConsumerLoop(redis, failPoison);
    await isDelivered(loop, 20);
    await redis.seedList(DLQ, eventTexts(20, 20));
    await isDelivered(loop, 40);
    assert.equal(service.events("redis_error").length, 0);
  },
);

withRedis("healing: poison is dead after four looks beside fresh dead letters, and says why", async (redis) => {
  await using service = start(redis);
  await using loop = new ConsumerLoop(redis, failPoison);
  await service.ports();
  await redis.seedList(DLQ, poison(2));
  let fresh = 0;
  await waitUntil(async () => {
    await redis.seedList(DLQ, eventTexts(40, 40 * fresh++));
    await SYSTEM_CLOCK.sleep(500);
    return await redis.depth(DEAD) === 2;
  }, { what: "both are dead", timeoutMs: HEAL_MS });
  for (const text of await redis.readTexts(DEAD)) {
    const { id, _remediation: { failures, evidence, reason } } = JSON.parse(text);
    assert.match(id, /^poison/);
    assert.equal(reason, "poison");
    assert.ok(failures >= 3 && failures <= 5 && evidence >= 9.9, `${failures} failures, ${evidence} bits`);
  }
  await isDelivered(loop, 40 * fresh);
  const [told] = service.events("dead");
  assert.match(String(told?.message), /failed \d times, limit 3, while about \d\d % of the others got through/);
});

withRedis("healing: a consumer that drops the stamp is told by name in log, metric and check", async (redis) => {
  await redis.seedList(DLQ, eventTexts(50));
  const drop: Consumer = (message) => Buffer.from(message.toString().replace(/, "_remediation": \{.*\}\}$/, "}"));
  await using service = start(redis);
  await using loop = new ConsumerLoop(redis, drop);
  await service.waitForLine(/"event": ?"stamps_dropped"/, { timeoutMs: HEAL_MS });
  await service.waitForMetrics(/^mutt_remediation_stamps_dropped\{source="alerter"\} 1$/m);
  await waitUntil(async () => await redis.client().hget(STATE, "stampsDropped") === "1", { what: "it is recorded" });
  await using check = startService({ args: ["check"], env: { REDIS_URL: redis.url } });
  await check.exit;
  assert.ok(
    check.stdout.some((line) => /alerter: .*without the member _remediation/.test(line)),
    check.stdout.join("\n"),
  );
  loop.consumer = accept;
  await isDelivered(loop, 50);
  assert.equal(await redis.depth(DEAD), 0);
});

withRedis(
  "healing: takes over messages and a record of a build without evidence under way, and kills none",
  async (redis) => {
    const stamp = (failures: number, excused: number, cycle: number) =>
      `, "_remediation": {"failures": ${failures}, "excused": ${excused}, "cycle": ${cycle}, "source": "alerter"}`;
    const texts = Array.from({ length: 60 }, (_, i) => eventText(i, stamp(i % 3, i % 6, 1 + i % 7)));
    await redis.seedList(DLQ, texts);
    await redis.client().hset(STATE, {
      ...{ seq: "31", cycle: "7", startedAtMs: "1", depthAtStart: "60", remaining: "12", replayed: "20", dead: "0" },
      ...{
        newestBytes: "-1",
        newestDigest: "",
        boundBy: "returns",
        suspect: "1",
        distance: "2",
        wait: "1",
        allowance: "2",
      },
      ...{ brakeReason: "returns", troubled: "2-6", uncounted: "", lastReplayingCycle: "6", outages: "" },
    });
    await using service = start(redis);
    let given = 0;
    await using loop = new ConsumerLoop(redis, (message) => given++ < 2 ? message : null);
    await isDelivered(loop, 60);
    assert.equal(await redis.depth(DEAD), 0);
    assert.equal(service.events("dead").length, 0);
  },
);
