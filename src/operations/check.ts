/** Looks at an installation without changing it. */
import { createProxyChoice } from "../config/proxy.ts";
import { warnOfNoWebhook } from "../config/rules.ts";
import { BOOKS_LEAD_MS } from "../mutt/pace.ts";
import { ConsumerGate } from "../gates/consumer.ts";
import { type DownstreamReason, judgeProbe, sendProbe } from "../mutt/moogsoft_probe.ts";
import type { RedisClient } from "../redis/cluster.ts";
import type { RedisConnections } from "../redis/connection.ts";
import { stateKey } from "../redis/keys.ts";
import { explainRedisError } from "../redis/advice.ts";
import { isRetryable, redisErrorCode } from "../redis/errors.ts";
import { MAX_LEASE_MS } from "../redis/lease_store.ts";
import { tryMovesOnce } from "../redis/move_trial.ts";
import { EXIT } from "../app/exit.ts";
import { MoogAccess } from "../mutt/moogsoft_access.ts";
import { inspectRedis } from "./inspect_redis.ts";
import { type AppOptions, createCore, needsMoogsoft } from "../app/service.ts";
import type { SourceSetup } from "../app/sources.ts";
import { Teardown } from "../lifecycle/teardown.ts";
import { type VaultState, withVault } from "../mutt/vault.ts";

/** How long Redis may take to answer, in milliseconds. */
const REDIS_WAIT_MS = 5_000;
/** Oldest server whose commands suffice. */
const OLDEST_VERSION = [6, 0];
/** What Moogsoft's probe finds and only a change mends. */
const WAITING_IS_NO_HELP: ReadonlySet<DownstreamReason> = new Set(["probe_rejected", "tls"]);

/** One thing that was looked at. `wrong` must be changed before replay is safe, `failed` could not be reached. */
export interface CheckFinding {
  readonly level: "ok" | "warning" | "wrong" | "failed";
  readonly subject: string;
  readonly text: string;
}

/** What is looked at. */
export interface CheckOptions extends AppOptions {
  /** Warnings of the configuration, shown with the rest. */
  readonly warnings: readonly string[];
  /** The `.env` that was read; default: none. */
  readonly dotEnvPath?: string;
  /** Whether to send Moogsoft a probe. */
  readonly probe: boolean;
}

/** Looks at everything and says what was found. Does not reject for what Redis or Moogsoft do; writes nothing. */
export async function checkInstallation(
  given: CheckOptions,
): Promise<{ findings: readonly CheckFinding[]; exitCode: number }> {
  const teardown = new Teardown(given);
  try {
    const options = await withVault(given, teardown);
    const { connections, setups } = createCore(options, teardown);
    const { moogRateLimitKey: rateKey } = options.settings;
    const noWebhook = needsMoogsoft(setups) ? warnOfNoWebhook(options.settings) : null;
    const warnings = [...options.warnings, ...(noWebhook === null ? [] : [noWebhook])];
    const findings: CheckFinding[] = [
      { level: "ok", subject: "configuration", text: `every value is good${readFrom(options.dotEnvPath ?? "")}` },
      ...warnings.map((text) => ({ level: "warning" as const, subject: "configuration", text })),
      ...describeVault(options.vault?.state()),
      ...await checkRedis(connections, { setups, rateKey, signal: options.signal }),
      ...await checkConsumers(options, { connections, setups }),
      ...(options.probe && options.settings.moogWebhookUrl !== "" ? [await checkMoogsoft(options)] : []),
    ];
    return { findings, exitCode: exitCodeOf(findings) };
  } finally {
    await teardown.run(given.settings.shutdownTimeoutSeconds * 1_000);
  }
}

function readFrom(dotEnvPath: string): string {
  return dotEnvPath === "" ? "" : `; ${dotEnvPath} was read, under the environment`;
}

function exitCodeOf(findings: readonly CheckFinding[]): number {
  if (findings.some(({ level }) => level === "wrong")) return EXIT.configuration;
  return findings.some(({ level }) => level === "failed") ? EXIT.failed : EXIT.done;
}

function describeVault(state?: VaultState): CheckFinding[] {
  return state ? [{ level: state.ok ? "ok" : "failed", subject: "vault", text: state.detail }] : [];
}

async function checkRedis(
  connections: RedisConnections,
  { setups, rateKey, signal }: { setups: readonly SourceSetup[]; rateKey: string; signal: AbortSignal },
): Promise<CheckFinding[]> {
  if (!await connections.waitUntilReady(REDIS_WAIT_MS, signal)) {
    const failure = await connections.explainFailure() || "CONNECTION";
    return [{ level: "failed", subject: "redis", text: `no answer within ${REDIS_WAIT_MS / 1_000} s (${failure})` }];
  }
  // Of a cluster one node may be down and the others not.
  const groups = connections.reader.isCluster ? setups.map((setup) => [setup]) : [setups];
  const findings = await Promise.all(groups.map((group) => checkSources(connections, { setups: group, rateKey })));
  // What sources share is told once.
  return [...new Map(findings.flat().map((finding) => [JSON.stringify(finding), finding])).values()];
}

