/**
 * The permissions of a Redis user for the built-in sources, as in docs/redis.md. tests/integration/acl_test.ts checks
 * that they are sufficient and that each is necessary.
 */
import { CONFIG_CHANNEL, CONFIG_KEY_PREFIX } from "../src/mutt/dynamic_keys_watcher.ts";
import { DEFAULT_SETTINGS, type Settings } from "../src/config/fields.ts";
import type { BuiltInName } from "../src/config/sources.ts";

/** Commands for one purpose. */
export interface CommandGrant {
  readonly commands: readonly string[];
  readonly why: string;
  /** Effect if one of them is missing; `null`: nothing moves. */
  readonly without: string | null;
}

/** Files of the scripts that only what operators ask for runs: without their commands, automatic replay works. */
export const JOB_SCRIPTS =
  /(_job|_drill|(sweep|restore|return|add|stage)_chunk|(edit|move)_message|return_oversize|claim_request)\.lua$/;

/** Every command that the service sends or its scripts call; Redis checks the ACL for both. */
export const COMMAND_GRANTS: readonly CommandGrant[] = [
  { commands: ["eval", "evalsha"], why: "Scripts.", without: null },
  {
    commands: [
      ...["type", "time", "llen", "lindex", "lrange", "lpush", "lrem", "ltrim", "get", "getrange", "set"],
      ...["hget", "hmget", "hset", "hstrlen", "pexpire"],
    ],
    why: "What the scripts call.",
    without: null,
  },
  {
    commands: ["lmove", "rpoplpush", "rpush", "lset", "persist", "zadd", "zrange", "zrem"],
    why:
      "Jobs of operators. `lset` for edits, `rpush` for the undo of a burial, for every move of a source with `push: RPUSH`, and on Redis 6.0 instead of `lmove`. The sorted sets also bound the answers that the API keeps.",
    without: "a job stops where it needs one; automatic replay works, of sources with `push: RPUSH` only with `rpush`",
  },
  { commands: ["zcount"], why: "The pace.", without: null },
  { commands: ["xadd"], why: "The journal, the history.", without: "nothing is recorded; `check` warns" },
  { commands: ["xrange", "xrevrange"], why: "Reading the journal and the history.", without: "it cannot be read" },
  {
    commands: ["watch", "multi", "exec", "discard"],
    why: "Guard a move.",
    without: "a digest guards it: as safe, at more of Redis' time",
  },
  {
    commands: ["scan", "exists"],
    why: "The consumers' heartbeats. SCAN shows the names of all keys.",
    without: "gate `consumer` is open, unless `REMEDIATION_CONSUMER_GATE` is `required`",
  },
  {
    commands: ["zrevrangebyscore"],
    why: "Live alerts that get through.",
    without: "no proof that the consumer works: with constant returns only canary groups go",
  },
  {
    commands: ["info"],
    why: "Eviction policy, cluster mode.",
    without: "they are unknown",
  },
  {
    commands: ["subscribe"],
    why: "Dynamic keys, at once.",
    without: "polled every 5 s",
  },
  {
    commands: ["client|setname"],
    why: "Names in `CLIENT LIST`.",
    without: "none",
  },
  {
    commands: ["select"],
    why: "A database other than 0.",
    without: "needed, if `REDIS_DB` is not 0",
  },
];

/** Additional commands for Redis Cluster. */
export const CLUSTER_GRANT: CommandGrant = {
  commands: ["cluster|slots"],
  why: "In a Redis Cluster only.",
  without: null,
};

/** Additional commands for sources that record stamps beside their messages. */
export const RECORD_GRANT: CommandGrant = {
  commands: ["hdel", "hlen"],
  why: "Only for a source with `record: beside`.",
  without: null,
};

/** Keys for one purpose. */
export interface KeyGrant {
  readonly patterns: readonly string[];
  readonly writes: boolean;
  readonly why: string;
}

/** Lists the keys of these sources. */
export function keyGrants(
  sources: readonly BuiltInName[],
  settings: Settings = DEFAULT_SETTINGS,
): readonly KeyGrant[] {
  const { alerterDlq, moogDlq, ingestQueue, alertQueue, deadList, ...names } = settings;
  const [hasAlerter, hasMoog] = [sources.includes("alerter"), sources.includes("moog")];
  const heartbeats = [
    ...(hasAlerter ? [names.alerterHeartbeatPrefix] : []),
    ...(hasMoog ? [names.moogHeartbeatPrefix] : []),
  ];
  return [
    ...(hasAlerter ? [{ patterns: [alerterDlq, ingestQueue], writes: true, why: "Source `alerter`." }] : []),
    ...(hasMoog ? [{ patterns: [moogDlq, alertQueue], writes: true, why: "Source `moog`." }] : []),
    { patterns: [deadList], writes: true, why: "The dead list." },
    { patterns: ["mutt:remediation:*"], writes: true, why: "The service's own keys." },
    ...(hasMoog ? [] : [{ patterns: [alertQueue], writes: false, why: "Depth and pace." }]),
    { patterns: [names.moogRateLimitKey], writes: false, why: "The pace." },
    { patterns: ["mutt:circuit_breaker:moogsoft:*"], writes: false, why: "The forwarders' circuit breaker." },
    { patterns: heartbeats.map((prefix) => `${prefix}:*`), writes: false, why: "The consumers' heartbeats." },
    { patterns: [`${CONFIG_KEY_PREFIX}*`], writes: false, why: "Dynamic keys." },
  ];
}

/** Redis versions with different rule syntax: read-only keys exist from 7.0 on, channels from 6.2 on. */
export const ACL_DIALECTS = ["7.0", "6.2", "6.0"] as const;
/** One of {@link ACL_DIALECTS}, for that version and later ones. */
export type AclDialect = (typeof ACL_DIALECTS)[number];

/** Options of the rules. */
export interface AclOptions {
  /** Default: 7.0. */
  readonly dialect?: AclDialect;
  /** Names of lists and keys; default: those of the settings. */
  readonly settings?: Settings;
  /** Whether to add Redis Cluster's commands; default: false. */
  readonly cluster?: boolean;
  /** Whether a source records its stamps beside the messages; default: false. */
  readonly beside?: boolean;
}

/** Builds a user's rules for `ACL SETUSER`, without name and password: keys, channel, commands. */
export function aclRules(
  sources: readonly BuiltInName[],
  { dialect = "7.0", settings, cluster = false, beside = false }: AclOptions = {},
): readonly string[] {
  const grants = [...COMMAND_GRANTS, ...(cluster ? [CLUSTER_GRANT] : []), ...(beside ? [RECORD_GRANT] : [])];
  const keys = keyGrants(sources, settings).flatMap(({ patterns, writes }) => {
    const prefix = writes || dialect !== "7.0" ? "~" : "%R~";
    return patterns.map((pattern) => prefix + pattern);
  });
  return [
    ...keys,
    ...(dialect === "6.0" ? [] : ["resetchannels", `&${CONFIG_CHANNEL}`]),
    ...grants.flatMap(({ commands }) => commands).filter((command) => dialect !== "6.0" || command !== "lmove")
      .map((command) => `+${command}`),
  ];
}
