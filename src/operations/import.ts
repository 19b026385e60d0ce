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
import { PLAN_EXPIRES_MS } from "../jobs/job_store.ts";
import { type ExportedMessage, ExportParser, type ParsedExport } from "../message/export_format.ts";
import type { PlacedMessage } from "../message/message_view.ts";
import { MAX_SELECTED_IDS, NO_SWEEP } from "../message/selection.ts";
import { createId } from "../runtime/random.ts";
import { type Census, Tally } from "./census.ts";
import { requireRole } from "./require_role.ts";
import type { OperatorContext, RunningSource } from "./context.ts";
import { PLANNED, type Planned, storePlan, VERB_ROLES } from "./job_plan.ts";
import { createListViewer, findSource, SOURCE } from "./looked_source.ts";
import { type Operation, OperationError } from "./operation.ts";
import { REASON } from "./source_action.ts";
import { StagedUpload } from "./staged_upload.ts";
import { STRICT, WHOLE } from "./typed_schema.ts";

/**
 * Most messages and bytes of one file. What is staged takes Redis' memory beside the queues; a million messages of 400 bytes are a
 * file of about 550 MB. Import more in parts.
 */
export const MAX_IMPORT_MESSAGES = 1_000_000, MAX_IMPORT_BYTES = 1_073_741_824;

/** Longest time for the comparison with the DLQ, in milliseconds: the answer to an upload cannot be asked for again. */
const COMPARE_MS = 10_000;

const INPUT = Type.Object({
  source: SOURCE,
  file: Type.Unknown({ description: "The lines of an export with `raw`" }),
  reason: REASON,
}, { additionalProperties: false });

const FILE = Type.Object({
  from: Type.Object(
    { source: Type.String(), list: Type.String(), query: Type.String(), at: Type.String() },
    { ...STRICT, description: "Where and when it was exported" },
  ),
  skipped: Type.Integer({
    minimum: 0,
    description: "Messages that were too large to be exported, so that the file lacks them",
  }),
  dead: Type.Record(Type.String(), WHOLE, {
    description: "Messages that the service would move to the dead list instead of replaying them, by reason",
  }),
  present: Type.Union([WHOLE, Type.Null()], {
    description:
      `Messages that are in the DLQ already, byte for byte; null: not compared, because there are more than ` +
      `${MAX_SELECTED_IDS} or the DLQ could not be read within ${COMPARE_MS / 1_000} s`,
  }),
}, STRICT);
const OUTPUT = Type.Object({ ...PLANNED.properties, file: FILE }, STRICT);

/** What to import. */
export interface ImportInput {
  readonly source: string;
  /** Pieces of any size. */
  readonly file: AsyncIterable<Uint8Array>;
  readonly reason: string;
}
/** What the import would do. */
export type ImportPlan = Planned & { readonly file: Static<typeof FILE> };

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
  requireRole(context.actor, VERB_ROLES.import, importMessages.name);
  const source = findSource(context, input.source), { reason } = input;
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
    const file = await summary.describe(parsed), ids = summary.ids(), census = summary.census();
    const planned = await storePlan(
      context,
      {
        ...{ verb: "import", planned: census.count, reason, undoes: null, watermark: NO_SWEEP },
        selection: { source: input.source, list: "dlq", query: "", ...ids === null ? {} : { ids } },
      },
      { ...census, undo: describeUndo({ ids, present: file.present }), cannot: [] },
      {
        id: upload.job,
        input: { bytes: census.bytes, from: file.from.source, fromList: file.from.list },
      },
    );
    return { ...planned, file };
  } catch (error) {
    await upload.drop();
    throw error;
  }
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
  readonly #context: Pick<OperatorContext, "signal" | "clock">;
  readonly #source: RunningSource["parts"];
  readonly #view: ReturnType<typeof createListViewer>;
  readonly #tally: Tally;
  readonly #dead: Record<string, number> = {};
  #ids: Set<string> | null = new Set();
  #messages = 0;

  constructor(context: OperatorContext, source: RunningSource["parts"]) {
    this.#context = context;
    this.#source = source;
    const nowMs = context.clock.nowMs();
    this.#view = createListViewer(source, { list: "dlq", nowMs });
    this.#tally = new Tally(source, nowMs);
  }

  add(messages: readonly ExportedMessage[]): void {
    const views = messages.map(({ id, bytes }) => {
      const placed: PlacedMessage = { id, bytes, length: bytes.length, place: ++this.#messages };
      this.#count(placed);
      return this.#view(placed);
    });
    this.#tally.add(views, MAX_IMPORT_MESSAGES);
  }

  /** The ids of all messages; `null`: too many. */
  ids(): readonly string[] | null {
    return this.#ids && [...this.#ids];
  }

  census(): Census {
    return { ...this.#tally.result(), scanned: this.#messages, oversize: 0, ofOthers: 0 };
  }

  async describe({ header, skipped }: ParsedExport): Promise<ImportPlan["file"]> {
    const { source, list, query, at } = header!;
    return { from: { source, list, query, at }, skipped, dead: this.#dead, present: await this.#countPresent() };
  }

  #count({ id, bytes }: PlacedMessage): void {
    this.#ids?.add(id);
    if (this.#ids && this.#ids.size > MAX_SELECTED_IDS) this.#ids = null;
    const verdict = this.#source.replay.judge(Buffer.from(bytes!.buffer, bytes!.byteOffset, bytes!.length))?.verdict;
    if (verdict?.action === "dead") this.#dead[verdict.reason] = (this.#dead[verdict.reason] ?? 0) + 1;
  }

  /** Counts the messages of the file that the DLQ has already. */
  async #countPresent(): Promise<number | null> {
    const ids = this.#ids, present = new Set<string>(), { signal, clock } = this.#context;
    if (ids === null) return null;
    const endsAtMs = clock.monotonicMs() + COMPARE_MS;
    for await (const { rows } of this.#source.lists.walk("dlq", { signal })) {
      for (const { id } of rows) if (ids.has(id)) present.add(id);
      if (clock.monotonicMs() > endsAtMs) return null;
    }
    return present.size;
  }
}

function describeUndo({ ids, present }: { ids: readonly string[] | null; present: number | null }): string {
  if (ids === null) return `Cannot be undone: of more than ${MAX_SELECTED_IDS} messages, the ids are not kept.`;
  const there = present === null ? "how many are there already is not known" : `${present} of them are there already`;
  const also = present === 0 ? "" : ` This takes equal messages too: ${there}.`;
  return `For 7 days an undo moves those that are still in the DLQ to the trash.${also}`;
}