async function checkSources(
  connections: RedisConnections,
  { setups, rateKey }: { setups: readonly SourceSetup[]; rateKey: string },
): Promise<CheckFinding[]> {
  const { reader } = connections;
  try {
    const { problems, warnings, facts } = await inspectRedis(reader, setups.map(({ policy }) => policy));
    const findings: CheckFinding[] = [
      ...describeServer(facts),
      ...warnings.map((text) => ({ level: "warning" as const, subject: "redis", text })),
      ...problems.map((text) => ({ level: "wrong" as const, subject: "redis", text })),
    ];
    // Where lists lie in different slots, or only one server is known, nothing can be moved: that is told already.
    const isMisplaced = facts.cluster_enabled === "1" && problems.length > 0;
    findings.push(...await Promise.all((isMisplaced ? [] : setups).map((setup) => checkMoves(connections, setup))));
    const looking = Promise.all(setups.map((setup) => checkKeys(connections, setup, rateKey)));
    const stamps = Promise.all(setups.map((setup) => checkStamps(connections, setup)));
    const lists = await Promise.all([looking, stamps]).then((both) => both.flat()).catch((error) => {
      // Who may not move messages is often not even let look.
      if (findings.every(({ level }) => level !== "wrong" && level !== "failed")) throw error;
      return [];
    });
    return [...findings, ...lists.flat()];
  } catch (error) {
    const subject = reader.isCluster ? `source ${setups.map(({ policy }) => policy.name)}` : "redis";
    return [{ level: "failed", subject, text: `it refused or did not answer: ${explainRedisError(error)}` }];
  }
}

/** Whether a message could be moved, by trying all that moving one takes. */
async function checkMoves({ committer }: RedisConnections, { policy }: SourceSetup): Promise<CheckFinding> {
  const subject = `source ${policy.name}`;
  const refusal = await tryMovesOnce(committer, policy);
  return refusal === null
    ? { level: "ok", subject, text: "Redis lets messages be moved (tried with a key that is gone again)" }
    : { level: isRetryable(refusal.code) ? "failed" : "wrong", subject, text: `nothing can be moved: ${refusal.text}` };
}

/** What INFO says of the server. Valkey names the Redis that it is compatible with, and itself. */
export function describeServer(facts: Readonly<Record<string, string>>): CheckFinding[] {
  const { redis_version: version, maxmemory_policy: policy, maxmemory_human: memory, valkey_version: valkey } = facts;
  const mode = facts.server_mode ?? facts.redis_mode, role = facts.role === "slave" ? "a replica" : facts.role;
  if (!version) return [];
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const isOld = major < OLDEST_VERSION[0]! || (major === OLDEST_VERSION[0] && minor < OLDEST_VERSION[1]!);
  const name = valkey ? `Valkey ${valkey} (compatible with Redis ${version})` : `version ${version}`;
  const text = `${name}, ${mode ?? "mode unknown"}, ${role ?? "role unknown"}, maxmemory ${memory ?? "unknown"}, ` +
    `policy ${policy ?? "unknown"}`;
  return [{ level: isOld ? "wrong" : "ok", subject: "redis", text: isOld ? `${text}; 6.0 or newer is needed` : text }];
}

async function checkKeys(
  { reader }: RedisConnections,
  { policy, downstreamQueues }: SourceSetup,
  rateKey: string,
): Promise<CheckFinding[]> {
  const keys = [
    { role: "DLQ", key: policy.dlq, kind: "list" },
    { role: "target", key: policy.target, kind: "list" },
    { role: "dead list", key: policy.dead, kind: "list" },
    ...downstreamQueues.slice(1).map((key) => ({ role: "queue downstream", key, kind: "list" })),
    { role: "record", key: stateKey(policy.dlq), kind: "hash" },
    { role: "forwarder's rate limit", key: rateKey, kind: "zset" },
  ];
  const subject = `source ${policy.name}`;
  const look = async ({ role, key, kind }: typeof keys[number]): Promise<CheckFinding> => {
    const found = await reader.type(key);
    if (found === "none") return { level: "ok", subject, text: `${role} ${key} does not exist yet` };
    if (found !== kind) {
      return {
        level: "wrong",
        subject,
        text: `${role} ${key} is a ${found} and must be a ${kind}: rename or delete it`,
      };
    }
    const doubt = kind === "hash"
      ? await doubtLease(reader, key)
      : kind === "zset"
      ? await doubtBooks(reader, key)
      : null;
    if (doubt !== null) return { level: "warning", subject, text: `${role} ${key} ${doubt}` };
    const size = kind === "list" ? `holds ${await reader.llen(key)} messages` : "is there";
    return { level: "ok", subject, text: `${role} ${key} ${size}` };
  };
  return await Promise.all(keys.map((key) =>
    look(key).catch((error): CheckFinding => {
      // Of a cluster one node may be down and the others not.
      if (!reader.isCluster) throw error;
      return {
        level: "failed",
        subject,
        text: `${key.role} ${key.key} cannot be looked at (${redisErrorCode(error)})`,
      };
    })
  ));
}

