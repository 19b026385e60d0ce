import { deepStrictEqual, match, ok, strictEqual, throws } from "node:assert/strict";
import { SERVER_ERRORS } from "../../../testkit/redis_error_texts.ts";
import { explainRedisError } from "../../../src/redis/advice.ts";
import {
  describeRedisError,
  redisErrorCode,
  StoreError,
  throwStoreError,
  toStoreError,
  wrongTypeError,
} from "../../../src/redis/errors.ts";

const cases: [string, string][] = [
  ["OOM command not allowed when used memory > 'maxmemory'. script: 1f, on @user_script:1.", "OOM"],
  ["READONLY You can't write against a read only replica.", "READONLY"],
  [
    "ERR Error running script (call to f_1): @user_script:3: -READONLY You can't write against a read only replica.",
    "READONLY",
  ],
  ["MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "MASTERDOWN"],
  ["LOADING Redis is loading the dataset in memory", "LOADING"],
  ["BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSCRIPT.", "BUSY"],
  ["BUSYGROUP Consumer Group name already exists", "OTHER"],
  ["NOSCRIPT No matching script. Please use EVAL.", "NOSCRIPT"],
  ["NOPERM this user has no permissions to run the 'scan' command", "NOPERM"],
  [
    "ERR Error running script (call to f_1): @user_script:1: The user executing the script can't run this command",
    "NOPERM",
  ],
  ["ERR ACL failure in script: User remediation has no permissions to run the 'lpush' command", "NOPERM"],
  ["ERR ACL failure in script: No permissions to access a key script: 1f, on @user_script:1.", "NOPERM"],
  ["DENIED Redis is running in protected mode because protected mode is enabled and no password is set", "DENIED"],
  ["-DENIED Redis is running in protected mode", "DENIED"],
  ["ERR max number of clients reached", "MAXCLIENTS"],
  ["ERR max number of clients + cluster connections reached", "MAXCLIENTS"],
  ["Hostname/IP does not match certificate's altnames ERR_TLS_CERT_ALTNAME_INVALID", "TLS"],
  ["unable to verify the first certificate UNABLE_TO_VERIFY_LEAF_SIGNATURE", "TLS"],
  ["self-signed certificate in certificate chain SELF_SIGNED_CERT_IN_CHAIN", "TLS"],
  ["received fatal alert: CertificateRequired", "TLS"],
  ["certificate has expired CERT_HAS_EXPIRED", "TLS"],
  ["write UNKNOWN", "TLS"],
  ["NOAUTH Authentication required.", "NOAUTH"],
  ["WRONGPASS invalid username-password pair or user is disabled.", "WRONGPASS"],
  ["MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", "MISCONF"],
  ["NOREPLICAS Not enough good replicas to write.", "NOREPLICAS"],
  ["CLUSTERDOWN The cluster is down", "CLUSTERDOWN"],
  ["TRYAGAIN Multiple keys request during rehashing of slot", "TRYAGAIN"],
  ["MOVED 3999 127.0.0.1:6381", "MOVED"],
  ["ASK 3999 127.0.0.1:6381", "ASK"],
  ["Failed to refresh slots cache.", "CONNECTION"],
  ["None of startup nodes is available", "CONNECTION"],
  ["Cluster isn't ready and enableOfflineQueue options is false", "CONNECTION"],
  ["WRONGTYPE Operation against a key holding the wrong kind of value", "WRONGTYPE"],
  ["Command timed out", "TIMEOUT"],
  ["timeout", "TIMEOUT"],
  ["connect ETIMEDOUT", "TIMEOUT"],
  ["Socket timeout. Expecting data, but didn't receive any in 100ms.", "TIMEOUT"],
  ["Connection is closed.", "CONNECTION"],
  ["Command aborted due to connection close", "CONNECTION"],
  ["Stream isn't writeable and enableOfflineQueue options is false", "CONNECTION"],
  ["Reached the max retries per request limit (which is 0). Refer to …", "CONNECTION"],
  ["connect ECONNREFUSED 127.0.0.1:6379", "CONNECTION"],
  ["getaddrinfo ENOTFOUND redis", "CONNECTION"],
  ["connect ENOENT /run/redis/redis.sock", "CONNECTION"],
  ["connect EACCES /run/redis/redis.sock", "CONNECTION"],
  ['Requires write access to "/tmp/redis.sock", run again with the --allow-write flag', "CONNECTION"],
  ["ERR unknown command", "OTHER"],
  ["", "OTHER"],
];

for (const [message, code] of cases) {
  Deno.test(`redisErrorCode: says ${code} when the text is "${message.slice(0, 60)}"`, () => {
    strictEqual(redisErrorCode(new Error(message)), code);
  });
}

for (const [servers, text, code] of SERVER_ERRORS) {
  Deno.test(`redisErrorCode: says ${code} of an answer of ${servers}: ${text.slice(0, 90)}`, () => {
    strictEqual(redisErrorCode(new Error(text)), code);
  });
}

Deno.test("redisErrorCode: is not misled by a user who is called like a code", () => {
  for (const user of ["OOM", "BUSY", "READONLY", "WRONGPASS"]) {
    const refused = `User ${user} has no permissions to run the 'lpush' command`;
    strictEqual(
      redisErrorCode(new Error(`ERR ACL failure in script: ${refused} script: on @user_script:1.`)),
      "NOPERM",
    );
    strictEqual(redisErrorCode(new Error(`NOPERM ${refused}`)), "NOPERM");
  }
});

Deno.test("redisErrorCode: reads the error's code when it has no message", () => {
  strictEqual(redisErrorCode(Object.assign(new AggregateError([]), { code: "ECONNREFUSED" })), "CONNECTION");
});

Deno.test("redisErrorCode: takes anything when it is not an error", () => {
  deepStrictEqual([undefined, null, 1, "OOM x"].map(redisErrorCode), ["OTHER", "OTHER", "OTHER", "OOM"]);
});

const EXPLAINED: [message: string, advice: RegExp | null][] = [
  ["READONLY You can't write against a read only replica.", /connect to the master/],
  ["ERR Error running script (call to f_1): @user_script:3: -READONLY You can't write", /connect to the master/],
  ["MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", /connect to the master/],
  ["ERR unknown command 'EVALSHA', with args beginning with: 'abc' 'hunter2'", /EVAL or EVALSHA was renamed/],
  ["ERR unknown command `eval`, with args beginning with: `return 1`, ", /EVAL or EVALSHA was renamed/],
  ["NOREPLICAS Not enough good replicas to write.", /min-replicas-to-write/],
  ["MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", /make room/],
  ["OOM command not allowed when used memory > 'maxmemory'.", /raise maxmemory/],
  ["ERR ACL failure in script: No permissions to access a key", /docs\/redis\.md/],
  ["BUSY Redis is busy running a script.", /SCRIPT KILL/],
  ["NOAUTH Authentication required.", /set REDIS_PASS_CURRENT and MOOG_API_KEY \(MUTT keeps them only in Vault\)/],
  ["DENIED Redis is running in protected mode", /set a password/],
  ["ERR max number of clients reached", /raise maxclients/],
  [
    "All sentinels are unreachable. Retrying from scratch after 50ms. Last error: write UNKNOWN",
    /REDIS_TLS_SERVER_NAME/,
  ],
  ["connect ECONNREFUSED 127.0.0.1:6379", null],
];

for (const [message, advice] of EXPLAINED) {
  Deno.test(`explainRedisError: says ${advice ?? "nothing more"} of ${JSON.stringify(message.slice(0, 50))}`, () => {
    const explained = explainRedisError(new Error(message));
    if (advice === null) strictEqual(explained, message);
    else match(explained, advice);
    ok(!explained.includes("hunter2"));
  });
}

const SHOWN: [message: string, shown: string][] = [
  ["ERR unknown command 'AUTH', with args beginning with: 'svc' 'hunter2' ", "ERR unknown command 'AUTH'"],
  ["ERR unknown command `AUTH`, with args beginning with: `hunter2`, ", "ERR unknown command `AUTH`"],
  [
    "WRONGPASS invalid username-password pair or user is disabled.",
    "WRONGPASS invalid username-password pair or user is disabled.",
  ],
  ["connect failed\n    at somewhere", "connect failed"],
  [
    'Reached the max retries per request limit (which is 0). Refer to "maxRetriesPerRequest" option for details.',
    "there was no connection, or it was lost before the reply",
  ],
  ["x".repeat(1_000), "x".repeat(300)],
];

for (const [message, shown] of SHOWN) {
  Deno.test(`describeRedisError: shows ${shown.slice(0, 40)} of ${JSON.stringify(message.slice(0, 40))}`, () => {
    strictEqual(describeRedisError(new Error(message)), shown);
  });
}

Deno.test("describeRedisError: shows the code of an error without a text", () => {
  strictEqual(
    describeRedisError(Object.assign(new AggregateError([]), { code: "ECONNREFUSED" })).trim(),
    "ECONNREFUSED",
  );
});

function replyError(message: string): Error {
  return Object.assign(new Error(message), { name: "ReplyError" });
}

const FAILURES: [name: string, error: Error, code: string, isCertain: boolean, retryable: boolean][] = [
  ["a refusal of the server", replyError("NOPERM no permissions"), "NOPERM", true, false],
  ["a server that is not ready", replyError("LOADING Redis is loading"), "LOADING", true, true],
  ["a lost connection", new Error("Connection is closed."), "CONNECTION", false, true],
  ["a reply that did not come in time", new Error("Command timed out"), "TIMEOUT", false, true],
];

for (const [name, error, code, isCertain, retryable] of FAILURES) {
  Deno.test(`toStoreError: says what may be done about ${name}`, () => {
    const made = toStoreError(error);
    deepStrictEqual([made.code, made.isCertain, made.retryable, made.cause], [code, isCertain, retryable, error]);
    strictEqual(toStoreError(made), made);
  });
}

Deno.test("toStoreError: shows no password that the server quotes", () => {
  const made = toStoreError(replyError("ERR unknown command 'AUTH', with args beginning with: 'hunter2' "));
  strictEqual(made.message, "ERR unknown command 'AUTH'");
});

Deno.test("redisErrorCode: goes by the code of a StoreError, not by its text", () => {
  const error = new StoreError("READONLY in a text", { code: "CLUSTERDOWN", isCertain: true });
  strictEqual(redisErrorCode(error), "CLUSTERDOWN");
  strictEqual(redisErrorCode(wrongTypeError("a list is a hash")), "WRONGTYPE");
});

Deno.test("throwStoreError: leaves a bug as it is", () => {
  const bug = new TypeError("x is not a function");
  throws(() => throwStoreError(bug), (error) => error === bug);
  throws(() => throwStoreError(new Error("Connection is closed.")), StoreError);
});
