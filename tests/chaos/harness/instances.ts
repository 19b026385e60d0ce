/** The service as processes that drain a world, and what they say that they have moved. */
import type { Push } from "../../../src/message/source_policy.ts";
import { DEAD, DLQ, TARGET } from "../../../testkit/engine.ts";
import { type Service, startService } from "../../../testkit/service.ts";
import type { LeaseMode } from "./scenario.ts";
import { SOURCE_NAMES } from "./world.ts";

/** Most messages of one commit: few, so that a backlog takes many. */
export const CHUNK_MESSAGES = 3;

/** Settings of a process: nothing bounds or gates it, cycles follow one another as quickly as they may. */
const ENVIRONMENT = {
  REMEDIATION_INTERVAL: "1",
  REMEDIATION_BATCH_SIZE: "0",
  REMEDIATION_CHUNK_MESSAGES: String(CHUNK_MESSAGES),
  REMEDIATION_TARGET_MAX_DEPTH: "0",
  REMEDIATION_MAX_PER_SECOND: "0",
  REMEDIATION_CONSUMER_GATE: "off",
  REMEDIATION_BRAKE_ENABLED: "false",
  REMEDIATION_LEASE_DURATION: "1",
  LOG_LEVEL: "DEBUG",
  MOOG_HEALTH_CHECK_ENABLED: "false",
};

/** The source of one's own that has the rules of `alerter`, and its lists, pushed to the right. */
const TURNED = {
  ...{ push: "RPUSH", dlq: DLQ, target: TARGET, dead: DEAD, targetMaxDepth: 0, counter: "_moog_retry_count" },
  ...{ cutOnReplay: ["_retry_count", "shedding_reason"], required: ["hostname", "timestamp", "message"] },
};

/**
 * Starts one on a Redis: the binary that `MUTT_REMEDIATION_BINARY` names, else the source. It has the one source of the world that
 * `SOURCE_NAMES` names for how the lists are pushed.
 */
export function startInstance(
  { url, dir, push }: { readonly url: string; readonly dir: string; readonly push: Push },
  lease: LeaseMode,
  env: Readonly<Record<string, string>> = {},
): Service {
  const election = { REMEDIATION_LEADER_ELECTION: String(lease !== "off") };
  return startService({ env: { ...ENVIRONMENT, ...election, ...sourceOf({ dir, push }), REDIS_URL: url, ...env } });
}

function sourceOf({ dir, push }: { readonly dir: string; readonly push: Push }): Record<string, string> {
  if (push === "LPUSH") return {};
  const path = `${dir}/sources.json`;
  Deno.writeTextFileSync(path, JSON.stringify({ sources: { [SOURCE_NAMES.RPUSH]: TURNED } }));
  return { REMEDIATION_SOURCES: "none", REMEDIATION_SOURCES_PATH: path };
}

/** Commits that an instance has logged. A line is written as the metrics are counted. */
export function countCommits({ stderr }: Service): number {
  return stderr.filter((line) => line.includes('"commit"')).length;
}

/** Messages that an instance says it has moved, by its log. */
export function countLogged(service: Service): number {
  return service.events("commit").reduce((sum, { replayed, dead }) => sum + Number(replayed) + sumOf(dead), 0);
}

/** Messages that a living instance says it has moved, by its metrics. */
export async function countScraped(service: Service): Promise<number> {
  const { metrics } = await service.ports();
  const text = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
  const sum = (name: string) =>
    [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "gm"))]
      .reduce((total, [, value]) => total + Number(value), 0);
  return sum("mutt_remediation_replay_success_total") + sum("mutt_remediation_poison_messages_total");
}

function sumOf(byReason: unknown): number {
  return Object.values(byReason as Record<string, number>).reduce((a, b) => a + b, 0);
}
