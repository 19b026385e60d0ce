/** What `check` says where there is no connection, or a refused one: what the server said, and what to do. */
import assert from "node:assert/strict";
import { createCommandContext } from "../../src/app/command_context.ts";
import { check as checkOperation } from "../../src/operations/check.ts";
import { DEFAULT_SETTINGS, type Settings } from "../../src/config/fields.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { SYSTEM_RANDOM } from "../../src/runtime/random.ts";
import { recordLog } from "../../testkit/recorded_log.ts";
import { startRedis, withRedis } from "../../testkit/redis.ts";
import { startService } from "../../testkit/service.ts";
import { type Certificate, certificateFiles, tlsConfig, type TlsOptions } from "../../testkit/tls.ts";
import { waitUntil } from "../../testkit/wait.ts";
import { freePort } from "../../scripts/free_port.ts";

const OTHER_AUTHORITY = new URL("../../testkit/tls/other_ca.crt", import.meta.url).pathname;
const ENCRYPTED_KEY = new URL("../../testkit/tls/faults/encrypted.key", import.meta.url).pathname;

/** What `check` says of Redis, and its exit code. */
async function check(settings: Partial<Settings>): Promise<{ said: string; exitCode: number }> {
  const { log } = recordLog();
  const { findings, exitCode } = await checkOperation.run(
    createCommandContext({
      settings: { ...DEFAULT_SETTINGS, redisHost: "127.0.0.1", ...settings },
      ...{ log, clock: SYSTEM_CLOCK, random: SYSTEM_RANDOM },
      signal: new AbortController().signal,
    }),
    { probe: false },
  );
  return { said: findings.filter(({ subject }) => subject === "redis").map(({ text }) => text).join("\n"), exitCode };
}

/** The same as a user runs it: a TLS peer that refuses us makes the runtime throw where a test cannot catch it. */
async function runCheck(env: Record<string, string>): Promise<{ said: string; exitCode: number }> {
  await using service = startService({ args: ["check"], env: { REDIS_HOST: "127.0.0.1", ...env } });
  const { code } = await service.exit;
  return { said: [...service.stdout, ...service.stderr].join("\n"), exitCode: code };
}

interface TlsFault {
  readonly name: string;
  readonly certificate: Certificate;
  readonly options?: Partial<TlsOptions>;
  readonly env?: Readonly<Record<string, string>>;
  readonly said: RegExp;
}

function client(certificate: Certificate): Record<string, string> {
  const { cert, key } = certificateFiles(certificate);
  return { REDIS_CLIENT_CERT_PATH: cert, REDIS_CLIENT_KEY_PATH: key };
}

