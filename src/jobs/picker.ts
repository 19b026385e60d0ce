/** Decides which messages of a list a job takes. Pure. */
import type { Buffer } from "node:buffer";
import { messageId } from "../message/message_id.ts";
import { createViewer, type MessageView, type ViewContext } from "../message/message_view.ts";
import { describeQueryProblem } from "../message/query.ts";
import { compileSelection, type Selection } from "../message/selection.ts";

/** Tells whether a message is picked. Depends on its bytes and the selection only, so that every run decides alike. */
export type Picker = (message: Buffer) => boolean;

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
export function createPickers(display: ViewContext["display"]): CreatePicker {
  return (selection) => {
    const compiled = compileSelection(selection), { source, list, atMs = 0 } = selection;
    if (!compiled.ok) throw new RangeError(compiled.problems.map(describeQueryProblem).join("; "));
    const view = createViewer({ source, isInDlq: list === "dlq", display, nowMs: atMs });
    return (message) => {
      const viewed = view(new SweptMessage(message));
      return compiled.matches(viewed) && canBePicked(viewed, selection);
    };
  };
}

/** Its id is computed only if it is asked for: few selections name ids, and a sweep may pass a million messages. */
class SweptMessage {
  readonly bytes: Buffer;
  readonly place = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get id(): string {
    return messageId(this.bytes);
  }

  get length(): number {
    return this.bytes.length;
  }
}
