/**
 * Operation `discover`: finds lists that look like pipelines and proposes sources. Three details matter:
 *
 * - It only reads: SCAN, TYPE, LLEN, and a script that reads single messages. So a user that may only read is enough.
 * - Everything is bounded: names, time, lists, messages and their bytes.
 * - Names are a hint. A pair is proposed only if its messages agree; whatever is doubtful is left alone, with the reason.
 */
import type { Buffer } from "node:buffer";
import { sourceNameOf } from "../config/dlq_names.ts";
import { FIELDS } from "../config/fields.ts";
import { LIST_SETTINGS } from "../config/rules.ts";
import { MAX_SOURCES } from "../config/sources_file.ts";
import { formatSources, type WrittenSource } from "../config/sources_text.ts";
import type { SourceDefinition } from "../gates/source_definition.ts";
import { Teardown } from "../lifecycle/teardown.ts";
import { Mask } from "../message/mask.ts";
import { LIST_WORDS, type ListName, type SourcePolicy } from "../message/source_policy.ts";
import { decide } from "../message/verdict.ts";
import { withVault } from "../mutt/vault.ts";
import { explainRedisError } from "../redis/advice.ts";
import type { RedisClient } from "../redis/cluster.ts";
import { isRetryable, StoreError, throwStoreError } from "../redis/errors.ts";
import { ListReader, type ListRow } from "../redis/list_reader.ts";
import { scanNames } from "../redis/scan.ts";
import { toIso } from "../runtime/clock.ts";
import { toLine } from "../runtime/control_characters.ts";
import { EXIT } from "../runtime/exit.ts";
import type { CommandContext } from "./context.ts";
import { findSlotProblems, inspectRedis } from "./inspect_redis.ts";
import { judgePair, looksDead, MOST_POINTS, type Sample } from "./judge_pair.ts";
import type { Operation } from "./operation.ts";
import { type ForeignLists, isUsableName, type LeftList, type PairCandidate, pairLists } from "./pair_lists.ts";
import { COUNT, FLAG, listOf, objectOf, oneOf, TEXT, TEXT_OR_NULL } from "./schema.ts";
import { waitForRedis } from "./wait_for_redis.ts";

/** Time limit for the scan, in milliseconds. */
const SCAN_MS = 60_000;
/** Most pairs of lists whose messages are read: a read takes Redis well below a millisecond. */
const MOST_CANDIDATES = 300;
/** Most lists that are named with the reason why they were left alone. */
const MOST_LEFT = 100;
/** Messages of a sample, and the largest one that is read, in bytes. */
const SAMPLE_SIZE = 5, SAMPLE_BYTES = 65_536;
/** Longest text of a message, in characters. */
const MAX_TEXT = 160;

/** Options of the search. */
export interface DiscoverInput {
  /** Most names to look at. */
  readonly limit: number;
}

/** A message of a proposed DLQ, and what the service would do with it. */
export interface JudgedMessage {
  /** The message without secrets, in one short line. */
  readonly text: string;
  readonly verdict: string;
}

/** A proposed source. */
export interface ProposedSource {
  readonly name: string;
  readonly dlq: string;
  readonly target: string;
  readonly dead: string;
  /** Member of the dead letters with the original message; `null`: they are not wrapped. */
  readonly unwrap: string | null;
  /** Messages in each list; 0: it does not exist. */
  readonly depths: Readonly<Record<ListName, number>>;
  /** From 1 to {@link MOST_POINTS}. */
  readonly score: number;
  readonly reasons: readonly string[];
  readonly cautions: readonly string[];
  /** The oldest messages. */
  readonly sample: readonly JudgedMessage[];
}

/** What was found. */
export interface DiscoverReport {
  readonly proposals: readonly ProposedSource[];
  readonly left: readonly LeftList[];
  /** Lists that were left alone beyond those named. */
  readonly moreLeft: number;
  readonly foreign: readonly ForeignLists[];
  /** Names that the scan looked at, lists among them, and lists whose names cannot be used. */
  readonly names: number;
  readonly lists: number;
  readonly unusable: number;
  /** Whether the scan saw every name. */
  readonly isComplete: boolean;
  /** The limit that ended the scan early, of names or of time; `null`: neither did. */
  readonly stoppedBy: "limit" | "time" | null;
  readonly warnings: readonly string[];
  /** Why there is no answer; `null`: there is one. */
  readonly problem: string | null;
  /** The sources file; empty: nothing is proposed. */
  readonly yaml: string;
  readonly exitCode: number;
}

