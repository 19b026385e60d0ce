/** `watch` as a user runs it: a source from flags alone, against a real Redis. */
import assert from "node:assert/strict";
import { runCommand } from "../../testkit/cli.ts";
import { shareRedis } from "../../testkit/redis.ts";
import { startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";

const redis = shareRedis();
const FLAGS = ["--dlq", "orders:dlq", "--target", "orders"];
const LETTERS = [`{"id": 1, "total": 12.50}`, "not an order", `{"total": 2}`];

const envHere = () => ({ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis().port) });
const run = (args: readonly string[], more: Readonly<Record<string, string>> = {}) =>
  runCommand(["watch", ...args], { ...envHere(), ...more });

Deno.test("watch: heals the queue, serves no other source, and ends on Ctrl-C with 0", async () => {
  await redis().seedList("orders:dlq", LETTERS);
  await redis().seedList("mutt:dlq:alerter", [`{"timestamp": 1, "hostname": "h", "message": "m"}`]);
  await using service = startService({
    args: ["watch", ...FLAGS, "--required", "id,total", "--max-per-second", "50"],
    env: { ...envHere(), REMEDIATION_SOURCES: "alerter,moog", REMEDIATION_SOURCES_PATH: "/nowhere/sources.yaml" },
  });
  const depths = async () =>
    (await Promise.all(["orders:dlq", "orders", "orders:dead"].map(redis().depth, redis()))).join();
  await waitUntil(async () => await depths() === "0,1,2", { what: "the orders are judged" });
  const { health } = await service.ports();
  const answer = await fetch(`http://127.0.0.1:${health}/health`, { headers: { accept: "application/json" } });
  const { sources } = await answer.json();
  assert.deepEqual(sources.map(({ name }: { name: string }) => name), ["orders"]);
  service.signal("SIGINT");
  assert.deepEqual(await service.exit, { code: 0, signal: null });
  assert.equal(await redis().depth("mutt:dlq:alerter"), 1);
  const told = service.stderr.join("\n");
  for (
    const part of [
      "Watching orders:dlq. Every 300 s, at most 10 messages, at most 50 a second go back to orders",
      "goes to orders:dead. No message is deleted.",
      "For the console, ",
      "REMEDIATION_SOURCES_PATH=sources.yaml",
    ]
  ) assert.ok(told.includes(part), told);
  assert.deepEqual(service.stdout, []);
});

Deno.test("watch: what it prints to keep the source is a sources file that does the same", async () => {
  await redis().seedList("orders:dlq", LETTERS);
  await using service = startService({
    args: ["watch", ...FLAGS, "--required", "id", "--dead", "graves", "--name", "shop", "--counter", "attempts"],
    env: { ...envHere(), REMEDIATION_ENABLED: "false" },
  });
  await service.waitForLine(/"listening"/);
  service.signal("SIGTERM");
  assert.equal((await service.exit).code, 0);
  assert.ok(service.stderr.some((line) => line.startsWith("Replay is switched off (REMEDIATION_ENABLED)")));
  const from = service.stderr.indexOf("sources:");
  const yaml = service.stderr.slice(from, service.stderr.indexOf("", from)).join("\n");
  const path = `${redis().dir}/sources.yaml`;
  Deno.writeTextFileSync(path, yaml);
  const kept = { ...envHere(), REMEDIATION_SOURCES: "none", REMEDIATION_SOURCES_PATH: path };
  const { out, code } = await runCommand(["once", "--json"], kept);
  assert.equal(code, 0, yaml);
  const [{ name, replayed, dead }] = JSON.parse(out).sources;
  assert.deepEqual({ name, replayed, dead }, { name: "shop", replayed: 1, dead: { malformed: 1, unreadable: 1 } });
  assert.equal(await redis().depth("graves"), 2);
});

Deno.test("watch: hides the credentials of a health URL", async () => {
  await using service = startService({
    args: ["watch", ...FLAGS, "--health-url", "http://ann:hunter-two@127.0.0.1:9/"],
    env: envHere(),
  });
  await service.waitForLine(/"gate_closed"/);
  service.signal("SIGINT");
  await service.exit;
  assert.doesNotMatch(service.stderr.join("\n"), /hunter-two/);
  assert.match(
    service.stderr.join("\n"),
    /healthUrl: "http:\/\/\[redacted\]@127\.0\.0\.1:9\/" # its credentials are not shown/,
  );
});

