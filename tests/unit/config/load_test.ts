import assert from "node:assert/strict";
import { DEFAULT_SETTINGS, FIELDS, SETTING_KEYS, type SettingKey, type Settings } from "../../../src/config/fields.ts";
import type { Variables } from "../../../src/config/layers.ts";
import { type Loaded, parseSettings, showValue } from "../../../src/config/load.ts";
import { LIST_SETTINGS } from "../../../src/config/rules.ts";
import { NO_NOTIFY_FILE } from "../../../src/config/notify.ts";
import { parseNotify } from "../../../src/config/notify_file.ts";
import { parseSources } from "../../../src/config/sources_file.ts";
import { Secret } from "../../../src/runtime/secret.ts";
import { assertNoSecrets, PLANTED } from "../../../testkit/planted_secrets.ts";
import { MUTT_ENVIRONMENT } from "./mutt_environment.ts";

const FILES: Readonly<Record<string, string>> = {
  "/run/secrets/redis": "from file\n",
  "/run/secrets/windows": "from file\r\n",
  "/run/secrets/two": "from file\n\n",
  "/run/secrets/empty": "\n",
};

function parse(environment: Variables, dotEnv: Variables = {}): Loaded {
  return parseSettings({
    environment,
    dotEnv,
    readFile(path) {
      if (!Object.hasOwn(FILES, path)) throw new Deno.errors.NotFound(`no such file: ${path}`);
      return FILES[path]!;
    },
  });
}

function parseGood(environment: Variables, dotEnv: Variables = {}): Loaded & { ok: true } {
  const loaded = parse(environment, dotEnv);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return loaded;
}

function problemsOf(environment: Variables, dotEnv: Variables = {}): readonly string[] {
  const loaded = parse(environment, dotEnv);
  return loaded.ok ? [] : loaded.problems;
}

function plain(value: Settings[SettingKey]): unknown {
  return value instanceof Secret ? value.reveal() : value;
}

// Test 1 of the original's (contract §10).
Deno.test("parseSettings: reads the original's variables from the environment", () => {
  const { settings } = parseGood({
    POD_NAME: "test-pod",
    REMEDIATION_INTERVAL: "600",
    REMEDIATION_BATCH_SIZE: "20",
    MAX_POISON_RETRIES: "5",
  });
  assert.equal(settings.podName, "test-pod");
  assert.equal(settings.intervalMs, 600_000);
  assert.equal(settings.batchSize, 20);
  assert.equal(settings.maxPoisonRetries, 5);
});

// Test 2 of the original's.
Deno.test("parseSettings: gives the original's defaults when nothing is set", () => {
  const { settings, warnings, origins } = parseGood({});
  assert.deepEqual(
    settings,
    {
      enabled: true,
      intervalMs: 300_000,
      batchSize: 10,
      maxPoisonRetries: 3,
      chunkMessages: 400,
      chunkBytes: 204_800,
      maxMessageBytes: 4_194_304,
      alerterDlq: "mutt:dlq:alerter",
      ingestQueue: "mutt:ingest_queue",
      alertQueue: "mutt:alert_queue",
      deadList: "mutt:dlq:dead",
      consumerGate: "auto",
      alerterHeartbeatPrefix: "mutt:heartbeat:alerter",
      alerterHealthUrl: "",
      targetMaxDepth: null,
      maxPerSecond: "auto",
      moogRateLimit: 50,
      moogRatePeriodMs: 1_000,
      moogRateLimitKey: "mutt:rate_limit:moog",
      moogHealthCheckEnabled: true,
      moogWebhookUrl: "",
      moogHealthTimeoutMs: 5_000,
      moogHealthCacheMs: 60_000,
      moogHealthSuccessCodes: [200, 201, 202],
      moogApiKey: null,
      moogCaCertPath: "",
      ...{ httpProxy: "", httpsProxy: "", allProxy: "", noProxy: "" },
      redisUrl: null,
      redisHost: "localhost",
      redisPort: 6379,
      redisDb: 0,
      redisUsername: "",
      redisPassword: null,
      redisPasswordNext: null,
      redisTls: false,
      redisCaCertPath: "",
      redisClientCertPath: "",
      redisClientKeyPath: "",
      redisServerName: "",
      redisClusterNodes: [],
      redisSentinels: [],
      redisSentinelMaster: "mymaster",
      redisSentinelUsername: "",
      redisSentinelPassword: null,
      vaultAddr: "",
      vaultRoleId: null,
      vaultSecretId: null,
      vaultSecretIdPath: "/etc/mutt/secrets/vault_secret_id",
      vaultSecretsPath: "secret/mutt",
      vaultRenewThresholdMs: 3_600_000,
      vaultCheckMs: 300_000,
      vaultCaCertPath: "",
      metricsPort: 8086,
      healthPort: 8087,
      bindAddress: "0.0.0.0",
      shutdownTimeoutMs: 20_000,
      dynamicConfigEnabled: false,
      podName: "remediation-unknown",
      logLevel: "INFO",
      logJson: null,
      sources: ["alerter"],
      sourcesPath: "",
      notifyPath: "",
      moogDlq: "mutt:dlq:moog",
      moogHeartbeatPrefix: "mutt:heartbeat:moog",
      breakerEnabled: true,
      breakerTimeoutMs: 300_000,
      brakeEnabled: true,
      canaryAfterMs: 60_000,
      consumerLagMs: null,
      leaderElection: true,
      leaseMs: 15_000,
      sloWindowMs: 86_400_000,
      sloDrainMs: 3_600_000,
      sloDrainTarget: 0.95,
      sloOldestAgeMs: 14_400_000,
      sloOldestAgeTarget: 0.95,
      sloRedriveTarget: 0.95,
      sloDownstreamTarget: 0.99,
      otelEnabled: false,
      otelSdkDisabled: false,
      otelExporter: "otlp",
      otelEndpoint: "http://localhost:4318",
      otelTracesEndpoint: "",
      otelProtocol: null,
      otelHeaders: null,
      otelTimeoutMs: 10_000,
      otelServiceName: "",
      otelResourceAttributes: "",
      deploymentEnvironment: "production",
      otelSampler: "parentbased_always_on",
      otelSamplerShare: 1,
      otelScheduleDelayMs: 5_000,
      otelExportTimeoutMs: 30_000,
      otelMaxQueueSize: 2_048,
      otelMaxBatchSize: 512,
      apiPort: 8088,
      apiKeys: null,
      apiKeysPath: "",
      apiCorsOrigins: [],
      trustedProxySecret: null,
      trustedProxyAddresses: [],
      trustedProxySecretHeader: "x-proxy-secret",
      trustedProxyUserHeader: "x-forwarded-user",
      trustedProxyGroupsHeader: "x-forwarded-groups",
      trustedProxyRoles: "",
      localKeyPath: "/run/mutt-remediation/local.json",
      clientUrl: "",
      clientCaCertPath: "",
      clientKey: null,
    } satisfies Settings,
  );
  assert.deepEqual(settings, DEFAULT_SETTINGS);
  assert.deepEqual(warnings, []);
  assert.deepEqual(origins.intervalMs, { layer: "default", variable: "REMEDIATION_INTERVAL" });
});

