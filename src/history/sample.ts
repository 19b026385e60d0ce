/** A sample of a source: its depths, what was moved since the sample before, and the gates that hold it. Pure. */
import type { GateStatus } from "../gates/board.ts";
import { type GateName, isGateName } from "../gates/gate.ts";
import type { RawSample } from "../redis/history_store.ts";
import { toLine } from "../runtime/control_characters.ts";

/** Longest detail of a gate that a sample keeps, in characters. */
const MAX_DETAIL = 300;

/** A closed gate that holds a source. */
export interface HoldingGate extends Pick<GateStatus, "status" | "failures"> {
  readonly name: GateName;
  readonly reason: string;
  /** The observation; empty if the gate was closed in the writer's sample before. */
  readonly detail: string;
}

/** What the process that takes a sample has counted since its last one, and what it knows of the gates. */
export interface Counted {
  readonly replayed: number;
  /** Moved to the dead list, or to the list of oversize messages. */
  readonly dead: number;
  /** Replayed messages that were found to have failed again. */
  readonly cameBack: number;
  /** Messages in the downstream queues together, and the limit of the gate `depth`; `null`: not known, or no limit. */
  readonly downstream: number | null;
  readonly limit: number | null;
  readonly heldBy: readonly HoldingGate[];
}

/** A sample. */
export interface Sample extends Counted {
  /** Id in the stream. */
  readonly id: string;
  /** By the server's clock, in milliseconds since the epoch. */
  readonly atMs: number;
  /** Messages in the DLQ, in the dead list and in the target. */
  readonly depth: number;
  readonly deadDepth: number;
  readonly target: number;
  /** About how many messages have arrived in the DLQ since the sample before; `null`: it cannot be said. */
  readonly arrived: number | null;
}

/** Formats what a process has counted, for {@link parseSample}. */
export function formatCounted({ replayed, dead, cameBack, downstream, limit, heldBy }: Counted): string {
  const gates = heldBy.map(({ name, reason, status = 0, failures = 0, detail }) =>
    detail === "" ? [name, reason] : [name, reason, status, failures, detail.slice(0, MAX_DETAIL)]
  );
  return JSON.stringify([replayed, dead, cameBack, downstream, limit, gates]);
}

const NOT_HELD: readonly HoldingGate[] = [];

/** Parses a sample; `null`: this program did not write it. Never throws. */
export function parseSample({ id, fields }: RawSample): Sample | null {
  const atMs = /^(\d{1,15})-\d+$/.exec(id)?.[1], counted = parseList(fields.get("counted") ?? "");
  const [depth, deadDepth, target] = ["depth", "dead", "target"].map((name) => parseCount(fields.get(name)));
  if (atMs === undefined || counted === null || depth == null || deadDepth == null || target == null) return null;
  const [replayed, dead, cameBack, downstream, limit, gates] = counted;
  return {
    ...{ id, atMs: Number(atMs), depth, deadDepth, target, arrived: parseCount(fields.get("arrived")) },
    ...{ replayed: toCount(replayed) ?? 0, dead: toCount(dead) ?? 0, cameBack: toCount(cameBack) ?? 0 },
    ...{ downstream: toCount(downstream), limit: toCount(limit) },
    heldBy: Array.isArray(gates) && gates.length > 0 ? gates.flatMap(parseGate) : NOT_HELD,
  };
}

function parseList(text: string): readonly unknown[] | null {
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list) ? list : null;
  } catch {
    return null;
  }
}

/** Any client may have written it. */
function parseGate(given: unknown): HoldingGate[] {
  const [name, reason, status, failures, detail] = Array.isArray(given) ? given as unknown[] : [];
  if (typeof name !== "string" || !isGateName(name)) return [];
  return [{
    name,
    reason: typeof reason === "string" && /^[a-z0-9_]{1,40}$/.test(reason) ? reason : "unknown",
    detail: typeof detail === "string" ? toLine(detail, MAX_DETAIL) : "",
    ...(toCount(status) ? { status: toCount(status)! } : {}),
    ...(toCount(failures) ? { failures: toCount(failures)! } : {}),
  }];
}

function parseCount(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

function toCount(value: unknown): number | null {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : null;
}
