/** The probe of the service as a user runs it: proxies, and keys and authorities that are renewed under it. */
import assert from "node:assert/strict";
import { type HttpStub, startHttpStub } from "../../testkit/http_stub.ts";
import { assertNoSecrets, PLANTED } from "../../testkit/planted_secrets.ts";
import { type TestRedis, withRedis } from "../../testkit/redis.ts";
import { type Service, startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";
import { freePort } from "../../scripts/free_port.ts";

const TLS = new URL("../../testkit/tls/", import.meta.url);

/** What `check --probe` says of Moogsoft. */
async function probe(redis: TestRedis, env: Record<string, string>): Promise<{ level: string; text: string }> {
  await using run = startService({
    args: ["check", "--probe", "--json"],
    env: { REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), MOOG_HEALTH_TIMEOUT: "60", ...env },
  });
  await run.exit;
  const { findings } = JSON.parse(run.stdout.join("\n"));
  const [found] = findings.filter(({ subject }: { subject: string }) => subject === "moogsoft");
  return { level: found.level, text: found.text };
}

async function withStubs(use: (moog: HttpStub, proxy: HttpStub) => Promise<void>): Promise<void> {
  const moog = await startHttpStub(), proxy = await startHttpStub();
  try {
    await use(moog, proxy);
  } finally {
    await moog.stop();
    await proxy.stop();
  }
}

for (const name of ["HTTP_PROXY", "http_proxy", "ALL_PROXY"]) {
  withRedis(`check --probe: asks loopback directly, and others through ${name}`, async (redis) => {
    await withStubs(async (moog, proxy) => {
      const through = { [name]: proxy.url };
      const direct = await probe(redis, { ...through, MOOG_WEBHOOK_URL: `${moog.url}/hook` });
      assert.deepEqual(direct, { level: "ok", text: `127.0.0.1:${moog.port} answered 200` });
      assert.equal(proxy.requests.length, 0);
      const other = await probe(redis, { ...through, MOOG_WEBHOOK_URL: "http://moog.invalid/hook" });
      assert.deepEqual(other, {
        level: "ok",
        text: `moog.invalid (through the proxy 127.0.0.1:${proxy.port}) answered 200`,
      });
      assert.deepEqual(proxy.requests.map(({ target }) => target), ["http://moog.invalid/hook"]);
    });
  });
}

withRedis("check --probe: asks nobody but the host itself when NO_PROXY says so", async (redis) => {
  await withStubs(async (_moog, proxy) => {
    const host = `${"a".repeat(64)}.invalid`;
    for (const exception of ["*", `${host}:8080`, host]) {
      const env = { HTTP_PROXY: proxy.url, NO_PROXY: exception, MOOG_WEBHOOK_URL: `http://${host}:8080/` };
      const { level, text } = await probe(redis, env);
      assert.equal(level, "failed", exception);
      assert.match(text, /DNS.*MOOG_WEBHOOK_URL/, exception);
    }
    assert.equal(proxy.requests.length, 0);
  });
});

withRedis("check --probe: says which proxy is not there, without its password", async (redis) => {
  const port = freePort();
  const proxy = `http://user:${encodeURIComponent(PLANTED.webhookPassword)}@127.0.0.1:${port}`;
  const { level, text } = await probe(redis, { HTTPS_PROXY: proxy, MOOG_WEBHOOK_URL: "https://moog.invalid/" });
  assert.equal(level, "failed");
  assert.match(text, new RegExp(`^the proxy 127\\.0\\.0\\.1:${port} refuses the connection.*\\(HTTPS_PROXY\\)`));
  assertNoSecrets("check", text);
});

withRedis("check --probe: says what is wrong with the certificate, and takes MOOG_CA_CERT_PATH's", async (redis) => {
  const read = (file: string) => Deno.readTextFileSync(new URL(file, TLS));
  const options = { hostname: "127.0.0.1", port: 0, cert: read("server.crt"), key: read("server.key"), onListen() {} };
  await using server = Deno.serve(options, () => new Response("taken"));
  const env = { MOOG_WEBHOOK_URL: `https://127.0.0.1:${server.addr.port}/` };
  const refused = await probe(redis, env);
  assert.equal(refused.level, "wrong");
  assert.match(refused.text, /not trusted.*MOOG_CA_CERT_PATH/);
  const trusted = await probe(redis, { ...env, MOOG_CA_CERT_PATH: new URL("ca.crt", TLS).pathname });
  assert.deepEqual(trusted, { level: "ok", text: `127.0.0.1:${server.addr.port} answered 200` });
});

