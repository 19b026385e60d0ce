/**
 * The attack: every command with secrets wherever one can be, most of them where they go wrong. All that comes out passes through
 * the net (testkit/secrets_net.ts), so what is asserted here is that each case happened at all.
 */
import { oversizeKey } from "../../src/redis/keys.ts";
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { type HttpStub, startHttpStub } from "../../testkit/http_stub.ts";
import { type OtlpReceiver, startOtlpReceiver } from "../../testkit/otlp_receiver.ts";
import { PLANTED, withCredentials } from "../../testkit/planted_secrets.ts";
import { startRedis, type TestRedis, withRedis } from "../../testkit/redis.ts";
import { aclAll } from "../../testkit/redis_version.ts";
import { watchOutput } from "../../testkit/secrets_net.ts";
import { type Service, startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";

const DLQ = "mutt:dlq:alerter", TARGET = "mutt:ingest_queue", DEAD = "mutt:dlq:dead";
const API_KEY = JSON.stringify(PLANTED.messageApiKey);

/**
 * What libraries and the runtime know to make a program talkative. Left out is NODE_DEBUG=stream: with it the runtime itself prints the
 * first bytes of whatever is received, before any of our code (docs/security.md).
 */
const TALKATIVE = {
  ...{ LOG_LEVEL: "DEBUG", DEBUG: "*", NODE_DEBUG: "http,https,net,tls,timer,dns,undici,fetch" },
  ...{ NODE_OPTIONS: "--trace-warnings --trace-uncaught", RUST_BACKTRACE: "1" },
};

/** Members in every order: the secret first as in an alert, nested, as a name, twice. */
const READABLE = [
  `{"api_key": ${API_KEY}, "hostname": "h", "timestamp": "2026-11-20T10:00:00Z", "message": ${API_KEY}}`,
  `{"api_key": ${API_KEY}, "timestamp": "2026-11-20T10:00:00Z", "message": "without a host", "api_key": ${API_KEY}}`,
  `{"hostname": {"api_key": ${API_KEY}}, "source": [${API_KEY}], "severity": {${API_KEY}: 1}, "timestamp": [${API_KEY}], "_correlation_id": {"k": ${API_KEY}}, "message": "m"}`,
  `{${API_KEY}: ${API_KEY}, "hostname": "h", "timestamp": "t", "message": "m", "_moog_retry_count": 9}`,
  `{"hostname": "h", "timestamp": "t", "message": "m", "_remediation": {"failures": 99, "source": ${API_KEY}, "reason": ${API_KEY}}}`,
  `{"api_key": ${API_KEY}, "shedding_reason": ${API_KEY}, "failed_at": ${API_KEY}, "hostname": "h", "timestamp": "t", "message": "m"}`,
];

/** What no consumer can read, broken right at the secret. */
const UNREADABLE = [
  `{"api_key": ${API_KEY}`,
  `{"api_key": ${API_KEY.slice(0, -1)}`,
  `{"api_key": ${PLANTED.messageApiKey}}`,
  `{"api_key": "\u0007${PLANTED.messageApiKey}"}`,
  API_KEY,
  `[${API_KEY}]`,
  PLANTED.messageApiKey,
  Buffer.concat([Buffer.from(`{"api_key": ${API_KEY}, "x": "`), Buffer.from([0xff, 0xfe]), Buffer.from(`"}`)]),
];

const OVERSIZE = `{"api_key": ${API_KEY}, "hostname": "h", "timestamp": "t", "message": "${"x".repeat(5_000)}"}`;

/** A Moogsoft, or consumer, that gives back whatever it was sent, wherever it can. */
async function startEcho(): Promise<HttpStub> {
  const stub = await startHttpStub();
  const secrets = [PLANTED.moogApiKey, PLANTED.webhookPassword, PLANTED.webhookToken].map(encodeURIComponent).join("/");
  const headers = {
    location: `http://127.0.0.1:9/${secrets}`,
    "www-authenticate": `Bearer realm="${secrets}"`,
    "set-cookie": secrets,
  };
  const body = JSON.stringify({ error: "bad key", authorization: `Bearer ${PLANTED.moogApiKey}`, secrets });
  const answers = [401, 302, 500, 400, 407, 200].map((status) => ({ status, headers, body }));
  stub.answer({ fault: "garbage" }, { fault: "hang_in_headers", status: 200 }, ...answers, { status: 200 });
  return stub;
}

/** Settings with a secret wherever one can be, for a Redis with a password. */
function secretEnvironment(redis: { port: number }, stub: { url: string }): Record<string, string> {
  const webhook = withCredentials(`${stub.url}/hook?token=${encodeURIComponent(PLANTED.webhookToken)}`, {
    password: PLANTED.webhookPassword,
  });
  return {
    ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port) },
    ...{ REDIS_PASS_CURRENT: PLANTED.redisPassword, REDIS_PASS_NEXT: PLANTED.redisPasswordNext },
    ...{
      REDIS_SENTINEL_PASSWORD: PLANTED.sentinelPassword,
      MOOG_API_KEY: PLANTED.moogApiKey,
      MOOG_WEBHOOK_URL: webhook,
    },
    ...{
      ALERTER_HEALTH_URL: withCredentials(`${stub.url}/health?key=${PLANTED.misplaced}`, {
        password: PLANTED.healthPassword,
      }),
    },
    ...{ MOOG_HEALTH_TIMEOUT: "1", MOOG_HEALTH_CACHE_SECONDS: "1", REMEDIATION_INTERVAL: "1" },
    ...{ REMEDIATION_MAX_MESSAGE_BYTES: "4096", DYNAMIC_CONFIG_ENABLED: "true" },
  };
}

