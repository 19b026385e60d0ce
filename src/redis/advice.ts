/** Advice for each failure of Redis, in one table: the log, the gate, `check` and `once` show it. */
import { HOW_TO_LOG_IN } from "../config/vault.ts";
import { describeRedisError, type RedisErrorCode, redisErrorCode } from "./errors.ts";

/** The first match applies, so texts come before their code. */
const ADVICE: readonly (readonly [failure: RegExp | RedisErrorCode, advice: string])[] = [
  [
    // Deno 2.6 gives no other text for a certificate. Behind Sentinels and in a cluster, findConnectionFault is not used.
    /write UNKNOWN/,
    "a certificate was rejected: it has expired, is for another name (set REDIS_TLS_SERVER_NAME), or its authority is not in " +
    "REDIS_CA_CERT_PATH",
  ],
  [
    /sentinels are unreachable.*Connection is closed/,
    "nothing listens at these addresses, or with TLS one side rejected the other's certificate",
  ],
  [/No such master with that name/, "no Sentinel knows the master name in REDIS_SENTINEL_MASTER or REDIS_URL"],
  [/Requires write access/, "the program may only use sockets in /run/redis and /var/run/redis"],
  [
    /unknown command ['`]?eval/i,
    "EVAL or EVALSHA was renamed or disabled, but every move is a script: remove the rename-command from redis.conf, or " +
    "connect directly to Redis if a proxy refuses scripts",
  ],
  [/^MASTERDOWN/, "this is a replica that has lost its master: connect to the master, or let REDIS_SENTINELS find it"],
  [/^WRONGTYPE/, "a key has another type than it must have: mutt-remediation check, or watch --dry-run, names it"],
  ["READONLY", "this is a replica: connect to the master, or let REDIS_SENTINELS find it"],
  [
    "NOREPLICAS",
    "fewer replicas are connected than min-replicas-to-write requires: restore them, or lower min-replicas-to-write",
  ],
  [
    "MISCONF",
    "Redis rejects writes because its last snapshot failed: make room on its disk, or give it write access to its dir; " +
    "its log names the cause",
  ],
  ["OOM", "Redis uses more memory than maxmemory allows: raise maxmemory, or free memory"],
  ["BUSY", "another client's script is still running: end it with SCRIPT KILL"],
  ["LOADING", "Redis is loading its data from disk: wait"],
  ["CLUSTERDOWN", "a slot has no owner: check CLUSTER INFO"],
  ["NOPERM", "the ACL forbids this: set the user's ACL as in docs/redis.md"],
  ["NOAUTH", HOW_TO_LOG_IN],
  ["WRONGPASS", "check REDIS_USERNAME and REDIS_PASS_CURRENT; MUTT keeps the password in Vault"],
  [
    "DENIED",
    "set a password in Redis and in REDIS_PASS_CURRENT, or bind Redis to the address that this service connects to",
  ],
  ["MAXCLIENTS", "raise maxclients in Redis, or close connections: CLIENT LIST shows their clients"],
];

/** Describes a failure, with advice if the table has any. The text holds no secrets. Pure, never throws. */
export function explainRedisError(error: unknown): string {
  const text = describeRedisError(error), code = redisErrorCode(error);
  const advice = ADVICE.find(([failure]) => failure instanceof RegExp ? failure.test(text) : failure === code)?.[1];
  return advice === undefined ? text : `${text} (${advice})`;
}
