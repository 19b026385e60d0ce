/** `discover` on Redis servers full of foreign keys: it proposes nothing dangerous and changes nothing. */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import assert from "node:assert/strict";
import type { Redis } from "ioredis";
import { ROOT } from "../../scripts/child.ts";
import { DEFAULT_SETTINGS } from "../../src/config/fields.ts";
import { parseSources } from "../../src/config/sources_file.ts";
import type { DiscoverReport } from "../../src/operations/discover.ts";
import { type Printed, runCommand } from "../../testkit/cli.ts";
import { TestCluster } from "../../testkit/cluster.ts";
import { shareRedis, startRedis } from "../../testkit/redis.ts";
import { startService } from "../../testkit/service.ts";
import { aclForServer, serverHas } from "../../testkit/redis_version.ts";

const redis = shareRedis();
const LETTER = `{"id": 1, "total": 2}`, WAITING = `{"id": 2, "total": 3}`;
/** Rules of a user that may only read, as docs/redis.md has them. */
const [, LINE] = /ACL SETUSER looker reset on '>PASSWORD' (.*)/.exec(Deno.readTextFileSync(`${ROOT}docs/redis.md`))!;
const DOCUMENTED = LINE!.replaceAll("'", "").split(" ");
/** As the page says for the version at hand. */
const READ_ONLY = aclForServer(...DOCUMENTED).map((rule) => rule === "+eval_ro" && !serverHas("7.0") ? "+eval" : rule);

function run(args: readonly string[], more: Readonly<Record<string, string>> = {}): Promise<Printed> {
  return runCommand(["discover", ...args], { REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis().port), ...more });
}

async function report(args: readonly string[] = [], more = {}): Promise<DiscoverReport> {
  const printed = await run([...args, "--json"], more);
  const found: DiscoverReport = JSON.parse(printed.out);
  assert.equal(printed.code, found.exitCode);
  if (found.yaml !== "") {
    const parsed = parseSources(found.yaml, DEFAULT_SETTINGS);
    assert.ok(parsed.ok, found.yaml);
    const shown = found.proposals.map(({ name, dlq, target, dead, unwrap }) => [name, {
      ...{ dlq, target, dead },
      ...unwrap === null ? {} : { unwrap },
    }]);
    assert.deepEqual([...parsed.file.sources], shown);
  }
  return found;
}

const pairs = ({ proposals }: DiscoverReport) => proposals.map(({ dlq, target, dead }) => `${dlq} ${target} ${dead}`);

/** What every key holds, as Redis would write it to disk. */
async function digestAll(client: Redis): Promise<Record<string, string>> {
  const keys = await client.keysBuffer("*"), digests: Record<string, string> = {};
  for (let at = 0; at < keys.length; at += 1_000) {
    const part = keys.slice(at, at + 1_000), pipeline = client.pipeline();
    for (const key of part) pipeline.dumpBuffer(key);
    const dumps = await pipeline.exec();
    part.forEach((key, i) =>
      digests[key.toString("latin1")] = createHash("sha1").update(dumps![i]![1] as Buffer).digest("hex")
    );
  }
  return digests;
}

