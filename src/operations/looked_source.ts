/** A source as the operations that look at messages see it: its lists, its views of messages, and the inputs that name them. */
import Type from "typebox";
import { quote } from "../config/redact.ts";
import { MESSAGE_ID_PATTERN } from "../message/message_id.ts";
import { memberRef } from "../message/member_path.ts";
import { createViewer, type MessageView, type PlacedMessage } from "../message/message_view.ts";
import { LIST_NAMES, type ListName } from "../message/source_policy.ts";
import type { LookContext } from "./context.ts";
import { OperationError } from "./operation.ts";

/** Longest text of a member in a row, in characters. */
const MAX_SHOWN_CHARACTERS = 300;
/** Names of sources that a refusal lists. */
const MOST_NAMES = 12;

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
  const names = all.map(({ parts }) => parts.setup.policy.name), more = names.length - MOST_NAMES;
  const wanted = `one of ${names.slice(0, MOST_NAMES).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
  throw new OperationError("not_found", `source ${quote(name)} is not ${wanted}`, [
    { field: "source", value: name, wanted },
  ]);
}

/**
 * Returns a function that views messages of a list, for one walk. `forJob`: as a job's sweep does, which does not know which messages
 * stood there when a cycle began; default: false.
 */
export function createListViewer(
  { setup: { policy, display }, replay }: LookedSource,
  { list, nowMs, forJob = false }: { list: ListName; nowMs: number; forJob?: boolean },
): (message: PlacedMessage) => MessageView {
  const standing = forJob ? [] : replay.lastSnapshot()?.record.standing ?? [];
  return createViewer({ source: policy.name, list, policy, display, nowMs, standing });
}

/** The members that the source names for display, shortened; a number that JSON does not know is text. */
export function shownMembers(
  view: MessageView,
  { setup }: LookedSource,
): Record<string, string | number | boolean | null> {
  return Object.fromEntries(setup.display.show.flatMap((name) => {
    const value = view.member(memberRef(name));
    if (value === undefined) return [];
    if (typeof value === "number" && !Number.isFinite(value)) return [[name, String(value)]];
    return [[name, typeof value === "string" ? shorten(value) : value]];
  }));
}

function shorten(text: string): string {
  if (text.length <= MAX_SHOWN_CHARACTERS) return text;
  return `${text.slice(0, MAX_SHOWN_CHARACTERS - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}
