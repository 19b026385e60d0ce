import assert from "node:assert/strict";
import { ROOT } from "../../../scripts/child.ts";
import { parseSettings } from "../../../src/config/load.ts";
import { judgeRuntime, RUNTIME_VARIABLES } from "../../../src/config/runtime_variables.ts";

const AUTHORITY = Deno.readTextFileSync(`${ROOT}testkit/tls/faults/ca.crt`);
const PINNED = { REDIS_TLS_ENABLED: "true", REDIS_CA_CERT_PATH: "/ca.pem" };

function judge(runtime: Record<string, string>, settings: Record<string, string> = {}) {
  const loaded = parseSettings({ environment: settings, dotEnv: {}, readFile: () => AUTHORITY });
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return judgeRuntime(runtime, loaded.settings);
}

Deno.test("judgeRuntime: says something of each variable that is set, and nothing of an empty one", () => {
  for (const name of RUNTIME_VARIABLES) {
    const { problems, warnings } = judge({ [name]: name === "NODE_TLS_REJECT_UNAUTHORIZED" ? "0" : "/planted" });
    assert.equal(problems.length + warnings.length, 1, name);
    assert.doesNotMatch([...problems, ...warnings].join(), /planted/);
    assert.deepEqual(judge({ [name]: "" }), { problems: [], warnings: [] });
  }
  assert.deepEqual(judge({}), { problems: [], warnings: [] });
});

Deno.test("judgeRuntime: a pinned authority is pinned, without one others are only warned of", () => {
  for (const name of ["DENO_CERT", "DENO_TLS_CA_STORE"]) {
    const { problems: [problem] } = judge({ [name]: "x" }, PINNED);
    assert.match(problem ?? "", new RegExp(`^${name} is set: .* than the one of REDIS_CA_CERT_PATH`));
    assert.deepEqual(judge({ [name]: "x" }, { REDIS_CA_CERT_PATH: "/ca.pem" }).problems, [], "there is no TLS");
    assert.deepEqual(judge({ [name]: "x" }).problems, []);
  }
});

Deno.test("parseSettings: starts nothing with a runtime variable that gives keys away", () => {
  const environment = { SSLKEYLOGFILE: "/planted" };
  const loaded = parseSettings({ environment, dotEnv: {}, readFile: () => "" });
  assert.ok(!loaded.ok);
  assert.match(loaded.problems.join(), /^SSLKEYLOGFILE is set/);
});
