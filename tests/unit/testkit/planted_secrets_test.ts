import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { DEMO_API_KEY } from "../../../testkit/mutt/dead_letters.ts";
import { filesIn, ROOT } from "../../../scripts/child.ts";
import { assertNoSecrets, findSecrets, MARK, PLANTED, type SecretName } from "../../../testkit/planted_secrets.ts";

const BASIC = (text: string) => `authorization: Basic ${Buffer.from(`svc:${text}`).toString("base64")}`;
const PERCENT_ALL = (text: string) => [...Buffer.from(text)].map((code) => `%${code.toString(16)}`).join("");
const BACKSLASH_ALL = (text: string) => [...text].map((one) => `\\u00${one.charCodeAt(0).toString(16)}`).join("");

/** How a secret may be written by whoever lets it out, and how that is told. */
const WRITTEN: readonly (readonly [how: string, write: (secret: string) => string, encoding: string])[] = [
  ["as it is", (text) => `wrong password: ${text}!`, "plain"],
  ["in other case, as in a host's name", (text) => text.toLowerCase(), "plain"],
  ["as JSON", (text) => JSON.stringify({ text }), "plain"],
  ["as JSON in JSON", (text) => JSON.stringify(JSON.stringify({ text })), "plain"],
  ["in a URL", (text) => `https://svc:${encodeURIComponent(text)}@moog/`, "plain"],
  ["with every byte percent-encoded", PERCENT_ALL, "escaped"],
  ["with every character as \\u00XX", BACKSLASH_ALL, "escaped"],
  ["with every character as \\\\u00XX", (text) => JSON.stringify(BACKSLASH_ALL(text)), "escaped"],
  ["in an Authorization header", BASIC, "base64"],
  ["in base64", (text) => Buffer.from(text).toString("base64"), "base64"],
  ["in base64 behind one more byte", (text) => Buffer.from(`x${text}`).toString("base64"), "base64"],
  ["in base64 for URLs behind two more bytes", (text) => Buffer.from(`xx${text}`).toString("base64url"), "base64"],
  ["in hexadecimal", (text) => Buffer.from(text).toString("hex"), "hex"],
  ["as a Buffer prints itself", (text) => Deno.inspect(Buffer.from(text)), "hex"],
  ["as bytes print themselves", (text) => Deno.inspect(new TextEncoder().encode(text)), "numbers"],
  ["as bytes in JSON", (text) => JSON.stringify([...Buffer.from(text)]), "numbers"],
];

for (const [how, write, encoding] of WRITTEN) {
  Deno.test(`findSecrets: finds every secret ${how}, and names it`, () => {
    for (const [key, secret] of Object.entries(PLANTED) as [SecretName, string][]) {
      const name = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
      const found = findSecrets(`before ${write(secret)} behind`).map((leak) => [leak.secret, leak.encoding]);
      assert.deepEqual(found, [[name, encoding]], key);
    }
  });
}

Deno.test("findSecrets: finds what is left of a secret that was cut at either end", () => {
  for (const secret of Object.values(PLANTED)) {
    for (
      const rest of [secret.slice(0, MARK.length), secret.slice(-MARK.length), secret.slice(0, 20), secret.slice(20)]
    ) {
      assert.equal(findSecrets(rest).length, 1, rest);
    }
  }
});

Deno.test("findSecrets: finds each line of the client's key, and half of one", async () => {
  const lines = (await Deno.readTextFile(`${ROOT}testkit/tls/server.key`)).trim().split("\n").slice(1, -1);
  assert.ok(lines.length >= 3);
  for (const line of lines) {
    for (const part of [line, line.slice(20)]) {
      assert.deepEqual(findSecrets(`key ${part}`).map(({ secret }) => secret), ["client key"]);
    }
  }
});

Deno.test("findSecrets: finds nothing in what only looks alike", () => {
  const { redisPassword } = PLANTED;
  for (
    const text of ["", "[redacted]", "planted secrets", redisPassword.slice(0, 10), btoa("a plain text"), "%%%", "&#;"]
  ) {
    assert.deepEqual(findSecrets(text), [], text);
  }
});

Deno.test("assertNoSecrets: says where, what and how", () => {
  assertNoSecrets("nowhere", "nothing");
  assert.throws(
    () => assertNoSecrets("page /health", `svc:${PLANTED.redisPassword}@`),
    /^Error: page \/health shows a secret: redis-password \(plain\) in "svc:/,
  );
});

Deno.test("DEMO_API_KEY: is a planted secret", () => {
  assert.equal(findSecrets(DEMO_API_KEY).length, 1);
});

/** What lets output of the service into a test by another way than the support that watches it, and who may. */
const WAYS_AROUND: readonly (readonly [way: RegExp, files: readonly string[]])[] = [
  [/\bcreateLog\(/, [
    "testkit/secrets_net.ts",
    "testkit/told.ts",
    "tests/integration/config_watcher_test.ts",
    "tests/integration/connection_secured_test.ts",
    "tests/integration/tracing_test.ts",
    "tests/unit/observability/log_test.ts",
    "tests/unit/replay/account_test.ts",
  ]],
  [/: Log = \{/, ["testkit/engine.ts", "testkit/recorded_log.ts"]],
  [/src\/main\.ts/, ["testkit/service.ts", "tests/integration/settings_files_test.ts"]],
  [/\brunCli\(/, []],
];

for (const [way, allowed] of WAYS_AROUND) {
  Deno.test(`secrets net: only what watches its output itself uses ${way.source}`, () => {
    const own = "tests/unit/testkit/planted_secrets_test.ts";
    const users = [...filesIn("testkit", ".ts"), ...filesIn("tests", ".ts")].filter((path) =>
      path !== own && way.test(Deno.readTextFileSync(ROOT + path))
    );
    assert.deepEqual(users, allowed);
    for (const path of users) assert.match(Deno.readTextFileSync(ROOT + path), /watchOutput|watchLogLine/, path);
  });
}

/** Modules of the support that load the net. */
const NETTED =
  /testkit\/(engine|pipeline|recorded_log|redis|secrets_net|sentinel|service|stand_ins)\.ts"|chaos\/|\.\/scenarios|\.\/harness/;

Deno.test("secrets net: every test that asks a page, or runs against Redis, has it", () => {
  const asking = [
    ...filesIn("tests/integration", ".ts"),
    ...filesIn("tests/failover", ".ts"),
    ...filesIn("tests/long", ".ts"),
    ...filesIn("tests/e2e", ".ts"),
    ...filesIn("tests/chaos", ".ts"),
  ]
    .filter((path) =>
      /\bfetch\(|createMetricsHandler|createHealthHandler|from "ioredis"/.test(Deno.readTextFileSync(ROOT + path))
    );
  assert.ok(asking.length > 10);
  const without = asking.filter((path) => !NETTED.test(Deno.readTextFileSync(ROOT + path)));
  assert.deepEqual(without, ["tests/integration/testkit/http_stub_test.ts"]); // only asks a stub of its own
});