/** Spans to a collector that wants a password and a key; all that it is sent passes the net. */
function tracedTo({ url }: OtlpReceiver): Record<string, string> {
  return {
    OTEL_ENABLED: "true",
    OTEL_EXPORTER_OTLP_ENDPOINT: withCredentials(url, { password: PLANTED.otlpPassword }),
    OTEL_EXPORTER_OTLP_HEADERS: `x-key=${encodeURIComponent(PLANTED.otlpKey)}`,
    OTEL_BSP_SCHEDULE_DELAY: "100",
  };
}

/** Asks for every page of both ports, known and unknown, in every way; the net looks at the answers. */
async function askEverything(service: Service): Promise<void> {
  const ports = Object.values(await service.ports());
  const secret = encodeURIComponent(PLANTED.misplaced);
  const paths = [
    "/",
    "/health",
    "/livez",
    "/readyz",
    "/api/v1/slo",
    "/metrics",
    `/${secret}`,
    `/health?key=${secret}`,
    `/..%2f${secret}`,
  ];
  for (const port of ports) {
    for (const path of paths) {
      for (const accept of ["text/plain", "application/json"]) {
        const headers = { accept, authorization: `Bearer ${PLANTED.moogApiKey}`, cookie: `k=${secret}` };
        await (await fetch(`http://127.0.0.1:${port}${path}`, { headers })).body?.cancel();
      }
      for (const method of ["POST", "DELETE", "OPTIONS"]) {
        const body = method === "POST" ? PLANTED.moogApiKey : null;
        await (await fetch(`http://127.0.0.1:${port}${path}`, { method, body })).body?.cancel();
      }
    }
  }
}

async function withSecretRedis(body: (redis: TestRedis) => Promise<void>, password = PLANTED.redisPassword) {
  const redis = await startRedis({ config: [`requirepass ${password}`] });
  try {
    await body(redis);
  } finally {
    await redis.stop();
  }
}

/** Runs commands to their ends, two at a time; after a failure no more of them. */
async function runAll<T>(cases: readonly T[], run: (one: T) => Promise<void>): Promise<void> {
  const left = [...cases];
  const worker = async () => {
    for (let one = left.shift(); one !== undefined; one = left.shift()) await run(one);
  };
  const ends = await Promise.allSettled([0, 1].map(() => worker().finally(() => left.splice(0))));
  for (const end of ends) if (end.status === "rejected") throw end.reason;
}

