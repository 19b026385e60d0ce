/** What the program is granted is all it gets: the flags of the compile, and where there is a binary, what is baked into it. */
import assert from "node:assert/strict";
import { ROOT } from "../../scripts/child.ts";
import { permissionFlags } from "../../scripts/compile.ts";

const BINARY = Deno.env.get("MUTT_REMEDIATION_BINARY");

Deno.test("permissionFlags: let the service do its work and nothing beside it", async () => {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-config", "--no-lock", ...permissionFlags(), `${ROOT}tests/support/permissions_probe.ts`],
    env: { REDIS_HOST: "redis.example", HOME: Deno.env.get("HOME") ?? "/" },
  }).output();
  assert.deepEqual(JSON.parse(new TextDecoder().decode(stdout)), {
    "reads a file": "done",
    "listens": "done",
    "sees REDIS_HOST": "done",
    "sees HOME": "absent",
    "runs a program": "NotCapable",
    "writes a file": "NotCapable",
    "asks for the host's name": "NotCapable",
    "loads a library": "NotCapable",
  });
});

Deno.test({
  name: "binary: carries exactly the permissions of permissionFlags, and never asks for more",
  ignore: !BINARY,
  fn: async () => {
    const baked = findPermissions(await Deno.readFile(BINARY?.startsWith("/") ? BINARY : ROOT + BINARY));
    const { allow_env, allow_import: _, ...others } = baked;
    const environment = permissionFlags().find((flag) => flag.startsWith("--allow-env=")) ?? "";
    assert.deepEqual(allow_env, environment.slice("--allow-env=".length).split(","));
    const granted = Object.fromEntries(Object.entries(others).filter(([, value]) => value !== null));
    assert.deepEqual(granted, {
      ignore_env: [],
      allow_net: [],
      allow_read: [],
      allow_write: ["/run/redis", "/var/run/redis"],
      prompt: false,
    });
  },
});

/** The `permissions` object out of the metadata that `deno compile` writes into a binary, as JSON; an empty list is "all". */
function findPermissions(binary: Uint8Array): Record<string, unknown> {
  const mark = '"permissions":{"allow_env"';
  const at = indexOf(binary, new TextEncoder().encode(mark));
  assert.notEqual(at, -1, "no permissions in the binary: has the format of deno compile changed?");
  const text = new TextDecoder("latin1").decode(binary.subarray(at, at + 10_000));
  return JSON.parse(text.slice('"permissions":'.length, text.indexOf("}") + 1));
}

function indexOf(bytes: Uint8Array, part: Uint8Array): number {
  for (let at = bytes.indexOf(part[0] as number); at !== -1; at = bytes.indexOf(part[0] as number, at + 1)) {
    if (part.every((byte, offset) => bytes[at + offset] === byte)) return at;
  }
  return -1;
}
