import assert from "node:assert/strict";
import { parseApiKeys } from "../../../src/config/api_keys.ts";
import { DEFAULT_SETTINGS } from "../../../src/config/fields.ts";
import { parseSettings, readApiKeysFile } from "../../../src/config/load.ts";
import { createKey } from "../../../src/config/create_key.ts";
import { digestOf } from "../../../src/api/key_ring.ts";
import { checkTold } from "../../../testkit/told.ts";

const A = "a".repeat(64), B = "B".repeat(64);

Deno.test("parseApiKeys: reads entries of a list and lines of a file, with comments", () => {
  const keys = [{ name: "ann", role: "viewer", digest: A }, { name: "bob", role: "admin", digest: B.toLowerCase() }];
  assert.deepEqual(parseApiKeys(`ann:viewer:${A}, bob:admin:${B},`, "list"), { ok: true, keys });
  assert.deepEqual(parseApiKeys(`# people\r\n ann:viewer:${A}\n\n#bob:x\nbob:admin:${B}\n`, "file"), {
    ok: true,
    keys,
  });
  assert.deepEqual(parseApiKeys("# none\n", "file"), { ok: true, keys: [] });
  // The new key and the old one, while a key is replaced.
  assert.ok(parseApiKeys(`ann:viewer:${A},ann:viewer:${B}`, "list").ok);
});

Deno.test("parseApiKeys: all problems at once, by place, and nothing of what was written", () => {
  const secret = "hunter2hunter2hunter2";
  const parsed = parseApiKeys(`${secret}\n${secret}:boss:${secret}\nann:viewer:${A}\nbob:viewer:${A}\n`, "file");
  assert.ok(!parsed.ok);
  checkTold(parsed, { secret });
  assert.deepEqual(parsed.problems.map((problem) => problem.split(":")[0]), ["line 1", "line 2", "line 2", "line 4"]);
  assert.match(parsed.problems[1]!, /viewer, operator, admin/);
  assert.match(parsed.problems[3]!, /same key as line 3/);
});

Deno.test("createKey: makes an entry that its key opens", () => {
  const { key, entry } = createKey({ name: "ann", role: "operator" });
  assert.ok(key.length >= 32);
  assert.deepEqual(parseApiKeys(entry, "file"), {
    ok: true,
    keys: [{ name: "ann", role: "operator", digest: digestOf(key) }],
  });
  assert.notEqual(createKey({ name: "ann", role: "operator" }).key, key);
});

Deno.test("settings: problems of keys and proxy are told at the start, with the variable", () => {
  const loaded = parseSettings({
    environment: {
      REMEDIATION_API_KEYS: "ann:boss:12",
      REMEDIATION_API_KEYS_FILE: "/keys",
      REMEDIATION_TRUSTED_PROXY_SECRET: "short",
      REMEDIATION_TRUSTED_PROXY_ROLES: "sre=root",
      REMEDIATION_TRUSTED_PROXY_ADDRESSES: "10.0.0.0/33",
      REMEDIATION_API_CORS_ORIGINS: "https://a.example/path",
      REMEDIATION_API_PORT: "8087",
    },
    ...{ dotEnv: {}, readFile: () => "nonsense", fileMode: () => 0o400, readSourcesFile: () => "" },
  });
  assert.ok(!loaded.ok);
  const text = loaded.problems.join("\n");
  for (
    const wanted of [
      /REMEDIATION_API_KEYS entry 1: the second part/,
      /REMEDIATION_API_KEYS entry 1: the third part/,
      /REMEDIATION_API_KEYS_FILE "\/keys" line 1: is not name:role:digest/,
      /REMEDIATION_TRUSTED_PROXY_SECRET has fewer than 16 characters/,
      /REMEDIATION_TRUSTED_PROXY_ROLES: the role of group "sre"/,
      /REMEDIATION_TRUSTED_PROXY_ADDRESSES "10.0.0.0\/33" is not none or .* networks/,
      /REMEDIATION_API_CORS_ORIGINS .*origins/,
      /HEALTH_PORT_REMEDIATION and REMEDIATION_API_PORT are both 8087/,
    ]
  ) assert.match(text, wanted);
  assert.ok(!text.includes("short\n") && !text.includes("boss"));
});

Deno.test("readApiKeysFile: says why a file cannot be read", () => {
  const gone = () => {
    throw Object.assign(new Error("x"), { name: "NotFound" });
  };
  const read = readApiKeysFile({ ...DEFAULT_SETTINGS, apiKeysPath: "/keys" }, gone);
  assert.deepEqual(read, { ok: false, problems: ['REMEDIATION_API_KEYS_FILE "/keys" cannot be read: NotFound'] });
});
