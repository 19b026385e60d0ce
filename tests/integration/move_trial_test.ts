/** Redis that answers and cannot be used: `check` and the gate `redis` find it by trying, say which and what to do. */
import assert from "node:assert/strict";
import type { Redis } from "ioredis";
import { createCommandContext } from "../../src/app/command_context.ts";
import { check as checkOperation, type CheckResult } from "../../src/operations/check.ts";
import { EXIT } from "../../src/runtime/exit.ts";
import { DEFAULT_SETTINGS, type Settings } from "../../src/config/fields.ts";
import { Secret } from "../../src/runtime/secret.ts";
import { filesIn, ROOT } from "../../scripts/child.ts";
import { aclRules, JOB_SCRIPTS } from "../../scripts/redis_acl.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { SYSTEM_RANDOM } from "../../src/runtime/random.ts";
import { createEngine, DEAD, DLQ, eventTexts, TARGET, waitUntilEmpty } from "../../testkit/engine.ts";
import { PLANTED } from "../../testkit/planted_secrets.ts";
import { recordLog } from "../../testkit/recorded_log.ts";
import { type TestRedis, withRedis } from "../../testkit/redis.ts";
import { aclAll, needs } from "../../testkit/redis_version.ts";
import { startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";

/** One way in which Redis answers PING but refuses to move messages. */
interface Fault {
  readonly name: string;
  readonly config?: readonly string[];
  readonly code: string;
  /** Version of Redis from which on it can be met; default: any. */
  readonly since?: string;
  /** What is said: the cause, or what to do. */
  readonly text: RegExp;
  readonly inflict?: (admin: Redis, redis: TestRedis) => Promise<unknown>;
  /** Undoes it, where that can be done while Redis runs. */
  readonly mend?: (admin: Redis) => Promise<unknown>;
}

const USER = `user svc on >${PLANTED.redisPassword} ${aclAll().join(" ")}`;
const DRAINS = { REMEDIATION_CONSUMER_GATE: "off", MOOG_HEALTH_CHECK_ENABLED: "false" };

function deny(name: string, ...rules: string[]): Fault {
  return {
    ...{ name, code: "NOPERM", text: /NOPERM|can't run|permissions.*docs\/redis\.md/ },
    inflict: (admin) => admin.call("ACL", "SETUSER", "svc", ...rules),
    mend: (admin) => admin.call("ACL", "SETUSER", "svc", "allkeys", "+@all"),
  };
}

const FAULTS: readonly Fault[] = [
  { name: "EVAL is renamed", config: ['rename-command EVAL ""'], code: "OTHER", text: /EVAL or EVALSHA was renamed/ },
  {
    name: "EVALSHA is renamed",
    config: ["rename-command EVALSHA x"],
    code: "OTHER",
    text: /EVAL or EVALSHA was renamed/,
  },
  deny("the ACL has no EVAL", "-eval", "-evalsha"),
  deny("the ACL has no LPUSH", "-lpush"),
  {
    ...deny(
      "the dead list may only be read",
      "resetkeys",
      `~${DLQ}`,
      `~${TARGET}`,
      "~mutt:remediation:*",
      `%R~${DEAD}`,
      "%R~mutt:*",
    ),
    since: "7.0",
  },
  {
    name: "it is a replica",
    code: "READONLY",
    text: /connect to the master/,
    inflict: (admin) => admin.replicaof("127.0.0.1", 1),
    mend: (admin) => admin.replicaof("NO", "ONE"),
  },
  {
    name: "replicas are missing",
    code: "NOREPLICAS",
    text: /min-replicas-to-write/,
    inflict: (admin) => admin.config("SET", "min-replicas-to-write", "1"),
    mend: (admin) => admin.config("SET", "min-replicas-to-write", "0"),
  },
  {
    name: "the last snapshot failed",
    config: ["save 3600 1000000"],
    code: "MISCONF",
    text: /its last snapshot failed/,
    async inflict(admin, { dir }) {
      await Deno.mkdir(`${dir}/dump.rdb`);
      await admin.bgsave();
      const failed = async () => (await admin.info("persistence")).includes("rdb_last_bgsave_status:err");
      await waitUntil(failed, { what: "the snapshot fails" });
    },
    mend: (admin) => admin.config("SET", "stop-writes-on-bgsave-error", "no"),
  },
  {
    name: "it uses more memory than it may",
    code: "OOM",
    text: /raise maxmemory/,
    inflict: (admin) => admin.config("SET", "maxmemory", "1"),
    mend: (admin) => admin.config("SET", "maxmemory", "0"),
  },
];

async function check(redis: TestRedis, settings: Partial<Settings> = {}) {
  return await checkOperation.run(
    createCommandContext({
      settings: {
        ...DEFAULT_SETTINGS,
        ...{ redisHost: "127.0.0.1", redisPort: redis.port, redisUsername: "svc" },
        redisPassword: new Secret(PLANTED.redisPassword),
        moogHealthCheckEnabled: false,
        ...settings,
      },
      ...{ log: recordLog().log, clock: SYSTEM_CLOCK, random: SYSTEM_RANDOM },
      signal: new AbortController().signal,
    }),
    { probe: false },
  );
}

const bad = (findings: readonly CheckResult[]) => findings.filter(({ level }) => level !== "ok");

for (const fault of FAULTS) {
  withRedis(needs(fault.since ?? "6.0", `check: says what to do when ${fault.name}, and changes nothing`), {
    config: [USER, ...fault.config ?? []],
  }, async (redis) => {
    const admin = redis.client();
    await redis.seedList(DLQ, eventTexts(3));
    assert.deepEqual(bad((await check(redis)).findings).length > 0, fault.inflict === undefined);
    await fault.inflict?.(admin, redis);
    const { findings, exitCode } = await check(redis);
    assert.equal(exitCode, EXIT.configuration, JSON.stringify(findings));
    assert.deepEqual(bad(findings).map(({ level }) => level), ["wrong"]);
    assert.match(bad(findings)[0]!.text, fault.text);
    await fault.mend?.(admin);
    assert.deepEqual(await redis.readTexts(DLQ), eventTexts(3));
    assert.deepEqual(await admin.keys("*"), [DLQ]);
  });

  withRedis(needs(fault.since ?? "6.0", `gate redis: closes when ${fault.name}, and opens once that is mended`), {
    config: [USER, ...fault.config ?? []],
  }, async (redis) => {
    const admin = redis.client();
    await redis.seedList(DLQ, eventTexts(3));
    await using engine = createEngine(redis, { settings: { redisUsername: "svc" }, password: PLANTED.redisPassword });
    await fault.inflict?.(admin, redis);
    await engine.start();
    const gate = () => engine.source.board.last().statuses.find(({ name }) => name === "redis");
    await waitUntil(() => gate()?.open === false && gate()?.reason === fault.code.toLowerCase(), { what: "it closes" });
    assert.match(gate()!.detail, fault.text);
    assert.equal(await redis.depth(DLQ), 3);
    if (!fault.mend) return;
    await fault.mend(admin);
    await waitUntilEmpty(redis, DLQ);
    await waitUntil(() => gate()?.open, { what: "it opens" });
  });
}

withRedis(
  "once: exits 1 and says what Redis refuses, and moves nothing",
  { config: [`${USER} -lpush`] },
  async (redis) => {
    await redis.seedList(DLQ, eventTexts(3));
    const login = { REDIS_USERNAME: "svc", REDIS_PASS_CURRENT: PLANTED.redisPassword };
    for (const args of [["once"], ["once", "--dry-run"]]) {
      await using service = startService({ args, env: { REDIS_URL: redis.url, ...login, ...DRAINS } });
      assert.equal((await service.exit).code, EXIT.failed, args.join(" "));
      assert.match([...service.stdout, ...service.stderr].join("\n"), /NOPERM.*docs\/redis\.md/);
    }
    assert.equal(await redis.depth(DLQ), 3);
  },
);

withRedis(
  "run: /readyz and /health say what Redis refuses, and OK once it does not",
  { config: [USER] },
  async (redis) => {
    const admin = redis.client();
    await redis.seedList(DLQ, eventTexts(3));
    await admin.call("ACL", "SETUSER", "svc", "-lpush");
    const login = { REDIS_USERNAME: "svc", REDIS_PASS_CURRENT: PLANTED.redisPassword };
    await using service = startService({ env: { REDIS_URL: redis.url, ...login, ...DRAINS } });
    const { health } = await service.ports();
    const page = async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${health}${path}`);
      return { status: response.status, text: await response.text() };
    };
    for (const path of ["/readyz", "/health"]) {
      await waitUntil(async () => (await page(path)).text.includes("NOPERM"), { what: `${path} says so` });
      assert.equal((await page(path)).status, 503);
    }
    assert.equal((await page("/livez")).status, 200);
    await admin.call("ACL", "SETUSER", "svc", "+lpush");
    await waitUntilEmpty(redis, DLQ);
    await waitUntil(async () => (await page("/readyz")).status === 200, { what: "it is ready" });
  },
);

withRedis(
  "check: warns of a policy that evicts at will while nothing can be evicted",
  { config: [USER] },
  async (redis) => {
    const admin = redis.client();
    await admin.config("SET", "maxmemory-policy", "allkeys-lru");
    const { findings, exitCode } = await check(redis);
    assert.equal(exitCode, EXIT.done);
    assert.deepEqual(bad(findings).map(({ level }) => level), ["warning"]);
    assert.match(bad(findings)[0]!.text, /allkeys-lru.*evicts nothing while maxmemory is 0/);
    await admin.config("SET", "maxmemory", "100mb");
    assert.equal((await check(redis)).exitCode, EXIT.configuration);
  },
);

withRedis(
  "check: warns when the user may move messages but not journal the moves",
  { config: [`${USER} -xadd`] },
  async (redis) => {
    const { findings, exitCode } = await check(redis);
    assert.equal(exitCode, EXIT.done);
    assert.deepEqual(bad(findings).map(({ level, subject }) => `${level} ${subject}`), ["warning source alerter"]);
    assert.match(bad(findings)[0]!.text, /does not allow XADD.*docs\/redis\.md#acl/);
    assert.deepEqual(await redis.client().keys("*"), []);
  },
);

withRedis("run: starts with such a policy, and does not where it can evict: one line says so", async (redis) => {
  const admin = redis.client();
  await redis.seedList(DLQ, eventTexts(3));
  await admin.config("SET", "maxmemory-policy", "allkeys-lru");
  {
    await using service = startService({ env: { REDIS_URL: redis.url, ...DRAINS } });
    await service.waitForLine(/evicts nothing while maxmemory is 0/);
    await waitUntilEmpty(redis, DLQ);
  }
  await admin.config("SET", "maxmemory", "100mb");
  await using service = startService({ env: { REDIS_URL: redis.url, ...DRAINS } });
  assert.equal((await service.exit).code, EXIT.configuration);
  const lines = service.events("redis_unsafe").map(({ message }) => String(message));
  assert.equal(lines.length, 1);
  assert.match(lines[0]!, /^Remediation does not start \(exit 78\): .*allkeys-lru.*100\.00M.*noeviction/);
});

Deno.test("try_moves.lua: calls every command that the other scripts call, without those of jobs", () => {
  const calls = (text: string) => [...text.matchAll(/redis\.p?call\('(\w+)'/g)].map(([, command]) => command!);
  const scripts = filesIn("src/redis/scripts", ".lua").map((path) =>
    [path, Deno.readTextFileSync(ROOT + path)] as const
  );
  const tried = new Set(calls(scripts.find(([path]) => path.endsWith("try_moves.lua"))![1]));
  // A move needs neither what only people read the journal and the history with, nor the history, nor what only jobs do.
  const moving = scripts.filter(([path]) =>
    !JOB_SCRIPTS.test(path) && !/(read_journal|read_history|record_sample)\.lua$/.test(path)
  );
  for (const [path, text] of moving) {
    for (const command of calls(text)) assert.ok(tried.has(command), `${path}: ${command}`);
  }
  const allowed = new Set(aclRules(["alerter"], { beside: true }));
  for (const command of tried) assert.ok(allowed.has(`+${command.toLowerCase()}`), `the documented ACL has ${command}`);
});
