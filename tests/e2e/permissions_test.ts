/** What the program is granted is all it gets: the flags of the compile, and where there is a binary, what is baked into it. */
import assert from "node:assert/strict";
import { onPath, ROOT } from "../../scripts/child.ts";
import { permissionFlags } from "../../scripts/compile.ts";
import { environmentPrefixes, FIELDS } from "../../src/config/fields.ts";
import { RUNTIME_VARIABLES } from "../../src/config/runtime_variables.ts";
import { NPX_VARIABLE, SERVE_ADDRESS_VARIABLE } from "../../src/runtime/process.ts";
import { HAS_PROC, listeningAt } from "../../testkit/process_facts.ts";
import { startRedis, type TestRedis, withRedis } from "../../testkit/redis.ts";
import { type Exit, type ServiceOptions, startService } from "../../testkit/service.ts";

const BINARY = Deno.env.get("MUTT_REMEDIATION_BINARY");

Deno.test("permissionFlags: let the service do its work and nothing beside it", async () => {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-config", "--no-lock", ...permissionFlags(), `${ROOT}testkit/permissions_probe.ts`],
    env: { REDIS_HOST: "redis.example", [NPX_VARIABLE]: "exec", HOME: Deno.env.get("HOME") ?? "/" },
  }).output();
  assert.deepEqual(JSON.parse(new TextDecoder().decode(stdout)), {
    "reads a file": "done",
    "listens": "done",
    "sees REDIS_HOST": "done",
    "sees npm_command": "done",
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
      allow_sys: ["uid"],
      allow_write: ["/run/redis", "/var/run/redis", "/run/mutt-remediation"],
      prompt: false,
    });
  },
});

/** The flags of the compile without one of them, or without one thing of a list: `--allow-write=/run/redis`. */
function without(part: string): string[] {
  const [name, value] = part.split("=") as [string, string?];
  const flags = permissionFlags();
  const at = flags.findIndex((flag) => value === undefined ? flag === name : flag.startsWith(`${name}=`));
  assert.notEqual(at, -1, `${part} is not granted`);
  const rest = (flags[at]!.split("=")[1] ?? "").split(",").filter((one) => one !== value);
  return flags.toSpliced(at, 1, ...value === undefined || rest.length === 0 ? [] : [`${name}=${rest.join(",")}`]);
}

/** Every part of the flags by its test below: one that is granted anew fails the last test until it has its own. */
const shown = new Set<string>();

async function runToEnd(options: ServiceOptions): Promise<Exit & { stdout: string; stderr: string }> {
  await using service = startService(options);
  const exit = await service.exit;
  return { ...exit, stdout: service.stdout.join("\n"), stderr: service.stderr.join("\n") };
}

/** Registers a test that needs `part`: works with all that the compile grants, and fails `how` without that one. */
function needs(part: string, options: {
  readonly what: string;
  readonly ignore?: string | undefined;
  readonly works: (permissions: string[]) => Promise<void>;
  readonly fails: (permissions: string[]) => Promise<void>;
}): void {
  shown.add(part);
  if (BINARY) return; // what it carries is compared above, and cannot be taken from it
  Deno.test({
    name: `permissionFlags: ${part} is needed: ${options.what}${options.ignore ? ` (ignored: ${options.ignore})` : ""}`,
    ignore: options.ignore !== undefined,
    fn: async () => {
      await options.works(permissionFlags());
      await options.fails(without(part));
    },
  });
}

needs("--allow-net", {
  what: "the ports are listened on",
  works: async (permissions) => {
    await using service = startService({ permissions, env: { REDIS_PORT: "1" } });
    const { health } = await service.ports();
    assert.equal(await (await fetch(`http://127.0.0.1:${health}/livez`)).text(), "OK");
  },
  fails: async (permissions) => {
    const { code, stderr } = await runToEnd({ permissions, env: { REDIS_PORT: "1" } });
    assert.equal(code, 1);
    assert.match(stderr, /Requires net access/);
  },
});

needs("--ignore-env", {
  what: "a library looks at variables that are none of ours",
  works: async (permissions) => assert.equal((await runToEnd({ permissions, args: ["config"] })).code, 0),
  fails: async (permissions) => {
    const { code, stderr } = await runToEnd({ permissions, args: ["config"] });
    assert.equal(code, 1);
    assert.match(stderr, /NotCapable: Requires env access/);
  },
});

