/** What must be so in Redis before anything is moved, as far as the user may ask. */
import calculateSlot from "cluster-key-slot";
import type { Redis } from "ioredis";
import type { SourcePolicy } from "../domain/source.ts";
import { type RedisErrorCode, redisErrorCode } from "../redis/errors.ts";
import { hashTag } from "../redis/keys.ts";

/** What was found: problems refuse the start, warnings do not. Each says what to do. */
export interface Preflight {
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
  /** Facts for `check`: `redis_version`, `maxmemory_policy`, `cluster_enabled`; missing where they may not be asked. */
  readonly facts: Readonly<Record<string, string>>;
}

/** What passes by waiting: then Redis is asked again. Any other refusal of INFO leaves its facts unknown. */
const PASSING: ReadonlySet<RedisErrorCode> = new Set<RedisErrorCode>([
  ...["LOADING", "BUSY", "NOAUTH", "WRONGPASS", "CLUSTERDOWN", "TRYAGAIN", "TIMEOUT", "CONNECTION"] as const,
]);

/** Asks Redis. Reads INFO only. Rejects where Redis does not answer; where INFO is not to be had it warns. */
export async function inspectRedis(redis: Redis, policies: readonly SourcePolicy[]): Promise<Preflight> {
  let facts: Record<string, string>;
  try {
    facts = parseInfo(await redis.info());
  } catch (error) {
    const code = redisErrorCode(error);
    if (PASSING.has(code)) throw error;
    const warning = `INFO is not to be had (${code}): eviction policy and cluster mode are unknown. ` +
      "Make sure that maxmemory-policy is not allkeys-*, which would evict dead letters";
    return { problems: [], warnings: [warning], facts: {} };
  }
  return { problems: [...evictionProblems(facts), ...clusterProblems(facts, policies)], warnings: [], facts };
}

function evictionProblems({ maxmemory_policy: policy = "" }: Record<string, string>): string[] {
  return policy.startsWith("allkeys-")
    ? [`Redis evicts keys at will (maxmemory-policy ${policy}), whole queues included; set it to noeviction`]
    : [];
}

function clusterProblems(
  { cluster_enabled: enabled }: Record<string, string>,
  policies: readonly SourcePolicy[],
): string[] {
  if (enabled !== "1") return [];
  const unsupported = "Redis is a cluster, which this version cannot use yet: point it at a single server";
  return [unsupported, ...policies.flatMap(slotProblems)];
}

function slotProblems({ name, dlq, target, dead }: SourcePolicy): string[] {
  const keys = [dlq, target, dead];
  if (new Set(keys.map((key) => calculateSlot(key))).size === 1) return [];
  const tag = hashTag(dlq) ?? "mutt";
  return [
    `The lists of source ${name} lie in different cluster slots (${keys.join(", ")}): give their names one hash tag, ` +
    `e.g. {${tag}}:${dlq.replace(/[{}]/g, "")}`,
  ];
}

function parseInfo(text: string): Record<string, string> {
  return Object.fromEntries(
    text.split("\r\n").filter((line) => line.includes(":") && !line.startsWith("#")).map((line) => {
      const at = line.indexOf(":");
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );
}