const GOOD: readonly (readonly [variable: string, text: string, key: SettingKey, value: unknown])[] = [
  ["REMEDIATION_ENABLED", "TRUE", "enabled", true],
  ["REMEDIATION_ENABLED", "False", "enabled", false],
  ["REMEDIATION_ENABLED", "0", "enabled", false],
  ["REMEDIATION_ENABLED", "no", "enabled", false],
  ["REMEDIATION_ENABLED", "Off", "enabled", false],
  ["DYNAMIC_CONFIG_ENABLED", "yes", "dynamicConfigEnabled", true],
  ["DYNAMIC_CONFIG_ENABLED", "1", "dynamicConfigEnabled", true],
  ["REDIS_TLS_ENABLED", "on", "redisTls", true],
  ["LOG_JSON_ENABLED", "no", "logJson", false],
  ["LOG_JSON_ENABLED", "", "logJson", null],
  ["REMEDIATION_INTERVAL", " 1 ", "intervalMs", 1_000],
  ["REMEDIATION_INTERVAL", "0086400", "intervalMs", 86_400_000],
  ["REMEDIATION_INTERVAL", "", "intervalMs", 300_000],
  ["REMEDIATION_BATCH_SIZE", "0", "batchSize", 0],
  ["REMEDIATION_SOURCES", "Moog, alerter", "sources", ["moog", "alerter"]],
  ["REMEDIATION_SOURCES", "", "sources", ["alerter"]],
  ["METRICS_PORT_REMEDIATION", "0", "metricsPort", 0],
  ["REMEDIATION_MAX_PER_SECOND", "AUTO", "maxPerSecond", "auto"],
  ["REMEDIATION_MAX_PER_SECOND", "0.25", "maxPerSecond", 0.25],
  ["REMEDIATION_MAX_PER_SECOND", "0.001", "maxPerSecond", 0.001],
  ["REMEDIATION_MAX_PER_SECOND", "0", "maxPerSecond", 0],
  ["REMEDIATION_TARGET_MAX_DEPTH", "0", "targetMaxDepth", 0],
  ["REMEDIATION_CONSUMER_GATE", "Required", "consumerGate", "required"],
  ["LOG_LEVEL", "debug", "logLevel", "DEBUG"],
  ["LOG_LEVEL", "warn", "logLevel", "WARNING"],
  ["MOOG_HEALTH_SUCCESS_CODES", "200, 204", "moogHealthSuccessCodes", [200, 204]],
  ["MOOG_WEBHOOK_URL", " https://moog.example/hook?x=1 ", "moogWebhookUrl", "https://moog.example/hook?x=1"],
  ["REDIS_HOST", "fd00::1", "redisHost", "fd00::1"],
  ["REMEDIATION_BIND_ADDRESS", "::", "bindAddress", "::"],
  ["REDIS_URL", "redis://:p%23w@db:6379/2", "redisUrl", "redis://:p%23w@db:6379/2"],
  ["REDIS_URL", "REDISS://db:6379", "redisUrl", "REDISS://db:6379"],
  ["REDIS_URL", "unix:///run/redis/redis.sock", "redisUrl", "unix:///run/redis/redis.sock"],
  ["REDIS_PASS_CURRENT", " p#w ", "redisPassword", " p#w "],
];

for (const [variable, text, key, value] of GOOD) {
  Deno.test(`parseSettings: takes ${variable}=${JSON.stringify(text)}`, () => {
    assert.deepEqual(plain(parseGood({ [variable]: text }).settings[key]), value);
  });
}

Deno.test("parseSettings: takes REMEDIATION_SOURCES=none with a file, and refuses it where no source is left", () => {
  const readSourcesFile = () => `{"sources": {"orders": {"dlq": "d", "target": "t", "dead": "x"}}}`;
  const environment = { REMEDIATION_SOURCES: "None", REMEDIATION_SOURCES_PATH: "sources.json" };
  const loaded = parseSettings({ environment, dotEnv: {}, readFile: readSourcesFile, parseSources });
  assert.ok(loaded.ok, JSON.stringify(loaded));
  assert.deepEqual([loaded.settings.sources, showValue(loaded.settings, "sources")], [[], "none"]);
  assert.deepEqual(problemsOf({ REMEDIATION_SOURCES: "none" }), [
    "REMEDIATION_SOURCES is none and REMEDIATION_SOURCES_PATH is not set: there is no source to drain; set one of them",
  ]);
});