/** Finds lists that look like pipelines. Changes nothing. */
export const discover = {
  name: "discover",
  summary: "Find lists that look like pipelines, and propose sources; change nothing",
  runsIn: "command",
  role: "viewer",
  input: objectOf({ limit: COUNT }),
  output: objectOf({
    proposals: listOf(objectOf({
      ...{ name: TEXT, dlq: TEXT, target: TEXT, dead: TEXT, unwrap: TEXT_OR_NULL },
      depths: objectOf({ dlq: COUNT, target: COUNT, dead: COUNT }),
      ...{ score: COUNT, reasons: listOf(TEXT), cautions: listOf(TEXT) },
      sample: listOf(objectOf({ text: TEXT, verdict: TEXT })),
    })),
    left: listOf(objectOf({ list: TEXT, why: TEXT })),
    moreLeft: COUNT,
    foreign: listOf(objectOf({ library: TEXT, advice: TEXT, count: COUNT, example: TEXT })),
    ...{
      names: COUNT,
      lists: COUNT,
      unusable: COUNT,
      isComplete: FLAG,
      stoppedBy: oneOf(["limit", "time", null]),
      warnings: listOf(TEXT),
    },
    ...{ problem: TEXT_OR_NULL, yaml: TEXT, exitCode: COUNT },
  }),
  run: runDiscover,
} satisfies Operation<CommandContext, DiscoverInput, DiscoverReport>;

const NOTHING: Omit<DiscoverReport, "exitCode"> = {
  ...{
    proposals: [],
    left: [],
    moreLeft: 0,
    foreign: [],
    names: 0,
    lists: 0,
    unusable: 0,
    isComplete: false,
    stoppedBy: null,
  },
  ...{ warnings: [], problem: null, yaml: "" },
};

async function runDiscover(given: CommandContext, { limit }: DiscoverInput): Promise<DiscoverReport> {
  const teardown = new Teardown(given);
  try {
    const context = await withVault(given, teardown);
    const { settings, signal, vault } = context;
    const { connections, setups } = context.createCore({ settings, ...(vault ? { vault } : {}) }, teardown);
    const unanswered = await waitForRedis(connections, signal);
    if (unanswered !== null) return refuse(unanswered, signal.aborted ? EXIT.interrupted : EXIT.unavailable);
    try {
      return await search(context, { redis: connections.reader, setups, limit });
    } catch (error) {
      if (signal.aborted) return refuse("interrupted", EXIT.interrupted);
      const { code } = failureOf(error), text = `Redis refused or did not answer: ${explainRedisError(error)}`;
      return refuse(text, isRetryable(code) ? EXIT.unavailable : EXIT.configuration);
    }
  } finally {
    await teardown.run(given.settings.shutdownTimeoutMs);
  }
}

/** The failure of Redis. @throws the error itself if it is a bug */
function failureOf(error: unknown): StoreError {
  try {
    return throwStoreError(error);
  } catch (thrown) {
    if (thrown instanceof StoreError) return thrown;
    throw thrown;
  }
}

function refuse(problem: string, exitCode: number): DiscoverReport {
  return { ...NOTHING, problem, exitCode };
}

interface Place {
  readonly redis: RedisClient;
  readonly setups: readonly SourceDefinition[];
}

async function search(
  context: CommandContext,
  { redis, setups, limit }: Place & DiscoverInput,
): Promise<DiscoverReport> {
  const { lists, unusable, names, stoppedBy } = await findLists(context, { redis, limit });
  const { candidates, left, foreign } = pairLists(lists, { known: knownLists(context, setups) });
  const proposals: ProposedSource[] = [], refused: LeftList[] = [], roles = new Map<string, ListName>();
  for (const candidate of candidates.slice(0, MOST_CANDIDATES)) {
    context.signal.throwIfAborted();
    if (proposals.length === MAX_SOURCES) break;
    const taken = new Set(proposals.map(({ name }) => name));
    const found = await tryCandidate(candidate, { context, redis, roles, taken });
    if ("why" in found) refused.push({ list: candidate.dlq, why: found.why });
    else {
      for (const role of ["dlq", "target", "dead"] as const) roles.set(found[role], role);
      proposals.push(found);
    }
  }
  const all = [...refused, ...left];
  proposals.sort((a, b) => b.score - a.score);
  return {
    ...{ proposals, left: all.slice(0, MOST_LEFT), foreign, names, lists: lists.size, unusable },
    ...{ isComplete: stoppedBy === null, stoppedBy },
    moreLeft: Math.max(0, all.length - MOST_LEFT) + candidates.length - refused.length - proposals.length,
    warnings: proposals.length === 0 ? [] : await findWarnings(redis, proposals),
    problem: null,
    yaml: proposals.length === 0 ? "" : writeFile(proposals),
    exitCode: proposals.length === 0 ? EXIT.failed : EXIT.done,
  };
}