/** Keys of every type, huge ones, binary names, and queues of other libraries. */
async function fillWithForeignKeys(client: Redis): Promise<void> {
  const pipeline = client.pipeline();
  for (let at = 0; at < 50_000; at++) pipeline.set(`cache:${at}:dlq`, "x");
  for (let at = 0; at < 300; at++) pipeline.lpush(`user:${at}:failed`, "login");
  pipeline.hset("h:dlq", "a", "1").sadd("s:dlq", "1").zadd("z:dlq", 1, "1").xadd("x:dlq", "*", "a", "1");
  pipeline.set("text:failed", "x").pfadd("p:dlq", "a").setbit("bits:dlq", 7, 1);
  pipeline.lpush(Buffer.from([0xff, 0xfe, 0x3a, 0x64, 0x6c, 0x71]), LETTER).lpush("with blank:dlq", LETTER);
  pipeline.lpush("line\nfeed:dlq", LETTER).lpush("tab\tname:dlq", LETTER).lpush("\u202eevil:dlq", LETTER);
  pipeline.lpush("big:dlq", Buffer.alloc(20_000_000, 0x61)).lpush("big", "1");
  pipeline.lpush("bull:mail:wait", "1").zadd("bull:mail:failed", 1, "1").lpush(
    "queue:default",
    `{"class":"A","args":[]}`,
  );
  pipeline.lpush("resque:failed", `{"failed_at":1,"exception":"E","worker":"w","payload":{}}`);
  pipeline.lpush("celery", `{"body":"","content-encoding":"utf-8","properties":{}}`).sadd("_kombu.binding.celery", "x");
  pipeline.lpush("rq:queue:high", "id").lpush("emails:dlq", `{"body":"","content-encoding":"utf-8","properties":{}}`);
  pipeline.lpush("ids:dlq", "1", "2", "3").lpush("ids", "4").lpush("kinds:dlq", LETTER).lpush("kinds", `{"user": 1}`);
  pipeline.lpush("typed:dlq", LETTER).hset("typed", "a", "1").lpush("wrapped:dlq", `{"payload": {}, "error": "x"}`);
  pipeline.lpush("two:dlq", LETTER).lpush("two:jobs", WAITING).lpush("two:tasks", WAITING);
  pipeline.lpush("dlq", LETTER).lpush("only:failed", LETTER).lpush("mutt:dlq:alerter", LETTER).lpush(
    "mutt:ingest_queue",
    LETTER,
  );
  await pipeline.exec();
  // A list that takes long to walk, with messages that are large together.
  const many = Array.from({ length: 10_000 }, (_, at) => `{"at": ${at}, "text": "${"y".repeat(100)}"}`);
  for (let times = 0; times < 20; times++) await client.lpush("huge:dlq", ...many);
}

Deno.test("discover: changes nothing and proposes nothing dangerous, as a user that may only read", async () => {
  const client = redis().client();
  await fillWithForeignKeys(client);
  await client.lpush("orders:dlq", LETTER);
  await client.lpush("orders", WAITING);
  await client.call("ACL", "SETUSER", "reader", "reset", "on", ">reading", ...READ_ONLY);
  const before = await digestAll(client);
  await client.call("ACL", "LOG", "RESET");
  await client.config("RESETSTAT");
  const found = await report([], { REDIS_USERNAME: "reader", REDIS_PASS_CURRENT: "reading" });
  const stats = await client.info("commandstats");
  assert.deepEqual(await digestAll(client), before);
  // Of those that look like pairs, only these hold messages of one kind, or no target that could say otherwise.
  assert.deepEqual(pairs(found).sort(), [
    "huge:dlq huge huge:dead",
    "orders:dlq orders orders:dead",
  ]);
  assert.equal(found.unusable, 5);
  assert.ok(found.isComplete);
  // Redis' estimate: a step may examine some more keys than it was asked to.
  assert.ok(found.names >= 45_000, String(found.names));
  assert.doesNotMatch(stats, /cmdstat_keys:/, "KEYS blocks the server");
  const longest = Math.max(...found.proposals.flatMap(({ sample }) => sample.map(({ text }) => text.length)));
  assert.ok(longest <= 160);
  const refused = (await client.call("ACL", "LOG") as string[][]).map((entry) => entry[entry.indexOf("object") + 1]);
  assert.deepEqual(refused.filter((one) => !/^(hello|client(\|set(name|info))?)$/.test(one!)), []);
  const why = Object.fromEntries(found.left.map(({ list, why }) => [list, why]));
  assert.match(why["kinds:dlq"]!, /have id, total, those of kinds have user/);
  assert.match(why["typed:dlq"]!, /typed is a hash, not a list/);
  assert.match(why["big:dlq"]!, /too large/);
  assert.match(why["emails:dlq"]!, /Celery/);
  assert.match(why["two:dlq"]!, /two:jobs and two:tasks could be/);
  assert.match(why["mutt:dlq:alerter"]!, /DLQ of source alerter already/);
  assert.match(why["ids:dlq"]!, /not JSON objects/);
  assert.deepEqual(found.foreign.map(({ library }) => library).sort(), [
    ...["BullMQ", "Celery", "RQ", "Resque", "Sidekiq or Resque"],
  ]);
});

