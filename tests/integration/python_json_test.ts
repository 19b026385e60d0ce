/** Differential: what we say about bytes against what a real CPython does with them. Needs `python3`. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { openEnvelope } from "../../src/message/envelope.ts";
import { findMember, isFalsy, type JsonObject, objectOf, stringOf } from "../../src/message/json_object.ts";
import { readMessage } from "../../src/message/read_message.ts";
import { editMessage, type MessageEdit } from "../../src/message/edit.ts";
import { findStamp } from "../../src/message/stamp.ts";
import type { SourcePolicy } from "../../src/message/source_policy.ts";
import { decide, readCounter, type Verdict, type VerdictContext } from "../../src/message/verdict.ts";
import { MESSAGES } from "../corpus/messages.ts";
import { CONTEXT as COMMON } from "../../testkit/message_checks.ts";
import { ANY_BYTES, HOSTILE_JSON, HOSTILE_NAMES } from "../../testkit/hostile_json.ts";
import {
  bytesOf,
  EVENT_TEXT,
  HOSTILE_PAYLOADS,
  isLongForm,
  KNOWN_MEMBERS,
  OBJECT_TEXT,
  propertyRuns,
  textOf,
} from "../../testkit/payloads.ts";

/** The consumers' way to read: strict UTF-8, then `json.loads`. One question a line in, one answer a line out. */
const PYTHON = String.raw`
import base64, json, sys

LIMITS = (0.5, 1, 2, 3, 1000)

def read(text):
    return json.loads(base64.b64decode(text).decode("utf-8"))

def counter(value):
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number and value == value and value > 0 else 0

def look(value, name):
    if name not in value:
        return None
    return [not value[name], [counter(value[name]) >= limit for limit in LIMITS]]

for line in sys.stdin:
    question = json.loads(line)
    try:
        original = read(question["original"])
    except Exception as error:
        original = error
    answer = {"kind": "refused" if isinstance(original, Exception) else "object" if isinstance(original, dict) else "other"}
    if answer["kind"] == "object":
        answer["members"] = {name: look(original, name) for name in question["names"]}
        wanted = {key: value for key, value in original.items() if key not in question["cut"]}
        edited = read(question["edited"])
        for name in question["stamps"]:
            wanted[name] = edited[name]
        answer["same"] = json.dumps(wanted) == json.dumps(edited)
    answer["written"] = base64.b64encode(json.dumps(read(question["edited"])).encode()).decode()
    print(json.dumps(answer))
`;

/**
 * The edit once more, on text and with CPython's own scanner, and what it must come to: every pair of every object, equal keys
 * and order included, numbers by their digits.
 */
const PYTHON_EDIT = String.raw`
import base64, json, sys

sys.setrecursionlimit(5000)  # comparing what is 500 deep takes more than the reader does

def pairs(text):
    return json.loads(text, object_pairs_hook=lambda found: ["object", found],
                      parse_int=str, parse_float=str, parse_constant=str)

def behind_space(text, at):
    while text[at] in " \t\n\r":
        at += 1
    return at

def members(text):
    """Each top-level member: its name, where its key begins, where its value ends."""
    decoder, found = json.JSONDecoder(), []
    at = behind_space(text, behind_space(text, 0) + 1)
    while text[at] != "}":
        start = at
        name, at = json.decoder.scanstring(text, at + 1, True)
        _, at = decoder.scan_once(text, behind_space(text, behind_space(text, at) + 1))
        found.append((name, start, at))
        at = behind_space(text, at)
        if text[at] == ",":
            at = behind_space(text, at + 1)
    return found

def edit(text, cut, append):
    found = members(text)
    inside = behind_space(text, 0) + 1
    first, last = (found[0][1], found[-1][2]) if found else (inside, inside)
    kept, before = [], first
    for name, start, end in found:
        if name not in cut:
            kept.append(text[before if kept else start:end])
        before = end
    added = ", ".join(json.dumps(name) + ": " + value for name, value in append)
    return text[:first] + "".join(kept) + (", " if kept and added else "") + added + text[last:]

for line in sys.stdin:
    question = json.loads(line)
    original, edited = (base64.b64decode(question[name]) for name in ("original", "edited"))
    cut, append = question["cut"], question["append"]
    try:
        text = original.decode("utf-8")
        readable = isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        readable = False
    answer = {"readable": readable}
    if readable:
        answer["bytes"] = edit(text, cut, append).encode("utf-8") == edited
        wanted = [pair for pair in pairs(text)[1] if pair[0] not in cut]
        wanted += [(name, pairs(value)) for name, value in append]
        answer["pairs"] = pairs(edited.decode("utf-8")) == ["object", wanted]
    print(json.dumps(answer))
`;

