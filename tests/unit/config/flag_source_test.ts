import assert from "node:assert/strict";
import flags from "../../../src/cli/source_flags.json" with { type: "json" };
import { flagOf, readFlagSource } from "../../../src/config/flag_source.ts";
import { SOURCE_MEMBERS } from "../../../src/config/source_fields.ts";

const ORDERS = { dlq: "orders:dlq", target: "orders", dead: "orders:dead" };

function problemsOf(members: Record<string, unknown>, name = "orders"): readonly string[] {
  const read = readFlagSource(name, { ...ORDERS, ...members });
  return read.ok ? [] : read.problems;
}

Deno.test("readFlagSource: gives the source that a file would", () => {
  const read = readFlagSource("orders", { ...ORDERS, maxReplays: 3, required: ["id"] });
  assert.ok(read.ok);
  assert.deepEqual([...read.file.sources], [["orders", { ...ORDERS, maxReplays: 3, required: ["id"] }]]);
});

const WRONG: readonly [members: Record<string, unknown>, problem: RegExp][] = [
  [{ dlq: "a b" }, /^--dlq "a b" is not a Redis key/],
  [{ target: "mutt:remediation:x" }, /^--target "mutt:remediation:x" is not a Redis key .* this service's own/],
  [{ dlq: "orders" }, /^--target "orders" is also the DLQ \(--dlq\): it needs a list of its own$/],
  [{ dead: "orders:dlq" }, /^--dead "orders:dlq" is also the DLQ \(--dlq\)/],
  [{ maxReplays: "x" }, /^--max-replays "x" is not a whole number from 1 to 1000/],
  [{ maxPerSecond: "auto" }, /^--max-per-second "auto" is not 0 or a number/],
  [{ push: "rpush" }, /^--push "rpush" is not one of LPUSH, RPUSH$/],
  [{ required: ["id", ""] }, /^--required "" is not the path of a message member/],
  [{ unwrap: "payload", cutOnReplay: ["a"] }, /^--cut-on-replay "a" is not in what is replayed: .* \(--unwrap\)$/],
  [{ required: ["id"], cutOnReplay: ["id"] }, /^--required "id" is in --cut-on-replay too/],
  [{ healthUrl: "ftp://user:hunter2@x" }, /^--health-url "ftp:\/\/\[redacted\]@x" is not an http/],
];

for (const [members, problem] of WRONG) {
  Deno.test(`readFlagSource: refuses ${JSON.stringify(members)} by the flag's name`, () => {
    const problems = problemsOf(members);
    assert.equal(problems.length, 1, problems.join("\n"));
    assert.match(problems[0]!, problem);
    assert.doesNotMatch(problems[0]!, /sources\.|line \d|hunter2/);
  });
}

Deno.test("readFlagSource: makes the name and the dead list from the other lists, and speaks of them only if they alone are wrong", () => {
  const read = (flags: Record<string, unknown>) => readFlagSource(undefined, flags);
  const made = read({ dlq: "shop.dlq", target: "shop" });
  assert.ok(made.ok);
  assert.deepEqual([made.name, made.entry.dead], ["shop", "shop.dead"]);
  const cases: readonly (readonly [flags: Record<string, unknown>, problems: readonly string[]])[] = [
    [{}, ["--dlq is missing", "--target is missing"]],
    [{ target: "a" }, ["--dlq is missing"]],
    [{ dlq: "a b", target: "c d" }, ['--dlq "a b" is', '--target "c d" is']],
    [{ dlq: "a:dead", target: "a" }, ['--dead "a:dead" is also the DLQ (--dlq)']],
    [{ dlq: "dlq", target: "mutt:remediation" }, ['--dead "mutt:remediation:dead" is not a Redis key']],
  ];
  for (const [flags, starts] of cases) {
    const found = read(flags), problems = found.ok ? [] : found.problems;
    assert.deepEqual(problems.map((one, at) => one.slice(0, starts[at]?.length)), starts);
  }
});

Deno.test("readFlagSource: reports every problem at once", () => {
  assert.equal(problemsOf({ dlq: "", maxReplays: 0, healthUrl: "x" }).length, 3);
});

Deno.test("readFlagSource: refuses a name that is not one, and a built-in source's", () => {
  assert.match(problemsOf({}, "Bad name")[0]!, /^--name "Bad name" is not a source's name/);
  assert.match(problemsOf({}, "alerter")[0]!, /^--name "alerter" is a built-in source/);
});

Deno.test("flags of watch: there is one for every member of a source but windows", () => {
  assert.deepEqual(flags.map(({ member }) => member), SOURCE_MEMBERS.filter((member) => member !== "windows"));
  for (const { member, flag } of flags) assert.ok(flag.startsWith(`${flagOf(member)} <`));
});
