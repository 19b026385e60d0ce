/** Decides which messages of a list a job takes. Pure. */
import type { Buffer } from "node:buffer";
import { messageId } from "../message/message_id.ts";
import { createViewer, type MessageView, type ViewContext } from "../message/message_view.ts";
import { describeQueryProblem } from "../message/query.ts";
import { compileSelection, type Selection } from "../message/selection.ts";
import type { SourcePolicy } from "../message/source_policy.ts";
import { type RecordedStamp, recordKey, type StampRecords } from "../message/stamp_record.ts";

/**
 * Tells whether a message is picked. Depends on its bytes, its record (`undefined` if the source stamps inside the messages) and the selection only, so
 * that every run decides alike: no record changes while a job sweeps.
 */
export type Picker = (message: Buffer, records?: StampRecords) => boolean;

/** Creates the picker of a selection. @throws if its query cannot be read */
export type CreatePicker = (selection: Selection) => Picker;

/**
 * Whether a job may take a selected message: not one that is too large to read, and from a dead list that several sources share only
 * one that this source buried, or that does not say who did.
 */
export function canBePicked(
  { bytes, stamp, source }: Pick<MessageView, "bytes" | "stamp" | "source">,
  { list }: Pick<Selection, "list">,
): boolean {
  return bytes !== null && (list !== "dead" || stamp === null || stamp.source === null || stamp.source === source);
}

/** Returns the pickers of a source's selections. They decide as a plan counts. */
export function createPickers(
  { policy, display }: { readonly policy: SourcePolicy; readonly display: ViewContext["display"] },
): CreatePicker {
  return (selection) => {
    const compiled = compileSelection(selection), { source, list, atMs = 0 } = selection;
    if (!compiled.ok) throw new RangeError(compiled.problems.map(describeQueryProblem).join("; "));
    const view = createViewer({ source, list, policy, display, nowMs: atMs });
    return (message, records) => {
      const viewed = view(new SweptMessage(message, records && { records, policy }));
      return compiled.matches(viewed) && canBePicked(viewed, selection);
    };
  };
}

/** Its id and its record are computed only if they are asked for: few selections do, and a sweep may pass a million messages. */
class SweptMessage {
  readonly bytes: Buffer;
  readonly place = 0;
  readonly #beside: { readonly records: StampRecords; readonly policy: SourcePolicy } | undefined;

  constructor(bytes: Buffer, beside?: { readonly records: StampRecords; readonly policy: SourcePolicy }) {
    this.bytes = bytes;
    this.#beside = beside;
  }

  get recorded(): RecordedStamp | null | undefined {
    return this.#beside && (this.#beside.records.get(recordKey(this.bytes, this.#beside.policy)) ?? null);
  }

  get id(): string {
    return messageId(this.bytes);
  }

  get length(): number {
    return this.bytes.length;
  }
}
