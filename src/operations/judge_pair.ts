/** Judges whether two lists are a DLQ and its target by samples of their messages. Pure. */
import { findMember, isContainer, type JsonObject, numberOf } from "../message/json_object.ts";
import { openLetter } from "../message/letter.ts";
import { readMessage } from "../message/read_message.ts";
import { FAILED_AT_MEMBER, REMEDIATION_MEMBER } from "../message/source_policy.ts";
import { foreignByMembers } from "./foreign_queues.ts";
import { type PairCandidate, tryCommand } from "./pair_lists.ts";

/** Messages of a list; `null`: too large to read. */
export type Sample = readonly (Uint8Array | null)[];

/** Why a pair is a proposal, or why it is none. */
export type PairJudgement =
  | {
    readonly ok: true;
    /** From 1 to {@link MOST_POINTS}. */
    readonly score: number;
    /** Member of the dead letters with the original message; `null`: they are not wrapped. */
    readonly unwrap: string | null;
    readonly reasons: readonly string[];
    /** What to look at before it is used. */
    readonly cautions: readonly string[];
  }
  | { readonly ok: false; readonly why: string };

/** The highest score. */
export const MOST_POINTS = 6;

/** Members with the original message, and with the error, in messages that consumers wrap before they dead-letter them. */
const WRAPPED = ["payload", "original", "original_message", "message", "body", "data", "job", "event", "task"];
const ERRORS = ["error", "exception", "traceback", "stacktrace", "stack", "error_message", "reason"];
/** Members in which consumers count attempts. */
const COUNTERS = ["attempts", "attempt", "retries", "retry_count", "retryCount", "tries", "failures"];
/** Most names of members that a text lists. */
const SHOWN_NAMES = 5;

/** Judges a pair. The sample of a target that was not seen is empty. */
export function judgePair(
  { dlq, isSure, target, isTargetSeen }: PairCandidate,
  samples: { readonly dlq: Sample; readonly target: Sample },
): PairJudgement {
  const letters = readSample(samples.dlq), waiting = readSample(samples.target);
  const needs = `if they are what the consumer takes: ${tryCommand(dlq, target, ["--record", "beside"])}`;
  if (samples.dlq.length === 0) return refuse("it is empty by now");
  if (letters.read === 0) return refuse("its messages are too large to look at");
  if (2 * letters.objects.length < letters.read) {
    return refuse(
      `${letters.read - letters.objects.length} of ${letters.read} messages are not JSON objects; ${needs}`,
    );
  }
  const names = namesIn(letters.objects), library = foreignByMembers(names);
  if (library) return refuse(`its messages look like ${library.library}'s: ${library.advice}`);
  if (2 * waiting.objects.length < waiting.read) {
    return refuse(
      `${
        waiting.read - waiting.objects.length
      } of ${waiting.read} messages of ${target} are not JSON objects; ${needs}`,
    );
  }
  const targetNames = namesIn(waiting.objects), shared = [...names].filter((name) => targetNames.has(name));
  const wrapped = shared.length === 0 ? findWrapped(letters.objects, targetNames) : null;
  if (waiting.objects.length > 0 && shared.length === 0 && wrapped === null) {
    return refuse(
      `its messages have ${listNames(names)}, those of ${target} have ${
        listNames(targetNames)
      }: they are of another kind, and a ` +
        "message is replayed as it is",
    );
  }
  const wrapper = waiting.objects.length === 0 ? letters.objects.map(wrapperOf).find((name) => name !== null) : null;
  if (wrapper) {
    return refuse(
      `its messages look wrapped, with the original in ${wrapper}; if that is a JSON object, as consumers of ${target} take it: ` +
        tryCommand(dlq, target, ["--unwrap", wrapper]),
    );
  }
  const hasShared = shared.length > 0, originals = wrapped?.inner ?? letters.objects;
  return {
    ok: true,
    score: (isSure ? 2 : 1) + (isTargetSeen ? 2 : 0) + (hasShared || wrapped ? 2 : 0),
    unwrap: wrapped?.name ?? null,
    reasons: [
      isSure ? "its name says DLQ" : "its name says failures",
      ...(isTargetSeen ? [`the list ${target} is there`] : []),
      ...(hasShared ? [`messages of both have ${listNames(shared)}`] : []),
      ...(wrapped
        ? [`${wrapped.name} of its messages has ${listNames(wrapped.shared)}, as those of ${target} do`]
        : []),
    ],
    cautions: [
      ...(isTargetSeen ? [] : [
        `target not seen: Redis deletes an empty list. Compare ${target} with the name that your consumer reads`,
      ]),
      ...(letters.read > originals.length
        ? [
          `${letters.read - originals.length} of ${letters.read} messages would go to the dead list: ` +
          (wrapped ? `they have no JSON object in ${wrapped.name}` : "they are not JSON objects"),
        ]
        : []),
      ...findCounters(originals).map((name) => wrapped ? `${wrapped.name}.${name}` : name).map((path) =>
        `messages have the number ${path}: if your consumer refuses a message by it, add cutOnReplay: [${path}]`
      ),
    ],
  };
}

