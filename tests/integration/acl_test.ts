/** The ACL line of docs/redis.md: it suffices for all that the service does, and nothing in it can be left out. */
import assert from "node:assert/strict";
import { DEFAULT_SETTINGS, type Settings } from "../../src/config/fields.ts";
import { ACL_DIALECTS, aclRules, COMMAND_GRANTS, RECORD_GRANT } from "../../scripts/redis_acl.ts";
import { AclScenario, refusals, type Sent, setUser, USER } from "../../testkit/acl_scenario.ts";
import { TestCluster } from "../../testkit/cluster.ts";
import { PUSHES } from "../../src/message/source_policy.ts";
import { oversizeKey } from "../../src/redis/keys.ts";
import { DEAD, DLQ, eventTexts, TARGET } from "../../testkit/engine.ts";
import { shareRedis, type TestRedis } from "../../testkit/redis.ts";
import { aclDialect, aclForServer, needs, serverHas } from "../../testkit/redis_version.ts";
import { startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";

const redis = shareRedis();

const dialect = aclDialect();
const RULES = aclRules(["alerter", "moog"], { dialect });
/** Commands that some settings need and others do not. */
const DEPENDING = ["select"];
const OPTIONAL = COMMAND_GRANTS.flatMap(({ commands, without }) => without === null ? [] : commands)
  .filter((command) => !DEPENDING.includes(command));
/** Commands that only jobs need. */
const OF_JOBS = COMMAND_GRANTS.find(({ why }) => why.startsWith("Jobs"))!.commands;
const DRAINED = {
  ...{ "mutt:dlq:alerter": 0, "mutt:dlq:moog": 0, "mutt:ingest_queue": 24, "mutt:alert_queue": 24 },
  "mutt:dlq:dead": 2,
  ...{ [oversizeKey("mutt:dlq:alerter")]: 1, [oversizeKey("mutt:dlq:moog")]: 1 },
};
/** What the log says where something is missing. */
const COMPLAINTS = [
  "redis_unknown",
  "redis_refuses",
  "consumer_forbidden",
  "config_unreadable",
  "redis_unreachable",
  "journal_forbidden",
];

const without = (rules: readonly string[], rule: string) => rules.filter((one) => one !== rule);

function complaints({ lines }: AclScenario): string[] {
  return [...new Set(lines.map(({ event }) => event).filter((event) => COMPLAINTS.includes(event)))];
}

/** All that the service does. */
async function playAll(scenario: AclScenario): Promise<void> {
  await scenario.seed();
  assert.deepEqual((await scenario.check()).filter((finding) => !finding.startsWith("ok ")), []);
  assert.equal(await scenario.once({ dryRun: true }), "ok");
  assert.equal(await scenario.run(), 0, "NOPERM was counted");
  assert.ok(scenario.lines.some(({ event }) => event === "commit_settled"), "the lost reply was looked into");
  assert.deepEqual(await scenario.depths(), DRAINED);
  await scenario.seed();
  assert.equal(await scenario.once({ dryRun: false }), "ok");
  await scenario.failRead();
  await scenario.readJournal();
  await scenario.work();
  await scenario.drill();
}

/** What Redis would refuse of these to a user with these rules. */
async function refusedOf(server: TestRedis, { sent, rules }: { sent: readonly Sent[]; rules: readonly string[] }) {
  await setUser(server, rules);
  const client = server.client();
  const answers = await Promise.all(sent.map((command) => client.call("ACL", "DRYRUN", USER, ...command)));
  return sent.filter((_, at) => answers[at] !== "OK");
}

/** Whether Redis would refuse one of these to a user with these rules. */
async function refusesOneOf(server: TestRedis, given: { sent: readonly Sent[]; rules: readonly string[] }) {
  return (await refusedOf(server, given)).length > 0;
}

Deno.test("acl: the documented line suffices for everything, and nothing in it can be left out", async (t) => {
  let sent: Sent[] = [];
  await t.step("suffices: nothing is refused, by source or background, check or once", async () => {
    await using scenario = await AclScenario.start(redis(), RULES);
    sent = await scenario.record(() => playAll(scenario));
    assert.deepEqual(await refusals(redis()), []);
    assert.deepEqual(complaints(scenario), []);
    if (serverHas("7.0")) assert.deepEqual(await refusedOf(redis(), { sent, rules: RULES }), []);
  });
  for (const rule of RULES.filter((rule) => rule !== "resetchannels")) {
    await t.step({
      ...needs("7.0", `does not exceed: what is sent needs ${rule}`),
      fn: async () => assert.equal(await refusesOneOf(redis(), { sent, rules: without(RULES, rule) }), true),
    });
  }
  for (const rule of RULES.filter((rule) => rule.startsWith("~"))) {
    await t.step({
      ...needs("7.0", `does not exceed: to read is not enough, nor to write, for ${rule}`),
      async fn() {
        for (const weaker of [`%R${rule}`, `%W${rule}`]) {
          const rules = RULES.map((one) => one === rule ? weaker : one);
          assert.equal(await refusesOneOf(redis(), { sent, rules }), true, weaker);
        }
      },
    });
  }
});

for (const source of ["alerter", "moog"] as const) {
  Deno.test(`acl: the line of ${source} alone suffices for it, and no key or channel can be left out`, async () => {
    const rules = aclRules([source], { dialect });
    await using scenario = await AclScenario.start(redis(), rules, { sources: [source] });
    await scenario.seed();
    const sent = await scenario.record(async () => {
      await scenario.check();
      assert.equal(await scenario.run(), 0);
    });
    assert.deepEqual(await refusals(redis()), []);
    if (!serverHas("7.0")) return; // no ACL DRYRUN
    for (const rule of rules.filter((rule) => /^[~%&]/.test(rule))) {
      assert.equal(await refusesOneOf(redis(), { sent, rules: without(rules, rule) }), true, rule);
    }
  });
}

for (const push of PUSHES) {
  Deno.test(`acl: a source of one's own with ${push} needs its three lists beside what the built-in one needs`, async () => {
    const lists = { dlq: "app:failed", target: "app:jobs", dead: "app:dead" };
    const rules = [...aclRules(["alerter"], { dialect }), ...Object.values(lists).map((list) => `~${list}`)];
    await using scenario = await AclScenario.start(redis(), rules, { sources: ["alerter"], own: { ...lists, push } });
    await scenario.seed();
    const client = redis().client({ db: AclScenario.DB });
    await client.lpush(lists.dlq, "{}", "not JSON");
    assert.equal(await scenario.run(), 0);
    await waitUntil(async () => await client.llen(lists.target) === 1 && await client.llen(lists.dead) === 1, {
      what: "its messages are where they belong",
    });
    assert.deepEqual(await refusals(redis()), []);
  });
}

Deno.test("acl: without rpush a source that needs it is refused before anything moves, and the others drain", async () => {
  const lists = { dlq: "app:failed", target: "app:jobs", dead: "app:dead" };
  const rules = [
    ...without(aclRules(["alerter"], { dialect }), "+rpush"),
    ...Object.values(lists).map((list) => `~${list}`),
  ];
  await using scenario = await AclScenario.start(redis(), rules, {
    sources: ["alerter"],
    own: { ...lists, push: "RPUSH" },
  });
  await scenario.seed();
  const client = redis().client({ db: AclScenario.DB });
  await client.rpush(lists.dlq, "{}");
  const findings = await scenario.check();
  assert.ok(
    findings.some((finding) => finding.startsWith("wrong source own: cannot move messages: NOPERM")),
    String(findings),
  );
  await scenario.run();
  assert.deepEqual(await client.lrange(lists.dlq, 0, -1), ["{}"]);
});

for (const missing of [null, ...RECORD_GRANT.commands]) {
  Deno.test(`acl: a source with records beside its messages ${missing === null ? "needs its commands more" : `moves nothing without ${missing}, and check says so`}`, async () => {
    const lists = { dlq: "app:failed", target: "app:jobs", dead: "app:dead" };
    const rules = [
      ...without(aclRules(["alerter"], { dialect, beside: true }), `+${missing}`),
      ...Object.values(lists).map((list) => `~${list}`),
    ];
    const own = { ...lists, record: "beside" } as const;
    await using scenario = await AclScenario.start(redis(), rules, { sources: ["alerter"], own });
    await scenario.seed();
    const client = redis().client({ db: AclScenario.DB });
    await client.lpush(own.dlq, "text", "[1]");
    if (missing === null) {
      assert.deepEqual((await scenario.check()).filter((finding) => !finding.startsWith("ok ")), []);
      await scenario.run();
      await waitUntil(async () => await client.llen(own.target) === 2, { what: "its messages are where they belong" });
      assert.deepEqual(await refusals(redis()), []);
    } else {
      const findings = await scenario.check();
      assert.match(findings.join("\n"), /^wrong source own: cannot move messages: NOPERM/m);
      await scenario.run();
      assert.deepEqual(new Set(await refusals(redis())), new Set([`command:${missing}`]));
      assert.deepEqual([await client.llen(own.dlq), await client.exists(own.target, own.dead)], [2, 0]);
    }
  });
}

/** Lists with one hash tag, by their variables. */
const TAGGED = {
  alerterDlq: ["ALERTER_DLQ_NAME", "{mutt}:dlq:alerter"],
  moogDlq: ["MOOG_DLQ_NAME", "{mutt}:dlq:moog"],
  ingestQueue: ["INGEST_QUEUE_NAME", "{mutt}:ingest_queue"],
  alertQueue: ["ALERT_QUEUE_NAME", "{mutt}:alert_queue"],
  deadList: ["DEAD_LETTER_QUEUE", "{mutt}:dlq:dead"],
} as const;

Deno.test("acl: in a cluster one command more suffices, and is needed", async (t) => {
  await using cluster = await TestCluster.start();
  const names = Object.fromEntries(Object.entries(TAGGED).map(([key, [, list]]) => [key, list]));
  const settings: Settings = { ...DEFAULT_SETTINGS, ...names };
  const setEverywhere = (rules: readonly string[]) => Promise.all(cluster.nodes.map((node) => setUser(node, rules)));
  const refusedAnywhere = async () => (await Promise.all(cluster.nodes.map(refusals))).flat();
  const start = () =>
    startService({
      env: {
        ...Object.fromEntries(Object.values(TAGGED)),
        ...{ REDIS_CLUSTER_NODES: cluster.addresses().join(","), REMEDIATION_SOURCES: "alerter,moog" },
        ...{ REDIS_USERNAME: USER, REDIS_PASS_CURRENT: AclScenario.PASSWORD, DYNAMIC_CONFIG_ENABLED: "true" },
        ...{ REMEDIATION_INTERVAL: "1", REMEDIATION_SETTLE: "0", REMEDIATION_BATCH_SIZE: "0" },
      },
    });
  await t.step("needs it", async () => {
    await setEverywhere(aclRules(["alerter", "moog"], { dialect, settings }));
    await using _service = start();
    await waitUntil(async () => (await refusedAnywhere()).some((one) => /^command:cluster(\|slots)?$/.test(one)), {
      what: "it is refused",
      timeoutMs: 15_000,
    });
  });
  await t.step("suffices", async () => {
    await setEverywhere(aclRules(["alerter", "moog"], { dialect, settings, cluster: true }));
    await Promise.all(cluster.nodes.map((node) => cluster.client(node).call("ACL", "LOG", "RESET")));
    const owner = await cluster.at(settings.alerterDlq);
    for (const dlq of [settings.alerterDlq, settings.moogDlq]) await owner.lpush(dlq, ...eventTexts(5), "not JSON");
    await using service = start();
    await waitUntil(async () => await owner.llen(settings.alerterDlq) + await owner.llen(settings.moogDlq) === 0, {
      what: "the DLQs are empty",
      timeoutMs: 15_000,
    });
    await waitUntil(async () => {
      const stats = await Promise.all(cluster.nodes.map((node) => cluster.client(node).info("commandstats")));
      return ["zrevrangebyscore", "subscribe", "scan", "getrange"].every((name) =>
        stats.join().includes(`cmdstat_${name}:`)
      );
    }, { what: "all is looked at in the background" });
    assert.deepEqual(await refusedAnywhere(), []);
    assert.deepEqual(service.events("redis_unreachable"), []);
  });
});

for (const older of ACL_DIALECTS.filter((one) => one < dialect)) {
  Deno.test(`acl: what is documented for Redis ${older} is understood here as well, and suffices`, async () => {
    // Before 6.2 there are no rules for channels; here a new user has none.
    const rules = [...aclRules(["alerter", "moog"], { dialect: older }), ...(older === "6.0" ? ["allchannels"] : [])];
    await using scenario = await AclScenario.start(redis(), rules);
    await scenario.seed();
    assert.equal(await scenario.run(), 0);
    assert.deepEqual(await refusals(redis()), []);
  });
}

for (
  const [rule, refused] of [
    ["+evalsha", "command:evalsha"],
    ["+lpush", "command:lpush"],
    ["+pexpire", "command:pexpire"],
    ["+getrange", "command:getrange"],
    ["~mutt:dlq:dead", "key:mutt:dlq:dead"],
    ["%R~mutt:rate_limit:moog", "key:mutt:rate_limit:moog"],
    ["&mutt:config:updates", "channel:mutt:config:updates"],
  ] as const
) {
  const name = `acl: without ${rule} the running service is refused ${refused}, and loses nothing`;
  Deno.test(needs(rule.startsWith("&") ? "6.2" : "6.0", name), async () => {
    await using scenario = await AclScenario.start(redis(), without(RULES, aclForServer(rule)[0]!));
    await scenario.seed();
    await scenario.run({ until: "refused" });
    assert.ok((await refusals(redis())).every((one) => one === refused), String(await refusals(redis())));
    const depths = await scenario.depths();
    assert.equal(Object.values(depths).reduce((sum, depth) => sum + depth, 0), 52);
  });
}

/** What an operator sees where an optional command is missing; every other one is silent. */
const TOLD: Readonly<Record<string, string>> = {
  ...{ info: "redis_unknown", scan: "consumer_forbidden", exists: "consumer_forbidden" },
  subscribe: "config_unreadable",
  xadd: "journal_forbidden",
};

for (const command of OPTIONAL.filter((command) => !OF_JOBS.includes(command))) {
  Deno.test(`acl: drains without ${command}, which is optional, and says ${TOLD[command] ?? "nothing"}`, async () => {
    await using scenario = await AclScenario.start(redis(), without(RULES, `+${command}`));
    await scenario.seed();
    await scenario.run();
    assert.deepEqual(await scenario.depths(), DRAINED);
    await scenario.failRead();
    await scenario.readJournal();
    // Before 7.0 the log names no subcommand.
    const logged = serverHas("7.0") ? command : command.split("|")[0];
    assert.deepEqual(new Set(await refusals(redis())), new Set([`command:${logged}`]));
    assert.deepEqual(complaints(scenario), TOLD[command] ? [TOLD[command]] : []);
  });
}

Deno.test("acl: drains without what only jobs need", async () => {
  const rules = RULES.filter((rule) => !OF_JOBS.includes(rule.slice(1)));
  await using scenario = await AclScenario.start(redis(), rules);
  await scenario.seed();
  assert.equal(await scenario.run(), 0);
  assert.deepEqual(await scenario.depths(), DRAINED);
  assert.deepEqual(await refusals(redis()), []);
});

Deno.test("acl: without select nothing moves in another database, and all does in database 0", async () => {
  {
    await using scenario = await AclScenario.start(redis(), without(RULES, "+select"));
    await scenario.seed();
    await scenario.run({ until: "refused" });
    assert.deepEqual(complaints(scenario), ["redis_unreachable"]);
    assert.equal((await scenario.depths())[DLQ], 26);
  }
  await redis().client().flushall();
  await using scenario = await AclScenario.start(redis(), without(RULES, "+select"), { db: 0 });
  await scenario.seed();
  assert.equal(await scenario.run(), 0);
  assert.deepEqual(await scenario.depths(), DRAINED);
  assert.deepEqual(await refusals(redis()), []);
});

/** Before Redis 7.0 a key that may be read may be written too. */
const WRITES_OF_WHAT_IS_READ = [
  ...[["LPUSH", "mutt:config:remediation_enabled", "x"], ["SET", "mutt:config:remediation_enabled", "false"]],
  ...[["SET", "mutt:circuit_breaker:moogsoft:state", "OPEN"], ["SET", "mutt:heartbeat:alerter:x", "1"]],
  ["EVAL", "return redis.call('SET', 'mutt:config:x', '1')", "0"],
  ["EVAL", "return 1", "1", "mutt:config:x"],
];
/** Commands that Redis has from 7.0 on. */
const NEW_COMMANDS = [["FUNCTION", "LIST"]];

Deno.test("acl: the user can do nothing else, not even inside a script", async () => {
  await using _scenario = await AclScenario.start(redis(), RULES, { db: 0 });
  await redis().seedList(DLQ, eventTexts(2));
  await redis().client().set("secret", "s");
  const user = redis().client({ username: USER, password: AclScenario.PASSWORD, enableReadyCheck: false });
  const attempts: string[][] = [
    ...[["FLUSHALL"], ["FLUSHDB"], ["KEYS", "*"], ["CONFIG", "GET", "*"], ["CONFIG", "SET", "requirepass", "x"]],
    ...[["DEL", DLQ], ["UNLINK", DLQ], ["RPOP", DLQ], ["RENAME", DLQ, TARGET]],
    ...[["GET", "secret"], ["SET", "secret", "x"], ["LPUSH", "other", "x"], ["LRANGE", "mutt:processing:x", "0", "-1"]],
    ...(serverHas("7.0") ? [...WRITES_OF_WHAT_IS_READ, ...NEW_COMMANDS] : []),
    ...[["ACL", "LIST"], ["ACL", "SETUSER", USER, "allkeys"], ["CLIENT", "LIST"], ["CLIENT", "KILL", "USER", USER]],
    ...[["PUBLISH", "mutt:config:updates", "x"], ["PSUBSCRIBE", "*"], ["MONITOR"]],
    ...(serverHas("6.2") ? [["SUBSCRIBE", "other"]] : []),
    ...[["SCRIPT", "FLUSH"], ["SHUTDOWN"], ["SAVE"]],
    ...[["REPLICAOF", "NO", "ONE"], ["SWAPDB", "0", "1"], ["MODULE", "LIST"], ["DUMP", DLQ]],
    ["EVAL", "return redis.call('FLUSHALL')", "0"],
    ["EVAL", "return redis.call('DEL', KEYS[1])", "1", DLQ],
    ["EVAL", "return redis.call('GET', 'secret')", "0"],
  ];
  for (const [name, ...args] of attempts) {
    await assert.rejects(
      user.call(name!, ...args),
      /NOPERM|user executing the script can't|ACL failure in script/,
      `${name} ${args}`,
    );
  }
  assert.equal(await redis().client().get("secret"), "s");
  assert.deepEqual(await redis().readTexts(DLQ), eventTexts(2));
  assert.equal(await redis().client().exists(DEAD, TARGET), 0);
  assert.deepEqual(new Set(await redis().client().keys("mutt:config:*")), new Set(["mutt:config:moog_rate_limit"]));
  await waitUntil(() => user.status === "ready", { what: "the user is still there" });
});
