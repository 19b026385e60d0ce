/** Certificates, keys and passwords that are renewed at the same paths under a running service. */
import assert from "node:assert/strict";
import type { Redis } from "ioredis";
import { RenewedFiles } from "../../src/app/renewed_files.ts";
import { DEFAULT_SETTINGS } from "../../src/config/fields.ts";
import { DLQ, eventTexts, TARGET } from "../../testkit/engine.ts";
import { PLANTED } from "../../testkit/planted_secrets.ts";
import { recordLog } from "../../testkit/recorded_log.ts";
import { startRedis } from "../../testkit/redis.ts";
import { needs } from "../../testkit/redis_version.ts";
import { type Service, startService } from "../../testkit/service.ts";
import { type Certificate, certificateFiles } from "../../testkit/tls.ts";
import { waitUntil } from "../../testkit/wait.ts";
import { freePort } from "../../scripts/free_port.ts";

const DRAINS = { REMEDIATION_CONSUMER_GATE: "off", MOOG_HEALTH_CHECK_ENABLED: "false", REMEDIATION_INTERVAL: "1" };
const RENEWED_MS = 20_000;

/** Puts a certificate, its key and its authority where the service and Redis look for them. */
async function install(dir: string, certificate: Certificate): Promise<void> {
  const { cert, key, authority } = certificateFiles(certificate);
  for (const [from, to] of [[authority, "ca.crt"], [cert, "own.crt"], [key, "own.key"]]) {
    await Deno.copyFile(from!, `${dir}/${to}`);
  }
}

async function killConnections(client: Redis): Promise<void> {
  const list = String(await client.client("LIST"));
  for (const [, id] of list.matchAll(/^id=(\d+) .* name=mutt-remediation:/gm)) {
    await client.client("KILL", "ID", Number(id));
  }
}

/** Pushes more and waits until they are where they belong. */
async function checkDrains(client: Redis, from: number): Promise<void> {
  await client.lpush(DLQ, ...eventTexts(3, from));
  await waitUntil(async () => await client.llen(TARGET) === from + 3, {
    what: "they are replayed",
    timeoutMs: RENEWED_MS,
  });
}

async function withFolder(body: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "renewed-" });
  try {
    await body(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

// Before 7.0 Redis takes one new file at a time, and refuses a certificate that does not fit its key.
Deno.test(
  needs("7.0", "run: goes on with a new authority, server and client certificate at the same paths"),
  async () => {
    await withFolder(async (dir) => {
      await install(dir, "node_1");
      const port = freePort();
      const files = {
        "tls-cert-file": `${dir}/own.crt`,
        "tls-key-file": `${dir}/own.key`,
        "tls-ca-cert-file": `${dir}/ca.crt`,
      };
      const config = Object.entries(files).map((line) => line.join(" "));
      const redis = await startRedis({ config: [`tls-port ${port}`, "tls-auth-clients yes", ...config] });
      try {
        const client = redis.client();
        await using service = startService({
          env: {
            ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(port), REDIS_TLS_ENABLED: "true", ...DRAINS },
            REDIS_CA_CERT_PATH: `${dir}/ca.crt`,
            ...{ REDIS_CLIENT_CERT_PATH: `${dir}/own.crt`, REDIS_CLIENT_KEY_PATH: `${dir}/own.key` },
          },
        });
        await checkDrains(client, 0);
        await install(dir, "localhost");
        await client.config("SET", ...Object.entries(files).flat() as [string, string]);
        await killConnections(client);
        await checkDrains(client, 3);
        const changed = service.events("file_renewed").map(({ variable }) => variable).sort();
        assert.deepEqual(changed, ["REDIS_CA_CERT_PATH", "REDIS_CLIENT_CERT_PATH"]);
        service.signal("SIGHUP");
        await service.waitForLine(/"files_read"/);
        assert.deepEqual(service.events("nothing_to_reload"), []);
      } finally {
        await redis.stop();
      }
    });
  },
);

const PASSWORD_FILES: readonly [
  name: string,
  variable: string,
  contentOf: (password: string, port: number) => string,
][] = [
  ["REDIS_PASS_CURRENT_FILE", "REDIS_PASS_CURRENT_FILE", (password) => password],
  [
    "REDIS_URL_FILE",
    "REDIS_URL_FILE",
    (password, port) => `redis://:${encodeURIComponent(password)}@127.0.0.1:${port}/0`,
  ],
];

for (const [name, variable, contentOf] of PASSWORD_FILES) {
  Deno.test(`run: goes on with a new password in the file of ${name}, and shows neither`, async () => {
    await withFolder(async (dir) => {
      const { redisPassword: first, redisPasswordNext: second } = PLANTED;
      const redis = await startRedis({ config: [`requirepass ${first}`] });
      try {
        const client = redis.client({ password: first, enableReadyCheck: false });
        const path = `${dir}/secret`;
        await Deno.writeTextFile(path, `${contentOf(first, redis.port)}\n`);
        const env = { REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), [variable]: path, ...DRAINS };
        await using service = startService({ env });
        await checkDrains(client, 0);
        await Deno.writeTextFile(path, `${contentOf(second, redis.port)}\n`);
        await client.config("SET", "requirepass", second);
        await killConnections(client);
        await checkDrains(client, 3);
        assert.deepEqual(service.events("file_renewed").map((line) => line.variable), [variable]);
        const told: Service["stderr"] = [...service.stdout, ...service.stderr];
        for (const password of [first, second]) assert.ok(!told.join("\n").includes(password), "a password was shown");
      } finally {
        await redis.stop();
      }
    });
  });
}

Deno.test("RenewedFiles: keeps what it read before while a file is half written, another's key or gone, and tells each once", async () => {
  await withFolder(async (dir) => {
    await install(dir, "node_1");
    const { log, lines } = recordLog();
    const settings = {
      ...{ ...DEFAULT_SETTINGS, redisTls: true, redisCaCertPath: `${dir}/ca.crt` },
      ...{ redisClientCertPath: `${dir}/own.crt`, redisClientKeyPath: `${dir}/own.key` },
    };
    const files = new RenewedFiles({ settings, log });
    const [ca, pair] = [files.caCert(), files.clientPair()];
    const checkKept = (problem: RegExp) => {
      const before = lines.length;
      for (let times = 0; times < 2; times++) {
        assert.equal(files.caCert(), ca);
        assert.deepEqual(files.clientPair(), pair);
      }
      assert.equal(lines.length, before + 1);
      assert.match(lines.at(-1)!.message, problem);
    };
    await Deno.writeTextFile(`${dir}/ca.crt`, ca.slice(0, 500));
    checkKept(/REDIS_CA_CERT_PATH.*is incomplete/);
    await Deno.writeTextFile(`${dir}/ca.crt`, ca);
    files.readAll();
    await Deno.copyFile(certificateFiles("localhost").key, `${dir}/own.key`);
    checkKept(/REDIS_CLIENT_KEY_PATH.*does not belong to the client certificate/);
    await Deno.remove(`${dir}/own.key`);
    checkKept(/REDIS_CLIENT_KEY_PATH.*NotFound/);
    await install(dir, "localhost");
    assert.notEqual(files.caCert(), ca);
    assert.notDeepEqual(files.clientPair(), pair);
    assert.deepEqual(files.clientPair(), {
      cert: await Deno.readTextFile(`${dir}/own.crt`),
      key: await Deno.readTextFile(`${dir}/own.key`),
    });
  });
});
