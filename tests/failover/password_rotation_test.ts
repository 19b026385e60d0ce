/** A password is changed under a running drain, as an operator does it: nothing is lost, nothing is doubled, nothing is shown. */
import assert from "node:assert/strict";
import type { Redis } from "ioredis";
import { DLQ, eventTexts, idOf, TARGET } from "../../testkit/engine.ts";
import { PLANTED } from "../../testkit/planted_secrets.ts";
import { startRedis, type TestRedis } from "../../testkit/redis.ts";
import { aclAll } from "../../testkit/redis_version.ts";
import { MASTER, SentinelTrio } from "../../testkit/sentinel.ts";
import { type Service, startService } from "../../testkit/service.ts";
import { certificateFiles, tlsConfig } from "../../testkit/tls.ts";
import { waitUntil } from "../../testkit/wait.ts";
import { freePort } from "../../scripts/free_port.ts";

const { redisPassword: CURRENT, redisPasswordNext: NEXT } = PLANTED, THIRD = "a-third-one";
const COUNT = 500;
/** How long a change may take to be seen, and the drain to go on. */
const PAUSE_MS = 15_000, DRAIN_MS = 30_000;
const DRAIN = {
  ...{ REDIS_PASS_CURRENT: CURRENT, REDIS_PASS_NEXT: NEXT },
  ...{ REMEDIATION_BATCH_SIZE: "0", REMEDIATION_CONSUMER_GATE: "off", MOOG_HEALTH_CHECK_ENABLED: "false" },
  ...{ REMEDIATION_TARGET_MAX_DEPTH: "0", REMEDIATION_MAX_PER_SECOND: "100", REMEDIATION_CHUNK_MESSAGES: "10" },
};

/** Servers whose password can be changed. */
interface Installation extends AsyncDisposable {
  /** What the service is told beside the passwords. */
  readonly env: Readonly<Record<string, string>>;
  /** A connection that keeps its rights. */
  readonly client: Redis;
  /** Makes this the only password there is; who is logged in stays so. */
  setPassword(password: string): Promise<void>;
}

/** A server where `redis` is configured so, and reached so. */
async function installServer(
  { config = [], env }: { config?: readonly string[]; env: (redis: TestRedis) => Record<string, string> },
): Promise<Installation> {
  const redis = await startRedis({ config: [...config, `requirepass ${CURRENT}`] });
  const client = redis.client({ password: CURRENT, enableReadyCheck: false });
  return {
    ...{ env: env(redis), client },
    setPassword: async (password) => void await client.config("SET", "requirepass", password),
    [Symbol.asyncDispose]: () => redis.stop(),
  };
}

async function installUser(): Promise<Installation> {
  const redis = await startRedis({ config: [`user remediation on >${CURRENT} ${aclAll().join(" ")}`] });
  const client = redis.client();
  return {
    env: { REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), REDIS_USERNAME: "remediation" },
    client,
    setPassword: async (password) =>
      void await client.call("ACL", "SETUSER", "remediation", "resetpass", `>${password}`),
    [Symbol.asyncDispose]: () => redis.stop(),
  };
}

async function installSentinels(): Promise<Installation> {
  const trio = await SentinelTrio.start({ password: CURRENT });
  const client = trio.client(await trio.master());
  return {
    env: { REDIS_SENTINELS: trio.addresses().join(","), REDIS_SENTINEL_MASTER: MASTER },
    client,
    setPassword: async (password) => {
      for (const sentinel of trio.sentinels) {
        await trio.client(sentinel).call("SENTINEL", "SET", MASTER, "auth-pass", password);
      }
      for (const server of trio.servers) {
        await trio.client(server).config("SET", "requirepass", password);
        await trio.client(server).config("SET", "masterauth", password);
      }
    },
    [Symbol.asyncDispose]: () => trio[Symbol.asyncDispose](),
  };
}

const INSTALLATIONS: readonly [name: string, install: () => Promise<Installation>][] = [
  ["a server's", () => installServer({ env: ({ port }) => ({ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(port) }) })],
  ["an ACL user's", installUser],
  ["over TLS", () => {
    const port = freePort();
    const { authority } = certificateFiles("localhost");
    const env = { REDIS_HOST: "localhost", REDIS_PORT: String(port), REDIS_TLS_ENABLED: "true" };
    return installServer({
      config: tlsConfig({ port, certificate: "localhost" }),
      env: () => ({ ...env, REDIS_CA_CERT_PATH: authority }),
    });
  }],
  ["behind Sentinels", installSentinels],
];

