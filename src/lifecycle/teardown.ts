/** Named steps that undo what was built, last in first out, under one deadline. */
import type { Log } from "../observability/log.ts";
import type { Clock } from "../runtime/clock.ts";

/** A stack of releases. A step that fails or hangs does not keep the others from running. */
export class Teardown {
  readonly #steps: { name: string; release: () => Promise<void> | void }[] = [];
  readonly #deps: { clock: Clock; log: Log };
  #done: Promise<void> | null = null;

  constructor(deps: { clock: Clock; log: Log }) {
    this.#deps = deps;
  }

  /** Adds a step; it runs before those added earlier. */
  add(name: string, release: () => Promise<void> | void): void {
    this.#steps.push({ name, release });
  }

  /** Runs every step; each gets what is left of `timeoutMs`. Never rejects. Later calls share the first one's outcome. */
  run(timeoutMs: number): Promise<void> {
    return this.#done ??= this.#run(this.#deps.clock.monotonicMs() + timeoutMs);
  }

  async #run(deadlineMs: number): Promise<void> {
    const { clock, log } = this.#deps;
    for (const { name, release } of this.#steps.splice(0).reverse()) {
      const waiting = new AbortController();
      const leftMs = Math.max(0, deadlineMs - clock.monotonicMs());
      try {
        const late = clock.sleep(leftMs, waiting.signal).then(() => "late" as const);
        const outcome = await Promise.race([Promise.resolve().then(release), late]);
        if (outcome === "late") log.warning("stop_late", `Stopping ${name} takes too long; going on without it`);
      } catch (error) {
        log.error("stop_failed", `Stopping ${name} failed`, { error });
      } finally {
        waiting.abort();
      }
    }
  }
}