needs("--allow-read", {
  what: "the operator chooses the paths of .env, secrets, certificates and sources",
  works: (permissions) =>
    withFiles((options) => runToEnd({ permissions, ...options }), ({ code, stdout }) => {
      assert.equal(code, 0);
      const settings: { variable: string; origin: string }[] = JSON.parse(stdout).settings;
      const found = Object.fromEntries(settings.map(({ variable, origin }) => [variable, origin]));
      assert.match(found.MOOG_WEBHOOK_URL!, /\.env/);
      assert.match(found.REDIS_PASS_CURRENT!, /REDIS_PASS_CURRENT_FILE/);
    }),
  fails: (permissions) =>
    withFiles((options) => runToEnd({ permissions, ...options }), ({ code, stderr }) => {
      assert.notEqual(code, 0);
      assert.match(stderr, /Requires read access/);
    }),
});

/** A folder with a `.env`, a secret and a sources file, all of them named to `config`. */
async function withFiles(
  start: (options: ServiceOptions) => ReturnType<typeof runToEnd>,
  judge: (result: Awaited<ReturnType<typeof runToEnd>>) => void,
): Promise<void> {
  const cwd = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${cwd}/.env`, "MOOG_WEBHOOK_URL=http://127.0.0.1:1/\n");
    await Deno.writeTextFile(`${cwd}/secret`, "planted\n");
    await Deno.writeTextFile(`${cwd}/sources.json`, '{"sources": {}}');
    const env = { REDIS_PASS_CURRENT_FILE: `${cwd}/secret`, REMEDIATION_SOURCES_PATH: `${cwd}/sources.json` };
    judge(await start({ cwd, env, args: ["config", "--json"] }));
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
}

/** A value that no default names: of a boolean, or what any proxy may be. */
const someValue = ({ expected }: { expected: string }) =>
  expected.startsWith("true or false") ? "true" : "proxy.test:3128";

/** A variable of each prefix with a value: its default, or where it has none some value. */
const examples = environmentPrefixes().filter((prefix) => prefix.endsWith("*")).map((prefix) => {
  const named = Object.values(FIELDS).flatMap((field) =>
    [field.variable, ...field.aliases].map((name) => ({ field, name, value: field.defaultText || someValue(field) }))
  );
  const isOf = ({ name }: { name: string }) => name.startsWith(prefix.replace("*", ""));
  const found = named.filter(isOf);
  return { prefix, ...found.find(({ field }) => (field.defaultText ?? "") !== "") ?? found[0]! };
});

for (const { prefix, name, value, field } of examples) {
  const originOf = async (permissions: string[]) => {
    const settings = await readSettings({ permissions, env: { [name]: value } });
    return settings.find(({ variable }) => variable === field.variable)!.origin;
  };
  needs(`--allow-env=${prefix}`, {
    what: `${name} is read`,
    works: async (permissions) => assert.match(await originOf(permissions), /^environment/),
    fails: async (permissions) => assert.equal(await originOf(permissions), "default"),
  });
}

for (const name of environmentPrefixes().filter((prefix) => !prefix.endsWith("*"))) {
  const warningsOf = async (permissions: string[]) => {
    const { code, stdout, stderr } = await runToEnd({ args: ["config", "--json"], permissions, env: { [name]: "1" } });
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout).warnings.join();
  };
  needs(`--allow-env=${name}`, {
    what: `${name} of MUTT's template is warned of`,
    works: async (permissions) => assert.ok((await warningsOf(permissions)).includes(name)),
    fails: async (permissions) => assert.ok(!(await warningsOf(permissions)).includes(name)),
  });
}

/** What a start says with this variable of the runtime set. */
for (const name of RUNTIME_VARIABLES) {
  const told = async (permissions: string[]) => {
    const env = { [name]: name === "NODE_TLS_REJECT_UNAUTHORIZED" ? "0" : "system" };
    // A runtime that obeys the variable may end by itself: what is asked is whether it is told.
    return (await runToEnd({ permissions, env, args: ["config"] })).stderr.includes(`${name} is `);
  };
  needs(`--allow-env=${name}`, {
    what: "it acts past the settings, and is told",
    works: async (permissions) => assert.ok(await told(permissions)),
    fails: async (permissions) => assert.ok(!await told(permissions)),
  });
}

needs(`--allow-env=${NPX_VARIABLE}`, {
  what: "the wrapper of npx is known",
  works: async (permissions) => assert.ok(await asksForWrapper(permissions)),
  fails: async (permissions) => assert.ok(!await asksForWrapper(permissions)),
});

needs(`--allow-env=${SERVE_ADDRESS_VARIABLE}`, {
  what: "it is taken away before it moves Deno.serve",
  ignore: HAS_PROC ? undefined : "no /proc",
  works: async (permissions) => assert.deepEqual(await placesBesidePorts(permissions), ["127.0.0.1"]),
  fails: async (permissions) => assert.deepEqual(await placesBesidePorts(permissions), ["127.0.0.3"]),
});

