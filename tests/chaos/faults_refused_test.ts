/** Redis refuses: each refusal before a cycle and in the middle of one, list by list, and the way out of it. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Redis } from "ioredis";
import type { RedisErrorCode } from "../../src/redis/errors.ts";
import {
  createEngine,
  DEAD,
  DLQ,
  type Engine,
  eventTexts,
  readLists,
  replayedText,
  STATE,
  TARGET,
  waitUntilEmpty,
} from "../../testkit/engine.ts";
import { PLANTED } from "../../testkit/planted_secrets.ts";
import { type TestRedis, withRedis } from "../../testkit/redis.ts";
import { aclAll, needs } from "../../testkit/redis_version.ts";
import { waitUntil } from "../../testkit/wait.ts";

const MESSAGES = eventTexts(50);
/** Not JSON: goes to the dead list, so that every fault meets both pushes. */
const UNREADABLE = ["not JSON 1", "not JSON 2", "not JSON 3"];
const SEED = [...MESSAGES.slice(0, 25), UNREADABLE[0]!, UNREADABLE[1]!, ...MESSAGES.slice(25), UNREADABLE[2]!];

/** Everything went where it belongs, once and in order, and the metrics say just that. */
async function checkDone(redis: TestRedis, engine: Engine): Promise<void> {
  const { dlq, target, dead } = await readLists(redis);
  deepStrictEqual({ dlq, target }, { dlq: [], target: MESSAGES.map((text) => replayedText(text)) });
  deepStrictEqual(dead.map((text) => JSON.parse(text).payload), UNREADABLE);
  // The DLQ is empty a moment before the engine has the answer to its last commit.
  await waitUntil(async () => (await engine.moved()).replayed >= 50, { what: "the last commit is counted" });
  deepStrictEqual(await engine.moved(), { replayed: 50, dead: { unreadable: 3 } });
}

interface Fault {
  readonly name: string;
  readonly code: RedisErrorCode;
  readonly config?: readonly string[];
  /** Version of Redis from which on it can be met; default: any. */
  readonly since?: string;
  readonly inflict: (admin: Redis, redis: TestRedis) => Promise<unknown>;
  readonly mend: (admin: Redis) => Promise<unknown>;
  /** Whether nobody may read meanwhile. */
  readonly unreadable?: true;
  /** Whether the chunk in hand still moves, and only the next read is refused. */
  readonly movesOnce?: true;
  /** Where it can be met. Default: both. */
  readonly only?: "middle" | "start";
}

const everything = (admin: Redis) => admin.acl("SETUSER", "svc", "allkeys", "+@all");
const grant = (name: string, ...rules: string[]): Fault => ({
  ...{ name: `the user is ${name}`, code: "NOPERM", mend: everything },
  inflict: (admin) => admin.acl("SETUSER", "svc", ...rules),
});
const keys = (...patterns: string[]) => ["resetkeys", ...patterns];

const FAULTS: readonly Fault[] = [
  {
    name: "the memory is full",
    code: "OOM",
    inflict: (admin) => admin.config("SET", "maxmemory", "1"),
    mend: (admin) => admin.config("SET", "maxmemory", "0"),
  },
  {
    name: "the master has become a replica",
    code: "READONLY",
    inflict: (admin) => admin.replicaof("127.0.0.1", 1),
    mend: (admin) => admin.replicaof("NO", "ONE"),
  },
  {
    name: "replicas are missing",
    code: "NOREPLICAS",
    inflict: (admin) => admin.config("SET", "min-replicas-to-write", "1"),
    mend: (admin) => admin.config("SET", "min-replicas-to-write", "0"),
  },
  {
    name: "the last snapshot failed",
    code: "MISCONF",
    config: ["save 3600 1000000"],
    async inflict(admin, { dir }) {
      await Deno.mkdir(`${dir}/dump.rdb`); // a folder in the place of the file
      await admin.bgsave();
      const failed = async () => (await admin.info("persistence")).includes("rdb_last_bgsave_status:err");
      await waitUntil(failed, { what: "the snapshot fails" });
    },
    mend: (admin) => admin.config("SET", "stop-writes-on-bgsave-error", "no"),
  },
  {
    name: "somebody's script does not end",
    code: "BUSY",
    config: ["lua-time-limit 5"],
    unreadable: true,
    async inflict(admin, redis) {
      redis.client().eval("while true do end", 0).catch(() => {}); // killed by mend
      const busy = () => admin.ping().then(() => false, (error: Error) => error.message.startsWith("BUSY"));
      await waitUntil(busy, { what: "the server is busy" });
    },
    async mend(admin) {
      await admin.script("KILL");
      await waitUntil(() => admin.ping().catch(() => null), { what: "the server answers again" });
    },
  },
  grant("without LPUSH", "-lpush"),
  grant("without LTRIM", "-ltrim"),
  grant("without SET", "-set"),
  // A connection's first call of a script is an EVAL, and so is that in a guarded commit.
  { ...grant("without EVALSHA", "-evalsha"), only: "middle", movesOnce: true },
  grant("without EVAL and EVALSHA", "-eval", "-evalsha"),
  {
    ...grant(
      "without a write to the target",
      ...keys(`~${DLQ}`, `~${STATE}`, `~${DEAD}`, `%R~${TARGET}`, "~mutt:alert_queue"),
    ),
    since: "7.0",
  },
  grant("without the dead list", ...keys(`~${DLQ}`, `~${STATE}`, `~${TARGET}`, "~mutt:alert_queue")),
  grant("without the record", ...keys(`~${DLQ}`, `~${DEAD}`, `~${TARGET}`, "~mutt:alert_queue")),
  grant("without the DLQ", ...keys(`~${STATE}`, `~${DEAD}`, `~${TARGET}`, "~mutt:alert_queue")),
];

