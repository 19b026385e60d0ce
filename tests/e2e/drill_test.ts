/**
 * Drills of the program as an operator runs it, with two instances, under kill -9. The test counts every list itself: the report must
 * say the same, every real message must be in the target exactly once, and nothing of a drill may be left.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { entriesOf, TEST_KEYS } from "../../testkit/api.ts";
import { runCommand } from "../../testkit/cli.ts";
import { clientOf, drillKeysLeft, findMarked, readReports } from "../../testkit/drills.ts";
import { DEAD, DLQ, eventTexts, idOf, STATE, TARGET } from "../../testkit/engine.ts";
import { SeededRandom } from "../../testkit/mutt/random.ts";
import { type TestRedis, withRedis } from "../../testkit/redis.ts";
import { type Service, startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";
import { drillKey, drillListKey } from "../../src/redis/keys.ts";

const MESSAGES = 300, REAL_A_ROUND = 60;
const ROUNDS = Number(Deno.env.get("DRILL_ROUNDS") ?? 6);

function start(redis: TestRedis, name: string): Service {
  const keys = entriesOf().map(({ name, role, digest }) => `${name}:${role}:${digest}`).join(",");
  return startService({
    env: {
      ...{ REDIS_URL: redis.url, REMEDIATION_INTERVAL: "1", REMEDIATION_BATCH_SIZE: "0", POD_NAME: name },
      ...{ REMEDIATION_MAX_PER_SECOND: "0", REMEDIATION_TARGET_MAX_DEPTH: "0", REMEDIATION_LEASE_DURATION: "1" },
      ...{ REMEDIATION_CHUNK_MESSAGES: "7", REMEDIATION_API_PORT: "0", REMEDIATION_API_KEYS: keys },
    },
  });
}

async function commandEnv(service: Service): Promise<Record<string, string>> {
  const { api } = await service.ports();
  return { REMEDIATION_URL: `http://127.0.0.1:${api}`, REMEDIATION_API_KEY: TEST_KEYS.admin };
}

/** The instants at which the leader is killed, by what Redis holds. */
const MOMENTS: readonly { readonly of: string; readonly isNow: (redis: TestRedis) => Promise<boolean> }[] = [
  { of: "it has started", isNow: async (redis) => await clientOf(redis).hget(drillKey(DLQ), "phase") === "holding" },
  { of: "some are pushed", isNow: async (redis) => Number(await clientOf(redis).hget(drillKey(DLQ), "seeded")) > 0 },
  { of: "some have arrived", isNow: async (redis) => await clientOf(redis).llen(drillListKey(DLQ)) > 20 },
  { of: "most have arrived", isNow: async (redis) => await clientOf(redis).llen(drillListKey(DLQ)) > MESSAGES / 2 },
  { of: "it heals", isNow: async (redis) => await clientOf(redis).hget(drillKey(DLQ), "phase") === "healing" },
  {
    of: "it is cleaned up",
    isNow: async (redis) => await clientOf(redis).hget(drillKey(DLQ), "phase") !== "healing",
  },
];

/** The instances, of which the leader is killed and started again. */
class Pair implements AsyncDisposable {
  readonly #redis: TestRedis;
  #services: Service[];

  constructor(redis: TestRedis) {
    this.#redis = redis;
    this.#services = ["one", "two"].map((name) => start(redis, name));
  }

  /** The instance that was not started last. */
  any(): Service {
    return this.#services[0]!;
  }