/** One below, one above, for every number with bounds. */
const OUT_OF_BOUNDS: Readonly<Record<string, readonly string[]>> = {
  REMEDIATION_INTERVAL: ["0", "86401"],
  CIRCUIT_BREAKER_TIMEOUT: ["0", "86401"],
  REMEDIATION_CANARY_AFTER: ["-1", "86401"],
  REMEDIATION_SETTLE: ["-1", "3601"],
  REMEDIATION_LEASE_DURATION: ["0", "3601"],
  REMEDIATION_BATCH_SIZE: ["-1", "1000001"],
  MAX_POISON_RETRIES: ["0", "1001"],
  REMEDIATION_CHUNK_MESSAGES: ["0", "4001"],
  REMEDIATION_CHUNK_BYTES: ["1023", "16777217"],
  REMEDIATION_MAX_MESSAGE_BYTES: ["1023", "67108865"],
  REMEDIATION_TARGET_MAX_DEPTH: ["-1", "1000000001"],
  REMEDIATION_MAX_PER_SECOND: ["-0.1", "1000000.5"],
  REMEDIATION_SHUTDOWN_TIMEOUT: ["0", "601"],
  MOOG_RATE_LIMIT: ["-1", "1000001"],
  MOOG_RATE_PERIOD: ["0", "86401"],
  MOOG_HEALTH_TIMEOUT: ["0", "301"],
  MOOG_HEALTH_CACHE_SECONDS: ["0", "86401"],
  REDIS_PORT: ["0", "65536"],
  REDIS_DB: ["-1", "65536"],
  REMEDIATION_SLO_WINDOW_HOURS: ["0", "0.0009", "720.1"],
  REMEDIATION_SLO_TIME_TO_DRAIN: ["0", "2592001"],
  REMEDIATION_SLO_OLDEST_AGE: ["0", "31536001"],
  REMEDIATION_SLO_TIME_TO_DRAIN_TARGET: ["0.49", "0.99991", "1", "95"],
  REMEDIATION_SLO_OLDEST_AGE_TARGET: ["0.49", "0.99991"],
  REMEDIATION_SLO_REDRIVE_SUCCESS_TARGET: ["0.49", "0.99991"],
  REMEDIATION_SLO_DOWNSTREAM_AVAILABILITY_TARGET: ["0.49", "0.99991"],
  VAULT_TOKEN_RENEW_THRESHOLD: ["-1", "31536001"],
  VAULT_RENEW_CHECK_INTERVAL: ["0", "86401"],
  METRICS_PORT_REMEDIATION: ["-1", "65536"],
  HEALTH_PORT_REMEDIATION: ["-1", "65536"],
  REMEDIATION_API_PORT: ["-1", "65536"],
};

const BAD: Readonly<Record<string, readonly string[]>> = {
  REMEDIATION_INTERVAL: ["abc", "1.5", "1e3", "0x10", "5 m", "٣", "9".repeat(400), "+5"],
  REMEDIATION_SOURCES: ["none, alerter", "orders", "alerter,alerter", ","],
  REMEDIATION_ENABLED: ["tru", "ja", "2", "null"],
  LOG_JSON_ENABLED: ["json"],
  REMEDIATION_MAX_PER_SECOND: ["fast", "1e3", "NaN", "Infinity", "."],
  REMEDIATION_SLO_WINDOW_HOURS: ["a day", "1e1", ".5", "24h"],
  REMEDIATION_CONSUMER_GATE: ["true"],
  LOG_LEVEL: ["TRACE", "constructor", "__proto__"],
  MOOG_WEBHOOK_URL: ["moog.example", "ftp://moog.example", "http://", "javascript:alert(1)", "https:moog"],
  ALERTER_HEALTH_URL: ["localhost:8082/health"],
  MOOG_HEALTH_SUCCESS_CODES: ["2xx", "200;201", "200,", "99", "600"],
  INGEST_QUEUE_NAME: ["two words", "tab\there", "k".repeat(513)],
  REDIS_HOST: ["redis://db", "db:6379", "a b"],
  REDIS_URL: [
    "db:6379",
    "http://db",
    "redis://",
    "redis://db/zero",
    "redis://:%zz@db",
    "unix://run/redis.sock",
    "redis://db?keyPrefix=p",
  ],
  REDIS_PASS_CURRENT: ["two\nlines", "windows\r"],
  POD_NAME: ["a\u0000b"],
};

for (const [variable, texts] of [...Object.entries(OUT_OF_BOUNDS), ...Object.entries(BAD)]) {
  for (const text of texts) {
    Deno.test(`parseSettings: refuses ${variable}=${JSON.stringify(text).slice(0, 40)}`, () => {
      const problems = problemsOf({ [variable]: text });
      assert.equal(problems.length, 1, problems.join("\n"));
      assert.ok(problems[0]!.startsWith(`${variable} `) && problems[0]!.includes(" is not "), problems[0]);
    });
  }
}

Deno.test("parseSettings: the tests above leave no number's bounds out", () => {
  const strict = SETTING_KEYS.map((key) => FIELDS[key]).filter((field) => !field.lenient);
  const numbers = strict.filter((field) => / from [\d.]+ to \d+/.test(field.expected));
  const tested = new Set([...Object.keys(OUT_OF_BOUNDS), "MOOG_HEALTH_SUCCESS_CODES"]);
  assert.deepEqual(numbers.map((field) => field.variable).filter((name) => !tested.has(name)), []);
});

