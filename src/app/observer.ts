/** Reads what the notifier goes by: the histories of the sources, and the journals behind a cursor. */
import { hasTrait } from "../gates/gate.ts";
import type { Sample } from "../history/sample.ts";
import type { FoundEntry, Journal } from "../journal/journal.ts";
import { formatCursor, parseCursor } from "../journal/query.ts";
import type { Memory } from "../notify/conditions.ts";
import type { Observation, ObservedEntry, ObservedSample } from "../notify/observation.ts";
import type { OldestMessage } from "../replay/depth_watch.ts";
import { MAX_REPLICA_NAME } from "../replay/replicas.ts";
import type { Clock } from "../runtime/clock.ts";
import { toLine } from "../runtime/control_characters.ts";
import type { RunningSource } from "./running_sources.ts";

/** Entries of the journals in one observation. The next one goes on behind them. */
const MOST_ENTRIES = 2_000;
/** The journals that tell something. */
const JOURNALS = ["moves", "audit"] as const;

/**
 * How far back a journal is read that the cursor does not know, in milliseconds: a new source may have moved messages before it is
 * looked at for the first time, which happens every 5 s and waits for a lease of 15 s.
 */
const FIRST_LOOK_MS = 60_000;

/** Dependencies of {@link createObserver}. */
export interface ObserverDeps {
  readonly journal: Pick<Journal, "query">;
  readonly sources: () => readonly RunningSource[];
  /** Names of the instances that run; `null`: not known. Rejects with a `StoreError`. */
  readonly instances: () => Promise<readonly string[] | null>;
  readonly clock: Clock;
}

/** An observation, and how far the journals were read. */
export interface Observed {
  readonly observation: Omit<Observation, "watchingSinceMs">;
  readonly cursor: string;
  /** Whether the journals were read to their ends; false: look again at once. */
  readonly isComplete: boolean;
}

/** Returns a function that observes. `null`: a history could not be read. It rejects with a `StoreError`. */
export function createObserver(
  { journal, sources, instances, clock }: ObserverDeps,
): (cursor: string, memory: Memory) => Promise<Observed | null> {
  return async (cursor, memory) => {
    const running = sources();
    const histories = await Promise.all(running.map(({ parts }) => parts.history.read()));
    if (histories.some(({ staleSinceMs }) => staleSinceMs !== null)) return null;
    const nowMs = histories[0]?.nowMs ?? clock.nowMs();
    const found = await journal.query({
      ...{ journals: JOURNALS, oldestFirst: true, limit: MOST_ENTRIES },
      cursor: completeCursor(cursor, running.map(({ parts }) => parts.setup.policy.name), nowMs),
    });
    const entries = found.entries.flatMap(toObservedEntry);
    const isRejected = memory.rejections.length > 0 || entries.some((one) => one.what === "config" && one.isRejected);
    const observed = running.map(({ parts: { setup: { policy: { name } }, oldest } }, at) => ({
      name,
      samples: histories[at]!.samples.filter(({ atMs }) => atMs > (memory.sources[name]?.sampleMs ?? 0)).map(
        toObserved,
      ),
      oldestAgeMs: ageOf(oldest(), clock),
    }));
    return {
      observation: { nowMs, entries, sources: observed, instances: isRejected ? await instances() : null },
      ...{ cursor: found.cursor, isComplete: found.isComplete },
    };
  };
}

/** Adds the journals that the cursor does not know. */
function completeCursor(cursor: string, sources: readonly string[], nowMs: number): string {
  const positions = parseCursor(cursor) ?? {}, start = `${Math.max(0, nowMs - FIRST_LOOK_MS)}-0`;
  const names = ["audit", ...sources.map((source) => `moves ${source}`)];
  if (names.every((name) => Object.hasOwn(positions, name))) return cursor;
  return formatCursor(Object.fromEntries(names.map((name) => [name, positions[name] ?? start])));
}

function ageOf(oldest: OldestMessage | null, clock: Clock): number | null {
  return oldest && Math.max(0, clock.nowMs() - oldest.sinceMs);
}

/** A gate that limits flow opens and closes as messages move. */
function toObserved({ atMs, depth, replayed, dead, heldBy }: Sample): ObservedSample {
  const moved = replayed + dead;
  return {
    ...{ atMs, depth, moved },
    heldBy: heldBy.filter(({ name }) => moved === 0 || !hasTrait(name, "limitsFlow")).map((
      { name, reason, detail },
    ) => ({
      ...{ name, reason, detail },
    })),
  };
}

function toObservedEntry({ atMs, source, entry }: FoundEntry): ObservedEntry[] {
  if (entry.kind === "move" && source !== null && Object.keys(entry.dead).length > 0) {
    return [{ what: "deaths", source, atMs, dead: entry.dead }];
  }
  if (entry.kind === "job" && (entry.state === "failed" || entry.state === "done")) {
    const { job, verb, actor, detail, state } = entry, isDone = state === "done";
    const what = `The job ${job} (${verb}) of ${actor} ${isDone ? "is done" : "has failed"}`;
    return [{
      ...{ what: "job", source: entry.source, atMs, job, hasFailed: !isDone },
      detail: detail === "" ? what : `${what}: ${detail}`,
    }];
  }
  if (entry.kind === "config") {
    return [{
      what: "config",
      origin: entry.origin,
      instance: toLine(entry.instance, MAX_REPLICA_NAME),
      atMs,
      isRejected: entry.result === "rejected",
      detail: entry.detail,
    }];
  }
  return [];
}