interface Gate {
  readonly name: string;
  readonly reason: string;
  readonly detail: string;
}

/** Waits until a gate of the service (default: downstream) has the reason; asks while it waits. */
async function waitForReason(service: Service, reason: string, gate = "downstream"): Promise<Gate> {
  const { health } = await service.ports();
  return await waitUntil(async () => {
    const response = await fetch(`http://127.0.0.1:${health}/health`, { headers: { accept: "application/json" } });
    const { sources } = await response.json() as { sources: { gates: Gate[] }[] };
    return sources[0]!.gates.find(({ name, reason: now }) => name === gate && now === reason);
  }, { what: `gate ${gate} is ${reason}`, timeoutMs: 60_000 });
}

withRedis("run: asks the alerter on loopback directly, and one elsewhere through the proxy", async (redis) => {
  await withStubs(async (alerter, proxy) => {
    const env = { REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), HTTP_PROXY: proxy.url };
    const heartbeat = "mutt:heartbeat:alerter:pod-1";
    await redis.client().set(heartbeat, "1");
    const url = `http://localhost:${alerter.port}/health`;
    {
      await using direct = startService({ env: { ...env, ALERTER_HEALTH_URL: url } });
      await waitUntil(() => alerter.requests.length > 0, { what: "the alerter is asked", timeoutMs: 60_000 });
      const { detail } = await waitForReason(direct, "alive", "consumer");
      assert.equal(detail, `localhost:${alerter.port} answered 200`);
      assert.equal(proxy.requests.length, 0);
    }
    proxy.answer({ status: 503 });
    await using through = startService({ env: { ...env, ALERTER_HEALTH_URL: "http://alerter.invalid/health" } });
    const { detail } = await waitForReason(through, "health_url_failed", "consumer");
    const seen = `alerter.invalid (through the proxy 127.0.0.1:${proxy.port}) answered 503 (ALERTER_HEALTH_URL)`;
    assert.equal(detail, seen);
  });
});

withRedis(
  "run: probes with a renewed key or authority without a restart, long before its answer is over",
  async (redis) => {
    const read = (file: string) => Deno.readTextFileSync(new URL(file, TLS));
    const options = {
      hostname: "127.0.0.1",
      port: 0,
      cert: read("server.crt"),
      key: read("server.key"),
      onListen() {},
    };
    let good = "key-one";
    await using server = Deno.serve(
      options,
      ({ headers }) => new Response(null, { status: headers.get("authorization") === `Bearer ${good}` ? 200 : 401 }),
    );
    const folder = await Deno.makeTempDir();
    const key = `${folder}/key`, authority = `${folder}/ca.crt`;
    await Deno.writeTextFile(key, "key-one\n");
    await Deno.copyFile(new URL("other_ca.crt", TLS), authority);
    await using service = startService({
      env: {
        ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), MOOG_HEALTH_CACHE_SECONDS: "86400" },
        ...{ MOOG_API_KEY: "", MOOG_API_KEY_FILE: key, MOOG_CA_CERT_PATH: authority },
        MOOG_WEBHOOK_URL: `https://127.0.0.1:${server.addr.port}/`,
      },
    });
    await waitForReason(service, "tls");
    await Deno.copyFile(new URL("ca.crt", TLS), authority);
    await waitForReason(service, "healthy");
    good = "key-two";
    await Deno.writeTextFile(key, "key-bad");
    await waitForReason(service, "probe_rejected");
    // What cannot be read changes nothing.
    await Deno.remove(key);
    await service.waitForLine(/moog_access_unreadable/, { timeoutMs: 60_000 });
    await Deno.writeTextFile(key, "key-two");
    await waitForReason(service, "healthy");
    assert.equal(service.events("moog_access_unreadable").length, 1);
    assert.deepEqual(
      service.events("moog_access_changed").map(({ variable }) => variable),
      ["MOOG_CA_CERT_PATH", "MOOG_API_KEY", "MOOG_API_KEY"],
    );
    assert.ok(![...service.stderr, ...await redis.client().keys("*")].some((line) => /key-(one|two|bad)/.test(line)));
    await Deno.remove(folder, { recursive: true });
  },
);
