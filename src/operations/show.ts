/**
 * Operation `show`: one message in full, its stamp in words, and what the service would do with it now. Secrets are hidden; the
 * raw bytes need role `admin`, and are shown only once that is in the journal.
 */
import Type, { type Static } from "typebox";
import { openEnvelope } from "../message/envelope.ts";
import { explainStamp } from "../message/explain_stamp.ts";
import { Mask } from "../message/mask.ts";
import { prettyJson } from "../message/pretty.ts";
import { readMessage } from "../message/read_message.ts";
import { LIST_WORDS, type ListName, type SourcePolicy } from "../message/source_policy.ts";
import { recordKey, type StampRecords } from "../message/stamp_record.ts";
import type { ListRow } from "../redis/list_reader.ts";
import { escapeHidden } from "../runtime/control_characters.ts";
import type { DryVerdict } from "../replay/source_replay.ts";
import { operationEntry } from "./audit.ts";
import type { LookContext } from "./context.ts";
import { createListViewer, findSource, LIST, type LookedSource, MESSAGE_ID, SOURCE } from "./looked_source.ts";
import { type Operation, OperationError } from "./operation.ts";
import { requireRole } from "./require_role.ts";

/** Longest text of a message, in characters. */
const MAX_TEXT_CHARACTERS = 65_536;

const INPUT = Type.Object({
  source: SOURCE,
  list: Type.Optional(LIST),
  id: MESSAGE_ID,
  near: Type.Optional(
    Type.Integer({ minimum: 1, description: "Its place when it was seen; default: search the whole list" }),
  ),
  raw: Type.Optional(
    Type.Boolean({ description: "Return the bytes too, with their secrets; role admin, and journalled" }),
  ),
}, { additionalProperties: false });

const NULL = Type.Null();
const VERDICT = Type.Object({
  action: Type.Enum(["replay", "dead", "drill"]),
  reason: Type.Union([Type.String(), NULL]),
  text: Type.String(),
}, { additionalProperties: false });
const HOLD = Type.Object({ gate: Type.String(), reason: Type.String(), detail: Type.String() }, {
  additionalProperties: false,
});

const OUTPUT = Type.Object({
  id: MESSAGE_ID,
  places: Type.Array(Type.Integer({ minimum: 1 }), {
    description: "Near by, of this and byte-equal messages; from 1 at the oldest",
  }),
  sizeBytes: Type.Integer({ minimum: 0 }),
  ageMs: Type.Union([Type.Number({ minimum: 0 }), NULL]),
  reason: Type.Union([Type.String(), NULL]),
  failures: Type.Integer({ minimum: 0 }),
  text: Type.String({ description: "Without secrets; JSON is laid out; other bytes are escaped" }),
  isCut: Type.Boolean({ description: `Whether the text is cut to ${MAX_TEXT_CHARACTERS} characters` }),
  enclosed: Type.Union([Type.String(), NULL], {
    description: "The original message, if this is an envelope of the dead list",
  }),
  stamp: Type.String({ description: "What the service's stamp, or its record, says, in one sentence" }),
  verdict: Type.Union([VERDICT, NULL], { description: "What the service would do with it; null: it is not judged" }),
  heldBy: Type.Array(HOLD, { description: "The closed gates: nothing is replayed before they open" }),
  raw: Type.Union([Type.String(), NULL], { description: "The bytes in Base64, if they were asked for" }),
}, { additionalProperties: false });

/** The message to show. */
export type ShowInput = Static<typeof INPUT>;
/** One message. */
export type ShownMessage = Static<typeof OUTPUT>;

/** Shows one message. */
export const show = {
  name: "show",
  summary: "One message in full, its stamp in words, and what the service would do with it now",
  runsIn: "service",
  role: "viewer",
  input: INPUT,
  output: OUTPUT,
  http: { method: "GET", path: "/sources/{source}/{list}/{id}" },
  run: showMessage,
} satisfies Operation<LookContext, ShowInput, ShownMessage>;

