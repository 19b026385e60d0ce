/** A living incident: what fails, and when, until the signal. */
import { setTimeout as sleep } from "node:timers/promises";
import { generateDeadLetters, type Mix } from "../testkit/mutt/dead_letters.ts";
import type { Stage } from "./stage.ts";

/** A part of the day. `arrivals`: dead letters a second. */
interface Scene {
  readonly remark: string;
  readonly seconds: number;
  readonly moogStatus: number;
  readonly arrivals: number;
  readonly mix: Mix;
}

const OUTAGE: Mix = { exhausted: 60, shed: 32, healthy: 6, odd_numbers: 2 };
const ORDINARY: Mix = { exhausted: 55, shed: 20, healthy: 15, poison: 5, malformed: 4, not_json: 1 };

/** What happens, again and again. */
const SCENES: readonly Scene[] = [
  { remark: "Moogsoft answers 503: alerts fail", seconds: 90, moogStatus: 503, arrivals: 6, mix: OUTAGE },
  { remark: "Moogsoft is back; the backlog drains", seconds: 70, moogStatus: 200, arrivals: 2, mix: ORDINARY },
  { remark: "quiet", seconds: 45, moogStatus: 200, arrivals: 0.5, mix: ORDINARY },
  { remark: "Moogsoft refuses the credentials (401)", seconds: 60, moogStatus: 401, arrivals: 4, mix: OUTAGE },
  { remark: "the credentials are right again", seconds: 75, moogStatus: 200, arrivals: 1, mix: ORDINARY },
];
/** What waits when a visitor arrives: an hour of an outage. */
const BACKLOG = 1_500, HOUR_MS = 3_600_000;

/** Feeds the stage until the signal aborts; then rejects with its reason. */
export async function keepFeeding(
  stage: Stage,
  { seed, signal, tell }: { seed: number; signal: AbortSignal; tell: (remark: string) => void },
): Promise<never> {
  let next = seed;
  await stage.put(generateDeadLetters({ count: BACKLOG, seed: next, firstAtMs: Date.now() - HOUR_MS }));
  for (;;) {
    for (const { remark, seconds, moogStatus, arrivals, mix } of SCENES) {
      tell(remark);
      stage.moog.answerWith(moogStatus);
      let owed = 0;
      for (let second = 0; second < seconds; second++) {
        await sleep(1_000, undefined, { signal });
        // The generator makes one of each kind at least, so it is asked when there is enough for all.
        owed += arrivals;
        const kinds = Object.keys(mix).length;
        if (owed < kinds) continue;
        const count = Math.floor(owed);
        owed -= count;
        await stage.put(generateDeadLetters({ count, seed: ++next, mix, firstAtMs: Date.now() - count * 1_000 }));
      }
    }
  }
}
