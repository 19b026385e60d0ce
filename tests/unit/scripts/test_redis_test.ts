import assert from "node:assert/strict";
import { parseWanted } from "../../../scripts/test_redis.ts";

Deno.test("parseWanted: takes servers by name, each once and in the table's order, and all of them", () => {
  assert.deepEqual(parseWanted(["valkey-9", "redis-6.0", "valkey-9"]), {
    servers: ["redis-6.0", "valkey-9"],
    isShort: false,
  });
  assert.deepEqual(parseWanted(["--short", "all"]), {
    servers: ["redis-6.0", "redis-7.0", "redis-8.0", "valkey-8.1", "valkey-9"],
    isShort: true,
  });
});

for (
  const [args, wrong] of [
    [["7", "redis-8.0", "--long"], /^unknown: "7", "--long"; known: redis-6\.0, .*valkey-9, all$/],
    [["--short"], /^name a server: redis-6\.0, .*, or all$/],
    [[], /^name a server: /],
  ] as const
) {
  Deno.test(`parseWanted: says what is wrong with ${JSON.stringify(args)}`, () => {
    const wanted = parseWanted(args);
    assert.match("wrong" in wanted ? wanted.wrong : "", wrong);
  });
}

Deno.test("parseWanted: shows help, whatever else is asked", () => {
  assert.deepEqual(parseWanted(["--help", "nothing"]), { help: true });
  assert.deepEqual(parseWanted(["-h"]), { help: true });
});
