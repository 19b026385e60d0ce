/**
 * Operation `import`: plans to add the messages of an export to the DLQ.
 *
 * - Every line is checked before a message is visible: one problem anywhere, and nothing is planned.
 * - Meanwhile the messages are staged, chunk by chunk, in the own list of the job. It expires with the plan. So an upload that breaks
 *   off leaves nothing, and one that is sent again is another plan.
 * - The confirmed job adds them to the newest end of the DLQ, the oldest first.
 */
import { Buffer } from "node:buffer";
import Type, { type Static } from "typebox";
import { MAX_OPERATOR_NAME, toLine } from "../cycle/pause.ts";
import { PLAN_EXPIRES_MS } from "../jobs/job_store.ts";
import { type ExportedMessage, ExportParser, type ParsedExport } from "../message/export_format.ts";
import { GroupTable } from "../message/group_table.ts";
import type { PlacedMessage } from "../message/message_view.ts";
import { MAX_SELECTED_IDS } from "../message/selection.ts";
import { toIso } from "../runtime/clock.ts";
import { createId } from "../runtime/random.ts";
import { operationEntry } from "./audit.ts";
import type { OperatorContext, RunningSource } from "./context.ts";
import { createViewer, findRunning, SOURCE } from "./looked_source.ts";
import { describeRow, MESSAGE_ROW, type MessageRow } from "./message_row.ts";
import { type Operation, OperationError } from "./operation.ts";
import { REASON } from "./source_action.ts";
import { StagedUpload } from "./staged_upload.ts";

/**
 * Most messages and bytes of one file. What is staged takes Redis' memory beside the queues; a million messages of 400 bytes are a
 * file of about 550 MB. Import more in parts.
 */
export const MAX_IMPORT_MESSAGES = 1_000_000, MAX_IMPORT_BYTES = 1_073_741_824;
/** Most groups and samples of a plan. */
const MAX_GROUPS = 20, MAX_SAMPLES = 5;

const INPUT = Type.Object({
  source: SOURCE,
  file: Type.Unknown({ description: "The lines of an export with `raw`" }),
  reason: Type.Optional(REASON),
}, { additionalProperties: false });

const COUNT = Type.Integer({ minimum: 0 });
const GROUP = Type.Object({
  ...{ group: Type.String(), reason: Type.Union([Type.String(), Type.Null()]), text: Type.String(), count: COUNT },
}, { additionalProperties: false });
const ORIGIN = Type.Object({
  ...{ source: Type.String(), list: Type.String(), query: Type.String(), at: Type.String() },
}, { additionalProperties: false });

const OUTPUT = Type.Object({
  job: Type.String({ description: "Confirm this job to add the messages" }),
  expiresAt: Type.String({ description: "The plan expires then, with everything that is staged for it" }),
  ...{ messages: COUNT, bytes: COUNT },
  skipped: Type.Integer({
    minimum: 0,
    description: "Messages that were too large to be exported, so that the file lacks them",
  }),
  from: Type.Object(ORIGIN.properties, {
    additionalProperties: false,
    description: "Where and when they were exported",
  }),
  groups: Type.Array(GROUP, { description: `The largest groups, at most ${MAX_GROUPS}` }),
  samples: Type.Array(MESSAGE_ROW, { description: "The oldest messages, without secrets" }),
  dead: Type.Record(Type.String(), COUNT, {
    description: "Messages that the service would move to the dead list instead of replaying them, by reason",
  }),
  present: Type.Union([COUNT, Type.Null()], {
    description:
      `Messages that are in the DLQ already, byte for byte; null: more than ${MAX_SELECTED_IDS} are not compared`,
  }),
  undo: Type.String({ description: "What can be undone later" }),
}, { additionalProperties: false });

/** What to import. */
export interface ImportInput {
  readonly source: string;
  /** Pieces of any size. */
  readonly file: AsyncIterable<Uint8Array>;
  readonly reason?: string;
}
/** What the import would do. */
export type ImportPlan = Static<typeof OUTPUT>;