Deno.test("parseSettings: words a problem with variable, value and what is wanted", () => {
  assert.deepEqual(problemsOf({ REMEDIATION_INTERVAL: "abc" }), [
    'REMEDIATION_INTERVAL "abc" is not a whole number from 1 to 86400 (seconds)',
  ]);
  assert.deepEqual(problemsOf({ REDIS_PORT: "tcp://10.0.0.1:6379" }), [
    'REDIS_PORT "tcp://10.0.0.1:6379" is not a whole number from 1 to 65535 ' +
    "(Kubernetes sets this for a Service of that name: set it explicitly)",
  ]);
});

Deno.test("parseSettings: reports all problems at once", () => {
  const problems = problemsOf(
    {
      REMEDIATION_INTERVAL: "abc",
      MOOG_WEBHOOK_URL: "nowhere",
      DEAD_LETTER_QUEUE: "mutt:dlq:alerter",
      REDIS_PASS_CURRENT_FILE: "/nowhere",
    },
    { MAX_POISON_RETRIES: "0" },
  );
  assert.deepEqual(problems.map((one) => one.split(" ")[0]).sort(), [
    "ALERTER_DLQ_NAME",
    "MAX_POISON_RETRIES",
    "MOOG_WEBHOOK_URL",
    "REDIS_PASS_CURRENT_FILE",
    "REMEDIATION_INTERVAL",
  ]);
});

Deno.test("parseSettings: judges settings together only by what could be read", () => {
  assert.equal(problemsOf({ METRICS_PORT_REMEDIATION: "abc", HEALTH_PORT_REMEDIATION: "8086" }).length, 1);
});

const SECRET = PLANTED.redisPassword;

const LEAKS: readonly Variables[] = [
  { REDIS_PASS_CURRENT: `${SECRET}\n` },
  { REDIS_PASS_CURRENT: SECRET, REDIS_PASSWORD: `${SECRET}2`, REDIS_PASS: `x # ${SECRET}` },
  { REDIS_PASS_NEXT: `"${SECRET}"` },
  { MOOG_API_KEY: `${SECRET}\u0000` },
  { MOOG_API_KEY: `${SECRET} # comment`, REMEDIATION_INTERVAL: "abc" },
  { REDIS_URL: `redis://:${SECRET}@ho st` },
  { REDIS_URL: `http://user:${SECRET}@host` },
  { REDIS_URL: `redis://:${SECRET}@host`, REDIS_PASSWORD: SECRET, REDIS_TLS_ENABLED: "true" },
  { REDIS_HOST: `redis://user:${SECRET}@host` },
  { REDIS_PORT: `:a/b?${SECRET}@host:6379` },
  { MOOG_WEBHOOK_URL: `htps://user:${SECRET}@moog.example/` },
  { MOOG_WEBHOOK_URL: `htps://moog.example/hook?token=${SECRET}` },
  { REDIS_PASS_CURRENT_FILE: "/run/secrets/empty", REDIS_PASS: SECRET },
  { OTEL_ENABLED: "true", OTEL_EXPORTER_OTLP_HEADERS: `authorization ${SECRET}` },
  { OTEL_ENABLED: "true", OTEL_EXPORTER_OTLP_ENDPOINT: PLANTED.misplaced },
];

for (const [at, environment] of LEAKS.entries()) {
  Deno.test(`parseSettings: never shows a secret (${at}: ${Object.keys(environment).join(", ")})`, () => {
    const { warnings } = parse(environment);
    assert.ok(warnings.length + problemsOf(environment).length > 0, "nothing is said, so nothing is tested");
    for (const loaded of [parse(environment), parse({}, environment)]) {
      assertNoSecrets("what was loaded, as JSON", JSON.stringify(loaded, null, 1));
      assertNoSecrets("what was loaded, as it prints itself", Deno.inspect(loaded, { depth: 9 }));
    }
  });
}

Deno.test("showValue: redacts secrets and credentials in URLs", () => {
  const { settings } = parseGood({
    REDIS_PASS_CURRENT: SECRET,
    MOOG_WEBHOOK_URL: `https://user:${encodeURIComponent(SECRET)}@moog.example/hook?key=${encodeURIComponent(SECRET)}`,
  });
  assert.equal(showValue(settings, "redisPassword"), "[redacted]");
  assert.equal(showValue(settings, "moogWebhookUrl"), "https://[redacted]@moog.example/hook?[redacted]");
  assert.equal(showValue(settings, "logJson"), "");
  assert.equal(showValue(settings, "moogHealthSuccessCodes"), "200,201,202");
});

Deno.test("showValue: shows a duration in the unit of its variable", () => {
  const shown = (window: string) =>
    showValue(parseGood({ REMEDIATION_SLO_WINDOW_HOURS: window }).settings, "sloWindowMs");
  assert.deepEqual(["24", "0.0011", "0.5", "1.1"].map(shown), ["24", "0.0011", "0.5", "1.1"]);
  const { settings } = parseGood({ REMEDIATION_INTERVAL: "600" });
  assert.deepEqual([showValue(settings, "intervalMs"), showValue(settings, "consumerLagMs")], ["600", ""]);
});

Deno.test("parseSettings: takes default under .env under environment", () => {
  const { settings, origins } = parseGood(
    { REMEDIATION_INTERVAL: "60" },
    { REMEDIATION_INTERVAL: "70", REMEDIATION_BATCH_SIZE: "7" },
  );
  assert.deepEqual([settings.intervalMs, settings.batchSize, settings.maxPoisonRetries], [60_000, 7, 3]);
  assert.deepEqual(
    [origins.intervalMs.layer, origins.batchSize.layer, origins.maxPoisonRetries.layer],
    ["environment", ".env", "default"],
  );
});

