import assert from "node:assert/strict";
import { Secret } from "../../src/runtime/secret.ts";
import type { RedisAddress } from "../../src/redis/address.ts";
import { COMMAND_TIMEOUT_MS, RedisConnections } from "../../src/redis/connection.ts";
import { createLog } from "../../src/observability/log.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { DLQ, eventTexts, waitUntilEmpty } from "../../testkit/engine.ts";
import { startRedis, type TestRedis } from "../../testkit/redis.ts";
import { PLANTED } from "../../testkit/planted_secrets.ts";
import { watchOutput } from "../../testkit/secrets_net.ts";
import { startService } from "../../testkit/service.ts";
import { tlsConfig } from "../../testkit/tls.ts";
import { PATIENT_MS, waitUntil } from "../../testkit/wait.ts";
import { freePort } from "../../scripts/free_port.ts";

const TLS = new URL("../../testkit/tls/", import.meta.url);
const pem = (name: string) => Deno.readTextFileSync(new URL(name, TLS));

const PLAIN: RedisAddress = {
  url: null,
  host: "127.0.0.1",
  port: 0,
  db: 0,
  username: "",
  password: null,
  passwordNext: null,
  tls: false,
  caCert: "",
};

interface Opened {
  connections: RedisConnections;
  lines: string[];
}

/** Opens connections and closes them after the body. */
async function withConnections(address: RedisAddress, body: (opened: Opened) => Promise<void>): Promise<void> {
  const lines: string[] = [];
  const write = (line: string) => {
    lines.push(line);
    watchOutput("log", line);
  };
  const log = createLog({ clock: SYSTEM_CLOCK, write, level: "DEBUG", format: "json", podName: "t", version: "t" });
  const connections = new RedisConnections(address, {
    ...{ clock: SYSTEM_CLOCK, random: () => 0, log, onReconnect: () => {}, commandTimeoutMs: COMMAND_TIMEOUT_MS },
  });
  try {
    await body({ connections, lines });
  } finally {
    await connections.close();
  }
}

async function withTlsRedis(
  body: (tlsPort: number, redis: TestRedis) => Promise<void>,
  { demandsCertificate = false }: { demandsCertificate?: boolean } = {},
): Promise<void> {
  const port = freePort();
  const redis = await startRedis({ config: tlsConfig({ port, certificate: "localhost", demandsCertificate }) });
  try {
    await body(port, redis);
  } finally {
    await redis.stop();
  }
}

Deno.test("RedisConnections: works over TLS when the authority is the server's, by fields and by URL", async () => {
  await withTlsRedis(async (port) => {
    for (
      const address of [
        { ...PLAIN, port, tls: true, caCert: pem("ca.crt") },
        { ...PLAIN, url: new Secret(`rediss://localhost:${port}/3`), caCert: pem("ca.crt") },
      ]
    ) {
      await withConnections(address, async ({ connections }) => {
        assert.ok(await connections.waitUntilReady(PATIENT_MS));
        assert.equal(await connections.reader.ping(), "PONG");
      });
    }
  });
});

Deno.test("RedisConnections: shows its certificate to a server that asks for one", async () => {
  await withTlsRedis(async (port) => {
    const clientCert = pem("server.crt"), clientKey = pem("server.key");
    await withConnections(
      { ...PLAIN, port, tls: true, caCert: pem("ca.crt"), clientCert, clientKey },
      async ({ connections }) => {
        assert.ok(await connections.waitUntilReady(PATIENT_MS));
        assert.equal(await connections.reader.ping(), "PONG");
      },
    );
  }, { demandsCertificate: true });
});

for (const [serverName, isReady] of [["localhost", true], ["redis.example.com", false]] as const) {
  Deno.test(`RedisConnections: ${isReady ? "takes" : "refuses"} a certificate of localhost when ${serverName} is wanted`, async () => {
    await withTlsRedis(async (port) => {
      await withConnections(
        { ...PLAIN, port, tls: true, caCert: pem("ca.crt"), serverName },
        async ({ connections }) => assert.equal(await connections.waitUntilReady(isReady ? PATIENT_MS : 700), isReady),
      );
    });
  });
}

