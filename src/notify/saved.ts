/** What the notifier keeps in Redis, as text. Any client may have written it, so a text that does not fit counts as none. Pure. */
import { Buffer } from "node:buffer";
import Type, { type TSchema } from "typebox";
import { Check } from "typebox/value";
import { INCIDENT_KINDS, SEVERITIES } from "../config/notify.ts";
import type { ReceiverMemory } from "./delivery.ts";
import type { Tracking } from "./tracker.ts";

const MS = Type.Number({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const COUNT = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const NAME = Type.String({ maxLength: 200 }), TEXT = Type.String({ maxLength: 2_000 });
const pairs = Type.Array(Type.Tuple([MS, COUNT]), { maxItems: 200 });
const orNull = <Schema extends TSchema>(schema: Schema) => Type.Union([schema, Type.Null()]);
const oneOf = (words: readonly string[]) => Type.Enum([...words]);
const strict = { additionalProperties: false } as const;

const MEMORY = Type.Object({
  sources: Type.Record(
    NAME,
    Type.Object({
      ...{ sampleMs: MS, depth: COUNT, heldMs: MS, stillSinceMs: orNull(MS), depths: pairs },
      held: Type.Record(NAME, Type.Object({ sinceMs: MS, reason: NAME, detail: TEXT }, strict)),
    }, strict),
  ),
  deaths: Type.Array(
    Type.Object({
      ...{ source: NAME, reason: NAME, sinceMs: MS, untilMs: MS, readMs: MS, count: COUNT, recent: pairs },
    }, strict),
  ),
  rejections: Type.Array(Type.Object({ origin: NAME, instance: NAME, sinceMs: MS, detail: TEXT }, strict)),
}, strict);

const INCIDENT = Type.Object({
  id: Type.String({ pattern: "^i_[0-9a-f]{8}$" }),
  ...{ kind: oneOf(INCIDENT_KINDS), cause: NAME, severity: oneOf(SEVERITIES), sources: Type.Array(NAME) },
  ...{ beganMs: MS, endedMs: orNull(MS), untilMs: MS, detail: TEXT, revision: COUNT },
  groups: Type.Array(
    Type.Object({ source: NAME, count: COUNT, sample: orNull(Type.Object({ id: NAME, text: TEXT }, strict)) }, strict),
  ),
  journalled: Type.Object({ revision: COUNT, atMs: MS }, strict),
}, strict);

const TRACKING = Type.Object({
  cursor: Type.String(),
  tracking: Type.Object({ memory: MEMORY, incidents: Type.Array(INCIDENT) }, strict),
}, strict);

const RECEIVER = Type.Object({
  told: Type.Record(
    NAME,
    Type.Object({
      event: Type.Enum(["began", "updated", "ended", "happened"]),
      ...{ revision: COUNT, atMs: MS, notices: COUNT },
    }, strict),
  ),
  ...{ sent: COUNT, dropped: COUNT, lastSentMs: orNull(MS) },
  failing: orNull(Type.Object({
    ...{ incident: NAME, sinceMs: MS, tries: COUNT, nextMs: MS, code: NAME, problem: TEXT },
  }, strict)),
}, strict);

/** What is tracked, and how far the journals were read. */
export interface SavedTracking {
  readonly cursor: string;
  readonly tracking: Tracking;
}

/** Most bytes of {@link formatTracking}: a longer field is not read back (`notice_store.ts`). */
export const MOST_TRACKING_BYTES = 1_000_000;

/**
 * Formats what is tracked. If it is too large, it gives up the oldest incidents that have ended, a quarter at a time. Returns the text, and
 * what it says.
 */
export function formatTracking({ cursor, tracking }: SavedTracking): { text: string; tracking: Tracking } {
  for (let kept = tracking;;) {
    const text = JSON.stringify({ cursor, tracking: kept });
    const ended = kept.incidents.filter(({ endedMs }) => endedMs !== null).toSorted((a, b) => a.endedMs! - b.endedMs!);
    if (Buffer.byteLength(text) <= MOST_TRACKING_BYTES || ended.length === 0) return { text, tracking: kept };
    const old = new Set(ended.slice(0, Math.ceil(ended.length / 4)));
    kept = { ...kept, incidents: kept.incidents.filter((incident) => !old.has(incident)) };
  }
}

/** Parses what is tracked; `null`: nothing usable is there. Never throws. */
export function parseTracking(text: string): SavedTracking | null {
  return parse<SavedTracking>(TRACKING, text);
}

/** Parses what a receiver was sent; `null`: nothing usable is there. Never throws. */
export function parseReceiver(text: string): ReceiverMemory | null {
  return parse<ReceiverMemory>(RECEIVER, text);
}

function parse<Value>(schema: TSchema, text: string): Value | null {
  if (text === "") return null;
  try {
    const value: unknown = JSON.parse(text);
    return Check(schema, value) ? value as Value : null;
  } catch {
    return null;
  }
}