/** Whether messages look like what this service writes to a dead list, or what others do: with the time of their death. */
export function looksDead(sample: Sample): boolean {
  const { read, objects } = readSample(sample);
  const isDead = (message: JsonObject) => {
    const stamp = findMember(message, REMEDIATION_MEMBER);
    return stamp !== null && isContainer(stamp) && findMember(message, FAILED_AT_MEMBER) !== null;
  };
  return read > 0 && objects.length === read && objects.every(isDead);
}

function refuse(why: string): PairJudgement {
  return { ok: false, why };
}

function readSample(sample: Sample): { readonly read: number; readonly objects: readonly JsonObject[] } {
  const read = sample.flatMap((bytes) => bytes === null ? [] : [readMessage(bytes)]);
  return { read: read.length, objects: read.flatMap((one) => one.readable ? [one] : []) };
}

function namesIn(objects: readonly JsonObject[]): ReadonlySet<string> {
  const names = objects.flatMap(({ bytes, members }) =>
    [...members].map(({ keyStart, keyEnd }) => new TextDecoder().decode(bytes.subarray(keyStart + 1, keyEnd - 1)))
  );
  return new Set(names.filter((name) => name !== REMEDIATION_MEMBER));
}

/** The member with the original of a message that tells of an error too; `null`: it does not look wrapped. */
function wrapperOf(message: JsonObject): string | null {
  const hasError = ERRORS.some((name) => findMember(message, name) !== null);
  return hasError ? WRAPPED.find((name) => hasContent(message, name)) ?? null : null;
}

/** Whether a member is an object or an array, or a text that holds an object. */
function hasContent(message: JsonObject, name: string): boolean {
  const member = findMember(message, name);
  if (member === null) return false;
  const { bytes, valueStart } = member;
  return isContainer(member) || (bytes[valueStart] === 0x22 && bytes[valueStart + 1] === 0x7b);
}

/** The originals of most messages in a member, if they have members of the target's messages. */
function findWrapped(
  letters: readonly JsonObject[],
  targetNames: ReadonlySet<string>,
): { name: string; inner: readonly JsonObject[]; shared: readonly string[] } | null {
  for (const name of WRAPPED) {
    const inner = letters.flatMap((message) => openLetter(message, [name]).inner ?? []);
    const shared = [...namesIn(inner)].filter((name) => targetNames.has(name));
    if (shared.length > 0 && 2 * inner.length >= letters.length) return { name, inner, shared };
  }
  return null;
}

function findCounters(objects: readonly JsonObject[]): string[] {
  return COUNTERS.filter((name) =>
    objects.some((message) => {
      const member = findMember(message, name);
      return member !== null && numberOf(member) !== null;
    })
  );
}

function listNames(names: Iterable<string>): string {
  const all = [...names].map((name) => name.slice(0, 40)), more = all.length - SHOWN_NAMES;
  if (all.length === 0) return "no members";
  return `${all.slice(0, SHOWN_NAMES).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
