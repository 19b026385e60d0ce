/** Rules that concern several settings at once. Pure. */
import { eventsToJudge, samplePeriodMs } from "./objective_limits.ts";
import { FIELDS, type SettingKey, type Settings } from "./fields.ts";
import type { Layers, Origins } from "./layers.ts";
import { findRoleProblems, parseApiKeys } from "./api_keys.ts";
import { parsePairs } from "./pairs.ts";
import { parseRedisUrl, type RedisUrl } from "./redis_url.ts";
import type { Secret } from "../runtime/secret.ts";
import { spanTarget, TARGET_SETTINGS, wantsSpans } from "./tracing.ts";
import { vaultTargets } from "./vault.ts";

/** A combination of settings that is wrong (`problem`) or doubtful (`warning`). */
export interface ConfigIssue {
  readonly kind: "problem" | "warning";
  /** The settings it depends on. If one of them is invalid, the issue is dropped. */
  readonly keys: readonly SettingKey[];
  readonly text: string;
}

/** Finds conflicts between settings that are valid one by one. `sourcesFile`: sources that do not come from a file. */
export function checkTogether(
  settings: Settings,
  origins: Origins,
  { sourcesFile }: Pick<Layers, "sourcesFile"> = {},
): ConfigIssue[] {
  return [
    ...checkPorts(settings),
    ...checkApi(settings),
    ...(sourcesFile ? [] : checkSources(settings)),
    ...checkLists(settings),
    ...checkRedisUrl(settings, origins),
    ...checkSentinels(settings, origins),
    ...checkCluster(settings, origins),
    ...checkTls(settings),
    ...checkWebhookAuthority(settings),
    ...checkNextPassword(settings),
    ...checkObjectives(settings),
    ...checkTracing(settings),
  ];
}

function checkPorts(settings: Settings): ConfigIssue[] {
  const ports = ["metricsPort", "healthPort", ...(hasApi(settings) ? ["apiPort" as const] : [])] as const;
  const pairs = ports.flatMap((one, at) => ports.slice(at + 1).map((other) => [one, other] as const));
  return pairs.filter(([one, other]) => settings[one] === settings[other] && settings[one] !== 0).map((keys) => {
    const [one, other] = keys;
    const text = `${nameOf(one)} and ${nameOf(other)} are both ${settings[one]}: use different ports`;
    return { kind: "problem", keys, text };
  });
}

/** Whether the port of the API is opened: without keys and a trusted proxy there are no callers. */
export function hasApi(
  { apiKeys, apiKeysPath, trustedProxySecret }: Pick<Settings, "apiKeys" | "apiKeysPath" | "trustedProxySecret">,
): boolean {
  return apiKeys !== null || apiKeysPath !== "" || trustedProxySecret !== null;
}

/** Shortest secret of a trusted proxy, in characters. */
const SHORTEST_PROXY_SECRET = 16;

function checkApi({ apiKeys, trustedProxySecret, trustedProxyRoles, trustedProxyAddresses }: Settings): ConfigIssue[] {
  const parsed = parseApiKeys(apiKeys?.reveal() ?? "", "list");
  const problems = parsed.ok ? [] : parsed.problems.map((one) => `${nameOf("apiKeys")} ${one}`);
  const roles = findRoleProblems(parsePairs(trustedProxyRoles) ?? []).map((one) =>
    `${nameOf("trustedProxyRoles")}: ${one}`
  );
  const isShort = trustedProxySecret !== null && trustedProxySecret.reveal().length < SHORTEST_PROXY_SECRET;
  const proxy = [
    ...roles,
    ...(isShort ? [`${nameOf("trustedProxySecret")} has fewer than ${SHORTEST_PROXY_SECRET} characters`] : []),
    ...(trustedProxySecret !== null && trustedProxyRoles === ""
      ? [`${nameOf("trustedProxySecret")} is set but ${nameOf("trustedProxyRoles")} is not: set both`]
      : []),
  ];
  const useless = [
    ...trustedProxyRoles === "" ? [] : ["trustedProxyRoles" as const],
    ...trustedProxyAddresses.length === 0 ? [] : ["trustedProxyAddresses" as const],
  ];
  const ignored = trustedProxySecret === null
    ? useless.map((key) => ({
      ...{ kind: "warning" as const, keys: ["trustedProxySecret", key] as const },
      text: `${nameOf(key)} is ignored: ${nameOf("trustedProxySecret")} is not set`,
    }))
    : [];
  const keys = ["trustedProxySecret", "trustedProxyRoles"] as const;
  return [
    ...problems.map((text) => ({ kind: "problem" as const, keys: ["apiKeys"] as const, text })),
    ...proxy.map((text) => ({ kind: "problem" as const, keys, text })),
    ...ignored,
  ];
}

