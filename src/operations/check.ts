/** Operation `check`: inspects an installation without changing it. */
import { Buffer } from "node:buffer";
import { MAX_LEASE_MS } from "../config/fields.ts";
import { createProxyChoice } from "../config/proxy.ts";
import { isBuiltIn } from "../config/sources.ts";
import { warnOfNoWebhook } from "../config/rules.ts";
import { ConsumerGate } from "../gates/consumer.ts";
import { findNames } from "../gates/heartbeats.ts";
import type { SourceDefinition } from "../gates/source_definition.ts";
import { Teardown } from "../lifecycle/teardown.ts";
import { needsMoogsoft } from "../mutt/built_in_sources.ts";
import { BOOKS_LEAD_MS } from "../mutt/pace.ts";
import { judgeProbe, type ProbeVerdict, sendProbe } from "../mutt/moogsoft_probe.ts";
import { ownersOf, type RedisClient } from "../redis/cluster.ts";
import type { RedisConnections } from "../redis/connection.ts";
import { drillKey, drillListKey, drillsKey, oversizeKey, recordOrderKey, recordsKey, stateKey } from "../redis/keys.ts";
import { explainRedisError } from "../redis/advice.ts";
import { isRetryable, redisErrorCode } from "../redis/errors.ts";
import { tryMovesOnce, UNJOURNALLED } from "../redis/move_trial.ts";
import { MoogAccess } from "../mutt/moogsoft_access.ts";
import { inspectRedis } from "./inspect_redis.ts";
import { type VaultState, withVault } from "../mutt/vault.ts";
import { EXIT } from "../runtime/exit.ts";
import type { CommandContext } from "./context.ts";
import type { Operation } from "./operation.ts";
import { FLAG, listOf, objectOf, oneOf, TEXT } from "./schema.ts";
import { waitForRedis } from "./wait_for_redis.ts";

/** Oldest supported Redis version: major and minor. */
const OLDEST_VERSION = [6, 0];
/** Probe results that need a change of the configuration; the others may pass. */
const WAITING_IS_NO_HELP: ReadonlySet<ProbeVerdict["reason"]> = new Set(["probe_rejected", "tls"]);

/** Gates that have been closed for longer than this are reported, in milliseconds. */
const LONG_MS = 3_600_000;

const LEVELS = ["ok", "warning", "wrong", "failed"] as const;

/** One finding. `wrong`: change it before replay is safe. `failed`: could not be reached. */
export interface CheckResult {
  readonly level: (typeof LEVELS)[number];
  readonly subject: string;
  readonly text: string;
}

/** Options of the check. */
export interface CheckInput {
  /** Whether to probe Moogsoft. */
  readonly probe: boolean;
}

/** All findings and the resulting exit code. */
export interface CheckReport {
  readonly findings: readonly CheckResult[];
  readonly exitCode: number;
}

/** Checks the configuration, Vault, Redis, consumers and, on request, Moogsoft. Leaves nothing behind. */
export const check = {
  name: "check",
  summary: "Check the configuration and Redis and report problems; change nothing",
  runsIn: "command",
  role: "viewer",
  input: objectOf({ probe: FLAG }),
  output: objectOf({
    findings: listOf(objectOf({ level: oneOf(LEVELS), subject: TEXT, text: TEXT })),
    exitCode: oneOf([EXIT.done, EXIT.failed, EXIT.configuration]),
  }),
  run: checkInstallation,
} satisfies Operation<CommandContext, CheckInput, CheckReport>;

async function checkInstallation(given: CommandContext, { probe }: CheckInput): Promise<CheckReport> {
  const teardown = new Teardown(given);
  try {
    const context = await withVault(given, teardown);
    const { settings, signal, vault } = context;
    const { connections, setups } = context.createCore({ settings, ...(vault ? { vault } : {}) }, teardown);
    const { moogRateLimitKey: rateKey } = settings;
    const noWebhook = needsMoogsoft(setups) ? warnOfNoWebhook(settings) : null;
    const warnings = [...context.warnings, ...(noWebhook === null ? [] : [noWebhook])];
    const findings: CheckResult[] = [
      { level: "ok", subject: "configuration", text: `all values are valid${readFrom(context.dotEnvPath)}` },
      ...warnings.map((text) => ({ level: "warning" as const, subject: "configuration", text })),
      ...describeVault(vault?.state()),
      ...await checkRedis(connections, { setups, rateKey, signal }),
      ...await checkConsumers(context, { connections, setups }),
      ...connections.isReady() ? await checkWorkers(context, connections) : [],
      ...(probe && settings.moogWebhookUrl !== "" ? [await checkMoogsoft(context)] : []),
      ...judgeGates(await context.askHealth() ?? "", context.clock.nowMs()),
    ];
    return { findings, exitCode: exitCodeOf(findings) };
  } finally {
    await teardown.run(given.settings.shutdownTimeoutMs);
  }
}