/** Plans an import. Nothing is in the DLQ before the job is confirmed. */
export const importMessages = {
  name: "import",
  summary: "Plan to add the messages of a raw export to the DLQ of a source",
  runsIn: "service",
  role: "admin",
  input: INPUT,
  output: OUTPUT,
  http: { method: "POST", path: "/sources/{source}/import", status: 201, upload: "file" },
  run: planImport,
} satisfies Operation<OperatorContext, ImportInput, ImportPlan>;

async function planImport(context: OperatorContext, input: ImportInput): Promise<ImportPlan> {
  const source = findRunning(context, input.source).parts, { reason = "" } = input;
  const upload = new StagedUpload(createId(), {
    ...{ staging: source.staging, clock: context.clock, signal: context.signal, expiresInMs: PLAN_EXPIRES_MS },
  });
  try {
    // Verdicts depend on the source's state.
    await source.replay.look();
    const summary = new ImportSummary(context, source);
    const parsed = await readFile(context, input.file, async (messages) => {
      summary.add(messages);
      await upload.add(messages);
    });
    await upload.flush();
    const plan = await summary.describe(parsed);
    await storePlan(context, source, { id: upload.job, plan, ids: summary.ids(), reason });
    return { job: upload.job, expiresAt: toIso(context.clock.nowMs() + PLAN_EXPIRES_MS), ...plan };
  } catch (error) {
    await upload.drop();
    throw error;
  }
}

async function storePlan(
  { actor, correlationId, journal, log }: OperatorContext,
  { jobs, setup: { policy } }: RunningSource["parts"],
  { id, plan, ids, reason }: {
    id: string;
    plan: Omit<ImportPlan, "job" | "expiresAt">;
    ids: readonly string[] | null;
    reason: string;
  },
): Promise<void> {
  const { messages, bytes, from } = plan, by = toLine(actor.name, MAX_OPERATOR_NAME);
  await jobs.plan({
    ...{ verb: "import", selection: { source: policy.name, list: "dlq", query: "", ...ids === null ? {} : { ids } } },
    ...{ watermark: { depth: 0, newestBytes: 0, newestDigest: "" }, planned: messages, plan, plannedBy: by, reason },
  }, id);
  const fields = { source: policy.name, actor: by, job: id, messages, bytes };
  log.info("import", `Remediation: ${by}: ${policy.name}: an import of ${messages} messages is planned`, fields);
  await journal.record(operationEntry(actor, {
    ...{ operation: importMessages.name, source: policy.name, correlationId, job: id, result: "planned" },
    input: { messages, bytes, from: from.source, list: from.list, ...reason === "" ? {} : { reason } },
  }));
}

/** Parses the file to its end. `take` gets messages until there is a problem. @throws OperationError with all problems */
async function readFile(
  { live, signal }: OperatorContext,
  file: AsyncIterable<Uint8Array>,
  take: (messages: readonly ExportedMessage[]) => Promise<void>,
): Promise<ParsedExport> {
  const parser = new ExportParser({ maxMessageBytes: live.current().maxMessageBytes });
  let bytes = 0, messages = 0;
  for await (const piece of file) {
    if (signal.aborted) throw new OperationError("unavailable", "the import was stopped; nothing was added");
    bytes += piece.length;
    const found = parser.push(piece);
    messages += found.length;
    if (bytes > MAX_IMPORT_BYTES) {
      throw tooMuch(`${bytes} bytes`, `at most ${MAX_IMPORT_BYTES} bytes; import it in parts`);
    }
    if (messages > MAX_IMPORT_MESSAGES) {
      throw tooMuch(`${messages} messages`, `at most ${MAX_IMPORT_MESSAGES} messages; import it in parts`);
    }
    if (!parser.hasProblems) await take(found);
  }
  const parsed = parser.finish(), { problems, moreProblems } = parsed;
  if (problems.length > 0) {
    const count = problems.length + moreProblems;
    throw new OperationError(
      "invalid",
      `the file has ${count} ${count === 1 ? "problem" : "problems"}; nothing was added`,
      problems.map(({ line, problem }) => ({
        field: `file line ${line}`,
        value: problem,
        wanted: "a line of a raw export",
      })),
    );
  }
  if (parsed.messages === 0) throw tooMuch("0 messages", "at least 1 message");
  return parsed;
}

