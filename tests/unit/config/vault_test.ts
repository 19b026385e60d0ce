import assert from "node:assert/strict";
import { parseSettings } from "../../../src/config/load.ts";
import { LiveSecret } from "../../../src/runtime/secret.ts";
import { vaultTargets, warnOfVault } from "../../../src/config/vault.ts";

const VAULT = { VAULT_ADDR: "https://vault.example:8200", VAULT_ROLE_ID: "role" };

function load(environment: Record<string, string>) {
  const loaded = parseSettings({ environment, dotEnv: {}, readFile: () => "" });
  assert.ok(loaded.ok, loaded.ok ? "" : loaded.problems.join());
  return loaded;
}

const TARGETS: readonly (readonly [what: string, environment: Record<string, string>, targets: readonly string[]])[] = [
  ["nothing is said of Vault", {}, []],
  ["only the address is known, as in MUTT's template", { VAULT_ADDR: VAULT.VAULT_ADDR }, []],
  ["only the role is known", { VAULT_ROLE_ID: "role" }, []],
  ["nothing else is given", VAULT, ["redisPassword", "redisPasswordNext", "moogApiKey"]],
  ["a password is given", { ...VAULT, REDIS_PASSWORD: "p" }, ["redisPasswordNext", "moogApiKey"]],
  ["the next password is given", { ...VAULT, REDIS_PASS_NEXT: "p" }, ["redisPassword", "moogApiKey"]],
  ["a URL has a password", { ...VAULT, REDIS_URL: "redis://:p@h" }, ["moogApiKey"]],
  ["a URL has none", { ...VAULT, REDIS_URL: "redis://h" }, ["redisPassword", "redisPasswordNext", "moogApiKey"]],
  ["all is given", { ...VAULT, REDIS_PASS_CURRENT: "p", REDIS_PASS_NEXT: "q", MOOG_API_KEY: "k" }, []],
];

for (const [what, environment, targets] of TARGETS) {
  Deno.test(`vaultTargets: asks for what is not given otherwise when ${what}`, () => {
    assert.deepEqual(vaultTargets(load(environment).settings), targets);
  });
}

const WARNINGS: readonly (readonly [what: string, environment: Record<string, string>, warning: RegExp | null])[] = [
  ["it is asked by https", VAULT, null],
  ["it is asked on loopback", { ...VAULT, VAULT_ADDR: "http://127.0.0.1:8200" }, null],
  [
    "the role is missing",
    { VAULT_ADDR: "http://vault:8200" },
    /VAULT_ADDR is set but VAULT_ROLE_ID is not: Vault is not/,
  ],
  ["the address is missing", { VAULT_ROLE_ID: "r" }, /VAULT_ROLE_ID is set but VAULT_ADDR is not: Vault is not used/],
  ["it is asked in the clear", { ...VAULT, VAULT_ADDR: "http://vault:8200" }, /VAULT_ADDR begins with http:\/\//],
  [
    "it is not asked, in the clear",
    { ...VAULT, VAULT_ADDR: "http://v", REDIS_URL: "redis://:p@h", MOOG_API_KEY: "k" },
    null,
  ],
  ["the next password goes with Vault's", { ...VAULT, REDIS_PASS_NEXT: "p" }, null],
];

for (const [what, environment, warning] of WARNINGS) {
  Deno.test(`warnOfVault: ${warning ? "warns" : "says nothing"} when ${what}`, () => {
    const { settings, warnings } = load(environment);
    assert.deepEqual(warnings, warnOfVault(settings));
    if (warning === null) assert.deepEqual(warnings, []);
    else assert.match(warnings.join(), warning);
  });
}

const PATHS = [
  "/secret/mutt",
  "secret//mutt",
  "secret/../sys",
  "..",
  "secret/mutt/",
  "secret/mutt?version=1",
  "a b",
  "%2e",
];

for (const path of PATHS) {
  Deno.test(`parseSettings: refuses VAULT_SECRETS_PATH=${path}`, () => {
    const loaded = parseSettings({ environment: { VAULT_SECRETS_PATH: path }, dotEnv: {}, readFile: () => "" });
    assert.ok(!loaded.ok);
    assert.match(loaded.problems.join(), /^VAULT_SECRETS_PATH ".*" is not a path of letters/);
  });
}

Deno.test("LiveSecret: reveals what it is by now, and shows nothing", () => {
  const secret = new LiveSecret();
  assert.equal(secret.reveal(), "");
  assert.deepEqual([secret.set("a"), secret.set("a"), secret.set("b")], [true, false, true]);
  assert.deepEqual([secret.reveal(), String(secret), JSON.stringify(secret)], ["b", "[redacted]", '"[redacted]"']);
  assert.ok(!Deno.inspect(secret, { depth: 9 }).includes("b]"), Deno.inspect(secret));
});