Deno.test("secrets: the service shows none while all goes wrong that can, in either format of its log", async () => {
  await runAll(["true", "false"], async (format) => {
    const stub = await startEcho();
    await using otlp = await startOtlpReceiver();
    otlp.answer(401);
    const folder = await Deno.makeTempDir();
    const path = `${folder}/sources.json`;
    const orders = { dlq: "orders:dlq", target: "orders", dead: "orders:dead" };
    const healthUrl = withCredentials(`${stub.url}/orders`, { password: PLANTED.healthPassword });
    await Deno.writeTextFile(path, JSON.stringify({ sources: { orders: { ...orders, healthUrl } } }));
    try {
      await withSecretRedis(async (redis) => {
        const client = redis.client({ password: PLANTED.redisPassword });
        await client.lpush(DLQ, ...[...READABLE, ...UNREADABLE, OVERSIZE].map((one) => Buffer.from(one as Uint8Array)));
        for (const key of ["remediation_interval", "max_poison_retries", "moog_rate_limit"]) {
          await client.set(`mutt:config:${key}`, PLANTED.misplaced);
        }
        await using service = startService({
          env: {
            ...{ ...secretEnvironment(redis, stub), ...TALKATIVE, LOG_JSON_ENABLED: format },
            ...{ REMEDIATION_SOURCES_PATH: path, REMEDIATION_CONSUMER_GATE: "auto" },
            ...tracedTo(otlp),
          },
        });
        const shows = (text: string, timeoutMs = 30_000) =>
          service.waitForLine((line) => line.includes(text), { timeoutMs });
        await shows(format === "true" ? '"listening"' : "listens on");
        if (format === "true") await askEverything(service);
        await shows("is not a whole number"); // the dynamic keys
        await shows("does not take the spans");
        otlp.answer(200);
        // The health URL and the probe go wrong in every way first; when they no longer do, all is drained.
        await waitUntil(async () => await client.llen(DLQ) === 0, { what: "all is drained", timeoutMs: 90_000 });
        const depths = await Promise.all([TARGET, DEAD, oversizeKey(DLQ)].map((key) => client.llen(key)));
        assert.equal(depths.reduce((a, b) => a + b), READABLE.length + UNREADABLE.length + 1);
        await shows("unreadable");
        await shows("oversize");
        for (
          const bad of [
            healthUrl.replace("http", "ftp"),
            healthUrl.replace("@127", `@${PLANTED.misplaced}@ 127`),
            PLANTED.misplaced,
          ]
        ) {
          const before = service.stderr.filter((line) => line.includes("sources file rejected")).length;
          await Deno.writeTextFile(path, JSON.stringify({ sources: { orders: { ...orders, healthUrl: bad } } }));
          service.signal("SIGHUP");
          await waitUntil(
            () => service.stderr.filter((line) => line.includes("sources file rejected")).length > before,
            {
              ...{ what: "the file is refused", timeoutMs: 15_000 },
            },
          );
        }
        if (format === "true") await askEverything(service);
        for (const line of String(await client.client("LIST")).split("\n")) watchOutput("CLIENT LIST", line);
        for (const key of await client.keys("*")) watchOutput("a key's name", key);
        // The password changes under it, to one that it does not know.
        await client.config("SET", "requirepass", PLANTED.misplaced);
        await client.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
        await shows("WRONGPASS");
        if (format === "true") await askEverything(service);
        service.signal("SIGTERM");
        assert.equal((await service.exit).code, 0);
      });
      const { authorization, "x-key": key } = otlp.requests[0]!.headers;
      assert.equal(authorization, `Basic ${Buffer.from(`svc:${PLANTED.otlpPassword}`).toString("base64")}`);
      assert.equal(key, PLANTED.otlpKey);
      for (const name of ["POST", `cycle ${DLQ}`, `commit ${TARGET}`]) {
        assert.ok(otlp.spans.some((span) => span.name === name), `no span ${name}`);
      }
      assert.ok(stub.requests.some(({ headers }) => headers.authorization === `Bearer ${PLANTED.moogApiKey}`));
      const basic = `Basic ${Buffer.from(`svc:${PLANTED.healthPassword}`).toString("base64")}`;
      assert.ok(stub.requests.some(({ headers }) => headers.authorization === basic));
    } finally {
      await stub.stop();
      await Deno.remove(folder, { recursive: true });
    }
  });
});

