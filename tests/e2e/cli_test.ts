/** The command line as an operator uses it, against a running service and a real Redis. */
import assert from "node:assert/strict";
import { CliScene, type Printed, whyNoLocalKey, whyNoTerminal } from "../../testkit/cli.ts";
import { startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";
import { freePort } from "../../scripts/free_port.ts";

const DLQ = "mutt:dlq:alerter", TARGET = "mutt:ingest_queue", DEAD = "mutt:dlq:dead";
const SECRET = "s3cr3t-of-a-message"; // not planted: a raw export prints it
const LETTERS = [1, 2, 3, 4, 5].map((at) =>
  JSON.stringify({
    ...{ timestamp: "2026-11-21T02:30:29Z", hostname: `core-fra-${at}`, message: `link ${at} is down` },
    ...{ api_key: SECRET, _retry_count: 4 },
  })
);

const whyNot = whyNoLocalKey(), whyNotTerminal = whyNot ?? whyNoTerminal();

function test(name: string, body: (scene: CliScene) => Promise<void>, why: string | null = whyNot): void {
  Deno.test({
    name: `cli: ${name}${why === null ? "" : ` (ignored: ${why})`}`,
    ignore: why !== null,
    fn: async () => {
      await using scene = await CliScene.open();
      await body(scene);
    },
  });
}

/** Holds automatic replay, and fills the DLQ. */
async function fill(scene: CliScene): Promise<void> {
  expectOk(await scene.run(["pause", "--for", "1d", "--reason", "test"]));
  await scene.redis.seedList(DLQ, LETTERS);
}

function expectOk(printed: Printed): Printed {
  assert.equal(printed.code, 0, printed.err + printed.out);
  return printed;
}

async function idOf(scene: CliScene, host: string, list = "dlq"): Promise<string> {
  const { out } = expectOk(await scene.run([list, "search", `host:${host}`, "--ndjson"]));
  return JSON.parse(out.split("\n")[0]!).id;
}

test("reads everything without a flag, and shows no secret", async (scene) => {
  await fill(scene);
  const run = async (...args: string[]) => expectOk(await scene.run(args)).out;
  await waitUntil(async () => (await run("status")).includes("closed pause"), { what: "the pause is seen" });
  assert.match(await run("status"), /^remediation-unknown \d.*: healthy; Redis connected, replay on/);
  assert.match(await run("explain"), /Paused by local until .*: test/);
  assert.match(await run("dlq", "list"), /^place +id .*\n5 +m_[0-9a-f]{16} .*hostname=core-fra-5/);
  assert.match(await run("dlq", "list", "--size", "2"), /Older: --from 4\.m_/);
  assert.match(await run("dlq", "search", "host:core-fra-3"), /3 +m_.*\n1 message found\n$/);
  assert.match(await run("dlq", "groups"), /g_[0-9a-f]{12} +5 +100 % .*link • is down\n5 messages in 1 group\n$/);
  assert.match(await run("dlq", "show", await idOf(scene, "core-fra-2")), /"hostname": "core-fra-2"/);
  assert.match(await run("dead", "list"), /^0 of 0 messages/);
  assert.match(await run("target", "list"), /^0 of 0 messages/);
  assert.match(await run("export"), /^{"kind":"header".*"masked":true[^]*"kind":"end","messages":5/);
  assert.match(await run("journal"), /local ran pause on alerter/);
  assert.match(await run("replicas"), /^this +name .*\n\* +remediation-unknown \([0-9a-f-]{8}\) +\d.* alerter\n$/);
  assert.match(
    await run("settings"),
    /\nREMEDIATION_BATCH_SIZE +\d+ +\[\w+\]\n[^]*source alerter: mutt:dlq:alerter -> /,
  );
  // A pause that began before the first sample is in that sample, and no change.
  await waitUntil(async () => / pause\b/.test(await run("history")), { what: "the pause is recorded" });
  assert.match(
    await run("history", "--minutes", "5"),
    /^alerter {2}5 messages, at most 5 .*\nfrom +depth +most .*held by\n/,
  );
  assert.match(await run("journal", "verify"), /Every journal is intact\n$/);
  const all = await Promise.all(["list", "search", "groups"].map((word) => run("dlq", word)));
  assert.ok(!all.join().includes(SECRET));
});

test("prints JSON, lines of JSON, and no colours", async (scene) => {
  await fill(scene);
  const run = async (...args: string[]) => expectOk(await scene.run(args)).out;
  assert.equal(JSON.parse(await run("status", "--json")).status, "healthy");
  assert.equal(JSON.parse(await run("dlq", "list", "--json")).rows.length, 5);
  assert.equal((await run("dlq", "list", "--ndjson")).trimEnd().split("\n").length, 5);
  assert.deepEqual(JSON.parse(await run("dlq", "search", "--json")).map(({ kind }: { kind: string }) => kind), [
    ...LETTERS.map(() => "row"),
    "end",
  ]);
  assert.ok(!(await run("dlq", "groups")).includes("\x1b"));
});

test("says what is wrong, by exit code and in words", async (scene) => {
  await fill(scene);
  const key = `${scene.redis.dir}/wrong-key`;
  Deno.writeTextFileSync(key, "mrk_wrong-wrong-wrong-wrong-wrong-wrong");
  const { url } = JSON.parse(Deno.readTextFileSync(scene.keyFile));
  const closed = `http://127.0.0.1:${freePort()}`;
  const cases: readonly (readonly [args: string[], code: number, err: RegExp, env?: Record<string, string>])[] = [
    [["dlq", "search", "bad:("], 2, /--query "bad:\(": at character 5/],
    [["dlq", "list", "--size", "0"], 2, /--size 0 is not a whole number from 1 to 500/],
    [["dlq", "list", "--size", "many"], 2, /--size "many" is not a number/],
    [["dlq", "list", "--source", "nope"], 1, /^error: source "nope" is not one of alerter$/m],
    [["dlq", "show", "m_0000000000000000"], 1, /message m_0000000000000000 is not in the DLQ/],
    [["dlq", "show", ""], 2, /id "" is not a name/],
    [["notify", "test", ".."], 2, /receiver "\.\." is not a name/],
    [["jobs", "show", "x", "--source", "."], 2, /--source "\." is not a name/],
    [["dlq", "list", "--direction", "up"], 2, /Allowed choices are newer, older/],
    [["dlq", "list", "--json", "--ndjson"], 2, /cannot be used with/],
    [["pause"], 2, /required option '--reason <reason>'/],
    [["pause", "--for", "soon", "--reason", "x"], 2, /--for "soon" is not a duration such as 90s, 15m, 2h or 1d/],
    [["status", "--watch", "0"], 2, /--watch is not a number of seconds/],
    [["status", "--url", "ftp://x"], 78, /--url "ftp:\/\/x" is not an http/],
    [["status", "--url", url], 78, /There is no key for/],
    [["status", "--key-file", "/nowhere"], 78, /--key-file "\/nowhere" cannot be read: NotFound/],
    [["status", "--key-file", key], 77, /The key is not valid/],
    [
      ["status", "--url", closed, "--key-file", key],
      69,
      /Cannot ask http:\/\/127\.0\.0\.1:\d+: nothing listens/,
    ],
    [["status"], 78, /There is no key\. .*\(NotFound\)/, { REMEDIATION_LOCAL_KEY_FILE: "/run/mutt-remediation/none" }],
    [["status"], 77, /The key is not valid/, { REMEDIATION_API_KEY: "mrk_wrong-wrong-wrong-wrong-wrong-wrong" }],
    [["top"], 2, /top needs a terminal/],
    [["complete", "tcsh"], 2, /not one of bash, zsh, fish/],
  ];
  for (const [args, code, err, env] of cases) {
    const printed = await scene.run(args, env);
    assert.equal(printed.code, code, `${args.join(" ")}: ${printed.err}`);
    assert.match(printed.err, err);
    assert.ok(!printed.err.includes("mrk_wrong"));
  }
});

test("the local key is private, and gone after the service has ended", async (scene) => {
  assert.equal(Deno.statSync(scene.keyFile).mode! & 0o777, 0o600);
  const { key } = JSON.parse(Deno.readTextFileSync(scene.keyFile));
  scene.service.signal("SIGTERM");
  assert.equal((await scene.service.exit).code, 0);
  assert.throws(() => Deno.statSync(scene.keyFile), Deno.errors.NotFound);
  assert.ok(!scene.service.stderr.join("\n").includes(key));
  assert.equal((await scene.run(["status"])).code, 78);
});

test("a viewer's key reads and changes nothing", async (scene) => {
  await using command = startService({ args: ["key", "new", "--name", "ann", "--role", "viewer", "--json"] });
  await command.exit;
  const { key, entry } = JSON.parse(command.stdout.join("\n"));
  await using service = startService({
    env: {
      ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(scene.redis.port), MOOG_WEBHOOK_URL: scene.moog.url },
      ...{ REMEDIATION_API_PORT: "0", REMEDIATION_API_KEYS: entry },
    },
  });
  await service.ports();
  const env = {
    REMEDIATION_URL: `http://127.0.0.1:${service.events("listening")[0]!.api_port}/`,
    REMEDIATION_API_KEY: key,
  };
  expectOk(await scene.run(["status"], env));
  const refused = await scene.run(["pause", "--reason", "x"], env);
  assert.deepEqual(
    [refused.code, /needs the role operator; ann has the role viewer/.test(refused.err)],
    [77, true],
    refused.err,
  );
});

test("--watch looks again until Ctrl-C", async (scene) => {
  const child = scene.start(["status", "--watch", "0.1", "--ndjson"]);
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let out = "";
  while (out.split("\n").length < 4) out += (await reader.read()).value ?? "";
  child.kill("SIGINT");
  for (;;) if ((await reader.read()).done) break;
  await child.stderr.cancel();
  assert.equal((await child.status).code, 0);
});

test("completes commands, flags, and values of the service", async (scene) => {
  await fill(scene);
  const complete = async (...words: string[]) => expectOk(await scene.run(["complete", "--", ...words])).out;
  assert.match(await complete("dl"), /^dlq\t/);
  assert.match(await complete("dlq", ""), /list\t[^]*groups\t/);
  assert.match(await complete("dlq", "list", "--si"), /^--size\t/);
  assert.match(await complete("dlq", "list", "--source", ""), /^alerter\t/);
  assert.match(await complete("dlq", "search", ""), /^group:g_[0-9a-f]{12}\t5: link • is down/);
  assert.match(expectOk(await scene.run(["complete", "bash"])).out, /mutt-remediation complete --/);
});

test("top shows sources until q", async (scene) => {
  const { code, out } = await scene.runOnTerminal(["top"], [[/alerter/, "q"]]);
  assert.equal(code, 0);
  // The screen is as it was before.
  assert.ok(out.includes("\x1b[?1049h") && out.includes("closed gates"), out);
  assert.ok(out.endsWith("\x1b[?25h\x1b[?1049l"), out);
}, whyNotTerminal);

/** What a terminal shows of a text, line by line. */
function shownLines(out: string): string[] {
  // deno-lint-ignore no-control-regex
  return out.replaceAll(/\x1b\[[\d;]*m/g, "").replaceAll(/\x1b\[[\d;?]*[A-Za-z]/g, "\n").split(/[\r\n]+/);
}

test("at 40 columns a row is a block of lines that fit, and top fits too", async (scene) => {
  await fill(scene);
  const list = await scene.runOnTerminal(["dlq", "list"], [], { columns: 40 });
  assert.equal(list.code, 0, list.err);
  const lines = shownLines(list.out);
  assert.equal(lines.filter((line) => /^id +m_[0-9a-f]{16}$/.test(line)).length, 5, list.out);
  assert.deepEqual(lines.filter((line) => line.length > 40 && !line.includes(" --from ")), []);
  const top = await scene.runOnTerminal(["top"], [[/alerter/, "q"]], { columns: 40 });
  assert.equal(top.code, 0);
  assert.deepEqual(shownLines(top.out).filter((line) => line.length > 40), []);
}, whyNotTerminal);

test("jobs follow says which gates hold a job", async (scene) => {
  scene.moog.answerWith(503);
  await fill(scene);
  await waitUntil(async () => (await scene.run(["status"])).out.includes("closed downstream"), {
    what: "the gate is closed",
  });
  const { job } = JSON.parse(
    expectOk(await scene.run(["redrive", "--reason", "r", "--yes", "--detach", "--json"])).out,
  );
  const child = scene.start(["jobs", "follow", job.id]);
  const reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  let err = "";
  while (!err.includes("waits for")) {
    const { done, value = "" } = await reader.read();
    err += value;
    assert.ok(!done, err);
  }
  assert.match(err, /waits for downstream: it answered 503 to the last/);
  child.kill("SIGINT");
  for (let part; !(part = await reader.read()).done;) err += part.value;
  await child.stdout.cancel();
  assert.equal((await child.status).code, 130);
  assert.match(err, /The job goes on/);
});

test("plans and runs every verb with --yes, and undoes", async (scene) => {
  await fill(scene);
  const run = async (...args: string[]) => expectOk(await scene.run(args)).out;
  const depths = async () =>
    await Promise.all([DLQ, TARGET, DEAD].map(async (list) => (await scene.redis.readTexts(list)).length));
  assert.match(
    await run("redrive", "--query", "host:core-fra-1", "--reason", "r", "--yes"),
    /is done: 5 swept, 1 picked, 1 replayed/,
  );
  assert.deepEqual(await depths(), [4, 1, 0]);
  assert.match(await run("bury", "--query", "host:core-fra-2", "--reason", "b", "--yes"), /Can be undone[^]*is done/);
  assert.deepEqual(await depths(), [3, 1, 1]);
  const jobs = (await run("jobs", "list", "--ndjson")).trimEnd().split("\n").map((line) => JSON.parse(line));
  const bury = jobs.find(({ verb }) => verb === "bury").id;
  assert.match(await run("jobs", "undo", bury, "--reason", "u", "--yes"), /is done/);
  assert.deepEqual(await depths(), [4, 1, 0]);
  await run("bury", "--query", "host:core-fra-3", "--reason", "b", "--yes");
  await run("revive", "--query", "host:core-fra-3", "--reason", "r", "--yes");
  assert.deepEqual(await depths(), [3, 2, 0]);
  await run("purge", "--reason", "p", "--yes", "--ids", await idOf(scene, "core-fra-4"));
  assert.deepEqual(await depths(), [2, 2, 0]);
  assert.match(await run("journal"), /local ran purge/);
});

test("edits a message; exports, purges and imports; shows where in a file a problem is", async (scene) => {
  await fill(scene);
  const run = async (...args: string[]) => expectOk(await scene.run(args)).out;
  const file = `${scene.redis.dir}/corrected`, corrected = LETTERS[0]!.replace("core-fra-1", "fw-dmz-1");
  Deno.writeTextFileSync(file, corrected);
  await run("edit", await idOf(scene, "core-fra-1"), "--payload", `@${file}`, "--reason", "wrong host");
  assert.deepEqual((await scene.redis.readTexts(DLQ)).toSorted(), [corrected, ...LETTERS.slice(1)].toSorted());
  const before = await scene.redis.readTexts(DLQ);
  Deno.writeTextFileSync(file, await run("export", "--raw"));
  await run("purge", "--reason", "p", "--yes");
  assert.deepEqual(await scene.redis.readTexts(DLQ), []);
  assert.match(await run("import", file, "--reason", "back", "--yes"), /5 [^]*is done/);
  assert.deepEqual(await scene.redis.readTexts(DLQ), before);
  Deno.writeTextFileSync(file, "no export\n");
  const bad = await scene.run(["import", file, "--reason", "x", "--yes"]);
  assert.equal(bad.code, 2, bad.err);
  assert.equal((await scene.run(["import", "/nowhere", "--reason", "x", "--yes"])).code, 2);
});

test("asks nothing without a terminal, plans with --plan, and confirms later", async (scene) => {
  await fill(scene);
  const refused = await scene.run(["redrive", "--reason", "r"]);
  assert.equal(refused.code, 2);
  assert.match(refused.err, /There is no terminal to ask on\. Nothing was planned: add --yes/);
  assert.equal(expectOk(await scene.run(["jobs", "list"])).out, "No jobs\n");
  const { job, plan } = JSON.parse(expectOk(await scene.run(["redrive", "--reason", "r", "--plan", "--json"])).out);
  assert.equal(plan.count, 5);
  assert.equal((await scene.redis.readTexts(TARGET)).length, 0);
  assert.match(expectOk(await scene.run(["jobs", "show", job.id])).out, /is planned: 5 messages/);
  expectOk(await scene.run(["jobs", "confirm", job.id]));
  assert.match(expectOk(await scene.run(["jobs", "follow", job.id])).out, /is done: 5 swept, 5 picked, 5 replayed/);
});

test("a drill asks nothing without a terminal, and shows its plan with --plan", async (scene) => {
  await fill(scene);
  const refused = await scene.run(["drill", "alerter", "--reason", "r"]);
  assert.equal(refused.code, 2);
  assert.match(refused.err, /There is no terminal to ask on\. Nothing was planned: add --yes to start the drill/);
  const planned = expectOk(await scene.run(["drill", "alerter", "--reason", "r", "--heal", "5m", "--plan"]));
  assert.match(planned.out, /is held closed for 60 s[^]*gives up 5 min after the outage[^]*Nothing was started\.\n$/);
  assert.equal(expectOk(await scene.run(["drills", "list"])).out, "No drills\n");
});

test("asks on a terminal: n changes nothing, y starts", async (scene) => {
  await fill(scene);
  const args = ["redrive", "--query", "host:core-fra-1", "--reason", "r"];
  const no = await scene.runOnTerminal(args, [[/Start it\? \[y\/N\]/, "n\n"]]);
  assert.equal(no.code, 1);
  assert.match(no.out, /Nothing was started, and nothing has moved/);
  assert.equal((await scene.redis.readTexts(TARGET)).length, 0);
  const yes = await scene.runOnTerminal(args, [[/Start it\? \[y\/N\]/, "y\n"]]);
  assert.equal(yes.code, 0, yes.out);
  assert.equal((await scene.redis.readTexts(TARGET)).length, 1);
}, whyNotTerminal);

test("Ctrl-C leaves a job running and says how to go on; then it is paused, resumed and cancelled", async (scene) => {
  scene.moog.answerWith(503);
  await fill(scene);
  await waitUntil(async () => (await scene.run(["status"])).out.includes("closed downstream"), {
    what: "the gate is closed",
  });
  const { code, out } = await scene.runOnTerminal(["redrive", "--reason", "r", "--yes"], [[
    /act: 0 of 5 done/,
    "\x03",
  ]]);
  assert.equal(code, 130, out);
  const [, id] = /The job goes on\.\s+Follow it: mutt-remediation jobs follow (\S+) --source alerter/.exec(out)!;
  const is = (status: string) =>
    waitUntil(async () => (await scene.run(["jobs", "show", id!])).out.includes(`is ${status}`), {
      what: `the job is ${status}`,
    });
  await is("running");
  for (const [word, status] of [["pause", "paused"], ["resume", "running"], ["cancel", "cancelled"]] as const) {
    expectOk(await scene.run(["jobs", word, id!]));
    await is(status);
  }
  assert.equal((await scene.redis.readTexts(DLQ)).length, 5);
}, whyNotTerminal);