Deno.test("watch --dry-run: judges once, prints the summary and changes nothing", async () => {
  await redis().seedList("orders:dlq", LETTERS);
  const { out, code } = await run([...FLAGS, "--dry-run"]);
  assert.equal(code, 0);
  assert.match(
    out,
    /^Dry run: nothing was changed\..*\norders: 2 replayed, dead: 1 unreadable; messages in the DLQ: 3; /,
  );
  const json = await run([...FLAGS, "--dry-run", "--json", "--required", "id"]);
  assert.deepEqual(JSON.parse(json.out).sources[0].dead, { unreadable: 1, malformed: 1 });
  const repeated = await run([...FLAGS, "--dry-run", "--json", "--required", "id", "--required", "total,x"]);
  assert.deepEqual(JSON.parse(repeated.out).sources[0].dead, { unreadable: 1, malformed: 2 });
  const spaced = await run([...FLAGS, "--dry-run", "--json", "--required", "id, total"]);
  assert.deepEqual(JSON.parse(spaced.out).sources[0], { ...JSON.parse(json.out).sources[0] });
  assert.deepEqual(await redis().client().keys("*"), ["orders:dlq"]);
  assert.deepEqual(await redis().readTexts("orders:dlq"), LETTERS);
});

Deno.test("watch --dry-run: says which keys are no lists", async () => {
  await redis().seedList("orders:dlq", LETTERS);
  await redis().client().multi().set("orders", "text").hset("orders:dead", "a", "1").exec();
  const { code, out, err } = await run([...FLAGS, "--dry-run"]);
  assert.deepEqual([code, out], [1, ""]);
  assert.match(err, /^target orders of source orders is a string and must be a list$/m);
  assert.match(err, /^dead list orders:dead of source orders is a hash and must be a list$/m);
});

Deno.test("watch: says how to find the key that is no list", async () => {
  await redis().client().sadd("orders:dlq", "x");
  await using service = startService({ args: ["watch", ...FLAGS], env: envHere() });
  await service.waitForLine(/"redis_error"/);
  const [refused] = service.events("redis_error");
  assert.match(String(refused!.reason), /WRONGTYPE .*mutt-remediation check, or watch --dry-run, names it/);
});

Deno.test("watch: names the flag that is wrong, all of them at once, and starts nothing", async () => {
  const cases: readonly (readonly [
    args: readonly string[],
    code: number,
    errors: readonly RegExp[],
    env?: Record<string, string>,
  ])[] = [
    [[], 2, [/^error: --dlq is missing/m, /^error: --target is missing/m]],
    [["--dlq", "orders:dlq"], 2, [/^error: --target is missing: a Redis key[^\n]*\n$/]],
    [[...FLAGS, "--dlq", "mail:dlq", "--name", "a", "--name", "b"], 2, [
      /^error: --dlq is given 2 times: watch runs one source; .* \(docs\/sources\.md\)$/m,
      /^error: --name is given 2 times/m,
    ]],
    [[...FLAGS, "--json"], 2, [/^error: --json has no effect without --dry-run$/m]],
    [["--dlq", "mutt:remediation:{a}:state:shelf", "--target", "orders"], 2, [
      /^error: --dlq "mutt:remediation:\{a\}:state:shelf" is not a Redis key .* this service's own/m,
    ]],
    [["--dlq", "a", "--target", "a"], 2, [/^error: --target "a" is also the DLQ \(--dlq\)/m]],
    [[...FLAGS, "--dead", "orders"], 2, [/^error: --dead "orders" is also the target \(--target\)/m]],
    [
      [...FLAGS, "--max-replays", "many", "--max-per-second", "-1", "--required", "id,", "--name", "No"],
      2,
      [
        /--max-replays "many" is not a whole/,
        /--max-per-second -1 is not/,
        /--required "" is not/,
        /--name "No" is not/,
      ],
    ],
    [[...FLAGS, "--windows", "x"], 2, [/unknown option/]],
    [[...FLAGS, "--name", "moog"], 2, [/--name "moog" is a built-in source/]],
    [
      [...FLAGS, "--max-replays", "0"],
      78,
      [/--max-replays 0 is not/, /REMEDIATION_INTERVAL "never" is not/],
      { REMEDIATION_INTERVAL: "never" },
    ],
  ];
  for (const [args, code, errors, env] of cases) {
    const printed = await run(args, env);
    assert.equal(printed.code, code, printed.err);
    for (const error of errors) assert.match(printed.err, error);
    assert.equal(printed.out, "");
  }
  assert.deepEqual(await redis().client().keys("*"), []);
});
