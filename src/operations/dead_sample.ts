/** Finds one message of the dead list as an example for people. */
import { openEnvelope } from "../message/envelope.ts";
import { Mask } from "../message/mask.ts";
import type { MessageView } from "../message/message_view.ts";
import { readMessage } from "../message/read_message.ts";
import { toLine } from "../runtime/control_characters.ts";
import { createListViewer, type LookedSource, shownMembers } from "./looked_source.ts";

/** How many of the newest messages are looked at, and most of their bytes. */
const LOOKED = 50, LOOKED_BYTES = 102_400;
/** Longest text of an example, in characters. */
const MAX_TEXT = 200;

/**
 * Returns the newest message that died of this reason, with its shown members (or its text) without secrets, as one short line. `null`: there is
 * none among the newest. Rejects with a `StoreError`.
 */
export async function findDeadSample(
  source: LookedSource,
  { reason, nowMs }: { reason: string; nowMs: number },
): Promise<{ readonly id: string; readonly text: string } | null> {
  const view = createListViewer(source, { list: "dead", nowMs }), { name } = source.setup.policy;
  const { rows } = await source.lists.page("dead", {
    ...{ from: "newest", direction: "older", size: LOOKED, bytes: LOOKED_BYTES },
  });
  // Sources may share a dead list.
  const found = rows.map(view).find((one) => one.reason === reason && (one.stamp?.source ?? name) === name);
  if (!found) return null;
  const shown = Object.values(shownMembers(found, source)).filter((value) => value !== null && value !== "");
  const text = shown.length > 0 ? shown.join(" · ") : textOf(found, new Mask(source.setup.display.secret));
  return { id: found.id, text: toLine(text, MAX_TEXT) };
}

/** The message's own text: of an envelope, what is in it. */
function textOf({ bytes, text }: MessageView, mask: Mask): string {
  const enclosed = bytes && openEnvelope(bytes);
  return enclosed ? mask.message(enclosed, readMessage(enclosed)) : text;
}
