/** Every form of REDIS_URL against a real server: who is logged in, to which database. */
import assert from "node:assert/strict";
import { Secret } from "../../src/runtime/secret.ts";
import type { RedisAddress } from "../../src/redis/address.ts";
import { RedisConnections } from "../../src/redis/connection.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { SYSTEM_RANDOM } from "../../src/runtime/random.ts";
import { DLQ, eventTexts, waitUntilEmpty } from "../../testkit/engine.ts";
import { recordLog } from "../../testkit/recorded_log.ts";
import { startRedis, type TestRedis } from "../../testkit/redis.ts";
import { aclAll, serverHas } from "../../testkit/redis_version.ts";
import { MASTER, SentinelTrio } from "../../testkit/sentinel.ts";
import { startService } from "../../testkit/service.ts";
import { certificateFiles, tlsConfig } from "../../testkit/tls.ts";
import { PATIENT_MS, waitUntil } from "../../testkit/wait.ts";
import { freePort } from "../../scripts/free_port.ts";

const PASSWORD = "p@ss:w/o?r#d%[é]", ENCODED = encodeURIComponent(PASSWORD);
const USERS = ["default", "who"].map((name) => `user ${name} on >${PASSWORD} ${aclAll().join(" ")}`);

/** What else is set: the URL wins, but for user and password that it does not carry. */
const BESIDE: RedisAddress = {
  url: null,
  host: "192.0.2.1",
  port: 1,
  db: 7,
  username: "who",
  password: new Secret(PASSWORD),
  passwordNext: null,
  tls: false,
  caCert: Deno.readTextFileSync(certificateFiles("localhost").authority),
};

/** Who is logged in where, as `user database`; or why nobody is. */
async function connect(url: string, { isRefused = false }: { isRefused?: boolean } = {}): Promise<string> {
  const deps = { clock: SYSTEM_CLOCK, random: SYSTEM_RANDOM, log: recordLog().log, onReconnect() {} };
  const connections = new RedisConnections({ ...BESIDE, url: new Secret(url) }, deps);
  try {
    if (isRefused) return await waitUntil(() => connections.lastFailure(), { what: "it is known why nobody is" });
    if (!await connections.waitUntilReady(PATIENT_MS)) return connections.lastFailure();
    const id = await connections.reader.client("ID"), list = String(await connections.reader.client("LIST"));
    const info = list.split("\n").find((line) => line.startsWith(`id=${id} `))!;
    return `${/ user=(\S+)/.exec(info)?.[1]} ${/ db=(\d+)/.exec(info)?.[1]}`;
  } finally {
    await connections.close();
  }
}

const HAS_IPV6 = Deno.networkInterfaces().some(({ address }) => address === "::1");

const FORMS: readonly [url: (at: { redis: TestRedis; tlsPort: number }) => string, loggedIn: string][] = [
  [({ redis: { port } }) => `redis://who:${ENCODED}@127.0.0.1:${port}/3`, "who 3"],
  [({ redis: { port } }) => `redis://who:${ENCODED}@127.0.0.1:${port}`, "who 0"],
  [({ redis: { port } }) => `redis://default:${ENCODED}@localhost:${port}/`, "default 0"],
  [({ redis: { port } }) => `redis://:${ENCODED}@127.0.0.1:${port}/2`, "who 2"],
  [({ redis: { port } }) => `redis://127.0.0.1:${port}/2`, "who 2"],
  [({ redis: { port } }) => `REDIS://[::1]:${port}/4`, "who 4"],
  [({ tlsPort }) => `rediss://default:${ENCODED}@localhost:${tlsPort}/5`, "default 5"],
  [({ redis: { dir } }) => `unix://${dir}/redis.sock`, "who 0"],
];

Deno.test("REDIS_URL: logs in as whom it names, where it says, whatever else is set", async (t) => {
  const tlsPort = freePort();
  const config = [
    ...USERS,
    serverHas("6.2") ? "bind 127.0.0.1 -::1" : "bind 127.0.0.1 ::1",
    "unixsocket redis.sock",
    ...tlsConfig({ port: tlsPort, certificate: "localhost" }),
  ];
  const redis = await startRedis({ config });
  try {
    for (const [url, loggedIn] of FORMS) {
      const shown = url({ redis: { port: 6379, dir: "/folder" } as TestRedis, tlsPort: 6380 }).replace(ENCODED, "…");
      await t.step({
        name: shown,
        ignore: shown.includes("[::1]") && !HAS_IPV6,
        fn: async () => assert.equal(await connect(url({ redis, tlsPort })), loggedIn),
      });
    }
    await t.step("a wrong password is refused, and not shown", async () => {
      const failure = await connect(`redis://who:wrong-one@127.0.0.1:${redis.port}`, { isRefused: true });
      assert.match(failure, /^WRONGPASS invalid/);
      assert.ok(!failure.includes("wrong-one"));
    });
  } finally {
    await redis.stop();
  }
});

Deno.test("REDIS_URL: of Sentinels carries Redis' own login and database", async () => {
  await using trio = await SentinelTrio.start({ password: PASSWORD });
  for (const server of trio.servers) {
    await trio.client(server).call("ACL", "SETUSER", "who", "on", `>${PASSWORD}`, ...aclAll());
  }
  const hosts = trio.addresses().join(",");
  assert.equal(await connect(`redis+sentinel://default:${ENCODED}@${hosts}/${MASTER}/6`), "default 6");
  assert.equal(await connect(`redis+sentinel://${hosts}/${MASTER}`), "who 0");
});

const SOCKETS = "/run/redis";

/** Whether a server of a test may have its socket where the program may use one. */
function hasSockets(): boolean {
  try {
    Deno.mkdirSync(SOCKETS, { recursive: true });
    const path = `${SOCKETS}/test-${Deno.pid}`;
    Deno.writeTextFileSync(path, "");
    Deno.removeSync(path);
    return true;
  } catch {
    return false;
  }
}

Deno.test({
  name: "run: works over a Unix socket with the permissions that it is shipped with",
  ignore: !hasSockets(),
  fn: async () => {
    const path = `${SOCKETS}/test-${Deno.pid}.sock`;
    const redis = await startRedis({ config: [`unixsocket ${path}`, `requirepass ${PASSWORD}`] });
    try {
      const client = redis.client({ password: PASSWORD, enableReadyCheck: false });
      await client.lpush(DLQ, ...eventTexts(3));
      await using _service = startService({
        env: {
          ...{ REDIS_URL: `unix://${path}`, REDIS_PASS_CURRENT: PASSWORD },
          ...{ REMEDIATION_CONSUMER_GATE: "off", MOOG_HEALTH_CHECK_ENABLED: "false" },
        },
      });
      await waitUntilEmpty({ client: () => client }, DLQ, 15_000);
    } finally {
      await redis.stop();
      await Deno.remove(path).catch(() => {});
    }
  },
});

for (
  const [path, reason] of [
    [`${SOCKETS}/nobody-is-here.sock`, /ENOENT .*nobody-is-here\.sock|EACCES/],
    ["/tmp/redis.sock", /may only use sockets in \/run\/redis and \/var\/run\/redis/],
  ] as const
) {
  Deno.test(`check: says why ${path} cannot be used`, async () => {
    await using check = startService({ args: ["check"], env: { REDIS_URL: `unix://${path}` } });
    assert.equal((await check.exit).code, 1);
    assert.match(check.stdout.join("\n"), /failed +redis: Redis did not answer within 5 s \(CONNECTION: /);
    assert.match(check.stdout.join("\n"), reason);
  });
}
