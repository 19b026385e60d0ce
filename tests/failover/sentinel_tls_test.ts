/** Redis and its Sentinels on TLS ports only: each is verified, and a failover in the middle of a drain loses nothing. */
import assert from "node:assert/strict";
import { DLQ, eventTexts, idOf, TARGET } from "../../testkit/engine.ts";
import { MASTER, SentinelTrio } from "../../testkit/sentinel.ts";
import { type Service, startService } from "../../testkit/service.ts";
import { certificateFiles, SHARED_NAME } from "../../testkit/tls.ts";
import { waitUntil } from "../../testkit/wait.ts";
import { needs } from "../../testkit/redis_version.ts";

const COUNT = 1_500;
/** Detection, election and the client's own back-off. */
const FAILOVER_MS = 30_000;

const { cert, key, authority } = certificateFiles("node_1");
const CLIENT_CERTIFICATE = { REDIS_CLIENT_CERT_PATH: cert, REDIS_CLIENT_KEY_PATH: key };
const DRAIN = {
  ...{ REMEDIATION_BATCH_SIZE: "0", REMEDIATION_CONSUMER_GATE: "off", MOOG_HEALTH_CHECK_ENABLED: "false" },
  ...{ REMEDIATION_TARGET_MAX_DEPTH: "0", REMEDIATION_MAX_PER_SECOND: "200" },
};

function byVariables(trio: SentinelTrio): Record<string, string> {
  const where = { REDIS_SENTINELS: trio.addresses().join(","), REDIS_SENTINEL_MASTER: MASTER };
  return { ...DRAIN, ...where, REDIS_TLS_ENABLED: "true", REDIS_CA_CERT_PATH: authority };
}

function byUrl(trio: SentinelTrio): Record<string, string> {
  const url = `rediss+sentinel://${trio.addresses().join(",")}/${MASTER}`;
  return { ...DRAIN, REDIS_URL: url, REDIS_CA_CERT_PATH: authority };
}

const WAYS: readonly [
  name: string,
  demandsCertificate: boolean,
  environment: (trio: SentinelTrio) => Record<string, string>,
][] = [
  ["each certificate is good for its server's address", false, byVariables],
  ["all have one name, and ask for a certificate", true, (trio) => ({
    ...{ ...byUrl(trio), ...CLIENT_CERTIFICATE },
    REDIS_TLS_SERVER_NAME: SHARED_NAME,
  })],
];

for (const [name, demandsCertificate, environment] of WAYS) {
  Deno.test(`sentinel: a drain over TLS goes on at the new master where ${name}`, async () => {
    await using trio = await SentinelTrio.start({ tls: { demandsCertificate } });
    const before = await trio.master();
    await trio.client(before).lpush(DLQ, ...eventTexts(COUNT));
    await using service = startService({ env: environment(trio) });
    await waitUntil(async () => await trio.client(before).llen(TARGET) > 100, {
      what: "the drain is under way",
      timeoutMs: 15_000,
    });
    await before.kill("SIGKILL");
    await waitUntil(async () => await trio.master() !== before, {
      what: "there is a new master",
      timeoutMs: FAILOVER_MS,
    });
    const client = trio.client(await trio.master());
    assert.ok(await client.llen(DLQ) > 0, "it was in the middle");
    await waitUntil(async () => await client.llen(DLQ) === 0, { what: "the DLQ is empty", timeoutMs: FAILOVER_MS });
    assert.deepEqual((await client.lrange(TARGET, 0, "-1")).reverse().map(idOf), eventTexts(COUNT).map(idOf));
    assert.ok(service.events("redis_ready").length >= 2, "the service has connected again");
  });
}

/** Waits until it has been told why Redis cannot be used, and asks whether the service says so. */
async function reasonOf(service: Service): Promise<string> {
  const { health } = await service.ports();
  await waitUntil(() => service.events("redis_unreachable").length > 0, { what: "it is told", timeoutMs: 15_000 });
  const ready = await fetch(`http://127.0.0.1:${health}/readyz`);
  assert.equal(ready.status, 503);
  assert.match(await ready.text(), /Redis cannot be used/);
  return String(service.events("redis_unreachable")[0]?.reason);
}

Deno.test("sentinel: the service verifies every server, says what is wrong, and lives on", async (t) => {
  await using trio = await SentinelTrio.start({ tls: { demandsCertificate: true } });
  const env = { ...byVariables(trio), ...CLIENT_CERTIFICATE };
  await t.step("a Sentinel that has another name", async () => {
    await using service = startService({ env: { ...env, REDIS_TLS_SERVER_NAME: "other.test" } });
    assert.match(await reasonOf(service), /All sentinels are unreachable.*certificate/);
  });
  await t.step("a Sentinel that demands a certificate and gets none", async () => {
    await using service = startService({ env: byVariables(trio) });
    await reasonOf(service);
    const attempts = async () =>
      (await Deno.readTextFile(`${trio.sentinels[0]!.dir}/redis.log`)).split("peer did not return a certificate")
        .length;
    const before = await attempts();
    await waitUntil(async () => await attempts() > before + 3, { what: "it tries again and again", timeoutMs: 15_000 });
    service.signal("SIGTERM");
    assert.equal((await service.exit).code, 0);
  });
  await t.step({
    ...needs("7.0", "a master that has another name than the Sentinels"),
    async fn() {
      const [, replica] = trio.servers;
      // The second server shows the first one's certificate from now on, and is made the master.
      await trio.client(replica).config("SET", "tls-cert-file", cert, "tls-key-file", key);
      await trio.client(trio.sentinels[0]!).call("SENTINEL", "FAILOVER", MASTER);
      await waitUntil(async () => await trio.master() === replica, {
        what: "it is the master",
        timeoutMs: FAILOVER_MS,
      });
      await using service = startService({ env });
      assert.match(await reasonOf(service), /does not match certificate's altnames: IP: 127\.0\.0\.2/);
    },
  });
});