function readFrom(dotEnvPath: string): string {
  return dotEnvPath === "" ? "" : `; read ${dotEnvPath}, overridden by environment variables`;
}

function exitCodeOf(findings: readonly CheckResult[]): number {
  if (findings.some(({ level }) => level === "wrong")) return EXIT.configuration;
  return findings.some(({ level }) => level === "failed") ? EXIT.failed : EXIT.done;
}

function describeVault(state?: VaultState): CheckResult[] {
  return state ? [{ level: state.ok ? "ok" : "failed", subject: "vault", text: state.detail }] : [];
}

async function checkRedis(
  connections: RedisConnections,
  { setups, rateKey, signal }: { setups: readonly SourceDefinition[]; rateKey: string; signal: AbortSignal },
): Promise<CheckResult[]> {
  const unanswered = await waitForRedis(connections, signal);
  if (unanswered !== null) return [{ level: "failed", subject: "redis", text: unanswered }];
  // On a cluster one node may be down while others answer.
  const groups = connections.reader.isCluster ? setups.map((setup) => [setup]) : [setups];
  const findings = await Promise.all(groups.map((group) => checkSources(connections, { setups: group, rateKey })));
  // Sources on one server have the same findings; report each once.
  return [...new Map(findings.flat().map((finding) => [JSON.stringify(finding), finding])).values()];
}

async function checkSources(
  connections: RedisConnections,
  { setups, rateKey }: { setups: readonly SourceDefinition[]; rateKey: string },
): Promise<CheckResult[]> {
  const { reader } = connections;
  try {
    const { problems, warnings, facts } = await inspectRedis(reader, setups.map(({ policy }) => policy));
    const findings: CheckResult[] = [
      ...describeServer(facts),
      ...warnings.map((text) => ({ level: "warning" as const, subject: "redis", text })),
      ...problems.map((text) => ({ level: "wrong" as const, subject: "redis", text })),
    ];
    // If the lists are in different slots, or only one node is known, a trial move must fail, and `problems` says so
    // already.
    const isMisplaced = facts.cluster_enabled === "1" && problems.length > 0;
    const moves = (isMisplaced ? [] : setups).map((setup) => checkMoves(connections, setup));
    findings.push(...(await Promise.all(moves)).flat());
    const looking = Promise.all(setups.map((setup) => checkKeys(connections, setup, rateKey)));
    const stamps = Promise.all(setups.map((setup) => checkStamps(connections, setup)));
    const lists = await Promise.all([looking, stamps]).then((both) => both.flat()).catch((error) => {
      // A user without permission to move messages often may not read the lists either: that finding is enough.
      if (findings.every(({ level }) => level !== "wrong" && level !== "failed")) throw error;
      return [];
    });
    return [...findings, ...lists.flat()];
  } catch (error) {
    const subject = reader.isCluster ? `source ${setups.map(({ policy }) => policy.name)}` : "redis";
    return [{ level: "failed", subject, text: `refused or did not answer: ${explainRedisError(error)}` }];
  }
}

/** Tests whether a message can be moved by running every command that a move needs. */
async function checkMoves({ committer }: RedisConnections, { policy }: SourceDefinition): Promise<CheckResult[]> {
  const subject = `source ${policy.name}`, findings: CheckResult[] = [];
  const refusal = await tryMovesOnce(committer, policy, {
    onUnjournalled: () => findings.push({ level: "warning", subject, text: UNJOURNALLED }),
  });
  const finding: CheckResult = refusal === null
    ? { level: "ok", subject, text: "Redis allows moving messages (tested with a temporary key)" }
    : { level: isRetryable(refusal.code) ? "failed" : "wrong", subject, text: `cannot move messages: ${refusal.text}` };
  return [finding, ...findings];
}

