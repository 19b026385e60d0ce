/** Chooses for each turn of a source what works on it: automatic replay, or the job of an operator. */
import type { Turns } from "../replay/loop.ts";
import type { TurnOutcome } from "../replay/outcome.ts";
import type { SourceReplay, TurnOptions } from "../replay/source_replay.ts";
import type { JobRunner } from "./runner.ts";

/** The turns of one source, one at a time. */
export class SourceTurns implements Turns {
  readonly #replay: SourceReplay;
  readonly #jobs: JobRunner;
  /** Whether a job ran at the last turn. */
  #isJob = false;

  constructor({ replay, jobs }: { replay: SourceReplay; jobs: JobRunner }) {
    this.#replay = replay;
    this.#jobs = jobs;
  }

  /** Automatic replay notices by itself that a job runs; the job's runner notices that it has ended. */
  async runOnce(options: TurnOptions): Promise<TurnOutcome> {
    if (!this.#isJob) {
      const outcome = await this.#replay.runOnce(options);
      if (outcome.stoppedBy !== "job") return outcome;
    }
    const outcome = await this.#jobs.runOnce(options);
    this.#isJob = outcome !== null;
    return outcome ?? await this.#replay.runOnce(options);
  }

  /** Asks the gates without a turn. Returns true if the next turn need not wait: a gate has opened, or a job has been started. */
  async askGates(): Promise<boolean> {
    const hasOpened = await this.#replay.askGates();
    return hasOpened || (!this.#isJob && this.#replay.lastSnapshot()?.record.job != null);
  }

  /** Returns true while it is not known whether a commit ran, because its reply was lost. */
  hasUnsettled(): boolean {
    return this.#replay.hasUnsettled() || this.#jobs.hasUnsettled();
  }

  lastProgressMs(): number {
    return Math.max(this.#replay.lastProgressMs(), this.#jobs.lastProgressMs());
  }
}