/** Ends the service's connections, so that it has to log in again. */
async function killConnections(client: Redis): Promise<void> {
  const list = String(await client.client("LIST"));
  for (const [, id] of list.matchAll(/^id=(\d+) .* name=mutt-remediation:/gm)) {
    await client.client("KILL", "ID", Number(id));
  }
}

async function waitForMore(client: Redis, more: number, timeoutMs: number): Promise<void> {
  const before = await client.llen(TARGET);
  await waitUntil(async () => await client.llen(TARGET) >= before + more, { what: "more are replayed", timeoutMs });
}

async function checkReady(service: Service, expected: { status: number; text: RegExp }): Promise<void> {
  const { health } = await service.ports();
  await waitUntil(async () => {
    const response = await fetch(`http://127.0.0.1:${health}/readyz`);
    const text = await response.text();
    return response.status === expected.status && expected.text.test(text);
  }, { what: `/readyz says ${expected.text}`, timeoutMs: PAUSE_MS });
}

/** What the log says about passwords, oldest first. */
function told(service: Service): string[] {
  const events = ["redis_password_refused", "redis_ready"];
  return service.stderr.filter((line) => events.some((event) => line.includes(`"${event}"`)))
    .map((line) => JSON.parse(line).message);
}

async function checkDrained(client: Redis, service: Service): Promise<void> {
  await waitUntil(async () => await client.llen(DLQ) === 0, { what: "the DLQ is empty", timeoutMs: DRAIN_MS });
  assert.deepEqual((await client.lrange(TARGET, 0, "-1")).reverse().map(idOf), eventTexts(COUNT).map(idOf));
  const written = [...service.stdout, ...service.stderr].join("\n");
  for (const password of [CURRENT, NEXT, THIRD]) assert.ok(!written.includes(password), "a password was shown");
}

for (const [name, install] of INSTALLATIONS) {
  Deno.test(`passwords: ${name} changes to the next one, to one that is not known, and back, under a drain`, async () => {
    await using installation = await install();
    const { client, env, setPassword } = installation;
    await client.lpush(DLQ, ...eventTexts(COUNT));
    await using service = startService({ env: { ...DRAIN, ...env, LOG_JSON_ENABLED: "true" } });
    await waitForMore(client, 20, PAUSE_MS);

    await setPassword(NEXT);
    await killConnections(client);
    await waitForMore(client, 20, PAUSE_MS);
    const trying = "Redis refused the password; trying REDIS_PASS_";
    assert.deepEqual(told(service), [
      "Connected to Redis",
      `${trying}NEXT`,
      "Redis can be used again, with REDIS_PASS_NEXT",
    ]);

    await setPassword(THIRD);
    await killConnections(client);
    await checkReady(service, { status: 503, text: /Redis cannot be used \(WRONGPASS\)/ });

    await setPassword(CURRENT);
    await checkReady(service, { status: 200, text: /OK/ });
    assert.deepEqual(told(service).slice(3), [
      `${trying}CURRENT`,
      "Redis can be used again, with REDIS_PASS_CURRENT",
    ]);
    await checkDrained(client, service);
  });
}

Deno.test("passwords: a server that is killed and comes back with the next password only is used again", async () => {
  const dir = await Deno.makeTempDir({ prefix: "redis-" });
  const config = ["appendonly yes", "appendfsync always"];
  const first = await startRedis({ dir, config: [...config, `requirepass ${CURRENT}`] });
  const { port } = first;
  await first.client({ password: CURRENT, enableReadyCheck: false }).lpush(DLQ, ...eventTexts(COUNT));
  await using service = startService({
    env: { ...DRAIN, REDIS_HOST: "127.0.0.1", REDIS_PORT: String(port), LOG_JSON_ENABLED: "true" },
  });
  await waitForMore(first.client({ password: CURRENT, enableReadyCheck: false }), 20, PAUSE_MS);
  await first.stop();
  const second = await startRedis({ dir, port, config: [...config, `requirepass ${NEXT}`] });
  try {
    const client = second.client({ password: NEXT, enableReadyCheck: false });
    assert.ok(await client.llen(DLQ) > 0, "it was in the middle");
    await checkDrained(client, service);
    assert.equal(told(service).at(-1), "Redis can be used again, with REDIS_PASS_NEXT");
  } finally {
    await second.stop();
    await Deno.remove(dir, { recursive: true });
  }
});