async function showMessage(context: LookContext, input: ShowInput): Promise<ShownMessage> {
  const { list = "dlq", id, near, raw = false } = input;
  if (raw) requireRole(context.actor, "admin", "raw");
  const source = findSource(context, input.source), { lists, setup: { policy, display } } = source;
  const row = await lists.find(list, id, { signal: context.signal, ...near === undefined ? {} : { near } });
  if (row === null) {
    const where = near === undefined ? "" : ` near place ${near}: the list has moved on, or the message has left it`;
    throw new OperationError(
      "not_found",
      `message ${id} is not in the ${LIST_WORDS[list]} of source ${policy.name}${where}`,
    );
  }
  if (raw) await recordRaw(context, input);
  const view = createListViewer(source, { list, nowMs: context.clock.nowMs() })(row);
  const judged = list === "dlq" && row.bytes !== null ? source.replay.judge(row.bytes, knownOf(row, policy)) : null;
  const counted = judged?.verdict.action === "replay" ? judged.verdict.record : null;
  const failures = counted?.failures ?? view.failures, mask = new Mask(display.secret);
  const whole = row.bytes === null ? describeLarge(row) : layOut(row.bytes, mask);
  const enclosed = row.bytes && openEnvelope(row.bytes);
  return {
    id,
    places: [...await lists.placesNear(list, { place: row.place, id })],
    ...{ sizeBytes: row.length, ageMs: view.ageMs, reason: view.reason, failures },
    text: cut(whole),
    isCut: whole.length > MAX_TEXT_CHARACTERS,
    enclosed: enclosed && cut(layOut(enclosed, mask)),
    stamp: explainStamp(view.stamp, {
      ...{ failures, limit: judged?.maxPoisonRetries ?? null, evidence: counted?.evidence ?? null },
      ...{ source: policy.name, isRecorded: policy.beside !== undefined && list === "dlq" },
    }),
    verdict: describeVerdict(row, { source, list, judged }),
    heldBy: list === "dlq"
      ? source.board.last().closed.map(({ name: gate, reason, detail }) => ({ gate, reason, detail }))
      : [],
    raw: raw && row.bytes ? row.bytes.toString("base64") : null,
  };
}

/** What is known beside a message; `undefined` if the source stamps inside the messages. */
function knownOf(
  { bytes, place, recorded }: ListRow,
  policy: SourcePolicy,
): { place: number; records: StampRecords } | undefined {
  if (policy.beside === undefined || bytes === null) return undefined;
  return { place, records: new Map(recorded ? [[recordKey(bytes, policy), recorded]] : []) };
}

/** @throws StoreError if the journal cannot be written */
async function recordRaw(
  { journal, actor, correlationId }: LookContext,
  { source, list = "dlq", id }: ShowInput,
): Promise<void> {
  await journal.record(operationEntry(actor, {
    ...{ operation: show.name, source, correlationId, messages: [id] },
    ...{ input: { list, id, raw: true }, result: "raw bytes shown" },
  }));
}

function layOut(bytes: Uint8Array, mask: Mask): string {
  const read = readMessage(bytes), text = escapeText(mask.message(bytes, read));
  // The layout of a huge message would cost more than its text, which is cut anyway.
  return read.readable && text.length <= 4 * MAX_TEXT_CHARACTERS ? prettyJson(text) : text;
}

/** Escapes characters that control a terminal or are not visible. Line feeds and tabs stay. */
function escapeText(text: string): string {
  return text.split(/([\n\t])/).map((part) => part === "\n" || part === "\t" ? part : escapeHidden(part)).join("");
}

function cut(text: string): string {
  if (text.length <= MAX_TEXT_CHARACTERS) return text;
  return text.slice(0, MAX_TEXT_CHARACTERS).replace(/[\ud800-\udbff]$/, "");
}

function describeLarge({ length }: ListRow): string {
  return `${length} bytes: more than REMEDIATION_MAX_MESSAGE_BYTES, so the message is not read`;
}

function describeVerdict(
  row: ListRow,
  { source: { setup: { policy } }, list, judged }: { source: LookedSource; list: ListName; judged: DryVerdict | null },
): ShownMessage["verdict"] {
  if (list !== "dlq") return null;
  if (judged && judged.drill !== null) {
    const text =
      `Synthetic message of the drill ${judged.drill}. Would be moved as its drill says, else to the list of drills.`;
    return { action: "drill", reason: null, text };
  }
  if (row.bytes === null) {
    return {
      action: "dead",
      reason: "oversize",
      text: "Would be moved, unread, to the list of messages that are too large.",
    };
  }
  if (judged === null) return null;
  const { verdict, cycle } = judged;
  if (verdict.action === "replay") {
    const would = policy.unwrap ? `The value of ${policy.unwrap} would` : "Would";
    const back = verdict.cameBackFrom === cycle ? ` in the next cycle: it came back in this one, ${cycle}` : "";
    return { action: "replay", reason: null, text: `${would} be replayed to ${policy.target}${back}.` };
  }
  const { reason, detail } = verdict;
  return { action: "dead", reason, text: `Would be moved to ${policy.dead} as ${reason}: ${detail}.` };
}
