/** Secrets from Vault, as MUTT's services read them: by the protocol, with the program as it is started, and a real Redis behind a password. */
import assert from "node:assert/strict";
import { Teardown } from "../../src/lifecycle/teardown.ts";
import { VaultSecrets, withVault } from "../../src/mutt/vault.ts";
import { parseSettings } from "../../src/config/load.ts";
import { vaultTargets } from "../../src/config/vault.ts";
import type { Log } from "../../src/observability/log.ts";
import { type Clock, SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { readTextFile } from "../../src/runtime/process.ts";
import { type HttpStub, startHttpStub } from "../../testkit/http_stub.ts";
import { PLANTED } from "../../testkit/planted_secrets.ts";
import { recordLog } from "../../testkit/recorded_log.ts";
import { startRedis, type TestRedis } from "../../testkit/redis.ts";
import { watchOutput } from "../../testkit/secrets_net.ts";
import { type Service, startService } from "../../testkit/service.ts";
import { certificateFiles } from "../../testkit/tls.ts";
import { TestVault } from "../../testkit/vault.ts";
import { waitUntil } from "../../testkit/wait.ts";
import { freePort } from "../../scripts/free_port.ts";

const DLQ = "mutt:dlq:alerter", TARGET = "mutt:ingest_queue";
const MESSAGE = '{"hostname": "h", "timestamp": "2026-11-20T10:00:00Z", "message": "m", "_retry_count": 4}';
const WAIT_MS = 30_000;
const { redisPassword: PASSWORD, redisPasswordNext: OTHER, moogApiKey: KEY } = PLANTED;
const PATH = "secret/mutt", READ = `GET /v1/secret/data/${PATH}`, LOGIN = "POST /v1/auth/approle/login";
const LOOKUP = "GET /v1/auth/token/lookup-self", RENEWAL = "POST /v1/auth/token/renew-self";

/** A Redis with a password, a Moogsoft, and a Vault that knows what opens both. */
interface Scene {
  readonly redis: TestRedis;
  readonly vault: TestVault;
  readonly moog: HttpStub;
  /** What the service is told: nothing of password and key. */
  readonly env: Readonly<Record<string, string>>;
}

async function withScene(body: (scene: Scene) => Promise<void>, { tls = false }: { tls?: boolean } = {}) {
  const redis = await startRedis({ config: [`requirepass ${PASSWORD}`] });
  const moog = await startHttpStub();
  await using vault = await TestVault.start({ tls });
  vault.secrets.set(PATH, { REDIS_PASS_CURRENT: PASSWORD, MOOG_API_KEY: KEY });
  const env = {
    ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), MOOG_API_KEY: "" },
    ...{ MOOG_WEBHOOK_URL: `${moog.url}/hook`, MOOG_HEALTH_CACHE_SECONDS: "1", REMEDIATION_INTERVAL: "1" },
    ...{ ...vault.env, VAULT_RENEW_CHECK_INTERVAL: "1" },
  };
  try {
    await body({ redis, vault, moog, env });
  } finally {
    await moog.stop();
    const client = redis.client({ password: PASSWORD });
    await client.config("SET", "requirepass", "").catch(() => {}); // the support's own look at what is kept has no password
    await redis.stop();
  }
}

async function checkHeals({ redis }: Scene, password: string = PASSWORD): Promise<void> {
  const client = redis.client({ password });
  const before = await client.llen(TARGET);
  await client.lpush(DLQ, MESSAGE);
  await waitUntil(async () => await client.llen(TARGET) > before, { what: "it heals", timeoutMs: WAIT_MS });
}

function keysSent({ moog }: Scene): (string | undefined)[] {
  return moog.requests.map(({ headers }) => headers.authorization);
}

async function healthOf(service: Service): Promise<Record<string, unknown>> {
  const { health } = await service.ports();
  const response = await fetch(`http://127.0.0.1:${health}/health`, { headers: { accept: "application/json" } });
  return await response.json();
}

