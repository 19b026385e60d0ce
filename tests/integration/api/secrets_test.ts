/** Secrets in messages, in keys and in the request: no answer, event, log line or journal entry shows one. */
import assert from "node:assert/strict";
import { parseApiKeys } from "../../../src/config/api_keys.ts";
import { createRoutes } from "../../../src/api/routes.ts";
import { OPERATIONS } from "../../../src/operations/registry.ts";
import { journalKey } from "../../../src/redis/keys.ts";
import { Secret } from "../../../src/runtime/secret.ts";
import { DEAD, DLQ, TARGET } from "../../../testkit/engine.ts";
import { MARK, PLANTED, withCredentials } from "../../../testkit/planted_secrets.ts";
import { shareRedis } from "../../../testkit/redis.ts";
import { keysSetting, startServed } from "../../../testkit/served.ts";

const server = shareRedis();
const API_KEY = JSON.stringify(PLANTED.messageApiKey);
const MESSAGES = [
  `{"api_key": ${API_KEY}, "hostname": "h", "timestamp": "2026-11-20T10:00:00Z", "message": "m"}`,
  `{"hostname": "h", "message": "m", "more": {"list": [{"api_key": ${API_KEY}}]}, "Authorization": ${API_KEY}}`,
  `{"api_key": ${API_KEY}, "hostname": "h", "message": "again", "api_key": ${API_KEY}}`,
];
const MISPLACED = encodeURIComponent(PLANTED.misplaced);

Deno.test("secrets: no route shows one, whoever asks and wherever the secret is", async () => {
  const client = server().client();
  for (const list of [DLQ, DEAD, TARGET]) await client.lpush(list, ...MESSAGES);
  const apiKeys = keysSetting({ admin: PLANTED.apiKey });
  assert.ok(parseApiKeys(apiKeys.reveal(), "list").ok);
  await using service = await startServed(server(), {
    ...{ enabled: false, apiKeys, trustedProxySecret: new Secret(PLANTED.proxySecret) },
    trustedProxyRoles: "noc=viewer",
    ...{ moogApiKey: new Secret(PLANTED.moogApiKey), redisPasswordNext: new Secret(PLANTED.redisPasswordNext) },
    ...{
      redisSentinelPassword: new Secret(PLANTED.sentinelPassword),
      vaultSecretId: new Secret(PLANTED.vaultSecretId),
    },
    moogWebhookUrl: withCredentials("http://127.0.0.1:9/hook", { password: PLANTED.webhookPassword }),
    alerterHealthUrl: withCredentials("http://127.0.0.1:9/health?key=x", { password: PLANTED.healthPassword }),
  });
  const key = PLANTED.apiKey,
    proxied = { "x-proxy-secret": PLANTED.proxySecret, "x-forwarded-user": "ann", "x-forwarded-groups": "noc" };
  const asks = [{ key }, { headers: proxied }, { key: `${key}x` }, {
    headers: { ...proxied, "x-proxy-secret": `${key}x` },
  }];
  const answers: string[] = [];
  const ask = async (method: string, path: string, more: object) => {
    for (const one of asks) answers.push((await service.ask(method, path, { ...one, ...more })).text);
  };
  const { json } = await service.ask("GET", "/api/v1/sources/alerter/dlq", { key });
  const ids: string[] = json.rows.map(({ id }: { id: string }) => id);
  assert.equal(ids.length, MESSAGES.length);
  for (const { http, path } of createRoutes(OPERATIONS)) {
    for (const list of ["dlq", "dead", "target", MISPLACED]) {
      for (const id of path.includes("{id}") ? [...ids, MISPLACED] : [""]) {
        const place = path.replace("{source}", "alerter").replace("{list}", list).replace("{id}", id);
        await ask(http.method, place, {});
      }
      if (!path.includes("{list}")) break;
    }
    // An answer names the member that cannot be used, not a value that looks like a secret.
    await ask(http.method, `${path.replaceAll(/\{\w+\}/g, "alerter")}?api_key=${MISPLACED}`, {
      ...(http.method === "GET" ? {} : { body: { api_key: PLANTED.misplaced, [PLANTED.misplaced]: 1 } }),
    });
  }
  for (const query of [`(${MISPLACED}`, `${MISPLACED}:>1`, `age:${MISPLACED}`, `"${MISPLACED}`]) {
    await ask("GET", `/api/v1/sources/alerter/dlq/search?query=${query}`, {});
  }
  await ask("GET", `/api/v1/journal?cursor=${MISPLACED}&source=${MISPLACED}&from=${MISPLACED}`, {});
  await ask("GET", `/api/v1/journal/verify?copies=${MISPLACED}`, {});
  await ask("GET", `/api/v1/sources/alerter/dlq?from=${MISPLACED}`, {});
  const text = answers.join("\n");
  assert.ok(text.includes('"variable":"MOOG_API_KEY","value":"[redacted]"'));
  assert.ok(text.includes('"kind":"row"') && text.includes('"kind":"group"') && text.includes('"kind":"masked"'));
  assert.ok(!text.includes(MARK), text.slice(text.indexOf(MARK) - 300, text.indexOf(MARK) + 100));
  assert.ok(!JSON.stringify(service.lines).includes(MARK));
  const stored = await client.xrange(journalKey("audit"), "-", "+");
  assert.ok(!JSON.stringify(stored).includes(MARK));
});
