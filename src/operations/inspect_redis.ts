/** What must be so in Redis before anything is moved, as far as the user may ask. */
import calculateSlot from "cluster-key-slot";
import type { SourcePolicy } from "../message/source_policy.ts";
import { ownersOf, type RedisClient } from "../redis/cluster.ts";
import { isRetryable, redisErrorCode } from "../redis/errors.ts";
import { hashTag } from "../redis/keys.ts";

/** What was found: problems refuse the start, warnings do not. Each says what to do. */
export interface Preflight {
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
  /** Facts for `check`: `redis_version`, `maxmemory_policy`, `cluster_enabled`; missing where they may not be asked. */
  readonly facts: Readonly<Record<string, string>>;
}

/** Asks every server that holds these sources. Reads INFO only. Rejects where one does not answer; where INFO is not to be had it warns. */
export async function inspectRedis(redis: RedisClient, policies: readonly SourcePolicy[]): Promise<Preflight> {
  const misplaced = redis.isCluster ? policies.flatMap(slotProblems) : [];
  let servers: readonly Record<string, string>[];
  try {
    const owners = ownersOf(redis, policies.map(({ dlq }) => dlq));
    servers = await Promise.all(owners.map(async (server) => parseInfo(await server.info())));
  } catch (error) {
    const code = redisErrorCode(error);
    // Any other refusal of INFO leaves its facts unknown.
    if (isRetryable(code)) throw error;
    const warning = `INFO is not to be had (${code}): eviction policy and cluster mode are unknown. ` +
      "Make sure that maxmemory-policy is not allkeys-*, which would evict dead letters";
    return { problems: misplaced, warnings: [warning], facts: {} };
  }
  const problems = [...servers.flatMap(evictionProblems), ...misplaced];
  const [facts = {}] = servers;
  if (facts.cluster_enabled === "1" && !redis.isCluster) problems.push(UNNAMED_CLUSTER);
  return { problems: [...new Set(problems)], warnings: [...new Set(servers.flatMap(evictionWarnings))], facts };
}

const UNNAMED_CLUSTER = "Redis is a cluster, and only one of its nodes is known: give some of them, as host:port, in " +
  "REDIS_CLUSTER_NODES instead of REDIS_HOST or REDIS_URL";

/** A policy that takes any key. Without `maxmemory` it never comes to that. */
function evictsAtWill({ maxmemory_policy: policy = "" }: Record<string, string>): boolean {
  return policy.startsWith("allkeys-");
}

function evictionProblems(facts: Record<string, string>): string[] {
  const { maxmemory_policy: policy, maxmemory, maxmemory_human: human } = facts;
  return evictsAtWill(facts) && maxmemory !== "0"
    ? [
      `Redis evicts keys at will (maxmemory-policy ${policy}, maxmemory ${
        human ?? "unknown"
      }), whole queues included; set ` +
      "maxmemory-policy to noeviction",
    ]
    : [];
}

function evictionWarnings(facts: Record<string, string>): string[] {
  const { maxmemory_policy: policy, maxmemory } = facts;
  return evictsAtWill(facts) && maxmemory === "0"
    ? [
      `maxmemory-policy is ${policy}. It evicts nothing while maxmemory is 0, and whole queues once that is set: set it to noeviction`,
    ]
    : [];
}

/** A script sees only one node, so what it moves must lie there together. */
function slotProblems({ name, dlq, target, dead }: SourcePolicy): string[] {
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