Deno.test("run: lives on, and works once it may, when Redis demands a certificate and gets none", async () => {
  await withTlsRedis(async (port, redis) => {
    await redis.seedList(DLQ, eventTexts(3));
    await using service = startService({
      env: {
        ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(port), REDIS_TLS_ENABLED: "true" },
        ...{ REDIS_CA_CERT_PATH: new URL("ca.crt", TLS).pathname },
        ...{ REMEDIATION_CONSUMER_GATE: "off", MOOG_HEALTH_CHECK_ENABLED: "false" },
      },
    });
    const { health } = await service.ports();
    // Each attempt to connect throws where nobody can catch it.
    const attempts = async () =>
      (await Deno.readTextFile(`${redis.dir}/redis.log`)).split("Error accepting a client connection").length - 1;
    await waitUntil(async () => await attempts() >= 6, { what: "it has tried again and again", timeoutMs: 15_000 });
    const response = await fetch(`http://127.0.0.1:${health}/readyz`);
    assert.equal(response.status, 503);
    assert.match(await response.text(), /Redis cannot be used/);
    await redis.client().config("SET", "tls-auth-clients", "no");
    await waitUntilEmpty(redis, DLQ, 15_000);
  }, { demandsCertificate: true });
});

Deno.test("RedisConnections: refuses a server whose certificate the authority did not sign", async () => {
  await withTlsRedis(async (port) => {
    await withConnections(
      { ...PLAIN, port, tls: true, caCert: pem("other_ca.crt") },
      async ({ connections, lines }) => {
        const isTold = () => lines.some((line) => line.includes("redis_unreachable"));
        await waitUntil(isTold, { what: "the refusal is logged" });
        assert.equal(await connections.waitUntilReady(1), false);
      },
    );
  });
});

Deno.test("RedisConnections: logs in with the next password when the current one is refused, and shows neither", async () => {
  const redis = await startRedis({ config: [`requirepass ${PLANTED.redisPasswordNext}`] });
  try {
    const password = new Secret(PLANTED.redisPassword), passwordNext = new Secret(PLANTED.redisPasswordNext);
    await withConnections({ ...PLAIN, port: redis.port, password, passwordNext }, async ({ connections, lines }) => {
      assert.ok(await connections.waitUntilReady(PATIENT_MS), lines.join(""));
      assert.equal(await connections.committer.ping(), "PONG");
      assert.ok(lines.some((line) => line.includes("REDIS_PASS_NEXT")));
    });
  } finally {
    await redis.stop();
  }
});

Deno.test("RedisConnections: is not ready, and names the reason, when the password is refused", async () => {
  const redis = await startRedis({ config: [`requirepass ${PLANTED.redisPasswordNext}`] });
  try {
    const password = new Secret(PLANTED.redisPassword);
    await withConnections({ ...PLAIN, port: redis.port, password }, async ({ connections }) => {
      assert.equal(await connections.waitUntilReady(700), false);
      assert.equal(connections.lastErrorCode(), "WRONGPASS");
    });
  } finally {
    await redis.stop();
  }
});

Deno.test("RedisConnections: logs in as an ACL user", async () => {
  const redis = await startRedis({
    config: [`user remediation on >${PLANTED.redisPassword} ~* +@all`, "user default off"],
  });
  try {
    const address = {
      ...PLAIN,
      port: redis.port,
      username: "remediation",
      password: new Secret(PLANTED.redisPassword),
    };
    await withConnections(address, async ({ connections }) => {
      assert.ok(await connections.waitUntilReady(PATIENT_MS));
      assert.equal(await connections.reader.acl("WHOAMI"), "remediation");
    });
  } finally {
    await redis.stop();
  }
});

Deno.test("RedisConnections: works over a Unix socket", async () => {
  const redis = await startRedis({ config: ["unixsocket redis.sock"] });
  try {
    const url = new Secret(`unix://${redis.dir}/redis.sock`);
    await withConnections({ ...PLAIN, url }, async ({ connections }) => {
      assert.ok(await connections.waitUntilReady(PATIENT_MS));
      assert.equal(await connections.reader.ping(), "PONG");
    });
  } finally {
    await redis.stop();
  }
});