Deno.test("discover: prints the file to standard output, all else to standard error, and no secret", async () => {
  const secret = `{"id": 1, "password": "planted-in-a-message"}`;
  await redis().seedList("orders:dlq", [secret, `{"id": 2, "note": "\\u001b[31m\u001b"}`, `{"id": 3, "note": "‮"}`]);
  const { code, out, err } = await run([]);
  assert.equal(code, 0, err);
  assert.match(out, /^# Proposed by mutt-remediation discover/);
  assert.match(out, /\n {4}target: orders # not seen/);
  assert.match(err, /orders: orders:dlq \(3\) -> orders \(0\); dead list orders:dead \(0\)/);
  assert.match(err, /would be replayed: {"id": 1, "password": "•••"}/);
  assert.match(err, /consumers take from the right/);
  assert.match(err, /add push: RPUSH to their source/);
  assert.doesNotMatch(out + err, /planted-in-a-message/);
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(out + err, /[\x00-\x09\x0b-\x1f\u202e]/);
});

Deno.test("discover: proposes to unwrap what is in envelopes, judges it so, and says how to try it", async () => {
  await redis().seedList("mail:dlq", [
    `{"payload": {"class": "A", "id": 1}, "error": "x"}`,
    `{"payload": "{\\"class\\": 1}"}`,
  ]);
  await redis().seedList("mail", [`{"class": "B"}`]);
  const { proposals: [proposal] } = await report();
  assert.equal(proposal!.unwrap, "payload");
  assert.deepEqual(proposal!.sample.map(({ verdict }) => verdict), ["would be replayed", "would be replayed"]);
  const { out, err } = await run([]);
  assert.match(out, /\n {4}unwrap: payload\n/);
  assert.match(err, /watch --dry-run --dlq mail:dlq --target mail --unwrap payload\n/);
});

Deno.test("discover: takes an existing dead list, and never one that holds other things", async () => {
  const dead = `{"id": 9, "failed_at": "2026-01-01T00:00:00.000Z", "_remediation": {"reason": "poison"}}`;
  await redis().seedList("a:dlq", [LETTER]);
  await redis().seedList("a:dead", [dead]);
  await redis().seedList("b:dlq", [LETTER]);
  await redis().seedList("b:dead", [LETTER]);
  await redis().client().set("c:dead", "text");
  await redis().seedList("c:dlq", [LETTER]);
  assert.deepEqual(pairs(await report()).sort(), ["a:dlq a a:dead", "b:dlq b b:buried", "c:dlq c c:buried"]);
});

Deno.test("discover: the command that it prints uses the dead list that it proposes", async () => {
  const lists: readonly (readonly [dlq: string, dead: string, words: string])[] = [
    ["b:dlq", "b:dead", "--dlq b:dlq --target b --dead b:buried"],
    ["b-dlq", "b-dead", "--dlq b-dlq --target b --dead b-buried"],
    ["b-dlq", "b:dead", "--dlq b-dlq --target b"],
  ];
  for (const [dlq, dead, words] of lists) {
    await redis().client().flushall();
    await redis().seedList(dlq, [LETTER]);
    await redis().seedList(dead, ["of somebody else"]);
    const { err } = await run([]);
    const [, printed] = /^Try one without a file: mutt-remediation (watch .*)$/m.exec(err) ?? assert.fail(err);
    assert.equal(printed, `watch --dry-run ${words}`);
    const dry = await runCommand(printed!.split(" "), { REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis().port) });
    const [proposal] = (await report()).proposals;
    assert.match(dry.err, new RegExp(`would go to ${proposal!.dead}\\.`));
  }
});

Deno.test("discover: gives no list two roles, and two DLQs of one queue share it", async () => {
  for (const key of ["a:dlq", "a:failed", "a:dlq:dlq", "dlq:a"]) await redis().seedList(key, [LETTER]);
  await redis().seedList("a", [WAITING]);
  const found = await report();
  assert.deepEqual(pairs(found).sort(), ["a:dlq a a:dead", "a:failed a a:dead", "dlq:a a a:dead"]);
  assert.equal(new Set(found.proposals.map(({ name }) => name)).size, 3);
});

Deno.test("discover: judges the sample as the service would", async () => {
  await redis().seedList("a:dlq", [LETTER, "no JSON", LETTER, "[1]", LETTER, "beyond the sample"]);
  const [proposal] = (await report()).proposals;
  assert.deepEqual(proposal!.sample.map(({ verdict }) => verdict.replace(/:.*/, "")), [
    ...["would be replayed", "dead as unreadable", "would be replayed", "dead as malformed", "would be replayed"],
  ]);
  assert.equal(proposal!.depths.dlq, 6);
});

Deno.test("discover: says when it did not look at every name", async () => {
  const client = redis().client(), pipeline = client.pipeline();
  for (let at = 0; at < 5_000; at++) pipeline.set(`k${at}`, "");
  await pipeline.exec();
  const found = await report(["--limit", "100"]);
  assert.deepEqual([found.isComplete, found.stoppedBy], [false, "limit"]);
  assert.ok(found.names < 1_000, String(found.names));
  assert.match((await run(["--limit", "100"])).err, /There are more names: raise --limit/);
  assert.equal((await report(["--limit", "1000000"])).isComplete, true);
});

Deno.test("discover: knows a target that the scan has not come to", async () => {
  const client = redis().client();
  let name = "", seen: string[] = [];
  // The server's hash decides which list the first step of a scan finds. Valkey 9 returns up to seven keys in a step, so there are more.
  const others = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`other${i}`, "x"]));
  for (let at = 0; at < 1_000 && seen.join() !== `${name}:dlq`; at++) {
    name = `orders${at}`;
    await client.multi().flushall().mset(others).lpush(`${name}:dlq`, LETTER).lpush(name, WAITING).exec();
    // A hash table that grows is still moved to its new place by the next commands, which changes the order.
    await client.exists(...Array<string>(100).fill(name));
    [, seen] = await client.scan("0", "COUNT", 1, "TYPE", "list");
  }
  const { proposals: [found], lists } = await report(["--limit", "1"]);
  assert.equal(lists, 1);
  assert.deepEqual([found!.dlq, found!.depths.target, found!.cautions, found!.score], [`${name}:dlq`, 1, [], 6]);
});

