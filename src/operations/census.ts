/** Counts the messages that a job would take, as its run decides. */
import Type, { type Static } from "typebox";
import { canBePicked } from "../jobs/picker.ts";
import { GroupTable } from "../message/group_table.ts";
import type { Watermark } from "../message/selection.ts";
import type { MessageView } from "../message/message_view.ts";
import type { LookedSource } from "./looked_source.ts";
import { describeRow, MESSAGE_ROW, type MessageRow } from "./message_row.ts";
import { OperationError } from "./operation.ts";
import { type OpenSelection, scan } from "./selection.ts";
import { STRICT, WHOLE } from "./typed_schema.ts";

/** Groups and samples of a census. */
const MOST_GROUPS = 20, MOST_SAMPLES = 5;

/** Members that say what was counted. */
export const CENSUS_MEMBERS = {
  count: Type.Integer({ minimum: 0, description: "Messages that the job would take" }),
  ...{ bytes: WHOLE, scanned: WHOLE },
  oversize: Type.Integer({ minimum: 0, description: "Selected, but too large to be read: they stay" }),
  ofOthers: Type.Integer({ minimum: 0, description: "Selected, but buried by another source: they stay" }),
  byReason: Type.Record(Type.String(), WHOLE, { description: "`none`: without a reason" }),
  groups: Type.Array(
    Type.Object(
      { group: Type.String(), reason: Type.Union([Type.String(), Type.Null()]), text: Type.String(), count: WHOLE },
      STRICT,
    ),
    { description: `The ${MOST_GROUPS} largest` },
  ),
  samples: Type.Array(MESSAGE_ROW, { description: "The oldest message of the largest groups" }),
};
const CENSUS = Type.Object(CENSUS_MEMBERS);
/** What was counted. */
export type Census = Static<typeof CENSUS>;

/** The census of messages that were not looked at. */
export function uncounted(count: number): Census {
  return { count, bytes: 0, scanned: 0, oversize: 0, ofOthers: 0, byReason: {}, groups: [], samples: [] };
}

/** Counts picked messages, oldest first. */
export class Tally {
  readonly #groups: GroupTable<MessageRow>;
  readonly #byReason: Record<string, number> = {};
  #count = 0;
  #bytes = 0;

  constructor(source: LookedSource, nowMs: number) {
    this.#groups = new GroupTable(source.setup.policy.name, { nowMs, sampleOf: (view) => describeRow(view, source) });
  }

  /** `end`: place of the list's newest message. */
  add(views: readonly MessageView[], end: number): void {
    for (const { reason, sizeBytes } of views) {
      this.#byReason[reason ?? "none"] = (this.#byReason[reason ?? "none"] ?? 0) + 1;
      this.#bytes += sizeBytes;
    }
    this.#count += views.length;
    this.#groups.add(views, end);
  }

  /** What was counted so far. */
  result(): Pick<Census, "count" | "bytes" | "byReason" | "groups" | "samples"> {
    const groups = this.#groups.list();
    return {
      ...{ count: this.#count, bytes: this.#bytes, byReason: this.#byReason },
      groups: groups.slice(0, MOST_GROUPS).map(({ group, reason, text, count }) => ({ group, reason, text, count })),
      samples: groups.slice(0, MOST_SAMPLES).map(({ sample }) => sample),
    };
  }
}

/** Counts up to the watermark; default: to the end of the list. @throws OperationError if it is cancelled */
export async function takeCensus(
  open: OpenSelection,
  { watermark, signal }: { watermark?: Watermark; signal: AbortSignal },
): Promise<Census> {
  const { source, selection } = open;
  const tally = new Tally(source, selection.atMs);
  let scanned = 0, oversize = 0, ofOthers = 0;
  if (watermark?.depth !== 0) {
    for await (const chunk of scan(open, { signal, forJob: true, ...watermark && { watermark } })) {
      const picked = chunk.matching.filter((view) => canBePicked(view, selection));
      const large = chunk.matching.filter((view) => view.bytes === null).length;
      scanned = chunk.scanned;
      oversize += large;
      ofOthers += chunk.matching.length - picked.length - large;
      tally.add(picked, chunk.end);
    }
  }
  if (signal.aborted) throw new OperationError("unavailable", "cancelled before every message was counted");
  return { ...tally.result(), scanned, oversize, ofOthers };
}