Deno.test("parseSettings: returns to the default when the environment empties what .env sets", () => {
  const { settings, origins } = parseGood({ MOOG_WEBHOOK_URL: "" }, { MOOG_WEBHOOK_URL: "http://moog.example" });
  assert.equal(settings.moogWebhookUrl, "");
  assert.equal(origins.moogWebhookUrl.layer, "default");
});

Deno.test("parseSettings: ignores a bad value that a better layer overrides", () => {
  assert.deepEqual(problemsOf({ REMEDIATION_INTERVAL: "60" }, { REMEDIATION_INTERVAL: "abc" }), []);
});

interface AliasCase {
  readonly when: string;
  readonly environment: Variables;
  readonly dotEnv?: Variables;
  readonly password: string | null;
  readonly variable: string;
  readonly warnings: readonly string[];
}

const ALIASES: readonly AliasCase[] = [
  {
    when: "an alias alone",
    environment: { REDIS_PASSWORD: "c" },
    password: "c",
    variable: "REDIS_PASSWORD",
    warnings: [],
  },
  {
    when: "all three say the same",
    environment: { REDIS_PASS_CURRENT: "a", REDIS_PASS: "a", REDIS_PASSWORD: "a" },
    password: "a",
    variable: "REDIS_PASS_CURRENT",
    warnings: [],
  },
  {
    when: "they differ",
    environment: { REDIS_PASSWORD: "c", REDIS_PASS: "b" },
    password: "b",
    variable: "REDIS_PASS",
    warnings: ["REDIS_PASSWORD differs from REDIS_PASS and is ignored: unset one of them"],
  },
  {
    when: "the first is empty, as in MUTT's template",
    environment: { REDIS_PASS_CURRENT: "", REDIS_PASSWORD: "c" },
    password: "c",
    variable: "REDIS_PASSWORD",
    warnings: [],
  },
  {
    when: "the alias is in a better layer",
    environment: { REDIS_PASSWORD: "c" },
    dotEnv: { REDIS_PASS_CURRENT: "a" },
    password: "c",
    variable: "REDIS_PASSWORD",
    warnings: ["REDIS_PASS_CURRENT differs from REDIS_PASSWORD and is ignored: unset one of them"],
  },
  {
    when: "a file",
    environment: { REDIS_PASS_CURRENT_FILE: "/run/secrets/redis" },
    password: "from file",
    variable: "REDIS_PASS_CURRENT_FILE",
    warnings: [],
  },
  {
    when: "a file with a Windows newline",
    environment: { REDIS_PASSWORD_FILE: "/run/secrets/windows" },
    password: "from file",
    variable: "REDIS_PASSWORD_FILE",
    warnings: [],
  },
  {
    when: "a value and a file",
    environment: { REDIS_PASS_CURRENT: "a", REDIS_PASS_CURRENT_FILE: "/run/secrets/redis" },
    password: "a",
    variable: "REDIS_PASS_CURRENT",
    warnings: ["REDIS_PASS_CURRENT_FILE differs from REDIS_PASS_CURRENT and is ignored: unset one of them"],
  },
  {
    when: "an empty path",
    environment: { REDIS_PASS_CURRENT_FILE: "" },
    password: null,
    variable: "REDIS_PASS_CURRENT",
    warnings: [],
  },
];

for (const { when, environment, dotEnv, password, variable, warnings } of ALIASES) {
  Deno.test(`parseSettings: finds the password when ${when}`, () => {
    const loaded = parseGood(environment, dotEnv);
    assert.equal(plain(loaded.settings.redisPassword), password);
    assert.equal(loaded.origins.redisPassword.variable, variable);
    assert.deepEqual(loaded.warnings, warnings);
  });
}

Deno.test("parseSettings: reads every secret from a file, trimming one newline", () => {
  for (const key of SETTING_KEYS.filter((one) => FIELDS[one].inFile)) {
    // Not any text is one, or it needs another setting.
    if (key === "redisUrl" || key === "otelHeaders" || key === "trustedProxySecret") continue;
    const { settings } = parseGood({ [`${FIELDS[key].variable}_FILE`]: "/run/secrets/redis # the mounted one" });
    assert.equal(plain(settings[key]), "from file", key);
  }
  assert.equal(problemsOf({ MOOG_API_KEY_FILE: "/run/secrets/two" }).length, 1);
});

Deno.test("parseSettings: names variable and path when a secret's file is missing or empty", () => {
  assert.deepEqual(problemsOf({ MOOG_API_KEY_FILE: "/nowhere", REDIS_URL_FILE: "/run/secrets/empty" }), [
    'MOOG_API_KEY_FILE "/nowhere" cannot be read: NotFound',
    'REDIS_URL_FILE "/run/secrets/empty" is empty',
  ]);
});

interface TidyCase {
  readonly variable: string;
  readonly text: string;
  readonly key: SettingKey;
  readonly value: unknown;
  readonly warns: boolean;
}

