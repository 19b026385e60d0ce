import assert from "node:assert/strict";
import { aclRules, COMMAND_GRANTS, JOB_SCRIPTS, RECORD_GRANT } from "../../../scripts/redis_acl.ts";

const SCRIPTS = new URL("../../../src/redis/scripts/", import.meta.url);
const GRANTED = COMMAND_GRANTS.flatMap(({ commands }) => commands);

Deno.test("aclRules: grants every command once", () => {
  assert.equal(new Set(GRANTED).size, GRANTED.length);
});

/** Nothing is recorded without these, but messages move. */
const JOURNAL = ["xadd", "xrange", "xrevrange"];

Deno.test("aclRules: grants what any script calls, on the rarest of its paths too, as a command that nothing moves without but for the journal", () => {
  const needed = [...COMMAND_GRANTS, RECORD_GRANT].filter(({ without }) => without === null).flatMap(({ commands }) =>
    commands
  );
  const called = callsOf((name) => !JOB_SCRIPTS.test(name));
  assert.ok(called.length > 30);
  assert.deepEqual(called.filter((command) => !needed.includes(command) && !JOURNAL.includes(command)), []);
  assert.ok(JOURNAL.every((command) => called.includes(command) && GRANTED.includes(command)));
});

Deno.test("aclRules: grants what the scripts of jobs call", () => {
  const called = callsOf((name) => JOB_SCRIPTS.test(name));
  assert.ok(called.includes("rpoplpush"));
  assert.deepEqual(called.filter((command) => !GRANTED.includes(command)), []);
});

function callsOf(isWanted: (name: string) => boolean): string[] {
  return [...Deno.readDirSync(SCRIPTS)].filter(({ name }) => isWanted(name)).flatMap(({ name }) =>
    [...Deno.readTextFileSync(new URL(name, SCRIPTS)).matchAll(/redis\.p?call\('(\w+)'/g)].map(([, command]) =>
      command!.toLowerCase()
    )
  );
}

Deno.test("aclRules: tells reading apart from 7.0 on, and channels from 6.2 on", () => {
  const kinds = (dialect: "7.0" | "6.2" | "6.0") => [
    aclRules(["alerter"], { dialect }).some((rule) => rule.startsWith("%R~")),
    aclRules(["alerter"], { dialect }).includes("&mutt:config:updates"),
  ];
  assert.deepEqual([kinds("7.0"), kinds("6.2"), kinds("6.0")], [[true, true], [false, true], [false, false]]);
});