/** Addresses where the service listens beside its two ports. */
async function placesBesidePorts(permissions: string[]): Promise<string[]> {
  await using service = startService({
    permissions,
    env: { REDIS_PORT: "1", [SERVE_ADDRESS_VARIABLE]: "tcp:127.0.0.3:0" },
  });
  const ports = Object.values(await service.ports()).map((port) => `127.0.0.1:${port}`);
  return listeningAt(service.pid).filter((place) => !ports.includes(place)).map((place) => place.split(":")[0]!);
}

/** Whether the program sees how npm was called; that it acts on it is shown in tests/source/wrappers_test.ts. */
async function asksForWrapper(permissions: string[]): Promise<boolean> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-config", "--no-lock", ...permissions, `${ROOT}testkit/permissions_probe.ts`],
    env: { [NPX_VARIABLE]: "exec", NO_COLOR: "1" },
  }).output();
  return JSON.parse(new TextDecoder().decode(stdout))["sees npm_command"] === "done";
}

needs("--allow-sys=uid", {
  what: "a .env of another user is warned of",
  ignore: Deno.uid() === 0 ? undefined : "only root can give a file away",
  works: async (permissions) => assert.match(await withForeignDotEnv(permissions), /belongs to another user/),
  fails: async (permissions) => assert.doesNotMatch(await withForeignDotEnv(permissions), /belongs to another user/),
});

async function withForeignDotEnv(permissions: string[]): Promise<string> {
  const cwd = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${cwd}/.env`, "");
    await Deno.chown(`${cwd}/.env`, 65_533, 65_533);
    return (await runToEnd({ permissions, cwd, args: ["config"] })).stderr;
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
}

async function readSettings(
  options: ServiceOptions,
): Promise<{ variable: string; value: string; origin: string }[]> {
  const { code, stdout, stderr } = await runToEnd({ args: ["config", "--json"], ...options });
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout).settings;
}

/** Where Redis' Unix sockets are; a folder that is not there is made where that is allowed, and taken away again. */
for (const folder of ["/run/redis", "/var/run/redis"]) {
  const socket = `${folder}/mutt-remediation-test-${Deno.pid}.sock`;
  const once = { args: ["once", "--json"], env: { REDIS_URL: `unix://${socket}` } };
  needs(`--allow-write=${folder}`, {
    what: "to connect to a Unix socket is to write to it",
    ignore: canWriteTo(folder) ? undefined : `no file can be made below ${folder}`,
    works: (permissions) =>
      withSocket(socket, async (redis) => {
        const { code, stderr } = await runToEnd({ permissions, ...once });
        assert.equal(code, 0, stderr);
        assert.equal(await redis.depth("mutt:ingest_queue"), 1);
      }),
    fails: (permissions) =>
      withSocket(socket, async (redis) => {
        const { code, stderr } = await runToEnd({ permissions, ...once });
        assert.notEqual(code, 0);
        assert.match(stderr, /Requires write access/);
        assert.equal(await redis.depth("mutt:ingest_queue"), 0);
      }),
  });
}

/** Whether a service that cannot reach Redis leaves its local key. */
async function leavesLocalKey(permissions: string[]): Promise<boolean> {
  const file = `/run/mutt-remediation/test-${Deno.pid}.json`;
  Deno.mkdirSync("/run/mutt-remediation", { recursive: true });
  await using service = startService({
    permissions,
    env: { REDIS_HOST: "127.0.0.1", REDIS_PORT: "1", REMEDIATION_API_PORT: "0", REMEDIATION_LOCAL_KEY_FILE: file },
  });
  await service.ports();
  const isThere = service.events("listening")[0]!.api_port !== undefined;
  service.signal("SIGTERM");
  await service.exit;
  return isThere;
}

needs("--allow-write=/run/mutt-remediation", {
  what: "the local key is a file there",
  ignore: canWriteTo("/run/mutt-remediation") ? undefined : "no file can be made below /run/mutt-remediation",
  works: async (permissions) => assert.equal(await leavesLocalKey(permissions), true),
  fails: async (permissions) => assert.equal(await leavesLocalKey(permissions), false),
});