const TIDY: readonly TidyCase[] = [
  { variable: "REMEDIATION_INTERVAL", text: "600   # ten minutes", key: "intervalMs", value: 600_000, warns: true },
  { variable: "REMEDIATION_INTERVAL", text: "600\t#", key: "intervalMs", value: 600_000, warns: true },
  { variable: "REMEDIATION_INTERVAL", text: '"600"', key: "intervalMs", value: 600_000, warns: true },
  { variable: "REMEDIATION_INTERVAL", text: "'600' # quoted", key: "intervalMs", value: 600_000, warns: true },
  { variable: "REMEDIATION_INTERVAL", text: " 600 ", key: "intervalMs", value: 600_000, warns: false },
  { variable: "MOOG_WEBHOOK_URL", text: "# not yet", key: "moogWebhookUrl", value: "", warns: true },
  { variable: "MOOG_WEBHOOK_URL", text: "http://a/#b", key: "moogWebhookUrl", value: "http://a/#b", warns: false },
  { variable: "MOOG_WEBHOOK_URL", text: "http://a/#b # c", key: "moogWebhookUrl", value: "http://a/#b", warns: true },
  { variable: "DEAD_LETTER_QUEUE", text: "a#b", key: "deadList", value: "a#b", warns: false },
  { variable: "DEAD_LETTER_QUEUE", text: '"a # b"', key: "deadList", value: undefined, warns: true },
  { variable: "REDIS_URL", text: "redis://h # main", key: "redisUrl", value: "redis://h", warns: true },
  { variable: "REDIS_PASS_CURRENT", text: "p#w", key: "redisPassword", value: "p#w", warns: false },
  { variable: "REDIS_PASS_CURRENT", text: "p #w", key: "redisPassword", value: "p #w", warns: true },
  { variable: "REDIS_PASS_CURRENT", text: '"pw"', key: "redisPassword", value: '"pw"', warns: true },
  { variable: "REDIS_PASS_CURRENT", text: "#pw", key: "redisPassword", value: "#pw", warns: true },
  { variable: "REDIS_PASS_CURRENT", text: "# from Vault", key: "redisPassword", value: null, warns: true },
];

for (const { variable, text, key, value, warns } of TIDY) {
  Deno.test(`parseSettings: tidies ${variable}=${text} of the environment`, () => {
    const loaded = parse({ [variable]: text });
    assert.deepEqual(loaded.ok ? plain(loaded.settings[key]) : undefined, value);
    assert.deepEqual(loaded.warnings.map((one) => one.split(" ")[0]), warns ? [variable] : []);
  });
}

interface RuleCase {
  readonly environment: Variables;
  readonly problems?: readonly string[];
  readonly warnings?: readonly string[];
}

