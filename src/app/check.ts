/** Looks at an installation without changing it. */
import { BOOKS_LEAD_MS } from "../domain/pace.ts";
import { judgeProbe, sendProbe } from "../gates/probe.ts";
import type { RedisClient } from "../redis/cluster.ts";
import type { RedisConnections } from "../redis/connection.ts";
import { stateKey } from "../redis/keys.ts";
import { redisErrorCode } from "../redis/errors.ts";
import { MAX_LEASE_MS } from "../redis/lease_store.ts";
import { EXIT } from "./exit.ts";
import { inspectRedis } from "./preflight.ts";
import { type AppOptions, createCore } from "./service.ts";
import type { SourceSetup } from "./sources.ts";
import { Teardown } from "./teardown.ts";

/** How long Redis may take to answer, in milliseconds. */
const REDIS_WAIT_MS = 5_000;
/** Oldest server whose commands suffice. */
const OLDEST_VERSION = [6, 0];

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
  options: CheckOptions,
): Promise<{ findings: readonly CheckFinding[]; exitCode: number }> {
  const teardown = new Teardown(options);
  try {
    const { connections, setups } = createCore(options, teardown);
    const { moogRateLimitKey: rateKey } = options.settings;
    const findings: CheckFinding[] = [
      { level: "ok", subject: "configuration", text: `every value is good${readFrom(options.dotEnvPath ?? "")}` },
      ...options.warnings.map((text) => ({ level: "warning" as const, subject: "configuration", text })),
      ...await checkRedis(connections, { setups, rateKey, signal: options.signal }),
      ...(options.probe ? [await checkMoogsoft(options)] : []),
    ];
    return { findings, exitCode: exitCodeOf(findings) };
  } finally {
    await teardown.run(options.settings.shutdownTimeoutSeconds * 1_000);
  }
}

function readFrom(dotEnvPath: string): string {
  return dotEnvPath === "" ? "" : `; ${dotEnvPath} was read, under the environment`;
}

function exitCodeOf(findings: readonly CheckFinding[]): number {
  if (findings.some(({ level }) => level === "wrong")) return EXIT.configuration;
  return findings.some(({ level }) => level === "failed") ? EXIT.failed : EXIT.done;
}

async function checkRedis(
  connections: RedisConnections,
  { setups, rateKey, signal }: { setups: readonly SourceSetup[]; rateKey: string; signal: AbortSignal },
): Promise<CheckFinding[]> {
  if (!await connections.waitUntilReady(REDIS_WAIT_MS, signal)) {
    const failure = connections.lastFailure() || "CONNECTION";
    return [{ level: "failed", subject: "redis", text: `no answer within ${REDIS_WAIT_MS / 1_000} s (${failure})` }];
  }
  try {
    const { problems, warnings, facts } = await inspectRedis(connections.reader, setups.map(({ policy }) => policy));
    const findings: CheckFinding[] = [
      ...describeServer(facts),
      ...warnings.map((text) => ({ level: "warning" as const, subject: "redis", text })),
      ...problems.map((text) => ({ level: "wrong" as const, subject: "redis", text })),
    ];
    const looking = Promise.all(setups.map((setup) => checkKeys(connections, setup, rateKey)));
    const lists = await looking.catch((error) => {
      // A cluster of which only one server is known does not even let us look.
      if (problems.length === 0) throw error;
      return [];
    });
    return [...findings, ...lists.flat()];
  } catch (error) {
    return [{ level: "failed", subject: "redis", text: `it refused or did not answer (${redisErrorCode(error)})` }];
  }
}

function describeServer(facts: Readonly<Record<string, string>>): CheckFinding[] {
  const { redis_version: version, redis_mode: mode, maxmemory_policy: policy, maxmemory_human: memory } = facts;
  if (!version) return [];
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const isOld = major < OLDEST_VERSION[0]! || (major === OLDEST_VERSION[0] && minor < OLDEST_VERSION[1]!);
  const text = `version ${version}, ${mode ?? "mode unknown"}, maxmemory ${memory ?? "unknown"}, policy ${
    policy ?? "unknown"
  }`;
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
  return await Promise.all(keys.map(async ({ role, key, kind }): Promise<CheckFinding> => {
    const subject = `source ${policy.name}`;
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
  }));
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

async function checkMoogsoft({ settings, clock, signal }: CheckOptions): Promise<CheckFinding> {
  const subject = "moogsoft";
  if (settings.moogWebhookUrl === "") {
    return { level: "warning", subject, text: "MOOG_WEBHOOK_URL is empty: never asked" };
  }
  const url = new URL(settings.moogWebhookUrl);
  const timeoutMs = settings.moogHealthTimeoutSeconds * 1_000;
  const outcome = await sendProbe({ url, apiKey: settings.moogApiKey ?? undefined, timeoutMs, clock, signal });
  const { reason, detail } = judgeProbe(outcome, { successCodes: settings.moogHealthSuccessCodes, address: url.host });
  const level = reason === "healthy" ? "ok" : reason === "probe_rejected" ? "wrong" : "failed";
  return { level, subject, text: detail };
}
