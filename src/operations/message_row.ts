/** One message of a list as a line of a table. */
import Type, { type Static } from "typebox";
import { groupId } from "../message/group.ts";
import type { MessageView } from "../message/message_view.ts";
import { type LookedSource, MESSAGE_ID, SHOWN, shownMembers } from "./looked_source.ts";

/** Members of a message's row. */
export const ROW_MEMBERS = {
  id: MESSAGE_ID,
  place: Type.Integer({ minimum: 1, description: "From 1 at the oldest message" }),
  sizeBytes: Type.Integer({ minimum: 0 }),
  ageMs: Type.Union([Type.Number({ minimum: 0 }), Type.Null()], { description: "By the message's own time" }),
  reason: Type.Union([Type.String(), Type.Null()]),
  failures: Type.Integer({ minimum: 0 }),
  group: Type.String(),
  shown: SHOWN,
};
/** Schema of a message's row. */
export const MESSAGE_ROW = Type.Object(ROW_MEMBERS, { additionalProperties: false });
/** One message of a list. */
export type MessageRow = Static<typeof MESSAGE_ROW>;

/** Describes a message in a row. */
export function describeRow(view: MessageView, source: LookedSource): MessageRow {
  const { id, place, sizeBytes, ageMs, reason, failures } = view;
  return { id, place, sizeBytes, ageMs, reason, failures, group: groupId(view), shown: shownMembers(view, source) };
}