Deno.test("run: takes the password and the key from Vault by MUTT's own protocol, and heals", () =>
  withScene(async (scene) => {
    const { vault, env } = scene;
    await using service = startService({ env: { ...env, VAULT_RENEW_CHECK_INTERVAL: "300" } });
    await checkHeals(scene);
    assert.deepEqual(vault.requests, [
      {
        ...{ asked: LOGIN, token: undefined },
        body: JSON.stringify({ role_id: PLANTED.vaultRoleId, secret_id: PLANTED.vaultSecretId }),
      },
      { asked: READ, token: `${PLANTED.vaultToken}.1`, body: "" },
    ]);
    assert.deepEqual([...new Set(keysSent(scene))], [`Bearer ${KEY}`]);
    assert.equal(service.events("redis_unreachable").length, 0);
    const told = `REDIS_PASS_CURRENT, MOOG_API_KEY read from /v1/secret/data/${PATH}`;
    assert.match(String(service.events("vault")[0]?.message), new RegExp(told));
    assert.equal((await healthOf(service)).vault, told);
  }));

Deno.test("run: reads the secret id from a file, takes REDIS_PASS for want of another, and asks below VAULT_ADDR's own path", () =>
  withScene(async (scene) => {
    const { vault, env } = scene;
    vault.secrets.set("mutt/prod", { REDIS_PASS: PASSWORD, REDIS_PASS_NEXT: null, MOOG_API_KEY: KEY });
    const file = await Deno.makeTempFile();
    await Deno.writeTextFile(file, `  ${PLANTED.vaultSecretId}\n\n`);
    const more = {
      VAULT_SECRET_ID: "",
      VAULT_SECRET_ID_FILE: file,
      VAULT_SECRETS_PATH: "mutt/prod",
      VAULT_ADDR: `${vault.url}/`,
    };
    try {
      await using service = startService({ env: { ...env, ...more } });
      await checkHeals(scene);
      assert.match(String(service.events("vault")[0]?.message), /REDIS_PASS, MOOG_API_KEY read/);
    } finally {
      await Deno.remove(file);
    }
  }));

Deno.test("run: renews its token while it runs, and logs in again when it has come to its longest life or was revoked", () =>
  withScene(async (scene) => {
    const { vault, env } = scene;
    vault.tokenSeconds = 60;
    await using service = startService({ env });
    const isAsked = (asked: string, times: number) =>
      waitUntil(() => vault.asked().filter((one) => one === asked).length >= times, {
        what: `${asked} ${times} times`,
        timeoutMs: WAIT_MS,
      });
    await isAsked(RENEWAL, 2);
    assert.deepEqual(vault.asked().slice(0, 7), [LOGIN, READ, LOOKUP, RENEWAL, READ, LOOKUP, RENEWAL]);
    vault.longestSeconds = 1;
    await isAsked(LOGIN, 2);
    vault.longestSeconds = Infinity;
    // Between two looks.
    await waitUntil(() => vault.asked().at(-1) === READ, { what: "it has read", timeoutMs: WAIT_MS });
    const logins = vault.asked().filter((one) => one === LOGIN).length;
    vault.revokeTokens();
    await isAsked(LOGIN, logins + 1);
    vault.renewable = false;
    await checkHeals(scene);
    assert.equal(service.events("vault").at(-1)?.reason, "readable");
  }));

Deno.test("VaultSecrets: a renewal that is refused is no failure as long as the token lives", async () => {
  await using vault = await TestVault.start();
  vault.secrets.set(PATH, { REDIS_PASS_CURRENT: PASSWORD, MOOG_API_KEY: KEY });
  [vault.tokenSeconds, vault.refusesRenewal] = [60, true];
  const secrets = openSecrets(vault.env, recordLog().log);
  for (let looks = 0; looks < 3; looks++) await secrets.runOnce();
  assert.equal(secrets.state().ok, true, secrets.state().detail);
  assert.deepEqual(vault.asked(), [LOGIN, READ, LOOKUP, RENEWAL, READ, LOOKUP, RENEWAL, READ]);
});

Deno.test("withVault: does not wait for a Vault that hangs once it is to stop", async () => {
  const stub = await startHttpStub();
  stub.answer({ fault: "hang" });
  const stop = new AbortController();
  // No time passes, so that nothing but the signal ends it.
  const clock: Clock = {
    ...SYSTEM_CLOCK,
    sleep: (_ms, signal) => new Promise((resolve) => signal?.addEventListener("abort", () => resolve())),
  };
  const { log, lines } = recordLog();
  const { settings } = openSecrets({ VAULT_ADDR: stub.url, VAULT_ROLE_ID: "r", VAULT_SECRET_ID: "s" }, log);
  const bare = { ...settings, redisPassword: null, redisPasswordNext: null, moogApiKey: null };
  const teardown = new Teardown({ clock: SYSTEM_CLOCK, log });
  try {
    const opening = withVault({ settings: bare, clock, log, signal: stop.signal }, teardown);
    await waitUntil(() => stub.requests.length > 0, { what: "Vault is asked", timeoutMs: WAIT_MS });
    stop.abort();
    const { vault } = await opening;
    assert.equal(vault?.state().ok, false);
    assert.deepEqual(lines, []);
  } finally {
    await teardown.run(WAIT_MS);
    await stub.stop();
  }
});