const USER = `user svc on >${PLANTED.redisPassword} ${aclAll().join(" ")}`;

async function prepare(redis: TestRedis): Promise<{ engine: Engine; admin: Redis }> {
  const admin = redis.client();
  await redis.seedList(DLQ, SEED);
  const engine = createEngine(redis, { settings: { redisUsername: "svc" }, password: PLANTED.redisPassword });
  await engine.connections.waitUntilReady(5_000);
  return { engine, admin };
}

/** Waits until the refusal was met twice more, and sees that nothing has moved by then. */
async function checkRefused({ code, unreadable, movesOnce }: Fault, redis: TestRedis, engine: Engine): Promise<void> {
  const before = unreadable || movesOnce ? null : await readLists(redis);
  const many = (await engine.errors())[code] ?? 0;
  await waitUntil(async () => ((await engine.errors())[code] ?? 0) >= many + 2, { what: `${code} is counted twice` });
  if (before) deepStrictEqual(await readLists(redis), before);
}

for (const fault of FAULTS) {
  const { name, code, only, since = "6.0" } = fault;
  const config = [USER, ...fault.config ?? []];

  if (only !== "middle") {
    withRedis(
      needs(since, `replay: counts ${code}, moves nothing and then all, when ${name} at the start`),
      { config },
      async (redis) => {
        const { engine: made, admin } = await prepare(redis);
        await using engine = made;
        await fault.inflict(admin, redis);
        engine.start();
        await checkRefused(fault, redis, engine);
        await fault.mend(admin);
        await waitUntilEmpty(redis, DLQ);
        await checkOnlyCode(engine, code);
        await checkDone(redis, engine);
      },
    );
  }

  if (only !== "start") {
    withRedis(
      needs(since, `replay: counts ${code}, loses and doubles nothing, when ${name} in mid-cycle`),
      { config },
      async (redis) => {
        const { engine: made, admin } = await prepare(redis);
        await using engine = made;
        const met = Promise.withResolvers<void>();
        engine.beforeCommit(async (number) => {
          if (number !== 3) return;
          await fault.inflict(admin, redis);
          met.resolve();
        });
        engine.start();
        await met.promise;
        await checkRefused(fault, redis, engine);
        await fault.mend(admin);
        await waitUntilEmpty(redis, DLQ);
        await checkOnlyCode(engine, code);
        await checkDone(redis, engine);
        deepStrictEqual((await engine.source.store.readState()).record.cycle, 1);
      },
    );
  }
}

async function checkOnlyCode(engine: Engine, code: RedisErrorCode): Promise<void> {
  // A master that became a replica is connected to anew, and in that moment nothing can be asked.
  const others = Object.keys(await engine.errors()).filter((one) => one !== code && one !== "CONNECTION");
  deepStrictEqual(others, []);
  const told = engine.lines.filter(({ event, fields }) => event === "redis_error" && fields.code === code);
  const closed = engine.lines.filter(({ event, fields }) =>
    event === "gate_closed" && fields.gate === "redis" && fields.reason === code.toLowerCase()
  );
  // A trial may meet it before a move does.
  ok(told.length + closed.length > 0, "it is told");
  ok(told.length <= 1 || code === "READONLY", `told ${told.length} times`);
}

withRedis("replay: connects anew when Redis says READONLY", { config: [USER] }, async (redis) => {
  const { engine: made, admin } = await prepare(redis);
  await using engine = made;
  const before = new Set((await redis.clientConnections()).map(({ id }) => id));
  strictEqual(before.size, 3);
  engine.beforeCommit((number) => number === 2 ? void admin.replicaof("127.0.0.1", 1) : undefined);
  await engine.start();
  await waitUntil(async () => {
    const now = await redis.clientConnections();
    return now.some(({ id, name }) => name.endsWith("committer") && !before.has(id));
  }, { what: "the committer has a new connection" });
  await admin.replicaof("NO", "ONE");
  await waitUntilEmpty(redis, DLQ);
  await checkDone(redis, engine);
});

withRedis("replay: moves all without an error when somebody flushes the scripts", { config: [USER] }, async (redis) => {
  const { engine: made, admin } = await prepare(redis);
  await using engine = made;
  engine.beforeCommit(() => admin.script("FLUSH").then(() => {}));
  await engine.start();
  await waitUntilEmpty(redis, DLQ);
  await checkDone(redis, engine);
  deepStrictEqual(await engine.errors(), {});
});

withRedis(
  needs("6.2", "replay: waits while Redis loads its data and then moves all when it was restarted in mid-cycle"),
  { config: [USER, "save 3600 1000000", "key-load-delay 1000", "loading-process-events-interval-bytes 1024"] },
  async (redis) => {
    const { engine: made, admin } = await prepare(redis);
    await using engine = made;
    // A thousandth of a second each: long enough to be met.
    await admin.mset(Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`filler:${i}`, "x".repeat(100)])));
    let restarted: Promise<void> | undefined;
    engine.beforeCommit((number) => {
      if (number === 3) restarted = redis.restart();
    });
    engine.start();
    await waitUntil(async () => (await engine.errors()).LOADING, { what: "LOADING is counted" });
    await restarted;
    await waitUntilEmpty(redis, DLQ);
    await checkDone(redis, engine);
  },
);