/** Scans for lists, within the limits of names and time. */
async function findLists(
  { clock, signal }: CommandContext,
  { redis, limit }: { redis: RedisClient; limit: number },
): Promise<{ lists: ReadonlySet<string>; unusable: number; names: number } & Pick<DiscoverReport, "stoppedBy">> {
  const lists = new Set<string>(), endMs = clock.monotonicMs() + SCAN_MS;
  let unusable = 0, names = 0, stoppedBy: DiscoverReport["stoppedBy"] = null;
  for await (const step of scanNames({ redis, clock, type: "list" }, signal)) {
    // A step behind a limit: there are more names.
    stoppedBy = names >= limit ? "limit" : clock.monotonicMs() > endMs ? "time" : null;
    if (stoppedBy !== null) break;
    // The estimate of a small step may be less than what it found.
    names += Math.max(step.looked, step.names.length);
    for (const name of step.names) {
      const text = textOf(name);
      if (text === null) unusable++;
      else lists.add(text);
    }
  }
  return { lists, unusable, names, stoppedBy };
}

/** A name that can be used; `null`: it cannot. */
function textOf(name: Buffer): string | null {
  const text = name.length > 2_048 ? "" : name.toString();
  return isUsableName(text) ? text : null;
}

/** Lists that have a role already: those of the settings and of the sources. */
function knownLists({ settings }: CommandContext, setups: readonly SourceDefinition[]): ReadonlyMap<string, string> {
  const known = new Map<string, string>();
  for (const setting of LIST_SETTINGS) {
    known.set(settings[setting], `this service has it built in (${FIELDS[setting].variable}): see REMEDIATION_SOURCES`);
  }
  for (const { policy } of setups) {
    for (const role of ["dlq", "target", "dead"] as const) {
      known.set(policy[role], `it is the ${LIST_WORDS[role]} of source ${policy.name} already`);
    }
  }
  return known;
}

interface Trial {
  readonly context: CommandContext;
  readonly redis: RedisClient;
  /** Roles of the lists of proposals so far. */
  readonly roles: ReadonlyMap<string, ListName>;
  /** Names of proposals so far. */
  readonly taken: ReadonlySet<string>;
}

/** Looks at the lists of a candidate. Rejects if Redis does not answer. */
async function tryCandidate(
  candidate: PairCandidate,
  trial: Trial,
): Promise<ProposedSource | { readonly why: string }> {
  try {
    return await judgeCandidate(candidate, trial);
  } catch (error) {
    trial.context.signal.throwIfAborted();
    // The user may not read this list, or it is no list any more.
    if (failureOf(error).retryable) throw error;
    return { why: `Redis refuses to read it: ${explainRedisError(error)}` };
  }
}

async function judgeCandidate(
  candidate: PairCandidate,
  { context, redis, roles, taken }: Trial,
): Promise<ProposedSource | { readonly why: string }> {
  const { dlq, target } = candidate;
  if (roles.has(dlq)) return { why: `it is a ${LIST_WORDS[roles.get(dlq)!]} in another proposal` };
  if ((roles.get(target) ?? "target") !== "target") return { why: `${target} has another role in a proposal` };
  // The scan may not have come to it.
  const type = await redis.type(target), isTargetSeen = type === "list";
  if (type !== "none" && type !== "list") return { why: `${target} is a ${type}, not a list` };
  const [misplaced] = findSlotProblems(redis, policyOf(candidate, { dead: candidate.dead[0] ?? dlq }));
  if (misplaced !== undefined) return { why: misplaced };
  const dead = await chooseDead(candidate, { redis, roles });
  if (dead === null) return { why: "there is no free name for its dead list" };
  const policy = policyOf(candidate, { dead, name: sourceNameOf(dlq, taken) });
  const letters = await readSample(redis, policy, "dlq");
  const waiting = type === "none" ? [] : await readSample(redis, policy, "target");
  const judged = judgePair({ ...candidate, isTargetSeen }, { dlq: toSample(letters), target: toSample(waiting) });
  if (!judged.ok) return judged;
  const depths = { dlq: await redis.llen(dlq), target: await redis.llen(target), dead: await redis.llen(dead) };
  const { score, unwrap, reasons, cautions } = judged;
  const sample = letters.map((row) => judgeMessage(row, { policy: { ...policy, unwrap }, context }));
  return { name: policy.name, dlq, target, dead, unwrap, depths, score, reasons, cautions, sample };
}