const RULES: Readonly<Record<string, RuleCase>> = {
  "both ports are equal": {
    environment: { METRICS_PORT_REMEDIATION: "9000", HEALTH_PORT_REMEDIATION: "9000" },
    problems: ["METRICS_PORT_REMEDIATION and HEALTH_PORT_REMEDIATION are both 9000: use different ports"],
  },
  "an objective that cannot be met": {
    environment: { REMEDIATION_SLO_TIME_TO_DRAIN: "299" },
    warnings: [
      "REMEDIATION_SLO_TIME_TO_DRAIN (299) is shorter than REMEDIATION_INTERVAL (300): raise it, or it cannot be met",
    ],
  },
  "an objective that can just be met": { environment: { REMEDIATION_SLO_TIME_TO_DRAIN: "300" } },
  "a window too short to tell of an objective": {
    environment: { REMEDIATION_SLO_WINDOW_HOURS: "0.1", REMEDIATION_SLO_OLDEST_AGE_TARGET: "0.999" },
    warnings: [
      "REMEDIATION_SLO_OLDEST_AGE_TARGET is 0.999 and needs 1000 samples, but REMEDIATION_SLO_WINDOW_HOURS " +
      "(0.1) holds 240: widen the window",
    ],
  },
  "a window just long enough for the highest target": {
    environment: { REMEDIATION_SLO_WINDOW_HOURS: "13.9", REMEDIATION_SLO_DOWNSTREAM_AVAILABILITY_TARGET: "0.9999" },
  },
  "a target that leaves no budget": {
    environment: { REMEDIATION_SLO_REDRIVE_SUCCESS_TARGET: "1" },
    problems: [
      'REMEDIATION_SLO_REDRIVE_SUCCESS_TARGET "1" is not a number from 0.5 to 0.9999 (share of good events)',
    ],
  },
  "both ports are any free one": { environment: { METRICS_PORT_REMEDIATION: "0", HEALTH_PORT_REMEDIATION: "0" } },
  "the dead list is the target": {
    environment: { INGEST_QUEUE_NAME: "x", DEAD_LETTER_QUEUE: "x" },
    problems: ['INGEST_QUEUE_NAME and DEAD_LETTER_QUEUE are both "x": use different lists'],
  },
  "lists that are keys of this service": {
    environment: Object.fromEntries(
      LIST_SETTINGS.map((setting) => [FIELDS[setting].variable, `mutt:remediation:{${setting}}`]),
    ),
    problems: SETTING_KEYS.filter((key) => LIST_SETTINGS.some((list) => list === key)).map((setting) =>
      `${
        FIELDS[setting].variable
      } "mutt:remediation:{${setting}}" is not a Redis key of 1 to 512 characters without blanks, ` +
      "other than this service's own (mutt:remediation:…)"
    ),
  },
  "the alert queue is the DLQ": {
    environment: { ALERT_QUEUE_NAME: "mutt:dlq:alerter" },
    problems: ['ALERTER_DLQ_NAME and ALERT_QUEUE_NAME are both "mutt:dlq:alerter": use different lists'],
  },
  "the target is the alert queue": {
    environment: { INGEST_QUEUE_NAME: "mutt:alert_queue" },
    warnings: ['INGEST_QUEUE_NAME and ALERT_QUEUE_NAME are both "mutt:alert_queue": its depth counts twice'],
  },
  "Sentinels and a host": {
    environment: { REDIS_SENTINELS: "a,b:7", REDIS_HOST: "db", REDIS_PORT: "1" },
    warnings: ["REDIS_SENTINELS is set; ignored: REDIS_HOST, REDIS_PORT"],
  },
  "a password of Sentinels, and no Sentinels": {
    environment: { REDIS_SENTINEL_PASSWORD: "p" },
    warnings: ["There are no Sentinels; ignored: REDIS_SENTINEL_PASSWORD"],
  },
  "a password of Sentinels, and a URL that names some": {
    environment: { REDIS_URL: "redis+sentinel://a/queues", REDIS_SENTINEL_PASSWORD: "p" },
  },
  "nodes of a cluster, a host, Sentinels and a database": {
    environment: { REDIS_CLUSTER_NODES: "a,b:7", REDIS_HOST: "db", REDIS_SENTINELS: "s", REDIS_DB: "3" },
    problems: [
      "REDIS_CLUSTER_NODES and REDIS_SENTINELS are both set: unset one of them (a cluster needs no Sentinels)",
      "REDIS_DB is 3, but a cluster has only database 0: unset it",
    ],
    warnings: [
      "REDIS_SENTINELS is set; ignored: REDIS_HOST",
      "REDIS_CLUSTER_NODES is set; ignored: REDIS_HOST",
    ],
  },
  "nodes of a cluster and a URL": {
    environment: { REDIS_CLUSTER_NODES: "a", REDIS_URL: "redis://db" },
    warnings: ["REDIS_URL is set; ignored: REDIS_CLUSTER_NODES"],
  },
  "a client certificate without its key": {
    environment: { REDIS_TLS_ENABLED: "true", REDIS_CLIENT_CERT_PATH: "/c" },
    problems: ["REDIS_CLIENT_CERT_PATH and REDIS_CLIENT_KEY_PATH must be set together: one of them is missing"],
  },
  "a server name without TLS": {
    environment: { REDIS_TLS_SERVER_NAME: "db" },
    warnings: ["REDIS_TLS_SERVER_NAME is ignored: the connection to Redis does not use TLS"],
  },
  "URL and host": {
    environment: { REDIS_URL: "redis://db", REDIS_HOST: "other", REDIS_PASSWORD: "p" },
    warnings: ["REDIS_URL is set; ignored: REDIS_HOST"],
  },
  "URL with password, and password": {
    environment: { REDIS_URL: "redis://u:q@db", REDIS_PASSWORD: "p", REDIS_USERNAME: "v" },
    warnings: ["REDIS_URL is set; ignored: REDIS_USERNAME, REDIS_PASSWORD"],
  },
  "TLS over a Unix socket": {
    environment: { REDIS_URL: "unix:///run/redis.sock", REDIS_TLS_ENABLED: "true" },
    problems: [
      "REDIS_TLS_ENABLED is true, but REDIS_URL begins with unix://: use rediss://, or unset REDIS_TLS_ENABLED",
    ],
    warnings: ["REDIS_URL is set; ignored: REDIS_TLS_ENABLED"],
  },
  "TLS asked for, and a URL without": {
    environment: { REDIS_URL: "redis://db", REDIS_TLS_ENABLED: "true" },
    problems: [
      "REDIS_TLS_ENABLED is true, but REDIS_URL begins with redis://: use rediss://, or unset REDIS_TLS_ENABLED",
    ],
    warnings: ["REDIS_URL is set; ignored: REDIS_TLS_ENABLED"],
  },
  "a CA without TLS": {
    environment: { REDIS_CA_CERT_PATH: "/ca.pem" },
    warnings: ["REDIS_CA_CERT_PATH is ignored: the connection to Redis does not use TLS"],
  },
  "a CA with TLS that is not there": {
    environment: { REDIS_CA_CERT_PATH: "/ca.pem", REDIS_URL: "rediss://db" },
    problems: ['REDIS_CA_CERT_PATH "/ca.pem" cannot be read: NotFound'],
  },
  "an authority for a webhook without TLS": {
    environment: { MOOG_CA_CERT_PATH: "/ca.pem", MOOG_WEBHOOK_URL: "http://moog/" },
    warnings: ["MOOG_CA_CERT_PATH is ignored: MOOG_WEBHOOK_URL is not an https:// URL"],
  },
  "an authority for a webhook that is not there": {
    environment: { MOOG_CA_CERT_PATH: "/ca.pem", MOOG_WEBHOOK_URL: "https://moog/" },
    problems: ['MOOG_CA_CERT_PATH "/ca.pem" cannot be read: NotFound (expected: a file with a PEM certificate)'],
  },
};

for (const [when, { environment, problems = [], warnings = [] }] of Object.entries(RULES)) {
  Deno.test(`parseSettings: checks settings together when ${when}`, () => {
    assert.deepEqual(problemsOf(environment), problems);
    assert.deepEqual(parse(environment).warnings, warnings);
  });
}

/** What is wrong with MUTT's template, whoever reads it. */
const TEMPLATE_WARNING = /^Ignored names from MUTT's template|^VAULT_ADDR is set but VAULT_ROLE_ID is not/;

Deno.test("parseSettings: loads MUTT's whole environment file, and warns of nothing but what its template has in vain", () => {
  const { settings, warnings } = parseGood({}, MUTT_ENVIRONMENT);
  assert.deepEqual(warnings.filter((one) => !TEMPLATE_WARNING.test(one)), []);
  assert.equal(settings.podName, "alerter-001");
  assert.equal(settings.redisPassword, null);
});

Deno.test("parseSettings: loads MUTT's environment file with its comments in the values, only warning", () => {
  const kept = Object.fromEntries(Object.entries(MUTT_ENVIRONMENT).map(([name, value]) => [name, `${value}  # why`]));
  const { settings, warnings } = parseGood(kept);
  assert.equal(settings.intervalMs, 300_000);
  assert.equal(settings.redisPassword, null);
  const others = warnings.filter((one) => !TEMPLATE_WARNING.test(one));
  assert.ok(others.length > 10 && others.every((one) => one.endsWith("which is removed")), others.join("\n"));
});

