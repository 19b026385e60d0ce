/** A source as the operations that look at messages see it: its lists, its views of messages, and the inputs that name them. */
import Type from "typebox";
import { quote } from "../config/redact.ts";
import { MESSAGE_ID_PATTERN } from "../message/message_id.ts";
import { createViewer, type MessageView, type PlacedMessage } from "../message/message_view.ts";
import { LIST_NAMES, type ListName } from "../message/source_policy.ts";
import type { LookContext } from "./context.ts";
import { OperationError } from "./operation.ts";

/** Longest text of a member in a row, in characters. */
const MAX_SHOWN_CHARACTERS = 300;

/** A source of the service. */
export type LookedSource = ReturnType<LookContext["sources"]>[number]["parts"];

/** Schema of a source's name in an input. */
export const SOURCE = Type.String({ minLength: 1, maxLength: 32, description: "Name of the source" });
/** Schema of a list's name in an input. */
export const LIST = Type.Enum([...LIST_NAMES], { description: "Which list of the source; default: dlq" });
/** Schema of an id. */
export const MESSAGE_ID = Type.String({ pattern: MESSAGE_ID_PATTERN });
/** Schema of members to show. */
export const SHOWN = Type.Record(
  Type.String(),
  Type.Union([Type.String(), Type.Number(), Type.Boolean(), Type.Null()]),
);

/** Finds the parts of a source by its name. @throws OperationError `not_found` */
export function findSource<Parts extends Pick<LookedSource, "setup">>(
  { sources }: { readonly sources: () => readonly { readonly parts: Parts }[] },
  name: string,
): Parts {
  return findRunning(sources(), name).parts;
}

/** Finds a running source by its name. @throws OperationError `not_found` */
export function findRunning<Source extends { readonly parts: Pick<LookedSource, "setup"> }>(
  all: readonly Source[],
  name: string,
): Source {
  const found = all.find(({ parts }) => parts.setup.policy.name === name);
  if (found) return found;
  const wanted = `one of ${all.map(({ parts }) => parts.setup.policy.name).join(", ")}`;
  throw new OperationError("not_found", `source ${quote(name)} is not ${wanted}`, [
    { field: "source", value: name, wanted },
  ]);
}

/** Returns a function that views messages of a list, for one walk. */
export function createListViewer(
  { setup: { policy, display } }: LookedSource,
  { list, nowMs }: { list: ListName; nowMs: number },
): (message: PlacedMessage) => MessageView {
  return createViewer({ source: policy.name, isInDlq: list === "dlq", display, nowMs });
}

/** The members that the source names for display, shortened; a number that JSON does not know is text. */
export function shownMembers(
  view: MessageView,
  { setup }: LookedSource,
): Record<string, string | number | boolean | null> {
  return Object.fromEntries(setup.display.show.flatMap((name) => {
    const value = view.member(name);
    if (value === undefined) return [];
    if (typeof value === "number" && !Number.isFinite(value)) return [[name, String(value)]];
    return [[name, typeof value === "string" ? shorten(value) : value]];
  }));
}

function shorten(text: string): string {
  if (text.length <= MAX_SHOWN_CHARACTERS) return text;
  return `${text.slice(0, MAX_SHOWN_CHARACTERS - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}
