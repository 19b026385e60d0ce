/** Messages made to fill the memory of whoever reads them: the service stays within the limit that it is deployed with. */
import assert from "node:assert/strict";
import { oversizeKey } from "../../src/redis/keys.ts";
import { HAS_PROC, peakResidentBytes } from "../../testkit/process_facts.ts";
import { withRedis } from "../../testkit/redis.ts";
import { startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";

const MIB = 2 ** 20;
const COUNT = 20;
const DLQ = "mutt:dlq:alerter";
/** Kubernetes' limit (`k8s/base/deployment.yaml`) for the binary; from source V8 is not told to keep its young generation small. */
const MOST_MIB = Deno.env.get("MUTT_REMEDIATION_BINARY") ? 256 : 512;

/** As large as is read at all, and of what takes the most memory to judge or to move. */
const HOSTILE: Readonly<Record<string, string>> = {
  "members only": `{${'"a":1,'.repeat(680_000)}"b":1}`,
  "members to keep and to cut by turns": `{${'"a":1,"_retry_count":{},'.repeat(170_000)}"hostname":"h"}`,
  "members replayed, half of them cut": `{${
    '"a":1,"_retry_count":0,'.repeat(170_000)
  }"hostname":"h","timestamp":1,"message":"m"}`,
  "control characters": "\x01".repeat(4_100_000),
  "containers": `{"a":[${"[],".repeat(1_300_000)}1]}`,
};

/** Drains the messages, and finds every one of them in some list. */
function drains(name: string, createMessages: () => readonly string[]): void {
  withRedis(`memory: at most ${MOST_MIB} MiB while ${name}`, async (redis) => {
    const messages = createMessages();
    await redis.seedList(DLQ, messages);
    await using service = startService({
      env: {
        ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), REMEDIATION_BATCH_SIZE: "0" },
        ...{ REMEDIATION_CONSUMER_GATE: "off", REMEDIATION_TARGET_MAX_DEPTH: "0", REMEDIATION_MAX_PER_SECOND: "0" },
      },
    });
    await waitUntil(async () => await redis.depth(DLQ) === 0, { what: "the DLQ is empty", timeoutMs: 90_000 });
    const lists = ["mutt:ingest_queue", "mutt:dlq:dead", oversizeKey(DLQ)];
    const depths = await Promise.all(lists.map((list) => redis.depth(list)));
    assert.equal(depths.reduce((sum, depth) => sum + depth, 0), messages.length);
    if (!HAS_PROC) return;
    const most = peakResidentBytes(service.pid) / MIB;
    assert.ok(most > 10 && most < MOST_MIB, `${most} MiB`);
  });
}

for (const [name, message] of Object.entries(HOSTILE)) {
  drains(`${COUNT} messages of 4 MB are ${name}`, () => Array.from({ length: COUNT }, () => message));
}

/** Reads by LRANGE foresee sizes by those of the messages before. */
const SMALL = Array.from({ length: 1_000 }, (_, i) => `{"hostname": "h", "timestamp": 1, "message": "${i}"}`);
const PADDED = (bytes: number) => `{"hostname": "h", "timestamp": 1, "message": "${"x".repeat(bytes)}"}`;

drains("one message of 100 MiB lies among a thousand small ones", () => SMALL.toSpliced(700, 0, PADDED(100 * MIB)));
drains("60 messages of 4 MB lie behind a thousand small ones", () => [...SMALL, ...Array(60).fill(PADDED(4_000_000))]);
