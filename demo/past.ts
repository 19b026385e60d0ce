/** The hour before a visitor arrives: what waits, and the history that the charts show. Pure. It is made up; what follows is real. */
import { formatCounted, type HoldingGate } from "../src/history/sample.ts";
import { SAMPLE_MS } from "../src/history/recorder.ts";
import { type DeadLetter, generateDeadLetters } from "../testkit/mutt/dead_letters.ts";

/** A part of the hour. `arrivals`: dead letters a sample. */
interface Stretch {
  readonly samples: number;
  readonly isHeld: boolean;
  readonly arrivals: number;
}

/** A short outage that has healed, and one that lasts. */
const STRETCHES: readonly Stretch[] = [
  { samples: 14, isHeld: false, arrivals: 9 },
  { samples: 13, isHeld: true, arrivals: 36 },
  { samples: 43, isHeld: false, arrivals: 9 },
  { samples: 50, isHeld: true, arrivals: 30 },
];
/** Most messages that are replayed between two samples. */
const REPLAYED = 60;
const OUTAGE: HoldingGate = { name: "downstream", reason: "unhealthy", status: 503, detail: "it answered 503" };

/** A sample of the history as Redis keeps it. */
export interface PastSample {
  readonly atMs: number;
  readonly fields: Readonly<Record<string, string | number>>;
}

/** The past of a stage. */
export interface Past {
  /** What waits in the DLQ, oldest first. */
  readonly letters: readonly DeadLetter[];
  /** Of one hour, oldest first. */
  readonly samples: readonly PastSample[];
}

/** Makes it up. The newest sample is one interval old. */
export function makePast({ seed, nowMs }: { seed: number; nowMs: number }): Past {
  const steps = STRETCHES.flatMap((stretch) => Array.from({ length: stretch.samples }, (_, i) => ({ ...stretch, i })));
  let depth = 0;
  const samples = steps.map(({ isHeld, arrivals, i }, k): PastSample => {
    const replayed = isHeld ? 0 : Math.min(depth, REPLAYED);
    depth += arrivals - replayed;
    const heldBy = isHeld ? [{ ...OUTAGE, failures: i + 1, detail: i === 0 ? OUTAGE.detail : "" }] : [];
    const counted = formatCounted({ replayed, dead: 0, cameBack: 0, downstream: 0, limit: null, heldBy });
    return {
      atMs: nowMs - (steps.length - k) * SAMPLE_MS,
      fields: { depth, dead: 0, target: 0, arrived: arrivals, counted },
    };
  });
  const outageMs = STRETCHES.at(-1)!.samples * SAMPLE_MS;
  return { letters: generateDeadLetters({ count: depth, seed, firstAtMs: nowMs - outageMs }), samples };
}