const TLS_FAULTS: readonly TlsFault[] = [
  {
    name: "the server's certificate has expired",
    certificate: "expired",
    said: /\(TLS: .*expired on 2021-01-01: renew it/,
  },
  {
    name: "the server's certificate has another name",
    certificate: "elsewhere",
    said: /\(TLS: .*is for DNS:elsewhere\.example, not for 127\.0\.0\.1: set REDIS_TLS_SERVER_NAME/,
  },
  {
    name: "another authority signed it",
    certificate: "localhost",
    env: { REDIS_CA_CERT_PATH: OTHER_AUTHORITY },
    said: /\(TLS: .*signed by .*, which is not in the file of REDIS_CA_CERT_PATH/,
  },
  {
    name: "the system does not know the authority",
    certificate: "localhost",
    env: { REDIS_CA_CERT_PATH: "" },
    said: /\(TLS: .*signed by .*, which this system does not know: set REDIS_CA_CERT_PATH/,
  },
  {
    name: "the server asks for a client certificate",
    certificate: "localhost",
    options: { demandsCertificate: true },
    said: /\(TLS: .*asks for a client certificate: set REDIS_CLIENT_CERT_PATH/,
  },
  {
    name: "the client certificate has expired",
    certificate: "localhost",
    options: { demandsCertificate: true },
    env: client("expired"),
    said: /\(TLS: the client certificate in REDIS_CLIENT_CERT_PATH expired on 2021-01-01/,
  },
  {
    name: "the server does not know who signed the client certificate",
    certificate: "localhost",
    options: { demandsCertificate: true },
    env: client("elsewhere"),
    said: /\(TLS: the server rejects the client certificate in REDIS_CLIENT_CERT_PATH/,
  },
];

for (const { name, certificate, options, env, said } of TLS_FAULTS) {
  Deno.test(`check: says so when ${name}`, async () => {
    const port = freePort();
    const redis = await startRedis({ config: tlsConfig({ port, certificate, ...options }) });
    try {
      const { authority } = certificateFiles(certificate);
      const told = await runCheck({
        ...{ REDIS_PORT: String(port), REDIS_TLS_ENABLED: "true", REDIS_CA_CERT_PATH: authority },
        ...env,
      });
      assert.match(told.said, said);
      assert.equal(told.exitCode, 1);
    } finally {
      await redis.stop();
    }
  });
}

withRedis("check: says so when a plain port is asked for TLS", async (redis) => {
  const { said } = await check({ redisPort: redis.port, redisTls: true });
  assert.match(said, /\(TLS: that port does not talk TLS: set REDIS_TLS_ENABLED=false/);
});

Deno.test("check: says so when a TLS port is asked without", async () => {
  const port = freePort();
  const redis = await startRedis({ config: tlsConfig({ port, certificate: "localhost" }) });
  try {
    assert.match((await check({ redisPort: port })).said, /\(TLS: that port talks TLS: set REDIS_TLS_ENABLED=true/);
  } finally {
    await redis.stop();
  }
});

Deno.test("check: refuses a client key that is encrypted, or another certificate's, before it connects", async () => {
  const { cert, authority } = certificateFiles("localhost");
  const env = {
    ...{ REDIS_PORT: "1", REDIS_TLS_ENABLED: "true", REDIS_CA_CERT_PATH: authority },
    REDIS_CLIENT_CERT_PATH: cert,
  };
  for (
    const [key, said] of [
      [ENCRYPTED_KEY, /REDIS_CLIENT_KEY_PATH .* its key is encrypted .*openssl pkey/],
      [certificateFiles("node_1").key, /REDIS_CLIENT_KEY_PATH .* does not belong to the client certificate/],
      [cert, /REDIS_CLIENT_KEY_PATH .* has no complete key/],
    ] as const
  ) {
    const told = await runCheck({ ...env, REDIS_CLIENT_KEY_PATH: key });
    assert.equal(told.exitCode, 78);
    assert.match(told.said, said);
  }
});

withRedis("check: names the variable when a password is missing, and when it is wrong", {
  config: ["requirepass there-is-one"],
}, async (redis) => {
  assert.match(
    (await check({ redisPort: redis.port })).said,
    /\(NOAUTH .*set REDIS_PASS_CURRENT and MOOG_API_KEY \(MUTT keeps them only in Vault\)/,
  );
});

/** A server that says one thing to whoever connects, and hangs up. */
async function withGreeter(greeting: string, body: (port: number) => Promise<void>): Promise<void> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const greeting_ = new TextEncoder().encode(greeting);
  const serving = (async () => {
    for await (const connection of listener) {
      await connection.write(greeting_).catch(() => {});
      connection.close();
    }
  })();
  try {
    await body(listener.addr.port);
  } finally {
    listener.close();
    await serving;
  }
}

Deno.test("check: says so when protected mode denies the connection", async () => {
  const greeting =
    "-DENIED Redis is running in protected mode because protected mode is enabled and no password is set.\r\n";
  await withGreeter(greeting, async (port) => {
    assert.match(
      (await check({ redisPort: port })).said,
      /\(DENIED Redis is running in protected mode.*set a password/,
    );
  });
});

withRedis("check: says so when Redis has as many clients as it may", { config: ["maxclients 1"] }, async (redis) => {
  const holder = redis.client();
  await holder.ping();
  await waitUntil(async () => {
    const { said } = await check({ redisPort: redis.port });
    return /\(MAXCLIENTS: .*max number of clients reached.*raise maxclients/.test(said);
  }, { what: "it says so", timeoutMs: 30_000 });
});