Deno.test("secrets: no command shows one of a configuration that is full of them", async () => {
  const stub = await startEcho();
  try {
    await withSecretRedis(async (redis) => {
      const client = redis.client({ password: PLANTED.redisPassword });
      await client.lpush(DLQ, ...[...READABLE, ...UNREADABLE].map((one) => Buffer.from(one as Uint8Array)));
      await using otlp = await startOtlpReceiver();
      const env = {
        ...{ ...secretEnvironment(redis, stub), ...TALKATIVE, MOOG_HEALTH_CACHE_SECONDS: "60" },
        ...tracedTo(otlp),
      };
      const commands = [
        ...["config", "config --json", "check", "check --json", "check --probe", "check --probe --json"],
        ...["once --dry-run", "once --dry-run --json", "once", "once --json", "once --force", "once --source nothing"],
        ...["discover", "discover --json", `watch --dlq ${DLQ} --target mutt:ingest_queue --dry-run`],
        ...[
          "health",
          "health --json",
          "slo",
          "slo --json",
          "version",
          "version --json",
          "--version",
          "--help",
          "help once",
          "run --help",
        ],
      ];
      await runAll(commands, async (command) => {
        await using service = startService({ args: command.split(" "), env });
        const { code } = await service.exit;
        assert.ok([0, 1, 2, 3, 69, 78].includes(code), `${command}: ${code}`);
        assert.ok(service.stdout.length + service.stderr.length > 0, command);
      });
    });
  } finally {
    await stub.stop();
  }
});

/** Arguments by which a secret could come in, and what the answer must name. */
const ARGUMENTS: readonly (readonly [args: readonly string[], tells: RegExp])[] = [
  [[PLANTED.redisPassword], /unknown command/],
  [[withCredentials("redis://db:6379", { password: PLANTED.redisPassword })], /unknown command/],
  [["run", PLANTED.redisPassword], /unknown command/],
  [
    ["run", `--redis-url=${withCredentials("redis://db", { password: PLANTED.redisPassword })}`],
    /unknown option '--redis-url/,
  ],
  [["once", `--password=${PLANTED.redisPassword}`], /unknown option '--password/],
  [["once", `-p${PLANTED.misplaced}`], /unknown option/],
  [["once", `--${PLANTED.misplaced}`], /unknown option/],
  [["once", "--source", PLANTED.moogApiKey], /Unknown source/],
  [["once", `--json=${PLANTED.moogApiKey}`], /--json/],
  [["config", PLANTED.moogApiKey], /no setting begins with/],
  [["health", PLANTED.moogApiKey], /too many arguments|unknown/],
  [["version", "--json", PLANTED.moogApiKey], /too many arguments|unknown/],
  [["help", PLANTED.misplaced], /./],
];

withRedis("secrets: no argument that is one is repeated", async (redis) => {
  const env = { REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port) };
  await runAll(ARGUMENTS, async ([args, tells]) => {
    await using service = startService({ args, env });
    await service.exit;
    assert.match([...service.stdout, ...service.stderr].join("\n"), tells);
  });
});

const PRIVATE_KEY = Deno.readTextFileSync(new URL("../../testkit/tls/server.key", import.meta.url));
const REDIS_URL = withCredentials("redis://db:6379/0", { password: PLANTED.redisPassword });
const WEBHOOK = withCredentials("https://moog.example/hook", { password: PLANTED.webhookPassword });

const CERTIFICATE = { REDIS_CLIENT_CERT_PATH: "/dev/null" };

