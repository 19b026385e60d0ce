/** Checks Redis before any message moves, as far as the user's permissions allow. */
import calculateSlot from "cluster-key-slot";
import type { SourcePolicy } from "../message/source_policy.ts";
import { ownersOf, type RedisClient } from "../redis/cluster.ts";
import { isRetryable, redisErrorCode } from "../redis/errors.ts";
import { hashTag } from "../redis/keys.ts";

/** Findings: problems prevent the start, warnings do not. Each says what to do. */
export interface Preflight {
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
  /** Fields of INFO for `check`, such as `redis_version` and `maxmemory_policy`; empty if INFO is not permitted. */
  readonly facts: Readonly<Record<string, string>>;
}

/**
 * Reads INFO of every server that holds these sources, and nothing else. Warns if INFO is refused. Rejects if a server
 * does not answer.
 */
export async function inspectRedis(redis: RedisClient, policies: readonly SourcePolicy[]): Promise<Preflight> {
  const misplaced = policies.flatMap((policy) => findSlotProblems(redis, policy));
  let servers: readonly Record<string, string>[];
  try {
    const owners = ownersOf(redis, policies.map(({ dlq }) => dlq));
    servers = await Promise.all(owners.map(async (server) => parseInfo(await server.info())));
  } catch (error) {
    const code = redisErrorCode(error);
    // INFO is refused: report its facts as unknown.
    if (isRetryable(code)) throw error;
    const warning = `Redis refuses INFO (${code}): eviction policy and cluster mode are unknown. ` +
      "Make sure that maxmemory-policy is not allkeys-*, which would evict dead letters";
    return { problems: misplaced, warnings: [warning], facts: {} };
  }
  const problems = [...servers.flatMap(evictionProblems), ...misplaced];
  const [facts = {}] = servers;
  if (facts.cluster_enabled === "1" && !redis.isCluster) problems.push(UNNAMED_CLUSTER);
  return { problems: [...new Set(problems)], warnings: [...new Set(servers.flatMap(evictionWarnings))], facts };
}

const UNNAMED_CLUSTER = "Redis is a cluster, but only one node is configured: list several nodes as host:port in " +
  "REDIS_CLUSTER_NODES instead of REDIS_HOST or REDIS_URL";

/** Whether the policy may evict any key. It has no effect while `maxmemory` is 0. */
function evictsAtWill({ maxmemory_policy: policy = "" }: Record<string, string>): boolean {
  return policy.startsWith("allkeys-");
}

function evictionProblems(facts: Record<string, string>): string[] {
  const { maxmemory_policy: policy, maxmemory, maxmemory_human: human } = facts;
  return evictsAtWill(facts) && maxmemory !== "0"
    ? [
      `Redis may evict any key (maxmemory-policy ${policy}, maxmemory ${human ?? "unknown"}), even whole queues; set ` +
      "maxmemory-policy to noeviction",
    ]
    : [];
}

function evictionWarnings(facts: Record<string, string>): string[] {
  const { maxmemory_policy: policy, maxmemory } = facts;
  return evictsAtWill(facts) && maxmemory === "0"
    ? [
      `maxmemory-policy is ${policy}. It evicts nothing while maxmemory is 0, but whole queues once maxmemory is set: use noeviction`,
    ]
    : [];
}

/** On a cluster, a script runs on one node, so all keys that it moves must be in one slot. Does no IO. */
export function findSlotProblems(redis: RedisClient, { name, dlq, target, dead }: SourcePolicy): string[] {
  if (!redis.isCluster) return [];
  const keys = [dlq, target, dead];
  const slots = keys.map((key) => calculateSlot(key));
  if (new Set(slots).size === 1) return [];
  const tag = hashTag(dlq) ?? hashTag(target) ?? hashTag(dead) ?? "mutt";
  const found = keys.map((key, at) => `${key} (slot ${slots[at]})`).join(", ");
  const wanted = keys.map((key) => `{${tag}}:${key.replace(/\{[^}]*\}:?/, "").replace(`${tag}:`, "")}`).join(", ");
  return [
    `The lists of source ${name} lie in different slots of the cluster: ${found}. Give them one hash tag, here and in ` +
    `every program that uses them, e.g. ${wanted} (docs/redis.md)`,
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
