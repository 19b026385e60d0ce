/** Releases what was built, last in first out, under one deadline. */
import type { Log } from "../observability/log.ts";
import type { Clock } from "../runtime/clock.ts";

interface Step {
  /** Names the part in the log: "Stopping <name> failed". */
  readonly name: string;
  readonly release: () => Promise<void> | void;
}

/** A stack of releases. A release that fails or hangs is logged and does not keep the others from running. */
export class Teardown {
  readonly #deps: { readonly clock: Clock; readonly log: Log };
  readonly #steps: Step[] = [];
  #done: Promise<void> | null = null;

  constructor(deps: { readonly clock: Clock; readonly log: Log }) {
    this.#deps = deps;
  }

  /** Adds a release as each part is built; it runs before those added earlier. */
  add(name: string, release: () => Promise<void> | void): void {
    this.#steps.push({ name, release });
  }

  /** Runs every release within `timeoutMs` for all of them. Never rejects. Later calls share the outcome of the first. */
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
      if (outcome === "late") log.warning("stop_late", `Stopping ${name} takes too long; going on without it`);
    } catch (error) {
      log.error("stop_failed", `Stopping ${name} failed`, { error });
    } finally {
      over.abort();
    }
  }
}