/** Values that are wrong because a secret is where it does not belong, or is written as it must not be. */
const BAD_VALUES: readonly (readonly [variable: string, value: string])[] = [
  ["REDIS_URL", REDIS_URL.replace("redis:", "http:")],
  ["REDIS_URL", REDIS_URL.replace("6379", "port")],
  ["REDIS_URL", `redis://svc:${PLANTED.redisPassword}@db`],
  ["REDIS_URL", `${REDIS_URL}?password=${PLANTED.misplaced}`],
  ["REDIS_URL", `redis://svc:%zz${PLANTED.redisPassword}@db`],
  ["REDIS_URL", `redis+sentinel://svc:${PLANTED.redisPassword}@a,b`],
  ["REDIS_HOST", REDIS_URL],
  ["REDIS_HOST", `svc:${PLANTED.redisPassword}@db`],
  ["REDIS_HOST", PLANTED.redisPassword],
  ["REDIS_PORT", PLANTED.misplaced],
  ["REDIS_PORT", REDIS_URL],
  ["REDIS_DB", PLANTED.misplaced],
  ["REDIS_SENTINELS", withCredentials("redis://a:26379", { password: PLANTED.sentinelPassword })],
  ["REDIS_SENTINELS", `a:26379,svc:${PLANTED.sentinelPassword}@b:26379`],
  ["REDIS_SENTINELS", `a:${PLANTED.misplaced}`],
  ["REDIS_PASS_CURRENT", `${PLANTED.redisPassword}\nsecond line`],
  ["REDIS_PASS_CURRENT_FILE", PLANTED.redisPassword],
  ["REDIS_PASS_CURRENT_FILE", PLANTED.misplaced],
  ["REDIS_URL_FILE", REDIS_URL],
  ["MOOG_API_KEY_FILE", `Bearer ${PLANTED.moogApiKey}`],
  ["MOOG_API_KEY", `${PLANTED.moogApiKey}\u0000`],
  ["MOOG_WEBHOOK_URL", WEBHOOK.replace("https", "ftp")],
  ["MOOG_WEBHOOK_URL", `https://svc:${PLANTED.webhookPassword}@moog.example/hook`],
  // Cut where the password has a "#", a "/" or an "@", by a shell, systemd or dotenv.
  ["MOOG_WEBHOOK_URL", `https://svc:${PLANTED.misplaced}`],
  ["MOOG_WEBHOOK_URL", `https://svc:${PLANTED.misplaced}/rest`],
  ["MOOG_WEBHOOK_URL", `https://svc:${PLANTED.misplaced}\\@moog.example`],
  ["MOOG_WEBHOOK_URL", `https://svc:${PLANTED.misplaced} # rest@moog.example/`],
  ["MOOG_WEBHOOK_URL", `svc:${PLANTED.misplaced}`],
  ["MOOG_WEBHOOK_URL", PLANTED.misplaced],
  ["MOOG_WEBHOOK_URL", `https:/moog.example/?token=${PLANTED.webhookToken}`],
  ["ALERTER_HEALTH_URL", `Authorization: Basic ${Buffer.from(`svc:${PLANTED.healthPassword}`).toString("base64")}`],
  ["ALERTER_HEALTH_URL", `alerter:8082/health?key=${PLANTED.misplaced}`],
  ["OTEL_EXPORTER_OTLP_ENDPOINT", `grpc://svc:${PLANTED.otlpPassword}@otel:4317`],
  ["OTEL_EXPORTER_OTLP_ENDPOINT", withCredentials("https://otel:4317", { password: PLANTED.otlpPassword })],
  ["OTEL_EXPORTER_OTLP_ENDPOINT", `https://svc:${PLANTED.misplaced}`],
  ["OTEL_EXPORTER_OTLP_ENDPOINT", PLANTED.misplaced],
  ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", `https:/otel/?key=${PLANTED.otlpKey}`],
  ["OTEL_EXPORTER_OTLP_HEADERS", PLANTED.misplaced],
  ["OTEL_EXPORTER_OTLP_HEADERS", `authorization: Bearer ${PLANTED.otlpKey}`],
  ["OTEL_EXPORTER_OTLP_HEADERS_FILE", `authorization=${PLANTED.misplaced}`],
  ["OTEL_EXPORTER_OTLP_PROTOCOL", PLANTED.misplaced],
  ["OTEL_RESOURCE_ATTRIBUTES", PLANTED.misplaced],
  ["OTEL_TRACES_SAMPLER_ARG", PLANTED.misplaced],
  ["LOG_LEVEL", PLANTED.misplaced],
  ["REMEDIATION_INTERVAL", PLANTED.misplaced],
  ["REMEDIATION_ENABLED", PLANTED.moogApiKey],
  ["REMEDIATION_SOURCES", PLANTED.misplaced],
  ["REMEDIATION_MAX_PER_SECOND", PLANTED.misplaced],
  ["MOOG_HEALTH_SUCCESS_CODES", `200,${PLANTED.misplaced}`],
  ["DEAD_LETTER_QUEUE", `two words ${PLANTED.misplaced}`],
  ["REDIS_CLIENT_KEY_PATH", PRIVATE_KEY],
  ["REDIS_CLIENT_KEY_PATH", PRIVATE_KEY.replaceAll("\n", "\\n")],
  ["REDIS_CA_CERT_PATH", PRIVATE_KEY.replaceAll("\n", " ")],
  ["REDIS_CA_CERT_PATH", withCredentials("https://vault.example/ca", { password: PLANTED.misplaced })],
  ["REMEDIATION_SOURCES_PATH", withCredentials("https://git.example/sources.json", { password: PLANTED.misplaced })],
  ["REMEDIATION_SOURCES_PATH", `{"sources": {"orders": {"healthUrl": "https://svc:${PLANTED.misplaced}@orders"}}}`],
];