/** What no instance can have written as its lease. */
async function doubtLease(reader: RedisClient, key: string): Promise<string | null> {
  const [untilMs = 0, forMs = 0] = (await reader.hmget(key, "leaderUntilMs", "leaderForMs")).map(Number);
  const leftMs = untilMs - await serverMs(reader);
  if (!(forMs > MAX_LEASE_MS && leftMs > 0)) return null;
  return `holds a lease of ${Math.round(forMs / 1_000)} s, longer than the ${MAX_LEASE_MS / 1_000} s that ` +
    "REMEDIATION_LEASE_DURATION allows: it is not obeyed. Find out who else writes there";
}

/** What the forwarder cannot have written into its books. */
async function doubtBooks(reader: RedisClient, key: string): Promise<string | null> {
  const ahead = await reader.zcount(key, await serverMs(reader) + BOOKS_LEAD_MS, "+inf");
  if (ahead === 0) return null;
  return `has ${ahead} entries of the future, which are not counted: the forwarder's clock is wrong, or somebody else writes there`;
}

async function serverMs(reader: RedisClient): Promise<number> {
  const [seconds] = await reader.time();
  return Number(seconds) * 1_000;
}

/** What the running service has noticed of a source's consumer. */
async function checkStamps({ reader }: RedisConnections, { policy }: SourceSetup): Promise<CheckFinding[]> {
  const { name, dlq } = policy, key = stateKey(dlq);
  if (await reader.type(key) !== "hash" || await reader.hget(key, "stampsDropped") !== "1") return [];
  const text =
    `its consumer dead-letters messages without the member _remediation that they were replayed with, so whatever ` +
    `arrives in ${dlq} is taken for a return and no message can become poison: let the consumer keep it`;
  return [{ level: "warning", subject: `source ${name}`, text }];
}

/** Asks the health page of each source's consumer once, as its gate does again and again. */
async function checkConsumers(
  { settings, clock, log, signal }: CheckOptions,
  { connections, setups }: { connections: RedisConnections; setups: readonly SourceSetup[] },
): Promise<CheckFinding[]> {
  const { consumerGate: mode } = settings;
  const asked = mode === "off" ? [] : setups.filter(({ healthUrl }) => healthUrl !== "");
  return await Promise.all(asked.map(async ({ policy, healthUrl, healthUrlFrom }): Promise<CheckFinding> => {
    const gate = new ConsumerGate({
      ...{ mode, heartbeatPrefix: null, healthUrl: new URL(healthUrl), healthUrlFrom },
      ...{ chooseProxy: createProxyChoice(settings), redis: connections.reader, clock, log },
    });
    const stop = () => void gate.stop();
    signal.addEventListener("abort", stop);
    try {
      await gate.settled();
      const { open, detail } = await gate.ask();
      return {
        level: open ? "ok" : "failed",
        subject: `source ${policy.name}`,
        text: `its consumer's page: ${detail}`,
      };
    } finally {
      signal.removeEventListener("abort", stop);
      await gate.stop();
    }
  }));
}

async function checkMoogsoft({ settings, clock, signal, log }: CheckOptions): Promise<CheckFinding> {
  const subject = "moogsoft";
  const url = new URL(settings.moogWebhookUrl);
  const timeoutMs = settings.moogHealthTimeoutSeconds * 1_000;
  const proxy = createProxyChoice(settings)(url);
  const access = new MoogAccess({ settings, log }).now();
  const outcome = await sendProbe({ url, ...access, proxy: proxy?.url, timeoutMs, clock, signal });
  const { moogHealthSuccessCodes: successCodes } = settings;
  const { reason, detail } = judgeProbe(outcome, { successCodes, address: url.host, proxy });
  const level = reason === "healthy" ? "ok" : WAITING_IS_NO_HELP.has(reason) ? "wrong" : "failed";
  return { level, subject, text: detail };
}