function tooMuch(value: string, wanted: string): OperationError {
  return new OperationError("invalid", "the file cannot be imported", [{ field: "file", value, wanted }]);
}

/** Counts what a file would bring. Holds the ids of a small file, and a few messages. */
class ImportSummary {
  readonly #context: OperatorContext;
  readonly #source: RunningSource["parts"];
  readonly #view: ReturnType<typeof createViewer>;
  readonly #groups: GroupTable<null>;
  readonly #samples: MessageRow[] = [];
  readonly #dead: Record<string, number> = {};
  #ids: Set<string> | null = new Set();
  #messages = 0;
  #bytes = 0;

  constructor(context: OperatorContext, source: RunningSource["parts"]) {
    this.#context = context;
    this.#source = source;
    const nowMs = context.clock.nowMs();
    this.#view = createViewer(source, { list: "dlq", nowMs });
    this.#groups = new GroupTable(source.setup.policy.name, { nowMs, sampleOf: () => null });
  }

  add(messages: readonly ExportedMessage[]): void {
    const views = messages.map(({ id, bytes }) => {
      const placed: PlacedMessage = { id, bytes, length: bytes.length, place: ++this.#messages };
      this.#bytes += bytes.length;
      this.#count(placed);
      return this.#view(placed);
    });
    this.#groups.add(views, MAX_IMPORT_MESSAGES);
    for (const view of views.slice(0, MAX_SAMPLES - this.#samples.length)) {
      this.#samples.push(describeRow(view, this.#source));
    }
  }

  /** The ids of all messages; `null`: too many. */
  ids(): readonly string[] | null {
    return this.#ids && [...this.#ids];
  }

  async describe({ header, skipped }: ParsedExport): Promise<Omit<ImportPlan, "job" | "expiresAt">> {
    const { source, list, query, at } = header!, present = await this.#countPresent();
    const groups = this.#groups.list().slice(0, MAX_GROUPS);
    return {
      ...{ messages: this.#messages, bytes: this.#bytes, skipped, from: { source, list, query, at } },
      groups: groups.map(({ group, reason, text, count }) => ({ group, reason, text, count })),
      ...{ samples: this.#samples, dead: this.#dead, present, undo: describeUndo(present) },
    };
  }

  #count({ id, bytes }: PlacedMessage): void {
    this.#ids?.add(id);
    if (this.#ids && this.#ids.size > MAX_SELECTED_IDS) this.#ids = null;
    const verdict = this.#source.replay.judge(Buffer.from(bytes!.buffer, bytes!.byteOffset, bytes!.length))?.verdict;
    if (verdict?.action === "dead") this.#dead[verdict.reason] = (this.#dead[verdict.reason] ?? 0) + 1;
  }

  /** Counts the messages of the file that the DLQ has already. */
  async #countPresent(): Promise<number | null> {
    const ids = this.#ids, present = new Set<string>();
    if (ids === null) return null;
    for await (const { rows } of this.#source.lists.walk("dlq", { signal: this.#context.signal })) {
      for (const { id } of rows) if (ids.has(id)) present.add(id);
    }
    return present.size;
  }
}

function describeUndo(present: number | null): string {
  if (present === null) return `Cannot be undone: of more than ${MAX_SELECTED_IDS} messages, the ids are not kept.`;
  const also = present === 0 ? "" : ` This takes equal messages too: ${present} of them are there already.`;
  return `For 7 days an undo moves those that are still in the DLQ to the trash.${also}`;
}