/** A sources file without a source of its own is reported by its parser. */
function checkSources({ sources, sourcesPath }: Settings): ConfigIssue[] {
  if (sources.length > 0 || sourcesPath !== "") return [];
  const text = `${nameOf("sources")} is none and ${
    nameOf("sourcesPath")
  } is not set: there is no source to drain; set one of them`;
  return [{ kind: "problem", keys: ["sources", "sourcesPath"], text }];
}

/** The settings that name lists. */
export const LIST_SETTINGS = ["alerterDlq", "moogDlq", "ingestQueue", "alertQueue", "deadList"] as const;

function checkLists(settings: Settings): ConfigIssue[] {
  const pairs = LIST_SETTINGS.flatMap((role, at) => LIST_SETTINGS.slice(at + 1).map((other) => [role, other] as const));
  return pairs.filter(([role, other]) => settings[role] === settings[other]).map(([role, other]) => {
    const same = `${nameOf(role)} and ${nameOf(other)} are both ${JSON.stringify(settings[role])}`;
    // Nothing is moved out of or into the alert queue, so naming it as the target only makes its depth count twice.
    return role === "ingestQueue" && other === "alertQueue"
      ? { kind: "warning", keys: [role, other], text: `${same}: its depth counts twice` }
      : { kind: "problem", keys: [role, other], text: `${same}: use different lists` };
  });
}

/** Why Moogsoft is not probed, so that its gate is always open; `null` if it is probed. */
export function whyMoogsoftIsNotAsked(
  { moogHealthCheckEnabled, moogWebhookUrl }: Pick<Settings, "moogHealthCheckEnabled" | "moogWebhookUrl">,
): string | null {
  const taken = "Moogsoft is not probed and counts as healthy";
  if (!moogHealthCheckEnabled) return `${nameOf("moogHealthCheckEnabled")} is false: ${taken}`;
  return moogWebhookUrl === "" ? `${nameOf("moogWebhookUrl")} is empty: ${taken}` : null;
}

/** The warning at the start if only the URL is missing, not if the check was switched off; `null` if there is none. */
export function warnOfNoWebhook(settings: Parameters<typeof whyMoogsoftIsNotAsked>[0]): string | null {
  const why = whyMoogsoftIsNotAsked(settings);
  if (why === null || !settings.moogHealthCheckEnabled) return null;
  return `${why}, so dead letters are replayed even during an outage. Set it, or set ${
    nameOf("moogHealthCheckEnabled")
  }=false if that is intended`;
}

/** Settings that `REDIS_URL` always overrides. It overrides user and password only if it has them. */
const DECIDED_BY_URL = [
  "redisHost",
  "redisPort",
  "redisDb",
  "redisTls",
  "redisSentinels",
  "redisClusterNodes",
] as const;

function checkRedisUrl({ redisUrl }: Settings, origins: Origins): ConfigIssue[] {
  if (!redisUrl) return [];
  const { username, password } = readRedisUrl(redisUrl);
  const decided: SettingKey[] = [...DECIDED_BY_URL];
  if (username !== null) decided.push("redisUsername");
  if (password !== null) decided.push("redisPassword");
  const ignored = decided.filter((key) => origins[key].layer !== "default").map((key) => origins[key].variable);
  const text = `REDIS_URL is set; ignored: ${ignored.join(", ")}`;
  return ignored.length > 0 ? [{ kind: "warning", keys: ["redisUrl"], text }] : [];
}