function canWriteTo(folder: string): boolean {
  const probe = `${folder}/mutt-remediation-test-${Deno.pid}`;
  const isThere = isFolder(folder);
  try {
    Deno.mkdirSync(probe, { recursive: true });
    Deno.removeSync(probe);
    if (!isThere) Deno.removeSync(folder);
    return true;
  } catch {
    return false;
  }
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/** A Redis with one message, on a Unix socket too. */
async function withSocket(socket: string, use: (redis: TestRedis) => Promise<void>): Promise<void> {
  const folder = socket.slice(0, socket.lastIndexOf("/"));
  const isThere = isFolder(folder);
  await Deno.mkdir(folder, { recursive: true });
  const redis = await startRedis({ config: [`unixsocket ${socket}`] });
  try {
    await redis.seedList("mutt:dlq:alerter", ['{"timestamp":"t","hostname":"h","message":"m"}']);
    await use(redis);
  } finally {
    await redis.stop();
    await Deno.remove(socket).catch(() => {});
    if (!isThere) await Deno.remove(folder);
  }
}

/** Runs a command on a terminal of its own until it ends, or asks. @returns what it wrote there. */
async function onTerminal(command: readonly string[], env: Record<string, string>): Promise<string> {
  const quoted = command.map((word) => `'${word}'`).join(" ");
  const child = new Deno.Command("timeout", {
    args: ["--kill-after=1", "60", "script", "-qec", quoted, "/dev/null"],
    env: { TERM: "xterm", NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
  }).spawn();
  let output = "", asks = false;
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    if (asks || !output.includes("Allow?")) continue;
    asks = true;
    child.kill(); // `timeout` passes it on
  }
  await child.status;
  return output;
}

const NO_TERMINAL = onPath("script") && onPath("timeout") ? undefined : "no script or timeout here";

needs("--no-prompt", {
  what: "on a terminal nobody is asked to allow more",
  ignore: NO_TERMINAL,
  works: async (permissions) => assert.match(await probeOnTerminal(permissions), /"writes a file":"NotCapable"/),
  fails: async (permissions) => assert.match(await probeOnTerminal(permissions), /Allow\?/),
});

function probeOnTerminal(permissions: string[]): Promise<string> {
  const probe = `${ROOT}testkit/permissions_probe.ts`;
  return onTerminal([Deno.execPath(), "run", "--no-config", "--no-lock", ...permissions, probe], {});
}

Deno.test({
  name: `binary: asks nobody on a terminal when it may not do something${
    NO_TERMINAL ? ` (ignored: ${NO_TERMINAL})` : ""
  }`,
  ignore: !BINARY || NO_TERMINAL !== undefined,
  fn: async () => {
    const binary = BINARY!.startsWith("/") ? BINARY! : ROOT + BINARY;
    const output = await onTerminal([binary, "once"], { REDIS_URL: "unix:///tmp/no-redis-here.sock" });
    assert.match(output, /Redis did not answer/);
    assert.doesNotMatch(output, /Allow\?/);
  },
});

Deno.test("permissionFlags: every part is shown to be needed", () => {
  const parts = permissionFlags().flatMap((flag) => {
    const [name, values] = flag.split("=");
    return values === undefined ? [flag] : values.split(",").map((value) => `${name}=${value}`);
  });
  assert.deepEqual(parts.toSorted(), [...shown].sort());
});

withRedis("permissions: a drain asks for variables, the network and the named files only", async (redis) => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/.env`, "MOOG_API_KEY_FILE=secret\n");
    await Deno.writeTextFile(`${folder}/secret`, "planted\n");
    await redis.seedList("mutt:dlq:alerter", ['{"timestamp":"t","hostname":"h","message":"m"}']);
    const { code, stderr } = await runToEnd({
      permissions: permissionFlags(),
      args: ["once"],
      cwd: folder,
      env: { REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), DENO_AUDIT_PERMISSIONS: `${folder}/asked` },
    });
    assert.equal(code, 0, stderr);
    const asked: { permission: string; value: string | null }[] = (await Deno.readTextFile(`${folder}/asked`)).trim()
      .split("\n").map((line) => JSON.parse(line));
    const of = (
      kind: string,
    ) => [...new Set(asked.filter(({ permission }) => permission === kind).map((one) => one.value))];
    assert.deepEqual(of("read").toSorted(), [".env", `${ROOT}src/app/commit`, "secret"].toSorted());
    assert.deepEqual(of("sys"), ["uid"]);
    assert.deepEqual(of("net"), [`127.0.0.1:${redis.port}`]);
    const kinds = new Set(asked.map(({ permission }) => permission));
    // Deno 2.9 writes down "write" for a file that is opened for reading.
    assert.deepEqual([...kinds].filter((kind) => !["env", "read", "net", "sys", "write"].includes(kind)), []);
    assert.deepEqual(of("write").filter((path) => !of("read").includes(path)), []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
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