Deno.test("discover: says that it was interrupted, and not that Redis did not answer in time", async () => {
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using service = startService({
    args: ["discover"],
    env: { REDIS_HOST: "127.0.0.1", REDIS_PORT: String(silent.addr.port) },
  });
  using _connection = await silent.accept();
  service.signal("SIGINT");
  assert.equal((await service.exit).code, 130);
  assert.deepEqual(service.stderr, ["Interrupted before Redis answered"]);
});

Deno.test("discover: needs no sources, and warns of a sources file that it cannot read", async () => {
  await redis().seedList("orders:dlq", [LETTER]);
  const path = `${redis().dir}/emptied.yaml`;
  Deno.writeTextFileSync(path, "");
  const cases: readonly (readonly [env: Record<string, string>, warning: RegExp])[] = [
    [{ REMEDIATION_SOURCES: "none" }, /^Looked at/],
    // As of `discover > sources.yaml`: the shell empties the file before.
    [
      { REMEDIATION_SOURCES: "none", REMEDIATION_SOURCES_PATH: path },
      /^warning: REMEDIATION_SOURCES_PATH .*the file is empty/,
    ],
    [
      { REMEDIATION_SOURCES_PATH: "/nowhere/sources.yaml" },
      /^warning: REMEDIATION_SOURCES_PATH "\/nowhere\/sources\.yaml"/,
    ],
  ];
  for (const [env, warning] of cases) {
    const { code, out, err } = await run([], env);
    assert.equal(code, 0, err);
    assert.match(err, warning);
    assert.match(out, /^ {4}dlq: orders:dlq /m);
  }
  const { code, out, err } = await run([], { REMEDIATION_SOURCES: "none", REDIS_PORT: "x" });
  assert.deepEqual([code, out], [78, ""]);
  assert.match(err, /REDIS_PORT "x" is not/);
});