/** Settings that Sentinels make useless, and settings that are useless without them. */
function checkSentinels({ redisUrl, redisSentinels }: Settings, origins: Origins): ConfigIssue[] {
  const keys = ["redisSentinels", "redisUrl"] as const;
  const inUrl = redisUrl !== null && readRedisUrl(redisUrl).master !== null;
  if (inUrl) return [];
  if (redisSentinels.length === 0 || redisUrl !== null) {
    const ignored = ["redisSentinelUsername", "redisSentinelPassword"] as const;
    return checkIgnored(ignored, { origins, keys, why: "There are no Sentinels" });
  }
  return checkIgnored(SERVER, { origins, keys, why: `${nameOf("redisSentinels")} is set` });
}

/** The address of a single server. */
const SERVER = ["redisHost", "redisPort"] as const;

function checkCluster(
  { redisUrl, redisSentinels, redisClusterNodes, redisDb }: Settings,
  origins: Origins,
): ConfigIssue[] {
  if (redisUrl || redisClusterNodes.length === 0) return [];
  const cluster = nameOf("redisClusterNodes");
  const both = redisSentinels.length > 0
    ? [`${cluster} and ${nameOf("redisSentinels")} are both set: unset one of them (a cluster needs no Sentinels)`]
    : [];
  const db = redisDb === 0 ? [] : [`${nameOf("redisDb")} is ${redisDb}, but a cluster has only database 0: unset it`];
  const keys = ["redisClusterNodes", "redisSentinels", "redisDb", "redisUrl"] as const;
  return [
    ...[...both, ...db].map((text) => ({ kind: "problem" as const, keys, text })),
    ...checkIgnored(SERVER, { origins, keys, why: `${cluster} is set` }),
  ];
}

/** Warns of settings that are set without effect. */
function checkIgnored(
  settings: readonly SettingKey[],
  { origins, keys, why }: { origins: Origins; keys: readonly SettingKey[]; why: string },
): ConfigIssue[] {
  const given = settings.filter((key) => origins[key].layer !== "default").map((key) => origins[key].variable);
  return given.length === 0 ? [] : [{ kind: "warning", keys, text: `${why}; ignored: ${given.join(", ")}` }];
}

/** Whether the connection to Redis has TLS. */
export function usesTls({ redisUrl, redisTls }: Pick<Settings, "redisUrl" | "redisTls">): boolean {
  return redisUrl ? readRedisUrl(redisUrl).tls : redisTls;
}

/** Never fails: the setting was validated when it was read. */
function readRedisUrl(redisUrl: Secret): RedisUrl {
  return parseRedisUrl(redisUrl.reveal())!;
}

/** The settings that name a TLS file. */
export const TLS_FILES = ["redisCaCertPath", "redisClientCertPath", "redisClientKeyPath"] as const;

function checkTls(settings: Settings): ConfigIssue[] {
  const { redisUrl, redisTls, redisClientCertPath, redisClientKeyPath } = settings;
  if (usesTls(settings)) {
    if ((redisClientCertPath === "") === (redisClientKeyPath === "")) return [];
    const text = `${nameOf("redisClientCertPath")} and ${
      nameOf("redisClientKeyPath")
    } must be set together: one of them is missing`;
    return [{ kind: "problem", keys: ["redisClientCertPath", "redisClientKeyPath"], text }];
  }
  const scheme = redisUrl ? readRedisUrl(redisUrl).scheme : "redis:";
  if (redisTls) {
    const text =
      `REDIS_TLS_ENABLED is true, but REDIS_URL begins with ${scheme}//: use rediss://, or unset REDIS_TLS_ENABLED`;
    return [{ kind: "problem", keys: ["redisTls", "redisUrl"], text }];
  }
  return [...TLS_FILES, "redisServerName" as const].filter((key) => settings[key] !== "").map((key) => {
    const text = `${nameOf(key)} is ignored: the connection to Redis does not use TLS`;
    return { kind: "warning", keys: ["redisTls", "redisUrl", key], text };
  });
}