Deno.test("secrets: no bad value shows one, in the environment or in .env", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const tls = { REDIS_TLS_ENABLED: "true" };
    await runAll([...BAD_VALUES.entries()], async ([at, [variable, value]]) => {
      const cwd = `${folder}/${at}`;
      await Deno.mkdir(cwd);
      // As one would write it there: in quotes where it has more than one line, else as it is.
      if (!value.includes("\u0000")) {
        await Deno.writeTextFile(`${cwd}/.env`, `${variable}=${value.includes("\n") ? `"${value}"` : value}\n`);
      }
      const more: Record<string, string> = variable.endsWith("KEY_PATH")
        ? { ...tls, ...CERTIFICATE }
        : variable.endsWith("CERT_PATH")
        ? tls
        : variable.startsWith("OTEL_")
        ? { OTEL_ENABLED: "true" }
        : {};
      const envs = value.includes("\u0000") ? [] : [{ ...more, [variable]: value }, more];
      for (const env of envs) {
        await using service = startService({ args: ["config"], env, cwd });
        await service.exit;
        const text = service.stderr.join("\n");
        if (env !== more) assert.match(text, new RegExp(`${variable}\\b`), `case ${at} says nothing`);
      }
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** Files `.env` with something wrong right at a secret. */
const BAD_DOT_ENV: readonly string[] = [
  `REDIS_PASS_CURRENT ${PLANTED.redisPassword}`,
  `REDIS_PASS_CURRENT: ${PLANTED.redisPassword}`,
  `REDIS_PASS_CURRENT="${PLANTED.redisPassword}`,
  `REDIS_PASS_CURRENT='${PLANTED.redisPassword}\nMOOG_API_KEY=${PLANTED.moogApiKey}'`,
  `${PLANTED.redisPassword}`,
  `${PLANTED.redisPassword}=REDIS_PASS_CURRENT`,
  `export REDIS_PASS_CURRENT = ${PLANTED.redisPassword} # comment`,
  `MOOG_WEBHOOK_URL=https://svc:${PLANTED.misplaced}#rest@moog.example/`,
  `REDIS_CLIENT_KEY=${PRIVATE_KEY}`,
  `\u0000\ufffdREDIS_PASS_CURRENT=${PLANTED.redisPassword}\u0007`,
];

/** Sources files with something wrong right at a secret. */
const HEALTH_URL = withCredentials("https://orders/health", { password: PLANTED.healthPassword });
const SOURCE = { dlq: "orders:dlq", target: "orders", dead: "orders:dead" };
const BAD_SOURCES: readonly string[] = [
  `{"sources": {"orders": {"healthUrl": "${HEALTH_URL}`,
  `{"sources": {"orders": {"healthUrl": "${HEALTH_URL}" "dlq": 1}}}`,
  `{"sources": {"orders": {"healthUrl": ${HEALTH_URL}}}}`,
  `{"sources": {"orders": {"healthUrl": "${PLANTED.misplaced}\u0001"}}}`,
  `{"sources": "${PLANTED.misplaced}"}`,
  `"${PLANTED.misplaced}"`,
  PLANTED.misplaced,
  JSON.stringify({ [PLANTED.misplaced]: 1, $schema: 1 }),
  JSON.stringify({ sources: { [PLANTED.misplaced]: SOURCE } }),
  JSON.stringify({ sources: { orders: PLANTED.misplaced } }),
  JSON.stringify({ sources: { orders: { ...SOURCE, [PLANTED.misplaced]: 1 } } }),
  `{"sources": {"orders": {"${PLANTED.misplaced}": 1, "${PLANTED.misplaced}": 2}}}`,
  JSON.stringify({
    sources: {
      orders: {
        ...{ dlq: `${PLANTED.misplaced} x`, target: HEALTH_URL + " ", dead: [PLANTED.misplaced], counter: "" },
        ...{ required: [PLANTED.misplaced + "\n"], maxReplays: PLANTED.misplaced, maxPerSecond: PLANTED.misplaced },
        ...{ targetMaxDepth: { [PLANTED.misplaced]: 1 }, healthUrl: `https://svc:${PLANTED.misplaced}` },
      },
    },
  }),
];

Deno.test("secrets: no .env and no sources file that is broken at one shows it", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const cases = [
      ...BAD_DOT_ENV.map((text) => ({ file: ".env", text })),
      ...BAD_SOURCES.map((text) => ({ file: "sources.json", text })),
    ];
    await runAll([...cases.entries()], async ([at, { file, text }]) => {
      const cwd = `${folder}/${at}`;
      await Deno.mkdir(cwd);
      await Deno.writeTextFile(`${cwd}/${file}`, text);
      const isSources = file === "sources.json";
      const env: Record<string, string> = isSources ? { REMEDIATION_SOURCES_PATH: `${cwd}/${file}` } : {};
      await using service = startService({ args: ["config"], env, cwd });
      const { code } = await service.exit;
      if (isSources) assert.equal(code, 78, text);
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** A server that speaks Redis' protocol and answers each command with an error that quotes all of it, as Redis does where it does not know one. */
function startQuotingRedis(): Disposable & { port: number } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serve = async (connection: Deno.Conn) => {
    const buffer = new Uint8Array(65_536);
    try {
      for (let count = await connection.read(buffer); count !== null; count = await connection.read(buffer)) {
        const words = new TextDecoder().decode(buffer.subarray(0, count)).split("\r\n").filter((word) =>
          !/^[*$]\d+$/.test(word)
        );
        const commands = new TextDecoder().decode(buffer.subarray(0, count)).split(/^\*\d+\r\n/m).length - 1;
        const reply = `-ERR unknown command '${words[0]}', with args beginning with: ${
          words.map((word) => `'${word}'`).join(" ")
        }\r\n`;
        await connection.write(new TextEncoder().encode(reply.repeat(commands)));
      }
    } catch {
      // The client has gone.
    } finally {
      connection.close();
    }
  };
  (async () => {
    for await (const connection of listener) void serve(connection);
  })().catch(() => {});
  return { port: listener.addr.port, [Symbol.dispose]: () => listener.close() };
}

/** Commands that meet whatever is wrong with Redis. */
const ASKING = [["run"], ["once"], ["check", "--json"], ["discover"]] as const;

/** Runs each against a Redis that refuses; `run` until it has told why. */
async function meet(
  env: Record<string, string>,
  tells: RegExp,
  commands: readonly (readonly string[])[] = ASKING,
): Promise<void> {
  await runAll(commands, async (args) => {
    await using service = startService({ args, env: { ...TALKATIVE, ...env } });
    if (args[0] === "run") {
      await service.waitForLine(tells, { timeoutMs: 20_000 });
      await askEverything(service);
      service.signal("SIGTERM");
      await service.exit;
    } else {
      assert.notEqual((await service.exit).code, 0);
      assert.match([...service.stdout, ...service.stderr].join("\n"), tells);
    }
  });
}

const LOGIN = {
  REDIS_HOST: "127.0.0.1",
  REDIS_PASS_CURRENT: PLANTED.redisPassword,
  REDIS_PASS_NEXT: PLANTED.redisPasswordNext,
};

Deno.test("secrets: none is shown when Redis refuses both passwords", async () => {
  await withSecretRedis((redis) => meet({ ...LOGIN, REDIS_PORT: String(redis.port) }, /WRONGPASS/), PLANTED.misplaced);
});

Deno.test("secrets: none is shown when Redis does not know AUTH, and quotes the password", async () => {
  const redis = await startRedis({ config: ['rename-command AUTH ""', 'rename-command HELLO ""'] });
  try {
    await meet({ ...LOGIN, REDIS_PORT: String(redis.port) }, /OTHER/);
    const url = withCredentials(redis.url, { password: PLANTED.redisPassword });
    await meet({ REDIS_URL: url }, /OTHER/, [["run"]]);
  } finally {
    await redis.stop();
  }
});

Deno.test("secrets: none is shown when whatever answers quotes each command", async () => {
  using server = startQuotingRedis();
  await meet({ ...LOGIN, REDIS_PORT: String(server.port) }, /OTHER/);
});

Deno.test("secrets: none is shown when an ACL forbids what is asked", async () => {
  const user = `user svc on >${PLANTED.redisPassword} ${aclAll().join(" ")}`;
  for (
    const [rule, tells] of [["-lpush", /NOPERM/], ["-eval -evalsha -script", /NOPERM/], ["-select", /NOPERM/]] as const
  ) {
    const redis = await startRedis({ config: [`${user} ${rule}`] });
    try {
      await redis.seedList(DLQ, [...READABLE, ...UNREADABLE]);
      const env = { ...LOGIN, REDIS_PORT: String(redis.port), REDIS_USERNAME: "svc", REDIS_DB: "1" };
      const db = rule === "-select" ? {} : { REDIS_DB: "0" };
      await meet({ ...env, ...db, REMEDIATION_INTERVAL: "1", REMEDIATION_LEADER_ELECTION: "false" }, tells, [
        ["run"],
        ["once"],
      ]);
    } finally {
      await redis.stop();
    }
  }
});

Deno.test("secrets: none is shown of a key or a certificate that is none, nor of a server that has no TLS", async () => {
  const folder = await Deno.makeTempDir();
  const path = (name: string) => new URL(`../../testkit/tls/${name}`, import.meta.url).pathname;
  try {
    await Deno.writeTextFile(`${folder}/half.key`, PRIVATE_KEY.slice(0, 100));
    await Deno.writeTextFile(`${folder}/no.crt`, PLANTED.misplaced);
    await withSecretRedis(async (redis) => {
      const tls = { ...LOGIN, REDIS_PORT: String(redis.port), REDIS_TLS_ENABLED: "true" };
      const login = { REDIS_CLIENT_CERT_PATH: path("server.crt"), REDIS_CLIENT_KEY_PATH: `${folder}/half.key` };
      const cases = [
        { ...tls, REDIS_CA_CERT_PATH: path("ca.crt") },
        { ...tls, ...login },
        { ...tls, ...login, REDIS_CLIENT_KEY_PATH: path("ca.crt") },
        { ...tls, REDIS_CA_CERT_PATH: path("server.key") },
        { ...tls, REDIS_CA_CERT_PATH: `${folder}/no.crt` },
      ];
      await runAll(cases, async (env) => {
        await using service = startService({ args: ["once"], env: { ...TALKATIVE, ...env } });
        assert.notEqual((await service.exit).code, 0);
        assert.match(service.stderr.join("\n"), /Redis did not answer|REDIS_\w+_PATH ".*" cannot be used/);
      });
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
