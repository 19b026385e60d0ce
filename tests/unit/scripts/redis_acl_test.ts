import assert from "node:assert/strict";
import { aclRules, COMMAND_GRANTS } from "../../../scripts/redis_acl.ts";

const SCRIPTS = new URL("../../../src/redis/scripts/", import.meta.url);
const GRANTED = COMMAND_GRANTS.flatMap(({ commands }) => commands);

Deno.test("aclRules: grants every command once", () => {
  assert.equal(new Set(GRANTED).size, GRANTED.length);
});

Deno.test("aclRules: grants what any script calls, on the rarest of its paths too, as a command that nothing moves without but for the journal", () => {
  const journal = ["xadd", "xrange", "xrevrange"];
  const needed = COMMAND_GRANTS.filter(({ without }) => without === null).flatMap(({ commands }) => commands);
  const called = [...Deno.readDirSync(SCRIPTS)].flatMap(({ name }) =>
    [...Deno.readTextFileSync(new URL(name, SCRIPTS)).matchAll(/redis\.p?call\('(\w+)'/g)].map(([, command]) =>
      command!.toLowerCase()
    )
  );
  assert.ok(called.length > 30);
  assert.deepEqual(called.filter((command) => !needed.includes(command) && !journal.includes(command)), []);
  assert.ok(journal.every((command) => called.includes(command) && GRANTED.includes(command)));
});

Deno.test("aclRules: tells reading apart from 7.0 on, and channels from 6.2 on", () => {
  const kinds = (dialect: "7.0" | "6.2" | "6.0") => [
    aclRules(["alerter"], { dialect }).some((rule) => rule.startsWith("%R~")),
    aclRules(["alerter"], { dialect }).includes("&mutt:config:updates"),
  ];
  assert.deepEqual([kinds("7.0"), kinds("6.2"), kinds("6.0")], [[true, true], [false, true], [false, false]]);
});