/** Whether Moogsoft's certificate is verified with `MOOG_CA_CERT_PATH`. */
export function usesMoogAuthority(
  { moogWebhookUrl, moogCaCertPath }: Pick<Settings, "moogWebhookUrl" | "moogCaCertPath">,
): boolean {
  return moogCaCertPath !== "" && /^https:/i.test(moogWebhookUrl);
}

function checkWebhookAuthority(settings: Settings): ConfigIssue[] {
  if (settings.moogCaCertPath === "" || usesMoogAuthority(settings)) return [];
  const text = `${nameOf("moogCaCertPath")} is ignored: ${nameOf("moogWebhookUrl")} is not an https:// URL`;
  return [{ kind: "warning", keys: ["moogCaCertPath", "moogWebhookUrl"], text }];
}

function nameOf(key: SettingKey): string {
  return FIELDS[key].variable;
}

/** The next password is tried in turn with the first one, so it needs one that is not in the URL. */
function checkNextPassword(settings: Settings): ConfigIssue[] {
  const { redisPassword, redisPasswordNext, redisUrl } = settings;
  const inUrl = redisUrl !== null && readRedisUrl(redisUrl).password !== null;
  if (vaultTargets(settings).includes("redisPassword")) return [];
  if (!redisPasswordNext || (redisPassword && !inUrl)) return [];
  const text = `${nameOf("redisPasswordNext")} is ignored: it only works together with ${nameOf("redisPassword")}`;
  return [{ kind: "warning", keys: ["redisPassword", "redisPasswordNext", "redisUrl"], text }];
}

/** Targets of objectives whose events are samples. */
const SAMPLED_TARGETS = ["sloDrainTarget", "sloOldestAgeTarget", "sloDownstreamTarget"] as const;

/** Objectives that cannot be met, or whose window holds too few samples. */
function checkObjectives(settings: Settings): ConfigIssue[] {
  const { sloWindowMs, sloDrainMs, intervalMs } = settings;
  const samples = Math.floor(sloWindowMs / samplePeriodMs(sloWindowMs));
  const untold = SAMPLED_TARGETS.filter((key) => eventsToJudge(settings[key]) > samples).map((key) => {
    const text = `${nameOf(key)} is ${settings[key]} and needs ${eventsToJudge(settings[key])} samples, but ` +
      `${nameOf("sloWindowMs")} (${FIELDS.sloWindowMs.format(sloWindowMs)}) holds ${samples}: widen the window`;
    return { kind: "warning" as const, keys: [key, "sloWindowMs"] as const, text };
  });
  if (sloDrainMs >= intervalMs) return untold;
  const text =
    `${nameOf("sloDrainMs")} (${FIELDS.sloDrainMs.format(sloDrainMs)}) is shorter than ${nameOf("intervalMs")} ` +
    `(${FIELDS.intervalMs.format(intervalMs)}): raise it, or it cannot be met`;
  return [...untold, { kind: "warning", keys: ["sloDrainMs", "intervalMs"], text }];
}

/** Only warnings: an unusable collector must not stop the replay. */
function checkTracing(settings: Settings): ConfigIssue[] {
  if (!wantsSpans(settings)) return [];
  const target = spanTarget(settings);
  const { otelMaxBatchSize: batch, otelMaxQueueSize: queue } = settings;
  return [
    ...(target.ok ? [] : [{ kind: "warning" as const, keys: TARGET_SETTINGS, text: target.problem }]),
    ...(batch <= queue ? [] : [{
      kind: "warning" as const,
      keys: ["otelMaxBatchSize", "otelMaxQueueSize"] as const,
      text: `${nameOf("otelMaxBatchSize")} is more than ${
        nameOf("otelMaxQueueSize")
      }: a batch is as large as the queue`,
    }]),
  ];
}
