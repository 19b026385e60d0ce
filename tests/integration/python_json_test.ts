/** Differential: what we say about bytes against what a real CPython does with them. Needs `python3`. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { openEnvelope } from "../../src/domain/envelope.ts";
import { findMember, type JsonObject } from "../../src/domain/json_members.ts";
import { isFalsy, objectOf, stringOf } from "../../src/domain/json_values.ts";
import { readMessage } from "../../src/domain/message.ts";
import { findRecord } from "../../src/domain/message_record.ts";
import type { SourcePolicy } from "../../src/domain/source.ts";
import { decide, readCounter, type Verdict, type VerdictContext } from "../../src/domain/verdict.ts";
import {
  ANY_PAYLOAD,
  bytesOf,
  EVENT_TEXT,
  HOSTILE_PAYLOADS,
  KNOWN_MEMBERS,
  OBJECT_TEXT,
  propertyRuns,
  textOf,
} from "../support/payloads.ts";

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

const LIMITS = [0.5, 1, 2, 3, 1000];
const POLICY: SourcePolicy = {
  name: "älerter",
  dlq: "d",
  target: "t",
  dead: "x",
  counter: "_moog_retry_count",
  cutOnReplay: ["_retry_count", "shedding_reason"],
  required: ["hostname"],
};
const CONTEXT: VerdictContext = {
  policy: POLICY,
  maxPoisonRetries: 3,
  maxExcuses: 5,
  cycle: 412,
  isTroubled: (cycle) => cycle === 411,
  isUncounted: () => false,
  failedAt: "2026-01-02T03:04:05.678Z",
};

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

/** One Python process answers for all payloads. */
async function askPython(payloads: readonly Uint8Array[]): Promise<Case[]> {
  const verdicts = payloads.map((bytes) => decide(bytes, CONTEXT));
  const questions = payloads.map((bytes, i) => questionFor(bytes, verdicts[i]!));
  const python = new Deno.Command("python3", {
    args: ["-c", PYTHON],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
  const child = python.spawn();
  const asked = new Blob([questions.join("\n")]).stream().pipeTo(child.stdin);
  const [{ stdout, stderr }] = await Promise.all([child.output(), asked]);
  const lines = textOf(stdout).trim().split("\n");
  assert.equal(lines.length, payloads.length, textOf(stderr));
  return payloads.map((bytes, i) => ({ bytes, verdict: verdicts[i]!, answer: JSON.parse(lines[i]!) }));
}

function samplePayloads(): Uint8Array[] {
  const seed = propertyRuns(1).seed ?? crypto.getRandomValues(new Int32Array(1))[0]!;
  console.log(`python_json_test: FC_SEED=${seed}`);
  return [
    ...HOSTILE_PAYLOADS,
    ...fc.sample(ANY_PAYLOAD, { numRuns: 3_000, seed }),
    ...fc.sample(fc.oneof(EVENT_TEXT, OBJECT_TEXT), { numRuns: 2_000, seed }).map(bytesOf),
  ];
}

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
    const reached = LIMITS.map((limit) => readCounter(message, name) >= limit);
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
  const { source, cycle } = findRecord(written)!;
  assert.deepEqual({ source, cycle }, { source: POLICY.name, cycle: CONTEXT.cycle }, describe(bytes));
  if (verdict.action === "replay") assert.deepEqual(findRecord(written), verdict.record, describe(bytes));
  else assert.equal(reasonIn(written), verdict.reason, describe(bytes));
}

Deno.test({
  name: "decide, readMessage: agree with python3's json.loads when given generated and hostile bytes",
  ignore: !IS_PYTHON_THERE,
  async fn() {
    const cases = await askPython(samplePayloads());
    for (const tried of cases) {
      checkReading(tried);
      checkStamps(tried);
      const message = readMessage(tried.bytes);
      if (message.readable) {
        checkMembers(message, tried);
        assert.equal(tried.answer.same, true, describe(tried.bytes));
      } else {
        const written = Buffer.from(tried.answer.written, "base64");
        assert.ok(Buffer.from(openEnvelope(written)!).equals(tried.bytes), describe(tried.bytes));
      }
    }
    const kinds = ["object", "other", "refused"].map((kind) => cases.filter((c) => c.answer.kind === kind).length);
    assert.ok(kinds.every((count) => count > 100), `too few of a kind: ${kinds}`);
  },
});