Deno.test("parseSettings: is not confused by odd names", () => {
  const odd = JSON.parse('{"__proto__":"x","constructor":"y","toString":"z","":"e","REMEDIATION_":"r","a b":"c"}');
  const { settings, warnings } = parseGood(odd, odd);
  assert.deepEqual(settings, DEFAULT_SETTINGS);
  assert.deepEqual(warnings, ["REMEDIATION_ is unknown and ignored"]);
});

for (const fill of ["x", " ", ":", "'", " #", "[", "é"]) {
  Deno.test(`parseSettings: names the limit, and not the value, when every setting is long (${JSON.stringify(fill)})`, () => {
    for (const variable of ["REDIS_HOST", "REDIS_URL", "MOOG_API_KEY"]) {
      const text = fill.repeat(100_000_000 / fill.length);
      const limit = `${variable} is 100000000 characters long; the maximum is 8192`;
      assert.deepEqual(problemsOf({ [variable]: text }), [limit]);
      assert.deepEqual(problemsOf({}, { [variable]: text }), [limit]);
    }
  });
}

Deno.test("parseSettings: takes no time over a value of the largest size", () => {
  const startedMs = performance.now();
  const fills = [" ", ":", "'", "[", "1,", "a=", "%", "://@"].map((fill) => fill.repeat(8_190 / fill.length));
  for (const key of SETTING_KEYS) {
    for (const fill of fills) parse({ [FIELDS[key].variable]: `${fill}!` });
  }
  assert.ok(performance.now() - startedMs < 20_000);
});

Deno.test("parseSettings: refuses a URL with a line feed in it", () => {
  assert.equal(problemsOf({ MOOG_WEBHOOK_URL: "http://moog\n.example/" }).length, 1);
});

const PROXIES: [environment: Variables, text: string][] = [
  [{ HTTPS_PROXY: "socks4://proxy" }, 'HTTPS_PROXY "socks4://proxy" is not a proxy URL (http://, '],
  [{ http_proxy: "http://u:hunter2@proxy/path" }, 'http_proxy "http://[redacted]@proxy/path" is not a proxy URL ('],
];

for (const [environment, text] of PROXIES) {
  Deno.test(`parseSettings: refuses a proxy like ${JSON.stringify(environment)} without showing its password`, () => {
    const [problem, ...others] = problemsOf(environment);
    assert.ok(problem?.startsWith(text), problem);
    assert.deepEqual(others, []);
  });
}

Deno.test("parseSettings: reads a proxy's small name, and shows it without user and password", () => {
  const { settings } = parseGood({ https_proxy: "http://user:secret@proxy:3128" });
  assert.equal(settings.httpsProxy, "http://user:secret@proxy:3128");
  assert.equal(showValue(settings, "httpsProxy"), "http://[redacted]@proxy:3128");
});

Deno.test("parseSettings: reports the notify file's problems beside every other, and reads its content", () => {
  const files: Record<string, string> = { "notify.json": '{"receivers": {}, "incidents": {"age": "off"}}' };
  const readFile = (path: string) => {
    if (!Object.hasOwn(files, path)) throw new Deno.errors.NotFound(path);
    return files[path]!;
  };
  const load = (environment: Variables) =>
    parseSettings({ environment, dotEnv: {}, readFile, parseNotify, gates: ["pause"] });
  const loaded = load({ REMEDIATION_NOTIFY_PATH: "notify.json" });
  assert.ok(loaded.ok, JSON.stringify(loaded));
  assert.equal(loaded.notifyFile.incidents.age, "off");
  const unset = load({});
  assert.ok(unset.ok && unset.notifyFile === NO_NOTIFY_FILE);
  const missing = load({ REMEDIATION_NOTIFY_PATH: "other.json", REMEDIATION_INTERVAL: "0" });
  assert.equal(missing.ok, false);
  const problems = missing.ok ? [] : missing.problems;
  assert.deepEqual(problems.map((problem) => problem.split(" ")[0]), [
    "REMEDIATION_INTERVAL",
    "REMEDIATION_NOTIFY_PATH",
  ]);
  files["notify.json"] = '{"receivers": {}, "incidents": {"gate_closed": {"except": ["puase"]}}}';
  const bad = load({ REMEDIATION_NOTIFY_PATH: "notify.json" });
  assert.match(
    bad.ok ? "" : bad.problems.join(),
    /^REMEDIATION_NOTIFY_PATH "notify\.json": incidents\.gate_closed\.except\[0\]/,
  );
});

Deno.test("parseSettings: warns of routes to sources that the settings and the sources file do not enable", () => {
  const files: Record<string, string> = {
    "sources.json": '{"sources": {"orders": {"dlq": "d", "target": "t", "dead": "x"}}}',
    "notify.json": `{"receivers": {"am": {"type": "alertmanager", "url": "http://am"}},
      "routes": [{"sources": ["alerter", "orders", "moog"], "receivers": ["am"]}]}`,
  };
  const loaded = parseSettings({
    environment: { REMEDIATION_NOTIFY_PATH: "notify.json", REMEDIATION_SOURCES_PATH: "sources.json" },
    ...{ dotEnv: {}, readFile: (path) => files[path]!, parseNotify, parseSources },
  });
  const ours = loaded.warnings.filter((warning) => warning.includes("NOTIFY"));
  assert.deepEqual(ours, [
    'REMEDIATION_NOTIFY_PATH "notify.json": routes[0].sources[2] has no effect: there is no source "moog"',
  ]);
});
