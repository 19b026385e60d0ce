/** Follows the sources file: read again on SIGHUP and every few seconds; a bad one changes nothing. */
import type { ParsedSources, SourcesFile } from "../config/sources_file.ts";
import type { ReloadResult } from "../observability/metrics.ts";
import type { Log } from "../observability/log.ts";
import { redisErrorCode } from "../redis/errors.ts";
import type { Clock } from "../runtime/clock.ts";
import type { SourceChange } from "./source_set.ts";
import type { SourceSetup } from "../gates/source_definition.ts";

/** Time between two looks at the file, in milliseconds. */
const POLL_MS = 5_000;

/** What a {@link SourcesReloader} needs. */
export interface SourcesReloaderDeps {
  /** Reads and parses the file. Does not throw. */
  load(): ParsedSources;
  createSources(file: SourcesFile): readonly SourceSetup[];
  /** What of Redis forbids these sources. May reject with the client's errors. */
  inspect(setups: readonly SourceSetup[]): Promise<readonly string[]>;
  readonly sources: {
    compare(setups: readonly SourceSetup[]): SourceChange;
    apply(setups: readonly SourceSetup[]): Promise<void>;
  };
  readonly clock: Clock;
  readonly log: Log;
  readonly onReload: (result: ReloadResult) => void;
  /** Called with what a look threw: a bug. */
  readonly onBug: (error: unknown) => void;
}

/** Looks at the file by its content, so that a replaced file, a changed link and a restored time stamp are all seen. */
export class SourcesReloader {
  readonly #deps: SourcesReloaderDeps;
  readonly #stop = new AbortController();
  #pause = new AbortController();
  #running: Promise<void> | null = null;
  #isAsked = false;
  /** What was last refused, so that it is told once. */
  #refused = "";

  constructor(deps: SourcesReloaderDeps) {
    this.#deps = deps;
  }

  /** Starts in the background; the first look is due in a moment. Safe to call twice; does nothing after `stop`. */
  start(): void {
    if (this.#stop.signal.aborted) return;
    this.#running ??= this.#run().catch(this.#deps.onBug);
  }

  /** Asks for a look now, whose outcome is told whatever it is. */
  ask(): void {
    this.#isAsked = true;
    this.#pause.abort();
  }

  /** Resolves when the look in hand is over. Safe to call twice, and without `start`. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#pause.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      this.#pause = new AbortController();
      const isAsked = this.#isAsked;
      this.#isAsked = false;
      await this.lookOnce({ isAsked });
      if (!this.#isAsked) await this.#deps.clock.sleep(POLL_MS, this.#pause.signal);
    }
  }

  /** Looks at the file and takes over what has changed. Rejects only for a bug. */
  async lookOnce({ isAsked = false }: { isAsked?: boolean } = {}): Promise<void> {
    const { load, createSources, inspect, sources, log, onReload } = this.#deps;
    const loaded = load();
    if (!loaded.ok) return this.#refuse(loaded.problems, { isAsked });
    const setups = createSources(loaded.file);
    const change = sources.compare(setups);
    if (Object.values(change).every((names) => names.length === 0)) {
      if (isAsked || this.#refused !== "") log.info("sources_unchanged", "Remediation: the sources are as they were");
      this.#refused = "";
      return;
    }
    let problems: readonly string[];
    try {
      problems = await inspect(setups);
    } catch (error) {
      // Redis tells of its outages itself; the next look finds the change again.
      const told = `Redis cannot be looked at (${redisErrorCode(error)})`;
      if (isAsked) log.warning("sources_waiting", `Remediation: the sources are not taken over yet: ${told}`);
      return;
    }
    if (this.#stop.signal.aborted) return;
    if (problems.length > 0) return this.#refuse(problems, { isAsked });
    this.#refused = "";
    await sources.apply(setups);
    for (const warning of loaded.warnings) log.warning("config_warning", warning);
    log.info("sources_applied", `Remediation: the sources have changed: ${describeChange(change)}`, { ...change });
    onReload("applied");
  }

  #refuse(problems: readonly string[], { isAsked }: { isAsked: boolean }): void {
    const refused = problems.join("\n");
    if (refused === this.#refused && !isAsked) return;
    this.#refused = refused;
    const { log, onReload } = this.#deps;
    log.warning("sources_rejected", `Remediation: the sources stay as they were: ${problems.join("; ")}`, { problems });
    onReload("rejected");
  }
}

function describeChange(change: SourceChange): string {
  return Object.entries(change).filter(([, names]) => names.length > 0)
    .map(([what, names]) => `${what}: ${names.join(", ")}`).join("; ");
}