/** Describes the server from its INFO. Valkey reports its own version and the compatible Redis version. */
export function describeServer(facts: Readonly<Record<string, string>>): CheckResult[] {
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
  { policy, downstreamQueues }: SourceDefinition,
  rateKey: string,
): Promise<CheckResult[]> {
  const keys = [
    { role: "DLQ", key: policy.dlq, kind: "list" },
    { role: "target", key: policy.target, kind: "list" },
    { role: "dead list", key: policy.dead, kind: "list" },
    { role: "oversize list", key: oversizeKey(policy.dlq), kind: "list" },
    ...downstreamQueues.slice(1).map((key) => ({ role: "queue downstream", key, kind: "list" })),
    { role: "state", key: stateKey(policy.dlq), kind: "hash" },
    ...policy.beside
      ? [
        { role: "recorded stamps", key: recordsKey(policy.dlq), kind: "hash" },
        { role: "order of the recorded stamps", key: recordOrderKey(policy.dlq), kind: "list" },
      ]
      : [],
    // The pace of a source of one's own does not depend on MUTT's forwarder.
    ...isBuiltIn(policy.name) ? [{ role: "forwarder's rate limit", key: rateKey, kind: "zset" }] : [],
  ];
  // Most sources have never had a drill: only what is wrong is worth a line.
  const rare = [
    { role: "drill", key: drillKey(policy.dlq), kind: "hash" },
    { role: "list of drills", key: drillListKey(policy.dlq), kind: "list" },
    { role: "reports of drills", key: drillsKey(policy.dlq), kind: "list" },
  ];
  const subject = `source ${policy.name}`;
  const look = async ({ role, key, kind }: typeof keys[number]): Promise<CheckResult> => {
    const found = await reader.type(key);
    if (found === "none") return { level: "ok", subject, text: `${role} ${key} does not exist yet` };
    if (found !== kind) {
      return {
        level: "wrong",
        subject,
        text: `${role} ${key} is a ${found} and must be a ${kind}: rename or delete it`,
      };
    }
    const doubt = key === stateKey(policy.dlq)
      ? await doubtLease(reader, key)
      : kind === "zset"
      ? await doubtBooks(reader, key)
      : null;
    if (doubt !== null) return { level: "warning", subject, text: `${role} ${key} ${doubt}` };
    const isOfMessages = kind === "list" && key !== recordOrderKey(policy.dlq);
    const depth = isOfMessages ? await reader.llen(key) : null;
    const size = depth === null ? "is there" : `holds ${depth} message${depth === 1 ? "" : "s"}`;
    return { level: "ok", subject, text: `${role} ${key} ${size}` };
  };
  const results = await Promise.all([...keys, ...rare].map((key) =>
    look(key).catch((error): CheckResult => {
      // On a cluster one node may be down while others answer.
      if (!reader.isCluster) throw error;
      return {
        level: "failed",
        subject,
        text: `cannot read ${key.role} ${key.key} (${redisErrorCode(error)})`,
      };
    })
  ));
  return results.filter(({ level }, at) => at < keys.length || level !== "ok");
}

/** Warns of a lease that is longer than any instance writes. */
async function doubtLease(reader: RedisClient, key: string): Promise<string | null> {
  const [untilMs = 0, forMs = 0] = (await reader.hmget(key, "leaderUntilMs", "leaderForMs")).map(Number);
  const leftMs = untilMs - await serverMs(reader, key);
  if (!(forMs > MAX_LEASE_MS && leftMs > 0)) return null;
  return `holds a lease of ${Math.round(forMs / 1_000)} s, longer than the ${MAX_LEASE_MS / 1_000} s that ` +
    "REMEDIATION_LEASE_DURATION allows: it is not obeyed. Find the other program that writes there";
}

/** Warns of entries in the rate limit that are in the future. */
async function doubtBooks(reader: RedisClient, key: string): Promise<string | null> {
  const ahead = await reader.zcount(key, await serverMs(reader, key) + BOOKS_LEAD_MS, "+inf");
  if (ahead === 0) return null;
  return `has ${ahead} entries in the future, which are not counted: the forwarder's clock is wrong, or another program writes there`;
}

/** The clock of the server that holds the key: on a cluster, TIME would go to any node, even one that is not connected. */
async function serverMs(reader: RedisClient, key: string): Promise<number> {
  const [owner] = ownersOf(reader, [key]);
  const [seconds] = await owner!.time();
  return Number(seconds) * 1_000;
}

/** Warns if the running service has seen that a source's consumer drops replay stamps. */
async function checkStamps({ reader }: RedisConnections, { policy }: SourceDefinition): Promise<CheckResult[]> {
  const { name, dlq, beside } = policy, key = stateKey(dlq);
  if (await reader.type(key) !== "hash" || await reader.hget(key, "stampsDropped") !== "1") return [];
  const [what, advice] = beside
    ? [
      "changes the messages that it dead-letters, so that their records are not found",
      "set recordId to a member that stays",
    ]
    : ["dead-letters messages without the member _remediation", "make the consumer keep the member"];
  const text =
    `its consumer ${what}, so each arrival in ${dlq} counts as a return and no message can become poison: ${advice}`;
  return [{ level: "warning", subject: `source ${name}`, text }];
}

