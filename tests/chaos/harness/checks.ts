/** A scenario's rounds in groups: each group has an empty Redis to begin with, and is checked at its end. */
import { addFindings, type Findings, NOTHING } from "./oracle.ts";
import type { ScenarioContext } from "./scenario.ts";
import type { World } from "./world.ts";

/** Plays the rounds, `most` before each check. `play` plays so many and returns what its check says. */
export async function checkInGroups(
  world: World,
  { rounds, signal, tell }: ScenarioContext,
  { most, play }: { most: number; play: (rounds: number) => Promise<Findings> },
): Promise<{ rounds: number; findings: Findings }> {
  let findings = NOTHING, played = 0, toldAtMs = performance.now();
  while (played < rounds && !signal.aborted) {
    const next = Math.min(most, rounds - played);
    await world.reset();
    findings = addFindings(findings, await play(next));
    played += next;
    if (performance.now() - toldAtMs < TELL_EVERY_MS) continue;
    toldAtMs = performance.now();
    tell(`${played} rounds, ${findings.messages} messages`);
  }
  return { rounds: played, findings };
}

const TELL_EVERY_MS = 5_000;