Deno.test("run: takes a new password and a new key over when Vault has them, without a restart", () =>
  withScene(async (scene) => {
    const { redis, vault, env } = scene;
    await using service = startService({ env: { ...env, VAULT_RENEW_CHECK_INTERVAL: "300" } });
    await checkHeals(scene);
    vault.secrets.set(PATH, { REDIS_PASS_CURRENT: OTHER, MOOG_API_KEY: PLANTED.misplaced });
    const client = redis.client({ password: PASSWORD });
    await client.config("SET", "requirepass", OTHER);
    const list = String(await client.client("LIST"));
    for (const [, id] of list.matchAll(/^id=(\d+) .* name=mutt-remediation:/gm)) {
      await client.client("KILL", "ID", Number(id));
    }
    await checkHeals(scene, OTHER);
    assert.deepEqual(service.events("vault_changed").map(({ names }) => names), [[
      "REDIS_PASS_CURRENT",
      "MOOG_API_KEY",
    ]]);
    await waitUntil(() => keysSent(scene).at(-1) === `Bearer ${PLANTED.misplaced}`, {
      ...{ what: "the new key is sent", timeoutMs: WAIT_MS },
    });
    await client.config("SET", "requirepass", PASSWORD);
  }));

Deno.test("run: looks into Vault again on SIGHUP", () =>
  withScene(async (scene) => {
    const { vault, env } = scene;
    await using service = startService({ env: { ...env, VAULT_RENEW_CHECK_INTERVAL: "300" } });
    await checkHeals(scene);
    vault.secrets.set(PATH, { REDIS_PASS_CURRENT: PASSWORD, MOOG_API_KEY: PLANTED.misplaced });
    service.signal("SIGHUP");
    await waitUntil(() => service.events("vault_changed").length === 1, { what: "it is told", timeoutMs: WAIT_MS });
    assert.deepEqual(service.events("nothing_to_reload"), []);
  }));

Deno.test("run: waits for a Vault that is not there yet, says so, and heals once it is", () =>
  withScene(async (scene) => {
    const port = freePort();
    const env = { ...scene.env, VAULT_ADDR: `http://127.0.0.1:${port}` };
    await using service = startService({ env });
    const { health } = await service.ports();
    await waitUntil(async () => (await fetch(`http://127.0.0.1:${health}/readyz`)).status === 503, {
      ...{ what: "it is not ready", timeoutMs: WAIT_MS },
    });
    assert.match(String((await healthOf(service)).vault), /refuses the connection/);
    await waitUntil(() => service.events("redis_unreachable").length > 0, {
      what: "Redis is told",
      timeoutMs: WAIT_MS,
    });
    assert.match(String(service.events("redis_unreachable")[0]?.reason), /VAULT_ADDR and VAULT_ROLE_ID/);
    await using late = await TestVault.start({ port });
    late.secrets.set(PATH, { REDIS_PASS_CURRENT: PASSWORD, MOOG_API_KEY: KEY });
    await checkHeals(scene);
    assert.deepEqual(service.events("vault").map(({ reason }) => reason), ["unreachable", "readable"]);
  }));

Deno.test("run: goes on with the secrets that it has while Vault is away", () =>
  withScene(async (scene) => {
    const { vault, env } = scene;
    await using service = startService({ env });
    await checkHeals(scene);
    vault.always = { status: 503 };
    await waitUntil(() => service.events("vault").at(-1)?.reason === "sealed", { what: "told", timeoutMs: WAIT_MS });
    await checkHeals(scene);
    vault.always = null;
    await waitUntil(() => service.events("vault").at(-1)?.reason === "readable", { what: "told", timeoutMs: WAIT_MS });
  }));

