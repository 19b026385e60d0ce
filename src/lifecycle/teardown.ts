/** Releases the parts of the service in reverse order, under one deadline. */
import type { Log } from "../observability/log.ts";
import type { Clock } from "../runtime/clock.ts";

interface Step {
  /** Names the part in the log: "Stopping <name> failed". */
  readonly name: string;
  readonly release: () => Promise<void> | void;
}

/** A stack of releases. If a release fails or hangs, it is logged and the others still run. */
export class Teardown {
  readonly #deps: { readonly clock: Clock; readonly log: Log };
  readonly #steps: Step[] = [];
  #done: Promise<void> | null = null;

  constructor(deps: { readonly clock: Clock; readonly log: Log }) {
    this.#deps = deps;
  }

  /** Adds the release of a part that was just built. It runs before the releases added earlier. */
  add(name: string, release: () => Promise<void> | void): void {
    this.#steps.push({ name, release });
  }

  /** Runs all releases within `timeoutMs` in total. Never rejects. Later calls share the outcome of the first. */
  run(timeoutMs: number): Promise<void> {
    return this.#done ??= this.#run(this.#deps.clock.monotonicMs() + timeoutMs);
  }

  async #run(deadlineMs: number): Promise<void> {
    for (const step of this.#steps.splice(0).reverse()) {
      await this.#release(step, Math.max(0, deadlineMs - this.#deps.clock.monotonicMs()));
    }
  }

  async #release({ name, release }: Step, timeoutMs: number): Promise<void> {
    const { clock, log } = this.#deps, over = new AbortController();
    try {
      const late = clock.sleep(timeoutMs, over.signal).then(() => "late" as const);
      const outcome = await Promise.race([Promise.resolve().then(release), late]);
      if (outcome === "late") log.warning("stop_late", `Stopping ${name} takes too long; continuing without it`);
    } catch (error) {
      log.error("stop_failed", `Stopping ${name} failed`, { error });
    } finally {
      over.abort();
    }
  }
}