const LIMITS = [0.5, 1, 2, 3, 1000];
const POLICY: SourcePolicy = { ...COMMON.policy, required: ["hostname"] };
const CONTEXT: VerdictContext = { ...COMMON, policy: POLICY };

interface Answer {
  readonly kind: "refused" | "object" | "other";
  readonly members?: Record<string, [isFalsy: boolean, reached: boolean[]] | null>;
  readonly same?: boolean;
  /** What `json.dumps(json.loads(edited))` writes. */
  readonly written: string;
}

interface Case {
  readonly bytes: Uint8Array;
  readonly verdict: Verdict;
  readonly answer: Answer;
}

function hasPython(): boolean {
  try {
    return new Deno.Command("python3", { args: ["-c", "pass"], stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

const IS_PYTHON_THERE = hasPython();
if (!IS_PYTHON_THERE) console.log("python_json_test: skipped, there is no python3 here");

function questionFor(bytes: Uint8Array, verdict: Verdict): string {
  const isReplay = verdict.action === "replay";
  return JSON.stringify({
    original: Buffer.from(bytes).toString("base64"),
    edited: Buffer.from(verdict.payload).toString("base64"),
    names: KNOWN_MEMBERS,
    cut: isReplay ? ["_remediation", ...POLICY.cutOnReplay] : ["_remediation", "failed_at"],
    stamps: isReplay ? ["_remediation"] : ["failed_at", "_remediation"],
  });
}

async function askOfVerdicts(payloads: readonly Uint8Array[]): Promise<Case[]> {
  const verdicts = payloads.map((bytes) => decide(bytes, CONTEXT));
  const questions = payloads.map((bytes, i) => questionFor(bytes, verdicts[i]!));
  const answers = await askPython<Answer>(PYTHON, questions);
  return payloads.map((bytes, i) => ({ bytes, verdict: verdicts[i]!, answer: answers[i]! }));
}

/** One Python process answers all questions. */
async function askPython<T>(script: string, questions: readonly string[]): Promise<T[]> {
  const python = new Deno.Command("python3", {
    args: ["-c", script],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
  const child = python.spawn();
  const asked = new Blob([questions.join("\n")]).stream().pipeTo(child.stdin)
    .catch(() => {}); // What ended it is in its stderr.
  const [{ stdout, stderr }] = await Promise.all([child.output(), asked]);
  const lines = textOf(stdout).trim().split("\n");
  assert.equal(lines.length, questions.length, textOf(stderr));
  return lines.map((line) => JSON.parse(line));
}

/** So many of what is generated, by a seed that is told. */
function sample<T>(arbitrary: fc.Arbitrary<T>, numRuns: number): T[] {
  const seed = propertyRuns(1).seed ?? crypto.getRandomValues(new Int32Array(1))[0]!;
  console.log(`python_json_test: FC_SEED=${seed}`);
  return fc.sample(arbitrary, { numRuns, seed });
}

/** The long form goes round again and again, because all at once would take gigabytes. */
const ROUNDS = isLongForm() ? 20 : 1;

/** What is kept; not what is too large to be sent about. */
const KEPT_PAYLOADS = [
  ...HOSTILE_PAYLOADS,
  ...MESSAGES.filter(({ isHuge }) => !isHuge).map(({ bytes }) => bytes()).filter(({ length }) => length < 1_000_000),
];

function describe(bytes: Uint8Array): string {
  return `${JSON.stringify(textOf(bytes).slice(0, 400))} (${Buffer.from(bytes).toString("hex").slice(0, 400)})`;
}

function checkReading({ bytes, answer }: Case): void {
  const message = readMessage(bytes);
  const ours = message.readable ? "object" : message.reason === "malformed" ? "other" : "refused";
  // Only the depth that we allow is narrower than CPython's own, on purpose.
  const isTooDeep = !message.readable && message.detail.startsWith("nested deeper");
  if (!isTooDeep) assert.equal(ours, answer.kind, describe(bytes));
}

function checkMembers(message: JsonObject, { bytes, answer }: Case): void {
  for (const name of KNOWN_MEMBERS) {
    const member = findMember(message, name);
    const reached = LIMITS.map((limit) => readCounter(member) >= limit);
    const ours = member === null ? null : [isFalsy(member), reached];
    assert.deepEqual(ours, answer.members?.[name], `${name} in ${describe(bytes)}`);
  }
}

function reasonIn(message: JsonObject): string | null {
  const reason = findMember(objectOf(findMember(message, "_remediation")!)!, "reason");
  return reason === null ? null : stringOf(reason);
}

/** After Python has read and written the edited message, we read the same verdict's record out of it. */
function checkStamps({ bytes, verdict, answer }: Case): void {
  const written = readMessage(Buffer.from(answer.written, "base64"));
  assert.ok(written.readable, describe(bytes));
  const { source, cycle } = findStamp(written)!;
  assert.deepEqual({ source, cycle }, { source: POLICY.name, cycle: CONTEXT.cycle }, describe(bytes));
  if (verdict.action === "replay") assert.deepEqual(findStamp(written), verdict.record, describe(bytes));
  else assert.equal(reasonIn(written), verdict.reason, describe(bytes));
}

Deno.test({
  name: "decide, readMessage: agree with python3's json.loads when given generated and hostile bytes",
  ignore: !IS_PYTHON_THERE,
  async fn() {
    for (let round = 0; round < ROUNDS; round++) await compareVerdicts();
  },
});

/** Whether it lies in an envelope: a message that can be read does if its stamps would make it too deep for that. */
function isSealed({ bytes, verdict }: Case): boolean {
  return verdict.action === "dead" && openEnvelope(verdict.payload)?.every((byte, i) => byte === bytes[i]) === true;
}

async function compareVerdicts(): Promise<void> {
  const generated = fc.oneof(
    { weight: 3, arbitrary: ANY_BYTES },
    { weight: 2, arbitrary: fc.oneof(EVENT_TEXT, OBJECT_TEXT).map(bytesOf) },
  );
  const cases = await askOfVerdicts([...KEPT_PAYLOADS, ...sample(generated, 4_000)]);
  for (const tried of cases) {
    checkReading(tried);
    checkStamps(tried);
    const message = readMessage(tried.bytes);
    if (message.readable) checkMembers(message, tried);
    if (message.readable && !isSealed(tried)) {
      assert.equal(tried.answer.same, true, describe(tried.bytes));
    } else {
      const written = Buffer.from(tried.answer.written, "base64");
      assert.ok(Buffer.from(openEnvelope(written)!).equals(tried.bytes), describe(tried.bytes));
    }
  }
  const kinds = ["object", "other", "refused"].map((kind) => cases.filter((c) => c.answer.kind === kind).length);
  assert.ok(kinds.every((count) => count > 100), `too few of a kind: ${kinds}`);
}

/** Messages, most of them hostile, each with an edit. */
const EDITS = fc.tuple(
  fc.oneof({ weight: 3, arbitrary: HOSTILE_JSON }, { weight: 1, arbitrary: ANY_BYTES }),
  fc.record({
    cut: fc.subarray([...HOSTILE_NAMES]),
    append: fc.array(
      fc.tuple(
        fc.constantFrom(...HOSTILE_NAMES),
        fc.constantFrom("1", '"x"', '{"a": [1.0, NaN]}', "null", '"\\ud800"'),
      ),
      { maxLength: 3 },
    ),
  }),
);

Deno.test({
  name: "editMessage: gives the bytes that the same edit gives on CPython's own scanner, and every pair that it must",
  ignore: !IS_PYTHON_THERE,
  async fn() {
    for (let round = 0; round < ROUNDS; round++) await compareEdits();
  },
});

async function compareEdits(): Promise<void> {
  const some: MessageEdit = { cut: ["_remediation", "_retry_count", "a"], append: [["_remediation", "{}"]] };
  const cases = [...KEPT_PAYLOADS.map((bytes): [Uint8Array, MessageEdit] => [bytes, some]), ...sample(EDITS, 3_000)];
  const questions = cases.map(([bytes, edit]) => {
    const message = readMessage(bytes);
    const edited = message.readable ? editMessage(message, edit) : bytes;
    const base64 = (one: Uint8Array) => Buffer.from(one).toString("base64");
    return JSON.stringify({ ...edit, original: base64(bytes), edited: base64(edited) });
  });
  const answers = await askPython<{ readable: boolean; bytes?: boolean; pairs?: boolean }>(PYTHON_EDIT, questions);
  let readable = 0;
  for (const [i, [bytes, edit]] of cases.entries()) {
    const ours = readMessage(bytes), told = `${describe(bytes)} ${JSON.stringify(edit)}`;
    if (!ours.readable && ours.detail.startsWith("nested deeper")) continue;
    const wanted = ours.readable ? { readable: true, bytes: true, pairs: true } : { readable: false };
    assert.deepEqual(answers[i], wanted, told);
    if (ours.readable) readable++;
  }
  assert.ok(readable > cases.length / 4 && readable < cases.length, `${readable} of ${cases.length} are readable`);
}
