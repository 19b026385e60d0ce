/** The events of an incident: the same seed gives the same events at the same instants. Pure. */
import { generateDeadLetter } from "./dead_letters.ts";
import { SeededRandom } from "./random.ts";

/**
 * - `healthy`: valid
 * - `poison`: the database always rejects it
 * - `malformed`: a required member is empty; the alerter discards it
 * - `not_json`: the alerter discards it
 * - `non_object`: makes the alerter's loop raise
 */
export type EventKind = "healthy" | "poison" | "malformed" | "not_json" | "non_object";

/** Events at a steady rate. Times are simulated minutes from the start of the incident. */
export interface Stream {
  readonly fromMinute: number;
  readonly toMinute: number;
  readonly perMinute: number;
  readonly kind: EventKind;
}

/** An event from the ingestor. */
export interface SimEvent {
  readonly id: string;
  readonly kind: EventKind;
  /** Its arrival, in simulated milliseconds since the start of the incident. */
  readonly dueMs: number;
  readonly text: string;
}

/** The generator's id in each event. It survives in alerts, envelopes and torn JSON. */
const ID_PATTERN = /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/;

/** Finds the id in a message; `null` if there is none. */
export function idIn(message: string | Uint8Array): string | null {
  const text = typeof message === "string" ? message : new TextDecoder().decode(message);
  return ID_PATTERN.exec(text)?.[0] ?? null;
}

/** Generates all events of these streams in order of arrival. */
export function generateTraffic(streams: readonly Stream[], seed: number): SimEvent[] {
  const random = new SeededRandom(seed);
  const arrivals = streams.flatMap(({ fromMinute, toMinute, perMinute, kind }) => {
    const count = Math.round((toMinute - fromMinute) * perMinute);
    return Array.from({ length: count }, (_, i) => {
      const minute = fromMinute + (i + random.below(1_000) / 1_000) / perMinute;
      return { kind, dueMs: minute * 60_000 };
    });
  });
  return arrivals.sort((a, b) => a.dueMs - b.dueMs).map(({ kind, dueMs }, index) => {
    const text = makeText(kind, random, index);
    const id = idIn(text);
    if (id === null) throw new Error(`an event of kind ${kind} has no id`);
    return { id, kind, dueMs, text };
  });
}

function makeText(kind: EventKind, random: SeededRandom, index: number): string {
  const source = generateDeadLetter(kind === "poison" ? "poison" : "healthy", { random, index });
  const text = new TextDecoder().decode(source.original);
  switch (kind) {
    case "healthy":
    case "poison":
      return text;
    case "malformed":
      return text.replace(/"hostname": "[^"]*"/, '"hostname": ""');
    case "not_json":
      return text.replaceAll('"', "'");
    case "non_object":
      return `[${text}]`;
  }
}