Deno.test("discover: says what is wrong, by exit code and in words", async () => {
  const client = redis().client();
  await client.call("ACL", "SETUSER", "blind", "reset", "on", ">reading", ...aclForServer("%R~*"), "+type");
  await client.call(
    "ACL",
    "SETUSER",
    "narrow",
    "reset",
    "on",
    ">reading",
    ...aclForServer("%R~a*"),
    ...READ_ONLY.slice(1),
  );
  await redis().seedList("b:dlq", [LETTER]);
  const as = (name: string) => ({ REDIS_USERNAME: name, REDIS_PASS_CURRENT: "reading" });
  const cases: readonly (readonly [code: number, err: RegExp, env: Record<string, string>, args?: string[]])[] = [
    [1, /b:dlq: Redis refuses to read it: /, as("narrow")],
    [78, /Redis refused or did not answer: .*scan/i, as("blind")],
    [69, /Redis did not answer within 5 s \(.*ECONNREFUSED/, { REDIS_PORT: "1" }],
    [78, /REDIS_PORT "x" is not/, { REDIS_PORT: "x" }],
    [2, /--limit is not a whole number/, {}, ["--limit", "0"]],
    [2, /--limit is not a whole number/, {}, ["--limit", "many"]],
    [2, /^error: --limit is not a whole number from 1 to 1000000000$/m, {}, ["--limit", ""]],
  ];
  for (const [code, err, env, args = []] of cases) {
    const printed = await run(args, env);
    assert.equal(printed.code, code, printed.err);
    assert.match(printed.err, err);
    assert.equal(printed.out, "");
  }
  await client.flushall();
  const { code, err, out } = await run([]);
  assert.deepEqual([code, out], [1, ""]);
  assert.match(err, /: 0 lists\.[^]*Nothing is proposed\. If you know the names: mutt-remediation watch/);
});

Deno.test("discover: reads by EVAL where there is no EVAL_RO, or the user may not call it", async () => {
  const old = await startRedis({ config: serverHas("7.0") ? ['rename-command EVAL_RO ""'] : [] });
  try {
    await old.seedList("a:dlq", [LETTER]);
    assert.deepEqual(pairs(await report([], { REDIS_PORT: String(old.port) })), ["a:dlq a a:dead"]);
  } finally {
    await old.stop();
  }
  await redis().client().call(
    "ACL",
    "SETUSER",
    "evaluating",
    "reset",
    "on",
    ">reading",
    "~*",
    ..."+scan +type +llen +lrange +eval".split(" "),
  );
  await redis().seedList("a:dlq", [LETTER]);
  const found = await report([], { REDIS_USERNAME: "evaluating", REDIS_PASS_CURRENT: "reading" });
  assert.deepEqual(pairs(found), ["a:dlq a a:dead"]);
  assert.match(found.warnings.join(), /Redis refuses INFO/);
});

Deno.test("discover: looks at every master of a cluster, and leaves lists in different slots alone", async () => {
  await using cluster = await TestCluster.start();
  const dlqs = ["{a}:dlq", "{b}:dlq", "{c}:dlq", "{d}:dlq", "loose:dlq"];
  for (const dlq of dlqs) await (await cluster.at(dlq)).lpush(dlq, LETTER);
  const printed = await runCommand(["discover", "--json"], { REDIS_CLUSTER_NODES: cluster.addresses().join(",") });
  const found: DiscoverReport = JSON.parse(printed.out);
  assert.deepEqual(pairs(found).sort(), dlqs.slice(0, 4).map((dlq) => dlq.replace(/(.*):dlq/, "$1:dlq $1 $1:dead")));
  assert.match(
    found.left.map(({ list, why }) => `${list}: ${why}`).join(),
    /^loose:dlq: The lists of source loose lie in different slots/,
  );
});
