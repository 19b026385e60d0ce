/** Reloads the sources file on SIGHUP and every few seconds. An invalid file changes nothing. */
import { PeriodicTask } from "../lifecycle/periodic_task.ts";
import type { ParsedSources, SourcesFile } from "../config/sources.ts";
import type { ReloadResult } from "../observability/metrics.ts";
import type { Log } from "../observability/log.ts";
import { redisErrorCode } from "../redis/errors.ts";
import type { Clock } from "../runtime/clock.ts";
import type { SourceChange } from "./running_sources.ts";
import type { SourceDefinition } from "../gates/source_definition.ts";

/** Poll interval, in milliseconds. */
const POLL_MS = 5_000;

/** Dependencies of {@link SourcesReloader}. */
export interface SourcesReloaderDeps {
  /** Reads and parses the file. Does not throw. */
  load(): ParsedSources | Promise<ParsedSources>;
  createSources(file: SourcesFile): readonly SourceDefinition[];
  /** Finds problems in Redis that forbid these sources. Rejects with the client's errors. */
  inspect(setups: readonly SourceDefinition[]): Promise<readonly string[]>;
  readonly sources: {
    compare(setups: readonly SourceDefinition[]): SourceChange;
    apply(setups: readonly SourceDefinition[]): Promise<void>;
  };
  readonly clock: Clock;
  readonly log: Log;
  /** Called with a file whose sources run now. */
  readonly onApplied: (file: SourcesFile) => void;
  /** `detail`: what changed or what is wrong, in words. */
  readonly onReload: (result: ReloadResult, detail: string) => void;
  /** Called with any other error of a reload, which is a bug. */
  readonly onBug: (error: unknown) => void;
}

/** Compares the file's content, so that it detects a replaced file, a changed link and a restored timestamp. */
export class SourcesReloader extends PeriodicTask {
  readonly #deps: SourcesReloaderDeps;
  #isAsked = false;
  /** Problems of the last rejected file, so that they are logged once. */
  #refused = "";

  constructor(deps: SourcesReloaderDeps) {
    super({ clock: deps.clock, onBug: deps.onBug });
    this.#deps = deps;
  }

  /** Reloads the file now and always logs the outcome. */
  ask(): void {
    this.#isAsked = true;
    this.wake();
  }

  protected async run(): Promise<void> {
    const isAsked = this.#isAsked;
    this.#isAsked = false;
    await this.lookOnce({ isAsked });
  }

  protected intervalMs(): number {
    return POLL_MS;
  }

  /** Reads the file and applies changes. Rejects only for a bug. */
  async lookOnce({ isAsked = false }: { isAsked?: boolean } = {}): Promise<void> {
    const { load, createSources, inspect, sources, log, onApplied, onReload } = this.#deps;
    const loaded = await load();
    if (!loaded.ok) return this.#refuse(loaded.problems, { isAsked });
    const setups = createSources(loaded.file);
    const change = sources.compare(setups);
    if (Object.values(change).every((names) => names.length === 0)) {
      if (isAsked || this.#refused !== "") log.info("sources_unchanged", "Remediation: the sources have not changed");
      this.#refused = "";
      return;
    }
    let problems: readonly string[];
    try {
      problems = await inspect(setups);
    } catch (error) {
      // The connections log their own outages. The next poll finds the same change.
      const told = `cannot inspect Redis (${redisErrorCode(error)})`;
      if (isAsked) log.warning("sources_waiting", `Remediation: the new sources are not applied yet: ${told}`);
      return;
    }
    if (this.stopping.aborted) return;
    if (problems.length > 0) return this.#refuse(problems, { isAsked });
    this.#refused = "";
    await sources.apply(setups);
    onApplied(loaded.file);
    for (const warning of loaded.warnings) log.warning("config_warning", warning);
    log.info("sources_applied", `Remediation: the sources have changed: ${describeChange(change)}`, { ...change });
    onReload("applied", describeChange(change));
  }

  #refuse(problems: readonly string[], { isAsked }: { isAsked: boolean }): void {
    const refused = problems.join("\n");
    if (refused === this.#refused && !isAsked) return;
    this.#refused = refused;
    const { log, onReload } = this.#deps;
    log.warning(
      "sources_rejected",
      `Remediation: sources file rejected, the current sources stay: ${problems.join("; ")}`,
      { problems },
    );
    onReload("rejected", problems.join("; "));
  }
}

function describeChange(change: SourceChange): string {
  return Object.entries(change).filter(([, names]) => names.length > 0)
    .map(([what, names]) => `${what}: ${names.join(", ")}`).join("; ");
}