/** A source with these lists and no rules of its own. A list does not show how it is pushed: LPUSH is assumed. */
function policyOf(
  { dlq, target }: Pick<PairCandidate, "dlq" | "target">,
  { dead, name = sourceNameOf(dlq) }: { dead: string; name?: string },
): SourcePolicy {
  return { name, push: "LPUSH", dlq, target, dead, counter: null, cutOnReplay: [], required: [] };
}

/** A name that is not in use, or a list that holds dead messages already. */
async function chooseDead(
  candidate: PairCandidate,
  { redis, roles }: Pick<Trial, "redis" | "roles">,
): Promise<string | null> {
  for (const name of candidate.dead) {
    if ((roles.get(name) ?? "dead") !== "dead") continue;
    const type = await redis.type(name);
    if (type === "none") return name;
    if (type !== "list") continue;
    if (looksDead(toSample(await readSample(redis, policyOf(candidate, { dead: name }), "dead")))) return name;
  }
  return null;
}

/** Reads the oldest messages, one at a time: the size of a message is known only once Redis has read it. */
async function readSample(redis: RedisClient, policy: SourcePolicy, list: ListName): Promise<ListRow[]> {
  const reader = new ListReader(redis, policy, { maxMessageBytes: SAMPLE_BYTES, isReadOnly: true }),
    rows: ListRow[] = [];
  for (let place = 1; place <= SAMPLE_SIZE; place++) {
    const found = await reader.peek(list, { place, bounds: { messages: 1, bytes: 1 } });
    if (found.length === 0) break;
    rows.push(...found);
  }
  return rows;
}

function toSample(rows: readonly ListRow[]): Sample {
  return rows.map(({ bytes }) => bytes);
}

function judgeMessage(
  { bytes, length }: ListRow,
  { policy, context: { settings, clock } }: { policy: SourcePolicy; context: CommandContext },
): JudgedMessage {
  if (bytes === null) return { text: `${length} bytes`, verdict: "not judged: too large to show" };
  const nowMs = clock.nowMs();
  const verdict = decide(bytes, {
    ...{ policy, nowMs, cycle: 0, cycleStartedAtMs: nowMs, failedAt: toIso(nowMs), tallyOf: () => undefined },
    maxPoisonRetries: settings.maxPoisonRetries,
  });
  return {
    text: toLine(new Mask().message(bytes), MAX_TEXT),
    verdict: verdict.action === "replay" ? "would be replayed" : `dead as ${verdict.reason}: ${verdict.detail}`,
  };
}

/** What would keep the service from starting. */
async function findWarnings(redis: RedisClient, proposals: readonly ProposedSource[]): Promise<readonly string[]> {
  const { problems, warnings } = await inspectRedis(redis, proposals.map((one) => policyOf(one, one)));
  return [...problems, ...warnings];
}

const HEADER = [
  "Proposed by mutt-remediation discover, which only read. Check every name before you use this file:",
  "  export REMEDIATION_SOURCES=none REMEDIATION_SOURCES_PATH=sources.yaml",
  "  mutt-remediation check",
  "  mutt-remediation once --dry-run",
  "Producers must LPUSH, and consumers take from the right (RPOP, BRPOP, BLMOVE ... RIGHT): a list does not show it.",
  "If yours RPUSH, and take from the left (LPOP, BLPOP), add to each source: push: RPUSH",
  "A consumer must keep the member _remediation. All members of a source: docs/sources.md",
];

function writeFile(proposals: readonly ProposedSource[]): string {
  return formatSources(proposals.map(writeProposal), { comments: HEADER });
}

function writeProposal(
  { name, dlq, target, dead, unwrap, depths, score, reasons, cautions }: ProposedSource,
): WrittenSource {
  const count = (role: ListName) =>
    depths[role] === 0 ? null : `${depths[role]} message${depths[role] === 1 ? "" : "s"}`;
  return {
    name,
    entry: { dlq, target, dead, ...unwrap === null ? {} : { unwrap } },
    comments: [
      `Score ${score} of ${MOST_POINTS}: ${reasons.join("; ")}.`,
      ...cautions.map((one) => `Caution: ${one}.`),
    ],
    notes: {
      dlq: count("dlq") ?? "empty now",
      target: count("target") ?? "not seen: empty, or not its name",
      dead: count("dead") ?? "a new list",
    },
  };
}
