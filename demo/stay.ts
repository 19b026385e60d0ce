/** A living incident: what fails, and when, until the signal. */
import { setTimeout as sleep } from "node:timers/promises";
import { generateDeadLetters, type Mix } from "../testkit/mutt/dead_letters.ts";
import { createConsoleKey, makeLoginLink } from "./console.ts";
import { Fleet } from "./fleet.ts";
import { makePast } from "./past.ts";
import { openStage, serviceEnvironment, type Stage } from "./stage.ts";

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
  { remark: "Moogsoft answers 503: alerts fail", seconds: 90, moogStatus: 503, arrivals: 3, mix: OUTAGE },
  { remark: "Moogsoft is back; the backlog drains", seconds: 70, moogStatus: 200, arrivals: 2, mix: ORDINARY },
  { remark: "quiet", seconds: 45, moogStatus: 200, arrivals: 0.5, mix: ORDINARY },
  { remark: "Moogsoft refuses the credentials (401)", seconds: 60, moogStatus: 401, arrivals: 4, mix: OUTAGE },
  { remark: "the credentials are right again", seconds: 75, moogStatus: 200, arrivals: 1, mix: ORDINARY },
];
/** Some 15 messages a second, so that a backlog can be watched. */
const UNHURRIED = { REMEDIATION_BATCH_SIZE: "30", REMEDIATION_INTERVAL: "2", LOG_LEVEL: "INFO" };

/** The service in the middle of an outage, with its console. Disposing of it leaves nothing. */
export interface Incident extends AsyncDisposable {
  readonly stage: Stage;
  /** The API and the console, without a slash at the end. */
  readonly url: string;
  /** An admin's key. */
  readonly key: string;
  /** Settles when a part ends that should not. */
  readonly gone: Promise<void>;
  /** Makes a link that logs in once. */
  makeLink(): Promise<string>;
}

/** Starts it. Rejects, with nothing left, if a part does not start or the signal aborts meanwhile. */
export async function openIncident(
  { seed, replicas, signal }: { seed: number; replicas: number; signal: AbortSignal },
): Promise<Incident> {
  await using parts = new AsyncDisposableStack();
  const stage = parts.use(await openStage(signal));
  stage.moog.answerWith(SCENES[0]!.moogStatus);
  const { letters, samples } = makePast({ seed, nowMs: Date.now() });
  await stage.recall(samples);
  await stage.put(letters);
  const key = createConsoleKey(), env = { ...serviceEnvironment(stage), ...UNHURRIED, ...key.env };
  const fleet = parts.use(await Fleet.start(replicas, { cwd: stage.dir, env }));
  const port = (await fleet.ports())[0]!.api!;
  signal.throwIfAborted();
  const gone = Promise.race([stage.alerter.running, fleet.watch()]);
  // It may end before the caller waits for it.
  gone.catch(() => {});
  const owned = parts.move();
  return {
    ...{ stage, gone, url: `http://127.0.0.1:${port}`, key: key.text },
    makeLink: () => makeLoginLink(port, key.text),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Feeds the stage until the signal aborts; then rejects with its reason. */
export async function keepFeeding(
  stage: Stage,
  { seed, signal, tell }: { seed: number; signal: AbortSignal; tell: (remark: string) => void },
): Promise<never> {
  let next = seed;
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