for (
  const [given, { env: own, asked }] of Object.entries({
    "password and key": {
      env: { REDIS_PASS_CURRENT: PASSWORD, REDIS_PASS_NEXT: OTHER, MOOG_API_KEY: PLANTED.misplaced },
      asked: [],
    },
    "only the key": { env: { MOOG_API_KEY: PLANTED.misplaced }, asked: [LOGIN, READ] },
  })
) {
  Deno.test(`once: what is given otherwise wins over Vault: ${given}`, () =>
    withScene(async (scene) => {
      await scene.redis.client({ password: PASSWORD }).lpush(DLQ, MESSAGE);
      await using service = startService({ args: ["once"], env: { ...scene.env, ...own } });
      assert.equal((await service.exit).code, 0, service.stderr.join("\n"));
      assert.deepEqual(scene.vault.asked(), asked);
      assert.deepEqual([...new Set(keysSent(scene))], [`Bearer ${PLANTED.misplaced}`]);
      assert.equal(await scene.redis.client({ password: PASSWORD }).llen(TARGET), 1);
    }));
}

const EMPTY_FILE = await Deno.makeTempFile();
globalThis.addEventListener("unload", () => Deno.removeSync(EMPTY_FILE));

/** What can be wrong, and what is said of it. */
const FAILURES: Readonly<
  Record<string, { spoil?: (vault: TestVault) => void; env?: Record<string, string>; tells: RegExp }>