  /** Kills the leader, if there is one, and starts another instance. */
  async killLeader(): Promise<void> {
    const name = await clientOf(this.#redis).hget(STATE, "leaderName") ?? "";
    const at = Math.max(0, this.#services.findIndex((_, i) => name.startsWith(["one", "two"][i]!)));
    this.#services[at]!.signal("SIGKILL");
    await this.#services[at]!.exit;
    this.#services[at] = start(this.#redis, ["one", "two"][at]!);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const service of this.#services) await service[Symbol.asyncDispose]();
  }
}

withRedis("drill: its report is right under kill -9, and nothing of it is left", async (redis) => {
  const seed = Number(Deno.env.get("DRILL_SEED") ?? Date.now() % 1_000_000), random = new SeededRandom(seed);
  console.log(`seed ${seed}`);
  const client = clientOf(redis), texts = eventTexts(ROUNDS * REAL_A_ROUND);
  await using pair = new Pair(redis);
  for (let round = 0; round < ROUNDS; round++) {
    const real = texts.slice(round * REAL_A_ROUND, (round + 1) * REAL_A_ROUND);
    await client.lpush(DLQ, ...real.slice(0, 30));
    const env = await commandEnv(pair.any());
    const args = [
      "--messages",
      String(MESSAGES),
      "--outage",
      "10s",
      "--reason",
      "a test",
      "--yes",
      "--detach",
      "--json",
    ];
    const started = await runCommand(["drill", "alerter", ...args], env);
    assert.equal(started.code, 0, started.err);
    const { drill: { id } } = JSON.parse(started.out);
    // One moment after the other, so that each round also meets one that has passed, and a kill at any instant.
    const moment = MOMENTS[round % MOMENTS.length]!, isOver = async () => (await readReports(redis))[0]?.id === id;
    await waitUntil(async () => await moment.isNow(redis) || await isOver(), {
      what: `round ${round}: ${moment.of}`,
      timeoutMs: 40_000,
    });
    await pair.killLeader();
    await client.lpush(DLQ, ...real.slice(30));
    for (let kills = random.below(3); kills > 0 && !await isOver(); kills--) await pair.killLeader();
    await waitUntil(isOver, { what: `round ${round}: the drill is over`, timeoutMs: 60_000 });

    // Before the leftovers of the list could hide anything: nothing is left, in any list.
    assert.deepEqual(await findMarked(redis, id), {}, `seed ${seed}, round ${round}`);
    assert.deepEqual(await drillKeysLeft(redis), []);
    const [{ outcome, seeded, arrived, lost, doubled, left, noticeMs } = {}] = await readReports(redis);
    assert.deepEqual({ outcome, seeded, arrived, lost, doubled, left }, {
      ...{ outcome: "healed", seeded: MESSAGES, arrived: MESSAGES, lost: 0, doubled: 0, left: 0 },
    }, `seed ${seed}, round ${round}`);
    assert.ok(noticeMs === null || typeof noticeMs === "number");
  }
  await waitUntil(async () => await client.llen(DLQ) === 0, { what: "the DLQ is empty", timeoutMs: 20_000 });
  const target = (await redis.readTexts(TARGET)).map(idOf);
  assert.deepEqual(target.toSorted(), texts.map(idOf).toSorted(), `seed ${seed}: each real message once, no other`);
  assert.equal(await client.llen(DEAD), 0);
  // The test's own count of every commit: the journal of the moves.
  const entries = await client.xrange(`${STATE}:moves`, "-", "+");
  const moves = entries.map(([, fields]) => JSON.parse(fields[fields.indexOf("entry") + 1]!));
  const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
  assert.equal(sum(moves.map(({ replayed }) => replayed)), texts.length);
  assert.equal(sum(moves.map(({ dead }) => dead.drill ?? 0)), ROUNDS * MESSAGES);
});

withRedis(
  "drill: the command shows the plan, follows the drill, and ends with 1 when a message was lost",
  async (redis) => {
    await using service = start(redis, "one");
    const env = await commandEnv(service), client = clientOf(redis);
    const plan = await runCommand(["drill", "alerter", "--messages", "20", "--reason", "a test", "--plan"], env);
    assert.equal(plan.code, 0, plan.err);
    assert.match(plan.out, /Gate downstream is held closed for 60 s[^]*Real messages of alerter wait[^]*None reaches/);
    assert.equal(await client.exists(drillKey(DLQ)), 0, "nothing was started");
    const unasked = await runCommand(["drill", "alerter", "--reason", "a test"], env);
    assert.deepEqual([unasked.code, unasked.out], [2, ""]);
    const wrong = await runCommand([
      "drill",
      "alerter",
      "--reason",
      "a",
      "--messages",
      "1001",
      "--target",
      "real",
      "--yes",
    ], env);
    assert.equal(wrong.code, 2, wrong.out);
    assert.match(wrong.err, /at most 1000 with the real target/);

    const good = await runCommand(
      ["drill", "alerter", "--messages", "20", "--outage", "10s", "--reason", "a test", "--yes"],
      env,
    );
    assert.equal(good.code, 0, good.err);
    assert.match(good.err, /holding: gate downstream is closed until/);
    assert.match(
      good.out,
      /is healed[^]*time to notice +\d[^]*time to heal +\d[^]*arrived +20 of 20[^]*lost +0[^]*doubled +0/,
    );

    // A foreign client takes one message.
    const args = [
      "drill",
      "alerter",
      "--messages",
      "20",
      "--outage",
      "10s",
      "--heal",
      "10s",
      "--reason",
      "a test",
      "--yes",
    ];
    const running = runCommand(args, env);
    await waitUntil(async () => await client.llen(DLQ) === 20, { what: "all are in the DLQ", timeoutMs: 20_000 });
    const taken = Buffer.from((await client.rpop(DLQ))!);
    const bad = await running;
    assert.equal(bad.code, 1, bad.err);
    assert.match(bad.out, /is timed_out[^]*arrived +19 of 20[^]*lost +1/);
    assert.ok(taken.includes("_remediation_drill"));
    const list = await runCommand(["drills", "list"], env);
    assert.match(list.out, /timed_out[^]*healed/);
    assert.deepEqual(await drillKeysLeft(redis), []);
  },
);

withRedis("drill: a job waits for its end, one cancels it, and its messages are gone", async (redis) => {
  await using service = start(redis, "one");
  const env = await commandEnv(service), client = clientOf(redis);
  await client.lpush(DLQ, ...eventTexts(10));
  const options = ["--outage", "1h", "--reason", "a test", "--yes", "--detach", "--json"];
  const started = await runCommand(["drill", "alerter", ...options], env);
  const { drill: { id } } = JSON.parse(started.out);
  await waitUntil(async () => (await findMarked(redis, id)).dlq?.length === 100, { what: "all are in the DLQ" });
  const redrive = await runCommand(["redrive", "--source", "alerter", "--reason", "a test", "--yes", "--detach"], env);
  assert.equal(redrive.code, 1, redrive.out);
  assert.match(redrive.err, /a drill runs on the source/);
  const second = await runCommand(["drill", "alerter", "--reason", "again", "--yes"], env);
  assert.match(second.err, /another drill of the source runs/);
  const cancelled = await runCommand(["drills", "cancel", id, "--source", "alerter"], env);
  assert.equal(cancelled.code, 0, cancelled.err);
  await waitUntil(async () => (await readReports(redis))[0]?.id === id, { what: "it is over", timeoutMs: 20_000 });
  const [{ outcome, lost, doubled } = {}] = await readReports(redis);
  assert.deepEqual({ outcome, lost, doubled }, { outcome: "cancelled", lost: 0, doubled: 0 });
  assert.deepEqual(await findMarked(redis, id), {});
  assert.deepEqual((await redis.readTexts(TARGET)).map(idOf), eventTexts(10).map(idOf));
  const journal = await runCommand(["journal", "--journals", "audit", "--json"], env);
  const told = JSON.parse(journal.out).entries.map(({ text }: { text: string }) => text).join("\n");
  assert.match(
    told,
    /Drill d_[0-9a-f]{16} of admin-name is over \(cancelled\)[^]*ran drills_cancel[^]*ran drill on alerter/,
  );
});