/** What precedes a worker's name in MUTT: its list of messages in hand, and its heartbeat. */
const PROCESSING = "mutt:processing:", HEARTBEAT = "mutt:heartbeat:";

/** Warns of workers of MUTT that hold messages and have no heartbeat. A list exists only while it holds some. Never rejects. */
async function checkWorkers({ clock, signal }: CommandContext, { reader }: RedisConnections): Promise<CheckResult[]> {
  try {
    const lists = await findNames({ redis: reader, clock, prefix: PROCESSING.slice(0, -1) }, signal);
    const lost = await Promise.all(lists.map(async (list) => {
      const heartbeat = HEARTBEAT + list.slice(PROCESSING.length);
      return await reader.exists(Buffer.from(heartbeat, "latin1")) === 0 ? [list] : [];
    }));
    return lost.flat().map((list) => ({
      ...{ level: "warning", subject: "workers" },
      text:
        `${list} holds messages, but its worker has no heartbeat: leave it, the next worker to start puts them back`,
    }));
  } catch {
    // What Redis refuses or cannot do is a finding of its own, and not every installation is MUTT's.
    return [];
  }
}

/** Requests each consumer's health page once, as its gate does. */
async function checkConsumers(
  { settings, clock, log, signal }: CommandContext,
  { connections, setups }: { connections: RedisConnections; setups: readonly SourceDefinition[] },
): Promise<CheckResult[]> {
  const { consumerGate: mode } = settings;
  const asked = mode === "off" ? [] : setups.filter(({ healthUrl }) => healthUrl !== "");
  return await Promise.all(asked.map(async ({ policy, healthUrl, healthUrlFrom }): Promise<CheckResult> => {
    const gate = new ConsumerGate({
      ...{ mode, heartbeatPrefix: null, healthUrl: new URL(healthUrl), healthUrlFrom },
      ...{ chooseProxy: createProxyChoice(settings), redis: connections.reader, clock, log },
    });
    const stop = () => void gate.stop();
    signal.addEventListener("abort", stop);
    try {
      await gate.whenKnown();
      const { open, detail } = await gate.ask();
      return {
        level: open ? "ok" : "failed",
        subject: `source ${policy.name}`,
        text: `consumer health page: ${detail}`,
      };
    } finally {
      signal.removeEventListener("abort", stop);
      await gate.stop();
    }
  }));
}

async function checkMoogsoft({ settings, clock, signal, log }: CommandContext): Promise<CheckResult> {
  const subject = "moogsoft";
  const url = new URL(settings.moogWebhookUrl);
  const timeoutMs = settings.moogHealthTimeoutMs;
  const proxy = createProxyChoice(settings)(url);
  const access = new MoogAccess({ settings, log }).now();
  const outcome = await sendProbe({ url, ...access, proxy: proxy?.url, timeoutMs, clock, signal });
  const { moogHealthSuccessCodes: successCodes } = settings;
  const { reason, detail } = judgeProbe(outcome, { successCodes, address: url.host, proxy });
  const level = reason === "healthy" ? "ok" : WAITING_IS_NO_HELP.has(reason) ? "wrong" : "failed";
  return { level, subject, text: detail };
}

/**
 * Warns of gates that have been closed for more than an hour, from the health document of the service on this machine.
 * Skips the gate `leader`, which is always closed on a standby. Never throws.
 */
export function judgeGates(health: string, nowMs: number): CheckResult[] {
  const { sources } = parseHealth(health);
  return sources.flatMap(({ name, gates }) =>
    gates.filter(({ name, open, since }) => name !== "leader" && !open && nowMs - Date.parse(since) > LONG_MS)
      .map((gate) => ({
        level: "warning" as const,
        subject: `source ${name}`,
        text: `gate ${gate.name} of the running service has been closed since ${gate.since}: ${gate.detail}`,
      }))
  );
}

interface Health {
  readonly sources: readonly {
    readonly name: string;
    readonly gates: readonly { name: string; open: boolean; since: string; detail: string }[];
  }[];
}

/** Parses the health document. Another program may have answered on that port. */
function parseHealth(text: string): Health {
  try {
    const { sources } = JSON.parse(text);
    return { sources: sources.filter(({ gates }: { gates: unknown }) => Array.isArray(gates)) };
  } catch {
    return { sources: [] };
  }
}
