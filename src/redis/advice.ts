/** What to do about a failure of Redis: one table, for the log, the gate, `check` and `once`. */
import { HOW_TO_LOG_IN } from "../config/vault.ts";
import { describeRedisError, type RedisErrorCode, redisErrorCode } from "./errors.ts";

/** The first that fits holds: a text before its code. */
const ADVICE: readonly (readonly [failure: RegExp | RedisErrorCode, advice: string])[] = [
  [
    // All that Deno 2.6 says of a certificate; behind Sentinels and in a cluster nobody looks closer.
    /write UNKNOWN/,
    "a certificate was not taken: it has expired, is for another name (REDIS_TLS_SERVER_NAME), or its authority is not in " +
    "REDIS_CA_CERT_PATH",
  ],
  [
    /sentinels are unreachable.*Connection is closed/,
    "nobody listens there, or with TLS one of the two did not take the other's certificate",
  ],
  [/No such master with that name/, "no Sentinel knows the name in REDIS_SENTINEL_MASTER or REDIS_URL"],
  [/Requires write access/, "the program may use sockets in /run/redis and /var/run/redis only"],
  [
    /unknown command ['`]?eval/i,
    "EVAL or EVALSHA was renamed or switched off, and every move is a script: take the rename-command out of redis.conf, or " +
    "connect to Redis itself where a proxy refuses scripts",
  ],
  [/^MASTERDOWN/, "this is a replica that has lost its master: connect to the master, or let REDIS_SENTINELS find it"],
  ["READONLY", "this is a replica: connect to the master, or let REDIS_SENTINELS find it"],
  [
    "NOREPLICAS",
    "fewer replicas are connected than min-replicas-to-write wants: bring them back, or lower min-replicas-to-write",
  ],
  [
    "MISCONF",
    "Redis takes no writes because its last snapshot failed: make room on its disk, or let it write to its dir; its own log " +
    "tells why",
  ],
  ["OOM", "Redis uses more memory than maxmemory allows: raise maxmemory, or free memory"],
  ["BUSY", "somebody's script does not end: SCRIPT KILL ends it"],
  ["LOADING", "Redis reads its data from disk: wait"],
  ["CLUSTERDOWN", "a slot has no owner: look at CLUSTER INFO"],
  ["NOPERM", "the ACL forbids it: docs/redis.md has the line for the user"],
  ["NOAUTH", HOW_TO_LOG_IN],
  ["WRONGPASS", "look at REDIS_USERNAME and REDIS_PASS_CURRENT; MUTT keeps the password in Vault"],
  ["DENIED", "set a password in Redis and in REDIS_PASS_CURRENT, or bind Redis to the address that is connected to"],
  ["MAXCLIENTS", "raise maxclients in Redis, or end connections: CLIENT LIST shows whose they are"],
];

/** A failure's text as it may be shown, with what to do about it where that is known. Pure, never throws. */
export function explainRedisError(error: unknown): string {
  const text = describeRedisError(error), code = redisErrorCode(error);
  const advice = ADVICE.find(([failure]) => failure instanceof RegExp ? failure.test(text) : failure === code)?.[1];
  return advice === undefined ? text : `${text} (${advice})`;
}