> = {
  "nobody is there": {
    env: { VAULT_ADDR: "http://127.0.0.1:1" },
    tells: /Vault at 127\.0\.0\.1:1 cannot be reached/,
  },
  "the role is another": {
    spoil: (vault) => vault.roleId = "other",
    tells: /the login with 400: VAULT_ROLE_ID or VAULT_SECRET_ID is wrong, expired or used up/,
  },
  "the file is not there": {
    env: { VAULT_SECRET_ID: "", VAULT_SECRET_ID_FILE: "/nowhere/vault_secret_id" },
    tells: /VAULT_SECRET_ID_FILE "\/nowhere\/vault_secret_id" cannot be read: NotFound/,
  },
  "the file is empty": {
    env: { VAULT_SECRET_ID: "", VAULT_SECRET_ID_FILE: EMPTY_FILE },
    tells: /VAULT_SECRET_ID_FILE "[^"]+" is empty/,
  },
  "the file is a device": {
    env: { VAULT_SECRET_ID: "", VAULT_SECRET_ID_FILE: "/dev/null" },
    tells: /VAULT_SECRET_ID_FILE "\/dev\/null" cannot be read: NotAFile/,
  },
  "the secret itself stands where its file belongs": {
    env: { VAULT_SECRET_ID: "", VAULT_SECRET_ID_FILE: PLANTED.misplaced },
    tells: /VAULT_SECRET_ID_FILE \[redacted\] cannot be read/,
  },
  "nothing is at the path": {
    spoil: (vault) => vault.secrets.clear(),
    tells:
      /no secret at \/v1\/secret\/data\/secret\/mutt \(VAULT_SECRETS_PATH; .*kv put secret\/mutt" it must be mutt\)/,
  },
  "the version was deleted": { spoil: (vault) => vault.secrets.set(PATH, null), tells: /no secret at/ },
  "the role may not read": {
    spoil: (vault) => vault.deniesReads = true,
    tells: /the read with 403: the role may not read \/v1\/secret\/data\/secret\/mutt \(VAULT_SECRETS_PATH; for/,
  },
  "AppRole is forbidden": {
    spoil: (vault) => vault.always = { status: 403 },
    tells: /the login with 403: VAULT_ROLE_ID/,
  },
  "there is no AppRole": {
    spoil: (vault) => vault.always = { status: 404 },
    tells: /the login with 404: AppRole is not enabled at auth\/approle, or VAULT_ADDR is not a Vault server/,
  },
  "it is sealed": { spoil: (vault) => vault.always = { status: 503 }, tells: /the login with 503: it is sealed/ },
  "it redirects": {
    spoil: (vault) => vault.always = { status: 307, headers: { location: `${vault.url}/elsewhere` } },
    tells: /the login with 307: redirects are not followed/,
  },
  "it is something else": {
    spoil: (vault) => vault.always = { status: 200, text: "<html>hello</html>" },
    tells: /answered the login with 200 but not in Vault's format/,
  },
  "it answers without end": {
    spoil: (vault) => vault.always = { status: 200, text: `{"auth": "${"x".repeat(1_000_000)}` },
    tells: /answered the login with 200 but not in Vault's format/,
  },
  "its token is none": {
    spoil: (vault) => vault.always = { status: 200, text: '{"auth": {"client_token": "a\\r\\nb"}}' },
    tells: /answered the login with 200 but not in Vault's format/,
  },
  "a secret is no text": {
    spoil: (vault) => vault.secrets.set(PATH, { REDIS_PASS_CURRENT: PASSWORD, MOOG_API_KEY: [KEY] }),
    tells: /MOOG_API_KEY at \/v1\/secret\/data\/secret\/mutt of Vault is not one line of text/,
  },
  "the authority's file is not there": {
    env: { VAULT_CACERT: "/nowhere/ca.crt" },
    tells: /VAULT_CACERT "\/nowhere\/ca\.crt" cannot be read: NotFound/,
  },
  "the authority's file holds none": {
    env: { VAULT_CACERT: "/etc/hostname" },
    tells: /VAULT_CACERT "\/etc\/hostname" holds no certificate \(PEM\)/,
  },
  "its certificate is not known": {
    env: { VAULT_CACERT: "" },
    tells: /has a certificate from an authority that is not trusted/,
  },
};

for (const [what, { spoil = () => {}, env: own = {}, tells }] of Object.entries(FAILURES)) {
  Deno.test(`VaultSecrets: names the failure when ${what}, and shows no secret`, async () => {
    await using vault = await TestVault.start({ tls: what.includes("certificate") });
    vault.secrets.set(PATH, { REDIS_PASS_CURRENT: PASSWORD, MOOG_API_KEY: KEY });
    const env = { ...vault.env, ...own };
    spoil(vault);
    const { log, lines } = recordLog();
    const secrets = openSecrets(env, log);
    await secrets.runOnce();
    const { ok, detail } = secrets.state();
    assert.equal(ok, false, detail);
    assert.match(detail, tells);
    assert.match(lines[0]?.message ?? "", tells);
    watchOutput("state", detail);
    assert.deepEqual(vault.asked().filter((asked) => asked.includes("elsewhere")), []);
    assert.equal(secrets.settings.redisPassword?.reveal(), "");
  });
}

function openSecrets(environment: Record<string, string>, log: Log): VaultSecrets {
  const loaded = parseSettings({ environment, dotEnv: {}, readFile: readTextFile });
  assert.ok(loaded.ok, loaded.ok ? "" : loaded.problems.join());
  return new VaultSecrets(loaded.settings, vaultTargets(loaded.settings), { clock: SYSTEM_CLOCK, log });
}

Deno.test("check: names a failure of Vault, and what Redis wants, without a secret", () =>
  withScene(async ({ vault, env }) => {
    vault.secretId = "another";
    await using service = startService({ args: ["check"], env });
    const { code } = await service.exit;
    const told = service.stdout.join("\n");
    assert.equal(code, 1, told);
    assert.match(told, /failed {3}vault: Vault at 127\.0\.0\.1:\d+ answered the login with 400: VAULT_ROLE_ID/);
    assert.match(told, /redis: .*NOAUTH.*VAULT_ADDR and VAULT_ROLE_ID/);
  }));

Deno.test("check: says what came from Vault, over TLS with its own authority, and probes with its key", () =>
  withScene(async (scene) => {
    const env = { ...scene.env, VAULT_CACERT: certificateFiles("localhost").authority };
    await using service = startService({ args: ["check", "--probe"], env });
    const { code } = await service.exit;
    const told = service.stdout.join("\n");
    assert.equal(code, 0, told);
    assert.match(told, /ok {7}vault: REDIS_PASS_CURRENT, MOOG_API_KEY read from/);
    assert.deepEqual(keysSent(scene), [`Bearer ${KEY}`]);
  }, { tls: true }));

Deno.test("check: without Vault names both variables when Redis wants a password", () =>
  withScene(async ({ env }) => {
    await using service = startService({ args: ["check"], env: { ...env, VAULT_ADDR: "", VAULT_ROLE_ID: "" } });
    assert.equal((await service.exit).code, 1);
    assert.match(
      service.stdout.join("\n"),
      /NOAUTH.*set REDIS_PASS_CURRENT and MOOG_API_KEY \(MUTT keeps them only in Vault\)/,
    );
  }));
